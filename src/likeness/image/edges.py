"""The edges of photos, which ControlNets draw by, and the outlines of the items in them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from likeness.common.result import Result
from likeness.image.pixels import Array, item_mask, png_bytes


def find_edges(paths: Sequence[Path], *, low: int, high: int) -> list[Result]:
    """`edges.png` for each photo, as large as the photo. See `edges`."""
    return [
        Result({}, {"edges.png": png_bytes(Image.fromarray(edges(_pixels(path), low, high)))})
        for path in paths
    ]


def edges(photo: Array, low: int, high: int) -> Array:
    """(height, width) uint8: 255 where an RGB photo has an edge, else 0.

    Canny's edges (1986) of the three channels, found by OpenCV, on which the published ControlNets of
    edges were trained (https://github.com/lllyasviel/ControlNet, annotator/canny).

    Args:
        low, high: bounds of the gradient. An edge begins where it is above `high`, and goes on while it
            is above `low`. The border of two areas that differ by L 8-bit levels has a gradient of 4 L.
    """
    import cv2

    return np.asarray(cv2.Canny(np.ascontiguousarray(photo), low, high))


def outline(photo: Array) -> Array:
    """(height, width) bool: the item of an RGB photo with the holes that its outline encloses."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_fill_holes(item_mask(Image.fromarray(photo))))


def overlap(one: Array, other: Array) -> float:
    """Intersection over union of two outlines, 0 to 1; 0 where both are empty."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def followed(wanted: Array, found: Array) -> float:
    """Share, 0 to 1, of the pixels of `wanted` edges near which `found` has one; 1 if none is wanted.

    Near is 1/64 of the side, at least a pixel.
    """
    from scipy import ndimage

    near = max(1, wanted.shape[0] // 64)
    around = (
        ndimage.distance_transform_cdt(found == 0, "chessboard") <= near
        if found.any()
        else found > 0
    )
    return float(around[wanted > 0].mean()) if wanted.any() else 1.0


def _pixels(path: Path) -> Array:
    return np.asarray(Image.open(path).convert("RGB"))
