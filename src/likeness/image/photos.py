"""Product photos: opening a file of any kind, and making the square image that the dataset holds."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

from likeness.common.errors import one_line
from likeness.common.result import Rejected, Result
from likeness.image.pixels import background, fit_part, fit_square, is_blank, png_bytes, shown_part

register_heif_opener()  # HEIC, the format of iPhones, which Pillow does not read by itself

WHITE = (255, 255, 255)
# Formats that are named where they cannot be read: the name, an offset in the file, what stands there.
FORMATS = (
    ("HEIC", 4, (b"ftypheic", b"ftypheix", b"ftypheim", b"ftypmif1", b"ftypmsf1", b"ftyphevc")),
    ("a video", 4, (b"ftypisom", b"ftypmp4", b"ftypM4V", b"ftypqt", b"ftyp3gp", b"ftypavc")),
    ("JPEG XL", 0, (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")),
    ("SVG", 0, (b"<svg",)),
    ("HTML", 0, (b"<!DOCTYPE html", b"<!doctype html", b"<html")),
    ("PDF", 0, (b"%PDF",)),
)
# Pillow recognises these formats but needs another program to read them.
HELPED = ("EPS", "WMF", "BUFR", "GRIB", "HDF5")


def convert_photos(
    paths: Sequence[Path], *, resolution: int, min_side: int, margin: float | None
) -> list[Result | Rejected]:
    """Make the dataset's image of each photo, and what is needed to find copies of the photo.

    Args:
        paths: the photos.
        resolution: pixels of each side of the square images.
        min_side: pixels; a photo with a shorter side is rejected.
        margin: border round the item as a share of its longer side; None keeps the whole photo.

    Returns:
        For each photo a rejection, or `image.png` (the item), `whole.png` (the photo uncropped) and a
        record: the `crop` that `image.png` shows (left, top, right, bottom in the photo's pixels), and
        perceptual hashes, `hashes` of the whole photo and of the item, and `mirrored`, the hashes of
        both mirrored. Both views are needed: another border changes the whole photo, and the crop to
        the item can shift by a pixel between two encodings of one photo.
    """
    import imagehash

    outcomes: list[Result | Rejected] = []
    for path in paths:
        try:
            photo = open_rgb(path, min_side)
        except Rejected as rejected:
            outcomes.append(rejected)
            continue
        if is_blank(photo):
            outcomes.append(Rejected("blank", list(background(photo))))
            continue
        part = shown_part(photo, margin)
        image, whole = fit_part(photo, part, resolution), fit_square(photo, resolution)
        hashes = {
            name: [str(imagehash.phash(turn(view), hash_size=16)) for view in (whole, image)]
            for name, turn in (("hashes", Image.Image.copy), ("mirrored", ImageOps.mirror))
        }
        files = {"image.png": png_bytes(image), "whole.png": png_bytes(whole)}
        outcomes.append(Result({"crop": list(part), **hashes}, files))
    return outcomes


def open_rgb(path: Path, min_side: int = 1) -> Image.Image:
    """The photo as upright sRGB: EXIF rotation applied, alpha on white, CMYK and profiles converted.

    Args:
        path: an image of any format that Pillow reads; the file's ending does not matter.
        min_side: pixels that each side must have.

    Raises:
        Rejected: `not_an_image`, `unknown_format`, `truncated`, `too_small` (than `min_side`), or
            `too_large` by Pillow's limit against decompression bombs.
    """
    try:
        image = Image.open(path)
    except UnidentifiedImageError as error:
        known = _format(path)
        if known:
            raise Rejected("unknown_format", known) from error
        raise Rejected("not_an_image", f"{path.stat().st_size} bytes") from error
    except Image.DecompressionBombError as error:
        raise Rejected("too_large", str(error)) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise Rejected("truncated", one_line(error)) from error
    with image:
        if min(image.size) < min_side:
            raise Rejected("too_small", list(image.size), min_side)
        try:
            image.load()
        except (OSError, SyntaxError, ValueError) as error:
            if image.format in HELPED:
                raise Rejected("unknown_format", image.format) from error
            raise Rejected("truncated", one_line(error)) from error
        upright = ImageOps.exif_transpose(image)
        return _on_white(upright, _srgb(upright, image.info.get("icc_profile")))


def _format(path: Path) -> str | None:
    """The name of the file's format where it is one of `FORMATS`."""
    with path.open("rb") as file:
        head = file.read(1024)
    if b"<svg" in head and head.lstrip().startswith(b"<?xml"):
        return "SVG"
    found = (name for name, at, starts in FORMATS if head.lstrip()[at:].startswith(starts))
    return next(found, None)


def _on_white(source: Image.Image, photo: Image.Image) -> Image.Image:
    """The photo with white in place of what is transparent in its source."""
    if not source.has_transparency_data:
        return photo
    alpha = _alpha(source)
    if alpha.getextrema()[0] == 0:
        # A cut-out can touch all edges; a frame of one white pixel shows what the background is.
        photo, alpha = ImageOps.expand(photo, 1, WHITE), ImageOps.expand(alpha, 1, 0)
    return Image.composite(photo, Image.new("RGB", photo.size, WHITE), alpha)


def _alpha(source: Image.Image) -> Image.Image:
    key = source.info.get("transparency")
    if source.mode.startswith("I") and isinstance(key, int):
        return Image.fromarray(np.where(np.asarray(source) == key, 0, 255).astype(np.uint8))
    return source.convert("RGBA").getchannel("A")


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    colours = _eight_bits(image)
    if profile and image.mode != "LAB":  # CIELAB colours are the same under every profile.
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(colours, source, target, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # With a broken profile the photo is read as if it had none.
    return colours.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """The photo's colours without transparency, as RGB, CMYK or grey of 8 bits.

    Pillow clips grey of more than 8 bits at 255 instead of scaling it. Files of 32 bits do not say
    which value is white: for floats up to 1 it is 1, else the largest value of 8, 16, 31 or 32 bits,
    whichever is the first that no pixel exceeds.
    """
    if image.mode in ("RGB", "CMYK", "L"):
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        levels = np.asarray(image)
        if levels.min() < 0 and image.mode == "I":
            levels = levels.view(np.uint32)  # Pillow reads them as signed.
        levels = np.where(np.isfinite(levels), levels, 0).astype(np.float64)
        highest = float(levels.max())
        tops = [1.0] * (image.mode == "F") + [2.0**bits - 1 for bits in (8, 16, 31, 32)]
        full = next((top for top in tops if highest <= top), highest)
        return Image.fromarray(np.clip(levels / full * 255, 0, 255).astype(np.uint8))
    if image.mode in ("1", "LA"):
        return image.convert("L")
    return (image.convert("RGBA") if image.has_transparency_data else image).convert("RGB")
