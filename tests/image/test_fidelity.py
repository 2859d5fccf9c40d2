"""Distances between sets of vectors, against the libraries that defined them."""

from typing import Any

import numpy as np
import pytest

from likeness.image import fidelity

Array = np.ndarray


def vectors(n: int, seed: int, size: int = 12, shift: float = 0.0) -> Array:
    """Correlated vectors, so that a covariance's off-diagonal counts."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(size, size)) / size**0.5
    return (rng.normal(size=(n, size)) @ mixing + shift).astype(np.float32)


LEFT, RIGHT = vectors(80, 1), vectors(80, 2, shift=0.3)


def tensor(array: Array) -> Any:
    import torch

    return torch.from_numpy(np.asarray(array, np.float64))


class Given:
    """A network for torchmetrics that gives its input back: the features are known already."""

    def __new__(cls, size: int) -> Any:
        import torch

        network = torch.nn.Identity()
        network.num_features = size  # type: ignore[assignment]
        return network


# --- frechet --------------------------------------------------------------------------------------


def test_frechet_of_a_set_with_itself_is_0() -> None:
    assert fidelity.frechet(LEFT, LEFT) == pytest.approx(0, abs=1e-6)
    assert fidelity.frechet(LEFT, LEFT[::-1]) == pytest.approx(0, abs=1e-6)


def test_frechet_is_symmetric() -> None:
    assert fidelity.frechet(LEFT, RIGHT) == pytest.approx(fidelity.frechet(RIGHT, LEFT), rel=1e-9)


def test_frechet_has_its_closed_form() -> None:
    # Exact first and second moments: a shift by d adds |d|², a scale by s adds (s - 1)² tr(C).
    shift = np.arange(12.0)
    assert fidelity.frechet(LEFT, LEFT + shift) == pytest.approx((shift**2).sum(), rel=1e-5)
    centred = LEFT.astype(np.float64) - LEFT.mean(0)
    trace = np.trace(np.cov(centred.T))
    assert fidelity.frechet(centred, 3 * centred) == pytest.approx(4 * trace, rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(80, 80), (80, 50), (200, 30)])
def test_frechet_agrees_with_torchmetrics_and_torch_fidelity(n: int, m: int) -> None:
    from torch_fidelity import metric_fid
    from torchmetrics.image.fid import FrechetInceptionDistance

    left, right = vectors(n, 3), vectors(m, 4, shift=0.2)
    found = fidelity.frechet(left, right)
    statistics = [metric_fid.fid_features_to_statistics(tensor(side)) for side in (left, right)]
    reference = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    assert found == pytest.approx(reference["frechet_inception_distance"], rel=1e-4)
    metric = FrechetInceptionDistance(feature=Given(12)).set_dtype(tensor(left).dtype)
    metric.update(tensor(left), real=True)
    metric.update(tensor(right), real=False)
    assert found == pytest.approx(float(metric.compute()), rel=1e-4)


def test_frechet_is_exact_where_images_are_fewer_than_dimensions() -> None:
    from torch_fidelity import metric_fid

    left, right = vectors(20, 5, size=60), vectors(15, 6, size=60, shift=0.1)
    statistics = [metric_fid.fid_features_to_statistics(tensor(side)) for side in (left, right)]
    reference = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    found = fidelity.frechet(left, right)
    assert found == pytest.approx(reference["frechet_inception_distance"], rel=1e-4)


# --- kernel ---------------------------------------------------------------------------------------


def test_kernel_agrees_with_torchmetrics_and_torch_fidelity() -> None:
    from torch_fidelity import metric_kid
    from torchmetrics.image.kid import KernelInceptionDistance

    found = fidelity.kernel(LEFT, RIGHT)
    sides = [np.asarray(side, np.float64) for side in (LEFT, RIGHT)]
    assert found == pytest.approx(metric_kid.kernel_mmd(*sides), rel=1e-4)
    # One subset of all: no chance is left in it.
    metric = KernelInceptionDistance(feature=Given(12), subsets=1, subset_size=80)
    metric.update(tensor(LEFT), real=True)
    metric.update(tensor(RIGHT), real=False)
    assert found == pytest.approx(float(metric.compute()[0]), rel=1e-4)


def test_kernel_is_symmetric_and_unbiased() -> None:
    assert fidelity.kernel(LEFT, RIGHT) == pytest.approx(fidelity.kernel(RIGHT, LEFT), rel=1e-9)
    same = [fidelity.kernel(vectors(40, seed), vectors(40, seed + 500)) for seed in range(60)]
    assert min(same) < 0 < max(same), "an unbiased estimate of 0 falls on both sides"
    assert abs(np.mean(same)) < 3 * np.std(same) / len(same) ** 0.5
    assert np.mean(same) < fidelity.kernel(LEFT, RIGHT) / 5


def test_kernel_takes_sets_of_two_sizes() -> None:
    values = [fidelity.kernel(vectors(60, seed), vectors(30, seed + 500)) for seed in range(40)]
    assert abs(np.mean(values)) < 3 * np.std(values) / len(values) ** 0.5


# --- precision, recall, density, coverage ---------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_agree_with_torch_fidelity(k: int) -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    found = fidelity.prdc(LEFT, RIGHT, k)
    options = {"prc_neighborhood": k, "prc_batch_size": 50, "save_cpu_ram": False, "verbose": False}
    reference = prc_features_to_metric(tensor(RIGHT), tensor(LEFT), **options)
    assert found["precision"] == pytest.approx(reference["precision"], abs=1e-6)
    assert found["recall"] == pytest.approx(reference["recall"], abs=1e-6)
    assert 0 < found["precision"] < 1


def naive(real: Array, made: Array, k: int) -> dict[str, float]:
    """Density and coverage as Naeem et al. (2020) define them, one pair at a time."""
    radii = []
    for at, point in enumerate(real):
        others = [float(np.linalg.norm(point - other)) for i, other in enumerate(real) if i != at]
        radii.append(sorted(others)[k - 1])
    inside = 0
    covered: set[int] = set()
    for point in made:
        for at, other in enumerate(real):
            if float(np.linalg.norm(point - other)) < radii[at]:
                inside += 1
                covered.add(at)
    return {"density": inside / (k * len(made)), "coverage": len(covered) / len(real)}


@pytest.mark.parametrize("k", [1, 3, 5])
def test_density_and_coverage_agree_with_a_double_loop(k: int) -> None:
    real, made = vectors(40, 7).astype(np.float64), vectors(25, 8).astype(np.float64)
    found = fidelity.prdc(real, made, k)
    for name, value in naive(real, made, k).items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_sets_that_are_the_same_or_far_apart() -> None:
    same = fidelity.prdc(LEFT, LEFT + 1e-4, 3)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    apart = fidelity.prdc(LEFT, LEFT + 100, 3)
    assert set(apart.values()) == {0.0}


# --- the rest -------------------------------------------------------------------------------------


def test_inception_agrees_with_torch_fidelity() -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.full(10, 0.3), 60)
    reference = isc_features_to_metric(tensor(np.log(p + 1e-300)), splits=1, shuffle=False)
    assert fidelity.inception(p) == pytest.approx(reference["inception_score_mean"], rel=1e-4)


def test_inception_s_bounds() -> None:
    assert fidelity.inception(np.full((8, 4), 0.25)) == pytest.approx(1)
    assert fidelity.inception(np.tile(np.eye(4), (2, 1))) == pytest.approx(4)


def test_distances_agree_with_scipy() -> None:
    from scipy.spatial.distance import cdist

    wanted = cdist(LEFT.astype(np.float64), RIGHT.astype(np.float64))
    assert np.allclose(fidelity.distances(LEFT, RIGHT), wanted, rtol=1e-6)
    assert np.allclose(fidelity.nearest(LEFT, RIGHT), wanted.min(1), rtol=1e-6)


def test_diversity_is_the_mean_over_pairs() -> None:
    from scipy.spatial.distance import pdist

    assert fidelity.diversity(LEFT) == pytest.approx(
        pdist(LEFT.astype(np.float64)).mean(), rel=1e-5
    )
    assert fidelity.diversity(np.array([[0.0, 0.0], [3.0, 4.0]])) == pytest.approx(5)


def test_a_subset_s_interval_and_n() -> None:
    pool = np.random.default_rng(1).normal(size=200)
    seen: list[Array] = []

    def measure(rows: Array) -> float:
        seen.append(rows)
        return float(pool[rows].mean())

    estimate = fidelity.subset_estimate(measure, len(pool), 50, 100, seed=3)
    assert estimate.n == 50
    assert estimate.low <= pool.mean() <= estimate.high
    assert len(seen) == 100
    assert all(len(set(rows.tolist())) == 50 for rows in seen), "every subset has n different rows"
    again = fidelity.subset_estimate(lambda rows: float(pool[rows].mean()), 200, 50, 100, seed=3)
    assert again == estimate
