"""Figures over sentences, with bootstrap intervals: pure functions of arrays.

A figure is a ratio of sums over N sentences, so one form serves pooled error rates (errors by words)
and means (values by 1): an (N, 2) array of numerators and denominators. What is resampled is the
sentence; takes of one sentence are summed before, as they are not independent.
"""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval and its number of sentences; None where there are none."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def ratio(parts: Array, rounds: int, seed: int) -> Estimate:
    """The ratio of the sums of (N, 2) `parts`, with its bootstrap percentile interval (Efron 1979)."""
    return difference(parts, np.tile([0.0, 1.0], (len(parts), 1)), rounds, seed)


def difference(left: Array, right: Array, rounds: int, seed: int) -> Estimate:
    """The ratio of `left` less that of `right`, of the same N sentences in the same order.

    Both are resampled together, so that what is hard about a sentence for both cancels out.
    """
    left, right = (np.asarray(side, np.float64).reshape(-1, 2) for side in (left, right))
    if len(left) != len(right):
        raise ValueError(f"{len(left)} sentences against {len(right)}: pairs have equal numbers")
    if not len(left) or not left[:, 1].any() or not right[:, 1].any():
        return Estimate(None, None, None, 0)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(left), (rounds, len(left)))
    values = _divide(left[picks].sum(1)) - _divide(right[picks].sum(1))
    low, high = np.percentile(values, [2.5, 97.5])
    value = _divide(left.sum(0)) - _divide(right.sum(0))
    return Estimate(float(value), float(low), float(high), len(left))


def _divide(sums: Array) -> Array:
    return sums[..., 0] / np.maximum(sums[..., 1], 1e-12)


def centroid_similarities(vectors: Array, own: list[int | None], real: Array) -> Array:
    """(M,) cosines of (M, D) unit vectors to the centroid of the (N, D) real ones.

    Args:
        own: for each vector the number of the real clip of its sentence, or None. That clip is left
            out of the centroid, so that a real clip is not its own reference, and synthetic and
            real clips of a sentence are compared with the very same voice.
    """
    total = real.sum(0)
    centroids = np.stack([total if at is None else total - real[at] for at in own])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return np.asarray((vectors * centroids).sum(1))
