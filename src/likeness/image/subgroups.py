"""Whether adapters of values pay: the same prompts and seeds with them, and with the one for all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from likeness.common.estimates import Array, Estimate, mean
from likeness.image.fidelity import paired_kernels
from likeness.image.rows import EvaluatedImage

FEWEST = 5  # pairs, and photos: of fewer, a resample may hold one of them alone


@dataclass(frozen=True)
class Drawn:
    """N images: their vectors (N, D), and their rows of the per-image table."""

    vectors: Array
    table: Sequence[EvaluatedImage]


def compare_values(
    own: Drawn,
    shared: Drawn,
    values: Sequence[str],
    real: Array,
    real_values: Sequence[str],
    names: Mapping[str, str],
    *,
    distance: str,
    rounds: int,
    seed: int,
) -> dict[str, Estimate]:
    """Figures of `own_*` and `shared_*` images, and `difference_*`, the first less the second.

    Of all values together, as `own_kernel`, and of each, as `own_kernel_Women`. The images are pairs, so
    their bootstrap resamples pairs. Each value is compared with its own real photos.

    Args:
        values: of the N pairs. real_values: of the M real photos, whose vectors are (M, D).
        names: a name for each value.
        distance: what the kernel distance is called.
    """
    found: dict[str, Estimate] = {}
    present = sorted(set(values))
    for members, suffix in [(present, ""), *(([one], f"_{names[one]}") for one in present)]:
        rows = [at for at, value in enumerate(values) if value in members]
        photos = np.flatnonzero(np.isin(real_values, members))
        kernels = (Estimate(None, None, None, 0),) * 3
        if min(len(rows), len(photos)) >= FEWEST:
            vectors = (own.vectors[rows], shared.vectors[rows], real[photos])
            kernels = paired_kernels(*vectors, rounds, seed)
        figures = {distance: kernels}
        for figure in ("clip", "colour_agreement"):
            left, right = (
                np.array([_value(one.table[row], figure) for row in rows]) for one in (own, shared)
            )
            left, right = (side[~np.isnan(left)] for side in (left, right))
            figures[figure] = (
                mean(left, rounds, seed),
                mean(right, rounds, seed),
                mean(left - right, rounds, seed),
            )
        for figure, three in figures.items():
            for name, one in zip(("own_", "shared_", "difference_"), three, strict=True):
                found[f"{name}{figure}{suffix}"] = one
    return found


def _value(row: EvaluatedImage, figure: str) -> float:
    """NaN for the colour of a product that has none."""
    if figure == "clip":
        return row.clip
    return float(row.colour == row.colour_asked) if row.colour_asked else math.nan
