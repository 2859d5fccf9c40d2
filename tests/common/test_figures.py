"""Figures are a function of their input, and sheets have the size they say."""

from pathlib import Path

import pytest
from PIL import Image

from likeness.common import figures
from tests.conftest import square

pytestmark = pytest.mark.plots


def test_a_figure_has_the_same_bytes_for_the_same_input(tmp_path: Path) -> None:
    for name, top in (("a", 3), ("b", 3), ("c", 4)):
        with figures.figure(tmp_path / f"{name}.png") as axes:
            figures.bars(axes, {"x": 1, "y": top}, "Title")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_bars_that_do_not_fit_are_summed(tmp_path: Path) -> None:
    with figures.figure(tmp_path / "a.png") as axes:
        figures.bars(axes, {str(at): 1 for at in range(20)}, "Title", most=15)
        labels = [text.get_text() for text in axes.get_yticklabels()]
        assert len(labels) == 16
        assert "5 others" in labels


def test_a_sheet_holds_every_image_in_cells_of_its_size(tmp_path: Path) -> None:
    images = [square(colour=(value, 0, 0)) for value in (10, 90, 170, 250, 50)]
    figures.contact_sheet(tmp_path / "a.png", images, columns=3, size=64)
    figures.contact_sheet(tmp_path / "b.png", images, columns=3, size=64, labels=list("vwxyz"))
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.size == (3 * 68 + 4, 2 * 68 + 4)
        centres = [sheet.getpixel((4 + 32 + at % 3 * 68, 4 + 32 + at // 3 * 68)) for at in range(5)]
        assert centres == [(value, 0, 0) for value in (10, 90, 170, 250, 50)]
        assert sheet.getpixel((4 + 32 + 2 * 68, 4 + 32 + 68)) == (255, 255, 255)
    with Image.open(tmp_path / "b.png") as sheet:
        assert sheet.size == (3 * 68 + 4, 2 * (64 + 14 + 4) + 4)


def test_a_sheet_keeps_the_aspect(tmp_path: Path) -> None:
    figures.contact_sheet(
        tmp_path / "a.png", [Image.new("RGB", (100, 50), "black")], columns=1, size=50
    )
    with Image.open(tmp_path / "a.png") as sheet:
        dark = sum(sheet.getpixel((29, y)) == (0, 0, 0) for y in range(sheet.height))
    assert dark == 25
