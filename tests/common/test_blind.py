"""Statistics of blind tests, against other implementations, published values and simulated raters."""

import numpy as np
import pytest
from scipy.stats import binomtest

from likeness.common.blind import alpha, flip_test, share

# Four observers of twelve units, with gaps (Krippendorff 2011, section C).
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3),
    (0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0),
)
RUNS = 1000


@pytest.mark.parametrize(("right", "n"), [(0, 6), (5, 10), (8, 10), (33, 50), (50, 50)])
def test_with_one_rater_it_is_the_exact_binomial_test(right: int, n: int) -> None:
    exact = binomtest(right, n)
    assert flip_test([1] * right + [-1] * (n - right)) == pytest.approx(exact.pvalue)
    interval = exact.proportion_ci(0.95, method="exact")
    found = share([(1, 1)] * right + [(0, 1)] * (n - right))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.value, found.n) == (right / n, n)


def test_ties_are_left_out_of_the_sign_test() -> None:
    assert flip_test([1] * 9 + [-1] + [0] * 40) == pytest.approx(binomtest(9, 10).pvalue)
    assert flip_test([0, 0]) == 1
    assert flip_test([]) is None


def test_unequal_steps_are_those_of_all_sign_flips() -> None:
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    sums = signs @ np.array([3, 1, 2, 2])
    assert flip_test([3, 1, -2, 2]) == pytest.approx(np.mean(np.abs(sums) >= 4))


def test_more_raters_of_the_same_items_do_not_narrow_an_interval() -> None:
    assert share([(3, 3)] * 8 + [(0, 3)] * 2) == share([(1, 1)] * 8 + [(0, 1)] * 2)
    assert share([(0, 0), (1, 1)]).n == 1
    assert share([]).value is None


def test_alpha_is_as_published() -> None:
    units = [[rank for rank in unit if rank] for unit in zip(*OBSERVERS, strict=True)]
    nominal, ordinal = alpha(units, "nominal", 200, 7), alpha(units, "ordinal", 200, 7)
    assert (nominal.value, ordinal.value) == pytest.approx((0.743, 0.815), abs=5e-4)
    assert nominal.n == 11  # the last unit has one answer, which agrees with nothing
    assert nominal.low is not None
    assert nominal.high is not None
    assert 0.3 < nominal.low < 0.743 < nominal.high <= 1


def test_alpha_of_nothing_is_nothing() -> None:
    for units in ([], [[1], [0]], [[2, 2], [2, 2]]):
        assert alpha(units, "nominal", 10, 7).value is None
    assert alpha([[0, 0], [1, 1]], "ordinal", 10, 7).value == 1


def found_in(runs: int, n: int, chance: float, raters: int, alike: bool, seed: int) -> float:
    """In what share of the runs raters who are right by `chance` are significant.

    Args:
        alike: all answer the same about an item, as where a fault in it is plain.
    """
    rng = np.random.default_rng(seed)
    significant = 0
    for _ in range(runs):
        right = rng.random((n, 1 if alike else raters)) < chance
        right = np.broadcast_to(right, (n, raters))
        p = flip_test([int(value) for value in 2 * right.sum(1) - raters])
        significant += p is not None and p < 0.05
    return significant / runs


@pytest.mark.parametrize("n", [10, 50, 100])
@pytest.mark.parametrize(("raters", "alike"), [(1, False), (3, False), (3, True)])
def test_guessing_is_significant_in_one_run_of_twenty_at_most(
    n: int, raters: int, alike: bool
) -> None:
    assert found_in(RUNS, n, 0.5, raters, alike, seed=n) <= 0.05


def test_pooled_answers_of_raters_who_agree_would_be_found_too_often() -> None:
    """Why the item is the unit: a binomial test of all answers takes copies for evidence."""
    rng = np.random.default_rng(1)
    right = 3 * (rng.random((200, 50)) < 0.5).sum(1)
    assert np.mean([binomtest(int(count), 150).pvalue < 0.05 for count in right]) > 0.15


def test_raters_right_in_eighty_of_a_hundred_are_found_at_fifty() -> None:
    assert found_in(RUNS, 50, 0.8, 1, False, seed=2) >= 0.95
