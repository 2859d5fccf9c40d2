"""Statistics of blind tests: pure functions of what raters answered about each item.

The unit is the item and not the answer. Several raters who judge one item hear the same fault in it, so
their answers are no more independent than the items are.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from likeness.common.estimates import Estimate

Array = np.ndarray[Any, Any]


def flip_test(differences: Sequence[int]) -> float | None:
    """Two-sided p of an exact sign-flip test (Fisher 1935); None without items.

    Under the hypothesis each difference is as likely to have the other sign, as when labels or sides
    were drawn by a coin. With one rater all differences are -1, 0 or 1, and it is the exact binomial
    test, or the sign test that leaves out ties (Dixon and Mood 1946).

    Args:
        differences: of each item, right less wrong answers, or votes for one side less those for the
            other.
    """
    if not len(differences):
        return None
    steps = [abs(step) for step in differences if step]
    reach = sum(steps)
    chances = np.ones(1)  # of each sum from -reach to reach, of the items so far
    for step in steps:
        wider = np.zeros(len(chances) + 2 * step)
        wider[: len(chances)] += chances / 2
        wider[2 * step :] += chances / 2
        chances = wider
    sums = np.arange(-reach, reach + 1)
    return min(1.0, float(chances[np.abs(sums) >= abs(sum(differences))].sum()))


def share(parts: Sequence[tuple[int, int]]) -> Estimate:
    """A share of answers with its exact interval over items (`proportion`).

    The interval is that of one answer an item, so more raters of the same items do not narrow it.

    Args:
        parts: of each item, how many answers count, and how many there are; items without any are
            left out.
    """
    given = [part for part in parts if part[1]]
    if not given:
        return Estimate(None, None, None, 0)
    value = sum(count for count, _ in given) / sum(total for _, total in given)
    return proportion(value * len(given), len(given))


def proportion(hits: float, n: int) -> Estimate:
    """`hits` of `n` as a share, with the exact 95 % interval of Clopper and Pearson (1934).

    Of hits that are no whole number it takes the same quantiles of the beta distribution.
    """
    from scipy.stats import beta

    low = beta.ppf(0.025, hits, n - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return Estimate(hits / n, float(low), float(high), n)


def alpha(
    units: Sequence[Sequence[int]], level: Literal["nominal", "ordinal"], rounds: int, seed: int
) -> Estimate:
    """Krippendorff's alpha with its bootstrap percentile interval: 1 is full agreement, 0 is chance.

    Computed from the matrix of coincidences (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability"); items are resampled. None if no item has two answers, or if all of those
    are the same.

    Args:
        units: the answers about each item, as ranks from 0; their numbers may differ.
    """
    units = [unit for unit in units if len(unit) > 1]
    n, size = len(units), 1 + max((value for unit in units for value in unit), default=0)
    coincidences = np.zeros((n, size, size))
    for at, unit in enumerate(units):
        counts = np.bincount(unit, minlength=size)
        coincidences[at] = (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    value = _alpha(coincidences.sum(0), level)
    if value is None:
        return Estimate(None, None, None, 0)
    rng = np.random.default_rng(seed)
    flat = coincidences.reshape(n, -1)
    sums = (flat[rng.integers(0, n, n)].sum(0).reshape(size, size) for _ in range(rounds))
    found = [one for each in sums if (one := _alpha(each, level)) is not None]
    low, high = np.percentile(found, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)


def _alpha(coincidences: Array, level: str) -> float | None:
    totals = coincidences.sum(1)
    apart = _distances(totals, level)
    expected = float((np.outer(totals, totals) * apart).sum())
    if not expected:
        return None
    return 1 - (float(totals.sum()) - 1) * float((coincidences * apart).sum()) / expected


def _distances(totals: Array, level: str) -> Array:
    """Squared distance of each two answers; ordinal ones are apart by the answers between them."""
    if level == "nominal":
        return 1.0 - np.eye(len(totals))
    middles = np.cumsum(totals) - totals / 2
    return np.square(middles[:, None] - middles[None, :])
