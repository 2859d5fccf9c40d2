"""Background and item of a product photo, and fitting the photo into a square."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

Array = np.ndarray[Any, Any]
Part = tuple[int, int, int, int]  # left, top, right, bottom in a photo's pixels

ITEM = 16  # a pixel that differs from the background by more 8-bit levels than this is the item's


def fit_square(image: Image.Image, size: int, margin: float | None = None) -> Image.Image:
    """The photo in a `size` x `size` square: aspect kept, padded with its background colour.

    With a `margin`, only the item is fitted, with a border of that share of the item's longer side.
    So all items are equally large, however much background their photos have. Where the photo has
    less background than that, its background colour is added.
    """
    return fit_part(image, shown_part(image, margin), size)


def shown_part(image: Image.Image, margin: float | None) -> Part:
    """What `fit_square` fits into the square: the whole photo, as it also is where it is blank, or the
    item with its margin, which may reach beyond the photo."""
    whole = (0, 0, *image.size)
    if margin is None:
        return whole
    item = item_mask(image)
    rows, columns = np.flatnonzero(item.any(1)), np.flatnonzero(item.any(0))
    if not len(rows):
        return whole
    left, top, right, bottom = (
        int(edge) for edge in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    )
    around = round(margin * max(right - left, bottom - top))
    return left - around, top - around, right + around, bottom + around


def fit_part(image: Image.Image, part: Part, size: int) -> Image.Image:
    """A part of the photo in a `size` x `size` square, on the photo's background colour."""
    backdrop = background(image)
    left, top, right, bottom = part
    page = Image.new("RGB", (right - left, bottom - top), backdrop)
    page.paste(image, (-left, -top))
    fitted = ImageOps.contain(page, (size, size), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (size, size), backdrop)
    square.paste(fitted, ((size - fitted.width) // 2, (size - fitted.height) // 2))
    return square


def is_blank(image: Image.Image) -> bool:
    """Whether nothing in the photo differs from its background."""
    return not item_mask(image).any()


def item_mask(image: Image.Image) -> Array:
    """(height, width) bool: which pixels differ from the background."""
    differs: Array = np.abs(np.asarray(image, np.int16) - background(image)).max(2) > ITEM
    return differs


def background(image: Image.Image) -> tuple[int, int, int]:
    """The median colour of the border: one pixel wide on each side."""
    width, height = image.size
    sides = [
        (0, 0, width, 1),
        (0, height - 1, width, height),
        (0, 0, 1, height),
        (width - 1, 0, width, height),
    ]
    pixels = [image.crop(side).tobytes() for side in sides]
    border = b"".join(pixels)
    middle = len(border) // 6
    red, green, blue = (sorted(border[channel::3])[middle] for channel in range(3))
    return red, green, blue


def png_bytes(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
