"""Features of images, kept in the item store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.items import map_all
from likeness.common.runtime import Runtime
from likeness.image.features import extract_batch, load_extractor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Features:
    """Vectors of N images.

    Attributes:
        ids: N names, in the order of the rows.
        vectors: (N, D) float32.
        probabilities: (N, C) float32 over the extractor's classes; C is 0 where it has none.
    """

    ids: list[str]
    vectors: Array
    probabilities: Array

    def take(self, ids: Sequence[str]) -> "Features":
        rows = {name: row for row, name in enumerate(self.ids)}
        at = [rows[name] for name in ids]
        return Features(list(ids), self.vectors[at], self.probabilities[at])


def extract(images: Mapping[str, Path], *, extractor: Path, rt: Runtime) -> Features:
    """Features of every image, in the order of `images`.

    Raises:
        LikenessError: the extractor cannot be loaded, or an image cannot be read.
    """
    load_extractor(extractor, rt.device)
    found = map_all(
        partial(extract_batch, extractor=extractor, device=rt.device),
        images,
        problem="no features",
        what="image_features",
        rt=rt,
        batch=32,
    )
    rows = [np.frombuffer(stored.read("vector.f32"), np.float32) for stored in found.values()]
    sizes = [int(stored.record["vector"]) for stored in found.values()]
    return Features(
        ids=list(images),
        vectors=np.stack([row[:size] for row, size in zip(rows, sizes, strict=True)]),
        probabilities=np.stack([row[size:] for row, size in zip(rows, sizes, strict=True)]),
    )
