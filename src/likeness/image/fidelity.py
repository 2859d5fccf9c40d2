"""Distances between two sets of feature vectors, as pure functions of arrays.

Checked against torchmetrics and torch-fidelity on the same features (tests/image/test_fidelity.py).
"""

from collections.abc import Callable

import numpy as np

from likeness.common.estimates import Array, Estimate


def frechet(left: Array, right: Array) -> float:
    """Fréchet distance between Gaussians fitted to (N, D) and (M, D) vectors (Heusel et al. 2017).

    The trace of the root of the covariances' product is the nuclear norm of the centred vectors'
    cross product, an N x M matrix: exact, and cheap where images are fewer than dimensions.
    """
    a, b = (np.asarray(side, np.float64) for side in (left, right))
    mean = a.mean(0) - b.mean(0)
    a = (a - a.mean(0)) / np.sqrt(len(a) - 1)
    b = (b - b.mean(0)) / np.sqrt(len(b) - 1)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(mean @ mean + (a * a).sum() + (b * b).sum() - 2 * root)


def kernel(left: Array, right: Array) -> float:
    """Unbiased squared MMD with the kernel (x·y / D + 1)^3, as in KID (Bińkowski et al. 2018)."""
    return float(_kernels(left, right, np.ones((1, len(left))), np.ones((1, len(right))))[0])


def paired_kernels(
    left: Array, right: Array, real: Array, rounds: int, seed: int
) -> tuple[Estimate, Estimate, Estimate]:
    """Kernel distances of two sets (N, D) to (M, D) real vectors, and the left's less the right's.

    The bootstrap resamples the N pairs of rows and the M real ones. The distance leaves out an item's
    product with itself, and so that of two copies, which would raise the distance in each resample.
    Resamples of one item alone are left out too.
    """
    rng = np.random.default_rng(seed)

    def counts(n: int) -> Array:
        """How often each resample has each item; the first has each once."""
        resamples = rng.multinomial(n, np.full(n, 1 / n), rounds)
        return np.vstack([np.ones(n), resamples])

    pairs, photos = counts(len(left)), counts(len(real))
    a, b = (_kernels(side, real, pairs, photos) for side in (left, right))
    found = []
    for values in (a, b, a - b):
        low, high = np.nanpercentile(values[1:], [2.5, 97.5])
        found.append(Estimate(float(values[0]), float(low), float(high), len(left)))
    return found[0], found[1], found[2]


def _kernels(left: Array, right: Array, of_left: Array, of_right: Array) -> Array:
    """(R,) kernel distances, in each of which an item counts as often as (R, N) and (R, M) say."""
    a, b = (np.asarray(side, np.float64) for side in (left, right))

    def gram(x: Array, y: Array) -> Array:
        return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)

    def within(x: Array, weights: Array) -> Array:
        products = gram(x, x)
        np.fill_diagonal(products, 0)
        total = weights.sum(1) ** 2 - (weights**2).sum(1)
        sums = ((weights @ products) * weights).sum(1)
        return np.asarray(sums / np.where(total > 0, total, np.nan))

    cross = ((of_left @ gram(a, b)) * of_right).sum(1) / (of_left.sum(1) * of_right.sum(1))
    return np.asarray(within(a, of_left) + within(b, of_right) - 2 * cross)


def distances(left: Array, right: Array) -> Array:
    """(N, M) Euclidean distances."""
    a, b = (np.asarray(side, np.float64) for side in (left, right))
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0)))


def prdc(real: Array, generated: Array, k: int) -> dict[str, float]:
    """Precision, recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    Args:
        real: (N, D) vectors. generated: (M, D) vectors. k: neighbours that make a sample's ball.
    """
    within_real = np.sort(distances(real, real), axis=1)[:, k]
    within_generated = np.sort(distances(generated, generated), axis=1)[:, k]
    cross = distances(real, generated)
    inside_real = cross < within_real[:, None]
    return {
        "precision": float(inside_real.any(0).mean()),
        "recall": float((cross < within_generated[None]).any(1).mean()),
        "density": float(inside_real.sum(0).mean() / k),
        "coverage": float((cross.min(1) < within_real).mean()),
    }


def inception(probabilities: Array) -> float:
    """exp of the mean divergence of (N, C) class probabilities from their mean (Salimans et al. 2016)."""
    p = np.asarray(probabilities, np.float64)
    divergence = p * (np.log(p + 1e-16) - np.log(p.mean(0) + 1e-16))
    return float(np.exp(divergence.sum(1).mean()))


def diversity(vectors: Array) -> float:
    """Mean Euclidean distance over the pairs of (N, D) vectors."""
    n = len(vectors)
    return float(distances(vectors, vectors).sum() / (n * (n - 1)))


def nearest(vectors: Array, others: Array) -> Array:
    """(N,) distance of each vector to the nearest of the others."""
    return np.asarray(distances(vectors, others).min(1))


def subset_estimate(
    measure: Callable[[Array], float], pool: int, n: int, rounds: int, seed: int
) -> Estimate:
    """Mean and 2.5–97.5 percentile of `measure` over `rounds` random subsets of `n` of `pool` rows.

    Distances between sets depend on the sets' sizes, so each subset has the same size, and is drawn
    without repeats: a bootstrap's repeats would shrink the covariances that are compared.
    """
    rng = np.random.default_rng(seed)
    values = [measure(rng.choice(pool, n, replace=False)) for _ in range(rounds)]
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(float(np.mean(values)), float(low), float(high), n)
