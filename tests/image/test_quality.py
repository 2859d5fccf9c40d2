"""What is measured on drawn squares is what was drawn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from likeness.common.errors import LikenessError
from likeness.common.runtime import Runtime
from likeness.image.measure import measure_all
from likeness.image.quality import colour_prototypes, measure, nearest_colour
from tests.conftest import photo, square


def test_coverage_is_the_item_s_share() -> None:
    assert measure(square(box=(8, 8, 24, 24))).coverage == pytest.approx(256 / 1024)
    assert measure(square(box=(0, 0, 0, 0))).coverage == 0


def test_an_item_inside_is_not_cut_off_and_its_background_is_clean() -> None:
    found = measure(square())
    assert (found.cut_off, found.clean_background) == (0, 1)


def test_an_item_at_the_edge_is_cut_off() -> None:
    found = measure(square(box=(0, 8, 24, 24)))
    assert found.cut_off == pytest.approx(16 / 124)
    assert found.clean_background == pytest.approx(1 - 16 / 124)


def test_dirt_at_the_edge_is_not_the_item() -> None:
    image = square()
    image.paste((0, 0, 0), (0, 0, 4, 1))
    found = measure(image)
    assert found.cut_off == 0
    assert found.clean_background == pytest.approx(1 - 4 / 124)


def test_a_grey_background_is_not_clean() -> None:
    found = measure(square(paper=(200, 200, 200)))
    assert found.clean_background == 0
    assert found.coverage == pytest.approx(256 / 1024)


def test_the_aspect_is_width_by_height() -> None:
    assert measure(square(box=(4, 12, 28, 20))).aspect == pytest.approx(3)
    assert measure(square(box=(12, 4, 20, 28))).aspect == pytest.approx(1 / 3)
    assert measure(square(box=(0, 0, 0, 0))).aspect == 0


def test_the_colour_is_the_item_s() -> None:
    # CIELAB of sRGB red and blue, as any table has them.
    red = measure(square(colour=(255, 0, 0))).lab
    blue = measure(square(colour=(0, 0, 255))).lab
    assert red == pytest.approx((53.24, 80.09, 67.20), abs=0.1)
    assert blue == pytest.approx((32.30, 79.19, -107.86), abs=0.1)


def test_sharpness_falls_with_every_blur() -> None:
    # Reduced, as a camera's or a resized photo: its edges have the shades between.
    image = photo(3, size=(256, 256)).resize((64, 64), Image.Resampling.LANCZOS)
    blurred = [image.filter(ImageFilter.GaussianBlur(radius)) for radius in (0.6, 1.2, 2.5)]
    values = [measure(each).sharpness for each in (image, *blurred)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 2 * values[-1]
    assert measure(square(box=(0, 0, 0, 0))).sharpness == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Image.new("RGB", (32, 32), "black"),
        lambda: Image.new("L", (8, 8), 128),
        lambda: Image.new("RGB", (1, 1), "white"),
        lambda: Image.fromarray(
            np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        ),
    ],
)
def test_any_picture_has_finite_measures(make: Callable[[], Image.Image]) -> None:
    found = measure(make())
    values = [found.clean_background, found.cut_off, found.coverage]
    assert all(0 <= value <= 1 for value in values)
    assert np.isfinite([found.aspect, found.sharpness, *found.lab]).all()


def test_colours_are_named_by_the_nearest_prototype() -> None:
    names = ["Red", "Red", "Blue", "Black", ""]
    shades = [(200, 30, 30), (220, 40, 40), (30, 40, 200), (20, 20, 20), (235, 15, 20)]
    labs = np.array([measure(square(colour=shade)).lab for shade in shades])
    prototypes = colour_prototypes(names, labs)
    assert list(prototypes) == ["Black", "Blue", "Red"]
    for shade, name in (((240, 10, 20), "Red"), ((60, 70, 230), "Blue"), ((50, 45, 50), "Black")):
        assert nearest_colour(measure(square(colour=shade)).lab, prototypes) == name
    assert nearest_colour(labs[0], colour_prototypes([""], labs[:1])) == ""


def test_measures_of_files_are_the_image_s(rt: Runtime, tmp_path: Path) -> None:
    paths = {}
    for at in range(3):
        paths[f"p{at}"] = tmp_path / f"{at}.png"
        photo(at).save(paths[f"p{at}"])
    found = measure_all(paths, rt)
    assert found == {name: measure(Image.open(path)) for name, path in paths.items()}
    assert measure_all(paths, rt) == found, "the store gives back what was measured"


def test_a_file_that_is_no_image_is_named(rt: Runtime, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(LikenessError, match=r"a\.png: cannot be measured"):
        measure_all({"a": tmp_path / "a.png"}, rt)
