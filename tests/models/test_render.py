"""The renderer and the sample catalogue that it draws."""

import csv
import io
import json
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from likeness.image.catalog import COLUMNS
from likeness.image.quality import colour_prototypes, measure, nearest_colour
from models.render import (
    CATEGORIES,
    FLAWS,
    HEIGHT,
    WIDTH,
    SampleProduct,
    draw_product,
    render_catalog,
    sample_products,
)
from models.shapes import COLOURS

SHOE = SampleProduct(
    7, "Men", "Footwear", "Shoes", "Casual Shoes", "Red", "Summer", 2012, "Casual", "Tern Men Red"
)


def test_columns_are_the_catalogues():
    assert tuple(field.name for field in fields(SampleProduct)) == COLUMNS


def test_same_seed_same_bytes_and_another_seed_another_photo():
    first, again, other = (draw_product(SHOE, seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("kind", CATEGORIES)
def test_item_is_whole_on_a_clean_background(kind):
    for number, gender in enumerate(("Men", "Women", "Unisex", "Boys", "Girls")):
        product = replace(SHOE, id=number, articleType=kind, gender=gender)
        photo = np.asarray(draw_product(product, seed=3, supersample=1))
        assert photo.shape == (HEIGHT, WIDTH, 3)
        border = [photo[:3], photo[-3:], photo[:, :3], photo[:, -3:]]
        assert min(int(side.min()) for side in border) >= 245
        assert (photo.min(2) < 200).mean() > 0.03


@pytest.mark.slow
def test_colours_can_be_told_apart_by_their_pixels():
    products = sample_products(150, seed=5, balanced=True)
    labs = np.array([measure(draw_product(p, 5, supersample=1)).lab for p in products])
    prototypes = colour_prototypes([p.baseColour for p in products], labs)
    assert set(prototypes) == set(COLOURS)
    right = [
        nearest_colour(lab, prototypes) == p.baseColour
        for p, lab in zip(products, labs, strict=True)
    ]
    assert np.mean(right) >= 0.95


def test_products_are_sorted_unique_and_as_uneven_as_a_real_catalogue():
    products = sample_products(1000, seed=1)
    assert products == sample_products(1000, seed=1)
    ids = [product.id for product in products]
    assert ids == sorted(set(ids))
    assert set(Counter(p.articleType for p in products).values()) == {100}
    colours = Counter(p.baseColour for p in products)
    assert colours["Black"] > colours["Red"] > colours["Yellow"] > 0
    genders = Counter(p.gender for p in products)
    assert genders["Men"] > genders["Women"] > genders["Unisex"]
    assert all(p.productDisplayName.split(p.gender)[0].strip() for p in products)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    render_catalog(folder, count=80, seed=2, quality=88)
    return folder


@pytest.mark.slow
def test_catalogue_has_the_kaggle_layout(catalogue):
    with (catalogue / "styles.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 81
    assert 35 <= sum(row[4] == "Casual Shoes" for row in rows[1:]) <= 45


@pytest.mark.slow
def test_every_flaw_is_there_and_is_what_it_says(catalogue):
    truth = [json.loads(line) for line in (catalogue / "flaws.jsonl").read_text().splitlines()]
    assert {row["flaw"] for row in truth} == set(FLAWS)
    assert len(truth) == 20
    rows = list(csv.reader(io.StringIO((catalogue / "styles.csv").read_text())))
    cells = {row[0]: row for row in rows[1:]}
    for row in truth:
        path = catalogue / "images" / f"{row['id']}.jpg"
        flaw = row["flaw"]
        assert (len(cells[row["id"]]) != len(COLUMNS)) == (flaw == "extra_commas")
        if flaw in ("missing_file", "path_in_id"):
            assert not path.exists()
            assert ("/" in row["id"]) == (flaw == "path_in_id")
        elif flaw in ("text", "empty"):
            with pytest.raises(UnidentifiedImageError):
                Image.open(path)
        elif flaw == "truncated":
            with pytest.raises(OSError, match="truncated"):
                Image.open(path).load()
        else:
            image = Image.open(path)
            expected = {
                "one_pixel": ("JPEG", "RGB", (1, 1)),
                "png": ("PNG", "RGB", (WIDTH, HEIGHT)),
                "alpha_png": ("PNG", "RGBA", (WIDTH, HEIGHT)),
                "cmyk": ("JPEG", "CMYK", (WIDTH, HEIGHT)),
                "exif_rotated": ("JPEG", "RGB", (HEIGHT, WIDTH)),
            }.get(flaw, ("JPEG", "RGB", (WIDTH, HEIGHT)))
            assert (image.format, image.mode, image.size) == expected


def test_copies_have_the_attributes_and_pixels_of_an_earlier_row(catalogue):
    truth = [json.loads(line) for line in (catalogue / "flaws.jsonl").read_text().splitlines()]
    data = {path.stem: path.read_bytes() for path in (catalogue / "images").iterdir()}
    broken = {row["id"] for row in truth}
    for row in truth:
        if row["flaw"] == "copy":
            twins = [name for name in data if data[name] == data[row["id"]] and name not in broken]
            assert len(twins) == 1


@pytest.mark.slow
def test_catalogue_is_reproducible(catalogue, tmp_path):
    render_catalog(tmp_path, count=80, seed=2, quality=88)
    for path in (path for path in catalogue.rglob("*") if path.is_file()):
        assert (tmp_path / path.relative_to(catalogue)).read_bytes() == path.read_bytes()
