"""Own adapters against the one for all: pairs, each value with its own photos."""

import numpy as np
import pytest

from likeness.common.estimates import Array, Estimate
from likeness.image import fidelity
from likeness.image.subgroups import FEWEST, Drawn, compare_values
from tests.conftest import evaluated

N = 12
NAMES = {"Men": "Men", "Women": "Women", "Little Kids": "Little_Kids"}


def drawn(vectors: Array, clip: float, right: Array) -> Drawn:
    table = [
        evaluated(str(at), clip=clip + at, colour="Red" if yes else "Blue")
        for at, yes in enumerate(right)
    ]
    return Drawn(vectors, table)


def compared(values: list[str], photos: list[str]) -> dict[str, Estimate]:
    """Own images are like the photos of their value; those of the adapter for all are between."""
    rng = np.random.default_rng(0)
    place = {value: 3.0 * at for at, value in enumerate(NAMES)}

    def near(which: list[str], share: float) -> Array:
        centres = np.array([place[value] for value in which])[:, None]
        return share * centres + rng.normal(size=(len(which), 4))

    some, none = np.arange(len(values)) % 2 == 0, np.ones(len(values), bool)
    return compare_values(
        drawn(near(values, 1.0), 31.0, none),
        drawn(near(values, 0.3), 30.0, some),
        values,
        near(photos, 1.0),
        photos,
        NAMES,
        distance="kernel",
        rounds=100,
        seed=7,
    )


def test_each_value_is_compared_with_its_own_photos() -> None:
    found = compared(["Women"] * N + ["Little Kids"] * N, ["Women"] * 9 + ["Little Kids"] * 8)
    figures = ("kernel", "clip", "colour_agreement")
    assert set(found) == {
        f"{side}_{figure}{value}"
        for side in ("own", "shared", "difference")
        for figure in figures
        for value in ("", "_Women", "_Little_Kids")
    }
    for value, n in (("", 2 * N), ("_Women", N), ("_Little_Kids", N)):
        less = found[f"difference_kernel{value}"]
        assert less.n == n
        assert less.high is not None
        assert less.high < 0, "own is nearer, and no chance"
        # Each pair differs by 1; the interval of pairs knows, that of two sets would not.
        clip = found[f"difference_clip{value}"]
        assert (clip.value, clip.low, clip.high) == pytest.approx((1, 1, 1))
        assert found[f"difference_colour_agreement{value}"].value == 0.5


def test_of_few_pairs_or_photos_there_is_no_distance() -> None:
    found = compared(["Men"] * N + ["Women"] * (FEWEST - 1), ["Men"] * FEWEST + ["Women"] * 9)
    assert found["own_kernel_Women"] == Estimate(None, None, None, 0)
    assert found["own_clip_Women"].n == FEWEST - 1
    assert found["own_kernel_Men"].n == N
    assert found["own_kernel"].n == N + FEWEST - 1


def test_pairs_without_a_colour_say_nothing_of_colours() -> None:
    table = [evaluated(str(at), colour_asked="" if at else "Red") for at in range(N)]
    one = Drawn(np.zeros((N, 2)), table)
    found = compare_values(
        one,
        one,
        ["Men"] * N,
        np.zeros((2, 2)),
        ["Men"] * 2,
        NAMES,
        distance="kid",
        rounds=10,
        seed=7,
    )
    assert found["own_colour_agreement_Men"].n == 1
    assert found["own_clip_Men"].n == N
    assert "own_kid_Men" in found


def test_paired_kernels_are_the_kernel_distances() -> None:
    rng = np.random.default_rng(1)
    left, right, real = (rng.normal(at, size=(9, 5)) for at in (0.5, 0.2, 0.0))
    a, b, less = fidelity.paired_kernels(left, right, real, rounds=50, seed=7)
    assert a.value == pytest.approx(fidelity.kernel(left, real))
    assert b.value == pytest.approx(fidelity.kernel(right, real))
    assert less.value == pytest.approx(a.value - b.value)
    assert (a.n, less.n) == (9, 9)


def test_the_bootstrap_of_a_kernel_distance_is_not_raised_by_repeats() -> None:
    rng = np.random.default_rng(2)
    left, real = rng.normal(size=(30, 6)), rng.normal(size=(25, 6))
    one, _, nothing = fidelity.paired_kernels(left, left, real, rounds=2000, seed=7)
    assert one.low is not None
    assert one.high is not None
    # Repeats that counted would raise it by a thirtieth of what a vector has with itself: 4.
    assert one.low < one.value < one.high
    assert (one.low + one.high) / 2 == pytest.approx(one.value, abs=0.25 * (one.high - one.low))
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
