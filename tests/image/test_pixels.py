"""Photos as they come become upright sRGB squares."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, ExifTags, Image, ImageCms

from likeness.common.result import Rejected
from likeness.image.photos import open_rgb
from likeness.image.pixels import background, fit_square, png_bytes
from likeness.image.quality import measure
from tests.conftest import encoded, photo, square


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "photo.jpg"
    path.write_bytes(data)
    return path


def apart(left: Image.Image, right: Image.Image) -> float:
    """Mean difference in 8-bit levels."""
    return float(np.abs(np.asarray(left, float) - np.asarray(right.convert("RGB"), float)).mean())


@pytest.mark.parametrize(
    ("orientation", "stored_by"),
    [
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int, stored_by: Any) -> None:
    upright = photo(1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(upright.transpose(stored_by), quality=98, subsampling=0, exif=exif)
    image = open_rgb(saved(tmp_path, data))
    assert image.size == upright.size
    assert apart(image, upright) < 3


def test_a_photo_of_a_telephone_is_read(tmp_path: Path) -> None:
    upright = photo(1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    data = encoded(turned, "HEIF", quality=95, chroma=444, exif=exif.tobytes())
    image = open_rgb(saved(tmp_path, data))
    assert image.size == upright.size
    assert apart(image, upright) < 3
    with pytest.raises(Rejected) as caught:
        open_rgb(saved(tmp_path, data[:-50]))
    assert (caught.value.reason, caught.value.value) == ("unknown_format", "HEIC")


def test_alpha_lies_on_white(tmp_path: Path) -> None:
    layer = Image.new("RGBA", (4, 1))
    for x, pixel in enumerate([(9, 9, 9, 0), (200, 0, 0, 255), (200, 0, 0, 128), (0, 0, 0, 0)]):
        layer.putpixel((x, 0), pixel)
    image = open_rgb(saved(tmp_path, encoded(layer, "PNG")))
    assert image.mode == "RGB"
    found = [image.getpixel((x + 1, 1)) for x in range(4)]  # inside the frame of a cut-out
    assert found[0] == found[3] == (255, 255, 255)
    assert found[1] == (200, 0, 0)
    assert np.allclose(found[2], (227, 127, 127), atol=1)


def test_a_palette_s_transparency_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.putpixel((1, 0), 1)
    opened = open_rgb(saved(tmp_path, encoded(image, "PNG", transparency=0)))
    assert [opened.getpixel((x, 1)) for x in (1, 2)] == [(255, 255, 255), (200, 0, 0)]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "1"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_formats_and_modes_become_rgb_whatever_the_name_ends_in(
    tmp_path: Path, mode: str, form: str
) -> None:
    if (mode, form) in {("CMYK", "PNG"), ("CMYK", "WEBP"), ("1", "JPEG"), ("1", "WEBP")}:
        pytest.skip(f"{form} has no {mode}")
    source = photo(1).convert(mode)
    image = open_rgb(saved(tmp_path, encoded(source, form)))
    assert (image.mode, image.size) == ("RGB", source.size)
    assert apart(image, source.convert("RGB")) < 14


def test_cmyk_keeps_its_colours(tmp_path: Path) -> None:
    source = Image.new("RGB", (32, 32), (200, 40, 40))
    image = open_rgb(saved(tmp_path, encoded(source.convert("CMYK"), quality=98)))
    assert apart(image, source) < 4


def test_sixteen_bit_grey_keeps_its_levels(tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16)
    image = open_rgb(saved(tmp_path, encoded(Image.fromarray(np.tile(levels, (8, 1))), "PNG")))
    found = np.asarray(image, float)[0, :, 0]
    assert np.abs(found - levels / 257).max() <= 1.5


@pytest.mark.parametrize("key", [True, False])
def test_sixteen_bit_grey_with_a_transparent_level(tmp_path: Path, key: bool) -> None:
    levels = np.full((40, 40), 65535, np.uint16)
    levels[10:30, 10:30] = np.linspace(0, 60000, 20).astype(np.uint16)
    options = {"transparency": 65535} if key else {}
    data = encoded(Image.fromarray(levels), "PNG", **options)
    assert (Image.open(io.BytesIO(data)).info.get("transparency") == 65535) is key
    image = open_rgb(saved(tmp_path, data))
    assert background(image) == (255, 255, 255)
    found = np.asarray(image, float)[..., 0][1 if key else 0 :, 1 if key else 0 :]
    assert np.abs(found[10:30, 10:30] - levels[10:30, 10:30] / 257).max() <= 1.5


@pytest.mark.parametrize(
    ("kind", "top"),
    [("F", 1.0), ("F", 255.0), ("F", 65535.0), ("I", 255), ("I", 65535), ("I", 2**31 - 1)],
)
def test_grey_of_thirty_two_bits_keeps_its_levels(tmp_path: Path, kind: str, top: float) -> None:
    shares = np.tile(np.linspace(0, 1, 64), (32, 1))
    levels = (shares * top).astype(np.float32 if kind == "F" else np.int32)
    image = open_rgb(saved(tmp_path, encoded(Image.fromarray(levels), "TIFF")))
    assert np.abs(np.asarray(image, float)[..., 1] - shares * 255).max() <= 1.5


def test_a_palette_s_colour_profile_becomes_srgb(tmp_path: Path) -> None:
    wanted = Image.new("RGB", (16, 16), (200, 60, 60))
    stored = Image.merge("RGB", wanted.split()[::-1]).quantize(4)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    data = encoded(stored, "PNG", icc_profile=swap_red_and_blue(srgb.tobytes()))
    assert apart(open_rgb(saved(tmp_path, data)), wanted) < 3


@pytest.mark.parametrize("profiled", [False, True])
def test_cielab_keeps_its_colours_whatever_its_profile(tmp_path: Path, profiled: bool) -> None:
    wanted = Image.new("RGB", (16, 16), (200, 60, 60))
    srgb, lab = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))
    stored = ImageCms.profileToProfile(wanted, srgb, lab, outputMode="LAB")
    swapped = swap_red_and_blue(ImageCms.ImageCmsProfile(srgb).tobytes())
    data = encoded(stored, "TIFF", icc_profile=swapped if profiled else None)
    assert apart(open_rgb(saved(tmp_path, data)), wanted) < 3


def test_a_colour_profile_becomes_srgb(tmp_path: Path) -> None:
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    wanted = Image.new("RGB", (16, 16), (200, 60, 60))
    assert lab is not None
    # A profile whose red and blue are swapped is as far from sRGB as one can tell apart.
    swapped = swap_red_and_blue(srgb.tobytes())
    stored = Image.merge("RGB", wanted.split()[::-1])
    image = open_rgb(saved(tmp_path, encoded(stored, "PNG", icc_profile=swapped)))
    assert apart(image, wanted) < 3
    assert "icc_profile" not in Image.open(io.BytesIO(png_bytes(fit_square(image, 32)))).info


def swap_red_and_blue(profile: bytes) -> bytes:
    """An sRGB profile with the primaries `rXYZ` and `bXYZ` exchanged."""
    head, table = profile[:128], profile[128:]
    return head + table.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(
        b"tXYZ", b"bXYZ"
    )


def test_an_srgb_profile_changes_nothing_and_a_broken_one_is_ignored(tmp_path: Path) -> None:
    source = photo(2)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for data in (profile, b"not a profile", profile[:200]):
        image = open_rgb(saved(tmp_path, encoded(source, "PNG", icc_profile=data)))
        assert apart(image, source) < 1.5


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"404 Not Found\n", "not_an_image"),
        (b"", "not_an_image"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0heic", "unknown_format"),
        (b"\0\0\0\x18ftypisom", "unknown_format"),
        (b"\xff\x0a" + bytes(50), "unknown_format"),
        (b'<?xml version="1.0"?>\n<svg width="9">', "unknown_format"),
        (b"<!DOCTYPE html><p>404", "unknown_format"),
        (encoded(photo(1))[:700], "truncated"),
        (encoded(photo(1), "PNG")[:200], "truncated"),
        (encoded(Image.new("RGB", (1, 1))), "too_small"),
        (encoded(Image.new("RGB", (300, 20))), "too_small"),
    ],
)
def test_a_file_that_gives_no_photo_says_why(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        open_rgb(saved(tmp_path, data), min_side=32)
    assert caught.value.reason == reason
    assert caught.value.value not in (None, "")


def test_a_format_that_needs_another_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", False)
    with pytest.raises(Rejected) as caught:
        open_rgb(saved(tmp_path, encoded(photo(1), "EPS")))
    assert (caught.value.reason, caught.value.value) == ("unknown_format", "EPS")


def test_a_broken_checksum_is_no_traceback(tmp_path: Path) -> None:
    data = bytearray(encoded(photo(1), "PNG"))
    data[len(data) // 2] ^= 255
    with pytest.raises(Rejected):
        open_rgb(saved(tmp_path, bytes(data)))


@pytest.mark.parametrize(("size", "bar"), [((64, 32), "rows"), ((32, 64), "columns")])
def test_a_square_keeps_the_aspect_and_pads_with_the_background(
    size: tuple[int, int], bar: str
) -> None:
    paper = (230, 240, 250)
    page = Image.new("RGB", size, paper)
    page.paste(
        (10, 20, 30), (size[0] // 2 - 8, size[1] // 2 - 8, size[0] // 2 + 8, size[1] // 2 + 8)
    )
    fitted = np.asarray(fit_square(page, 128))
    assert fitted.shape == (128, 128, 3)
    edges = fitted[:32] if bar == "rows" else fitted[:, :32]
    assert (edges == paper).all()
    dark = fitted[..., 0] < 120
    assert dark.any(0).sum() == dark.any(1).sum() == pytest.approx(32, abs=1)


@pytest.mark.parametrize(
    "box", [(10, 40, 50, 60), (100, 100, 120, 180), (0, 0, 30, 20), (150, 90, 200, 130)]
)
def test_a_margin_makes_every_item_as_large(box: tuple[int, int, int, int]) -> None:
    page = square(200, box=box)
    fitted = np.asarray(fit_square(page, 96, margin=0.25))
    item = fitted[..., 1] < 128
    longest = max(item.any(0).sum(), item.any(1).sum())
    # 1 / (1 + 2 * 0.25) of the side, also where the photo ends sooner than the margin.
    assert longest == pytest.approx(64, abs=2)
    height, width = box[3] - box[1], box[2] - box[0]
    assert item.any(0).sum() / item.any(1).sum() == pytest.approx(width / height, rel=0.08)


@pytest.mark.parametrize("filled", [False, True])
def test_a_cut_out_trimmed_to_its_item_gives_the_same_image(tmp_path: Path, filled: bool) -> None:
    shoe = photo(3, size=(200, 200))
    rows, columns = np.ogrid[:200, :200]
    opaque = ((rows - 100) / 40) ** 2 + ((columns - 100) / 70) ** 2 < 1
    if filled:  # an item that fills its box but for a corner
        opaque[25:175, 25:175], opaque[25:30, 25:30] = True, False
    cut = Image.fromarray(np.dstack([shoe, opaque * 255]).astype(np.uint8), "RGBA")
    trimmed = cut.crop(cut.getchannel("A").getbbox())
    assert trimmed.width < cut.width
    images = [
        fit_square(open_rgb(saved(tmp_path, encoded(image, "PNG"))), 64, 0.1)
        for image in (cut, trimmed)
    ]
    assert apart(*images) == 0
    assert measure(images[0]).cut_off == 0
    assert background(images[0]) == (255, 255, 255)


def test_an_opaque_alpha_is_no_cut_out(tmp_path: Path) -> None:
    page = square(paper=(90, 90, 90)).convert("RGBA")
    image = open_rgb(saved(tmp_path, encoded(page, "PNG")))
    assert (image.size, background(image)) == (page.size, (90, 90, 90))


def test_a_margin_leaves_a_photo_without_an_item_whole() -> None:
    blank = Image.new("RGB", (60, 80), (250, 250, 250))
    blank.putpixel((30, 30), (240, 240, 240))
    assert apart(fit_square(blank, 32, margin=0.1), fit_square(blank, 32)) == 0


def test_the_background_is_the_border_s_median() -> None:
    page = square(paper=(250, 251, 252), box=(0, 0, 10, 32))
    assert background(page) == (250, 251, 252)


def test_a_png_is_the_same_for_the_same_pixels() -> None:
    assert png_bytes(photo(1)) == png_bytes(photo(1)) != png_bytes(photo(2))
