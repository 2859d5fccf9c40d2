"""Opening product photos as they come, and fitting them to a model's square."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

WHITE = (255, 255, 255)
ITEM = 16  # 8-bit levels by which an item's pixel differs from the background


class UnreadableImage(ValueError):
    """A file that gives no photo, and what was found.

    The reason is `not_an_image`, `truncated`, `too_small` or `too_large`.
    """

    def __init__(self, reason: str, value: object) -> None:
        super().__init__(f"{reason}: {value}")
        self.reason, self.value = reason, value


def open_rgb(path: Path, min_side: int = 1) -> Image.Image:
    """The photo as upright sRGB: EXIF rotation applied, alpha on white, CMYK and profiles converted.

    Args:
        path: an image of any format that Pillow reads, whatever its name ends in.
        min_side: pixels that each side must have.

    Raises:
        UnreadableImage: the file is no image, ends early, is smaller than `min_side`, or so large
            that Pillow takes it for an attack.
    """
    try:
        image = Image.open(path)
    except UnidentifiedImageError as error:
        raise UnreadableImage("not_an_image", f"{path.stat().st_size} bytes") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage("too_large", str(error)) from error
    except (OSError, SyntaxError) as error:
        raise UnreadableImage("truncated", str(error)) from error
    with image:
        if min(image.size) < min_side:
            raise UnreadableImage("too_small", list(image.size))
        try:
            image.load()
        except (OSError, SyntaxError, ValueError) as error:
            raise UnreadableImage("truncated", str(error)) from error
        upright = ImageOps.exif_transpose(image)
        return _srgb(_on_white(upright), image.info.get("icc_profile"))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema()[0] == 0:
        # A cut-out may be trimmed to its item: a frame keeps the border the background's.
        layer = ImageOps.expand(layer, 1)
    page = Image.new("RGBA", layer.size, WHITE)
    return Image.alpha_composite(page, layer).convert("RGB")


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # A broken profile is no reason to lose the photo: read it as untagged.
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit grey at 255 where it should scale it.
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def fit_square(image: Image.Image, size: int, margin: float | None = None) -> Image.Image:
    """The photo in a `size` x `size` square: aspect kept, padded with its background colour.

    With a `margin`, what is fitted is the item and that share of its longer side round it, so that
    an item is as large whatever the photo's frame was: small squares have no pixels to waste. Where
    the frame is tighter than the margin, the background goes on.
    """
    paper = background(image)
    if margin is not None:
        image = _crop_to_item(image, margin, paper)
    fitted = ImageOps.contain(image, (size, size), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (size, size), paper)
    square.paste(fitted, ((size - fitted.width) // 2, (size - fitted.height) // 2))
    return square


def _crop_to_item(image: Image.Image, margin: float, paper: tuple[int, int, int]) -> Image.Image:
    """The bounding box of what differs from the background; the whole photo where nothing does."""
    item = np.abs(np.asarray(image, np.int16) - paper).max(2) > ITEM
    rows, columns = np.flatnonzero(item.any(1)), np.flatnonzero(item.any(0))
    if not len(rows):
        return image
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    more = round(margin * max(right - left, bottom - top))
    page = Image.new("RGB", (int(right - left) + 2 * more, int(bottom - top) + 2 * more), paper)
    page.paste(image, (more - int(left), more - int(top)))
    return page


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
