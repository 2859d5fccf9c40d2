"""Figures over items with bootstrap intervals: pure functions of arrays.

A figure is a ratio of sums over N items, so one function serves pooled error rates (errors per words) and
means (values per 1): it takes an (N, 2) array of numerators and denominators. Items are resampled.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval and its number of items; all None if there are no items."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def rounded(self) -> "Estimate":
        """The estimate as files have it: five decimals, as the last digits differ between processors."""
        if self.value is None or self.low is None or self.high is None:
            return self
        return Estimate(round(self.value, 5), round(self.low, 5), round(self.high, 5), self.n)


def mean(values: Array, rounds: int, seed: int) -> Estimate:
    """Mean of (N,) values with its bootstrap percentile interval; see `ratio`."""
    return ratio(np.stack([values, np.ones(len(values))], axis=1), rounds, seed)


def ratio(parts: Array, rounds: int, seed: int) -> Estimate:
    """The ratio of the sums of (N, 2) `parts`, with its bootstrap percentile interval (Efron 1979).

    Args:
        rounds: number of bootstrap resamples.
    """
    return difference(parts, np.tile([0.0, 1.0], (len(parts), 1)), rounds, seed)


def difference(left: Array, right: Array, rounds: int, seed: int) -> Estimate:
    """The ratio of `left` minus the ratio of `right`, over the same N items in the same order.

    Both are resampled together, so that the difficulty of an item, which both share, cancels out.
    """
    left, right = (np.asarray(side, np.float64).reshape(-1, 2) for side in (left, right))
    if len(left) != len(right):
        raise ValueError(f"{len(left)} items against {len(right)}: pairs have equal numbers")
    if not len(left) or not left[:, 1].any() or not right[:, 1].any():
        return Estimate(None, None, None, 0)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(left), (rounds, len(left)))
    values = _divide(left[picks].sum(1)) - _divide(right[picks].sum(1))
    low, high = np.percentile(values, [2.5, 97.5])
    value = _divide(left.sum(0)) - _divide(right.sum(0))
    return Estimate(float(value), float(low), float(high), len(left))


def _divide(sums: Array) -> Array:
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1e-12))
