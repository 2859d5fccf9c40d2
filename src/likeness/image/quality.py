"""Measures of a product photo from its pixels: background, item, colour and sharpness."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from likeness.common.result import Result
from likeness.image.pixels import ITEM, Array

LIGHT = 235  # 8-bit level from which a background pixel counts as white


@dataclass(frozen=True)
class Measures:
    """The measures of one photo.

    Attributes:
        clean_background: share of border pixels that are white, 0 to 1. The border is 1/32 of the
            side, at least one pixel.
        cut_off: share of border pixels that belong to the item, 0 to 1.
        coverage: share of all pixels that belong to the item, 0 to 1.
        aspect: width of the item's bounding box by its height; 0 without an item.
        sharpness: mean absolute Laplacian of luminance over the item, in 8-bit levels.
        lab: the item's commonest CIELAB colour (L 0–100, a and b about ±100).
    """

    clean_background: float
    cut_off: float
    coverage: float
    aspect: float
    sharpness: float
    lab: tuple[float, float, float]


def measure_files(paths: Sequence[Path]) -> list[Result]:
    return [Result(asdict(measure(Image.open(path)))) for path in paths]


def measure(image: Image.Image) -> Measures:
    """Measure an RGB photo of one item on a plain background."""
    from scipy import ndimage
    from skimage.color import rgb2lab

    pixels = np.asarray(image.convert("RGB"), np.float64)
    ring = _ring(pixels.shape[0], pixels.shape[1])
    background = np.median(pixels[ring], axis=0)
    mask = np.abs(pixels - background).max(2) > ITEM
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    largest = labels == 1 + int(sizes.argmax()) if count else mask
    rows, columns = np.nonzero(largest)
    aspect = float(np.ptp(columns) + 1) / float(np.ptp(rows) + 1) if count else 0.0
    # Pixels of the outline are mixed with the background, so the colour is measured one pixel inside.
    inside = ndimage.binary_erosion(mask)
    inside = inside if inside.any() else mask if mask.any() else np.ones_like(mask)
    lab = commonest(rgb2lab(pixels / 255)[inside])
    luminance = pixels @ (0.299, 0.587, 0.114)
    edges = np.abs(ndimage.laplace(luminance))
    return Measures(
        clean_background=float((pixels[ring].min(1) >= LIGHT).mean()),
        cut_off=float(largest[ring].mean()) if count else 0.0,
        coverage=float(mask.mean()),
        aspect=aspect,
        # The outline is included because blur shows there first.
        sharpness=float(edges[ndimage.binary_dilation(mask)].mean()) if count else 0.0,
        lab=(float(lab[0]), float(lab[1]), float(lab[2])),
    )


def commonest(labs: Array, radius: float = 12) -> Array:
    """(3,): the commonest of (N, 3) CIELAB colours.

    It is the mean of the colours within `radius` of the one that has most others within `radius`. A
    median would mix a white sole and a red upper into a pink that is nowhere on the shoe.
    """
    sample = labs[:: max(1, len(labs) // 400)]
    near = ((sample[:, None] - sample[None]) ** 2).sum(2) < radius**2
    return np.asarray(sample[near[near.sum(1).argmax()]].mean(0))


def _ring(height: int, width: int) -> Array:
    edge = max(1, min(height, width) // 32)
    ring = np.ones((height, width), bool)
    ring[edge:-edge, edge:-edge] = False
    return ring


def colour_prototypes(colours: Sequence[str], labs: Array) -> dict[str, Array]:
    """By colour name, the median (3,) of the commonest CIELAB colours of the photos with that name.

    Args:
        colours: N names; photos whose name is empty are left out.
        labs: (N, 3), the commonest colour of each photo.
    """
    names = np.asarray(colours)
    return {name: np.median(labs[names == name], axis=0) for name in sorted({*colours} - {""})}


def nearest_colour(lab: Sequence[float], prototypes: Mapping[str, Array]) -> str:
    """The name whose prototype is nearest in CIELAB (CIE76); empty where there are none."""
    return min(
        prototypes, key=lambda name: float(np.linalg.norm(prototypes[name] - lab)), default=""
    )
