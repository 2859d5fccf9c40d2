"""Edges are where the photo has them, and outlines are compared as areas."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likeness.image.edges import edges, find_edges, followed, outline, overlap
from tests.conftest import square

LOW, HIGH = 50, 100


def drawn(**options: object) -> np.ndarray:
    return np.asarray(square(**options))  # type: ignore[arg-type]


def test_a_square_s_edges_are_its_sides() -> None:
    found = edges(drawn(box=(8, 10, 24, 22)), LOW, HIGH)
    assert found.shape == (32, 32)
    assert set(np.unique(found)) == {0, 255}
    rows, columns = np.nonzero(found)
    # Canny's edge is one pixel wide, on either side of the border.
    assert {rows.min(), rows.max()} <= {9, 10, 21, 22}
    assert {columns.min(), columns.max()} <= {7, 8, 23, 24}
    assert not found[13:19, 12:20].any()


def test_the_bound_is_four_times_the_difference_of_levels() -> None:
    pale = drawn(colour=(235, 235, 235), box=(0, 0, 16, 32))
    assert edges(pale, 40, 4 * 20 - 5).any()
    assert not edges(pale, 40, 4 * 20 + 5).any()


def test_colours_of_equal_brightness_have_an_edge() -> None:
    photo = drawn(colour=(180, 60, 60), paper=(60, 122, 60))
    assert edges(photo, LOW, HIGH).any()


def test_an_item_s_edges_are_an_image_as_large(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    square().save(path)
    (result,) = find_edges([path], low=LOW, high=HIGH)
    image = Image.open(BytesIO(result.files["edges.png"]))
    assert np.array_equal(np.asarray(image), edges(drawn(), LOW, HIGH))


def test_an_outline_encloses_what_is_white_in_the_item() -> None:
    photo = square()
    photo.paste((255, 255, 255), (12, 12, 20, 20))
    assert outline(np.asarray(photo)).sum() == 16 * 16


@pytest.mark.parametrize(
    ("box", "value"), [((8, 8, 24, 24), 1.0), ((16, 8, 32, 24), 1 / 3), ((24, 8, 32, 24), 0.0)]
)
def test_overlap_is_intersection_over_union(box: tuple[int, int, int, int], value: float) -> None:
    assert overlap(outline(drawn()), outline(drawn(box=box))) == pytest.approx(value)


def test_of_two_empty_outlines_nothing_overlaps() -> None:
    empty = outline(drawn(colour=(255, 255, 255)))
    assert not empty.any()
    assert overlap(empty, empty) == 0


def test_edges_are_followed_as_far_as_one_is_near() -> None:
    wanted = np.zeros((64, 64), np.uint8)
    wanted[10:50, 20] = 255
    moved, half = np.roll(wanted, 1, axis=1), wanted.copy()
    half[30:] = 0
    assert followed(wanted, wanted) == 1
    assert followed(wanted, moved) == 1
    assert followed(wanted, np.roll(wanted, 2, axis=1)) == 0
    assert followed(wanted, half) == pytest.approx(21 / 40)
    assert followed(wanted, np.zeros_like(wanted)) == 0
    assert followed(np.zeros_like(wanted), wanted) == 1
