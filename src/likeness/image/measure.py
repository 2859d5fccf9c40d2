"""Pixel measures of images, kept in the item store."""

from collections.abc import Mapping
from pathlib import Path

from likeness.common.items import map_all
from likeness.common.runtime import Runtime
from likeness.image.quality import Measures, measure_files


def measure_all(images: Mapping[str, Path], rt: Runtime) -> dict[str, Measures]:
    """Measures of every image by id."""
    found = map_all(
        measure_files,
        images,
        problem="cannot be measured",
        what="image_quality",
        rt=rt,
        batch=16,
        workers=rt.workers,
    )
    return {
        name: Measures(**{**stored.record, "lab": tuple(stored.record["lab"])})
        for name, stored in found.items()
    }
