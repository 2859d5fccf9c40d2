"""Ratios with intervals, and differences in pairs."""

import numpy as np
import pytest

from likeness.common.estimates import Estimate, difference, mean, ratio

RNG = np.random.default_rng(3)
LEFT = np.stack([RNG.integers(0, 4, 30), RNG.integers(5, 15, 30)], axis=1)


def test_a_ratio_is_pooled_and_its_interval_holds_it() -> None:
    found = ratio(LEFT, 500, 1)
    assert found.value == pytest.approx(LEFT[:, 0].sum() / LEFT[:, 1].sum())
    assert found.low < found.value < found.high
    assert found.n == 30
    assert ratio(LEFT, 500, 1) == found
    assert ratio(LEFT, 500, 2) != found


def test_a_mean_s_interval_is_the_usual_one() -> None:
    values = RNG.normal(5, 2, 400)
    found = mean(values, 2000, 0)
    error = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - error, abs=0.05)
    assert found.high == pytest.approx(values.mean() + error, abs=0.05)


def test_an_interval_holds_the_truth_most_of_the_time() -> None:
    inside = 0
    for seed in range(60):
        values = np.random.default_rng(seed).exponential(2.0, 80)
        found = mean(values, 300, seed)
        assert found.low <= found.value <= found.high
        assert found.value == pytest.approx(values.mean())
        inside += found.low <= 2.0 <= found.high
    assert 0.85 * 60 <= inside < 60, "95 % intervals hold the truth most of the time, not always"


def test_a_figure_has_five_decimals_or_is_null() -> None:
    assert Estimate(1 / 3, 0.1 + 0.2, 2 / 3, 9).rounded() == Estimate(0.33333, 0.3, 0.66667, 9)
    assert (nothing := Estimate(None, None, None, 0)).rounded() == nothing


def test_equal_items_have_no_width() -> None:
    found = ratio(np.tile([1.0, 4.0], (6, 1)), 100, 0)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_a_difference_is_of_pairs() -> None:
    right = LEFT + np.array([1, 0])  # one more error in each sentence
    found = difference(right, LEFT, 500, 1)
    assert found.value == pytest.approx(30 / LEFT[:, 1].sum())
    apart = difference(right, LEFT[::-1], 500, 1)
    assert found.high - found.low < 0.5 * (apart.high - apart.low)
    assert difference(LEFT, right, 500, 1).value == pytest.approx(-found.value)
    same = difference(LEFT, LEFT, 500, 1)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_pairs_have_equal_numbers() -> None:
    with pytest.raises(ValueError, match="30 items against 29"):
        difference(LEFT, LEFT[1:], 10, 0)


def test_no_item_is_no_figure() -> None:
    none = Estimate(None, None, None, 0)
    assert ratio(np.empty((0, 2)), 10, 0) == none
    assert ratio(np.zeros((3, 2)), 10, 0) == none, "no word to be wrong about"
