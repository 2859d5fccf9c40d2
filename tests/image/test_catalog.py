"""Reading `styles.csv` as it comes."""

from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from likeness.image.catalog import image_path, read_catalog
from likeness.image.rows import COLUMNS
from tests.conftest import product, write_catalog

HEADER = ",".join(COLUMNS)
CELLS = "Men,Footwear,Shoes,Casual Shoes,Red,Summer,2012,Casual,Acme Men Red Shoes"


def catalog(folder: Path, *lines: str, header: str = HEADER) -> Path:
    (folder / "styles.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def test_rows_come_back_with_further_columns_as_extra(tmp_path: Path) -> None:
    rows = [product("1", extra={"material": "Suède"}), product("2", extra={"material": ""})]
    products, rejected = read_catalog(write_catalog(tmp_path, rows))
    assert (products, rejected) == (rows, [])
    assert image_path(tmp_path, "1").is_file()


def test_a_byte_order_mark_spaces_quotes_and_empty_lines_are_fine(tmp_path: Path) -> None:
    line = '1,Men , Footwear,Shoes,Casual Shoes,Red,Summer,2012,Casual,"Acme, Men, ""Red"" Shoes"'
    products, rejected = read_catalog(catalog(tmp_path, line, "", header="\ufeff" + HEADER))
    assert rejected == []
    assert products[0].gender == "Men"
    assert products[0].productDisplayName == 'Acme, Men, "Red" Shoes'


def test_every_bad_row_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    lines = [
        f"1,{CELLS}",
        f"2,{CELLS},surplus",
        "3,Men",
        f"../4,{CELLS}",
        f".5,{CELLS}",
        f" ,{CELLS}",
        f"a/6,{CELLS}",
        f"1,{CELLS}",
        f"7,{CELLS}",
    ]
    products, rejected = read_catalog(catalog(tmp_path, *lines))
    assert [row.id for row in products] == ["1", "7"]
    assert [(row.id, row.reason) for row in rejected] == [
        ("2", "malformed_row"),
        ("3", "malformed_row"),
        ("../4", "unsafe_id"),
        (".5", "unsafe_id"),
        (" ", "unsafe_id"),
        ("a/6", "unsafe_id"),
        ("1@line9", "duplicate_id"),
    ]
    assert rejected[0].value == "11 cells"
    assert rejected[0].threshold == "10 cells"


def test_rejections_have_unique_ids(tmp_path: Path) -> None:
    lines = [f"1,{CELLS},x", f"1,{CELLS},x", f"1,{CELLS}", f"1,{CELLS}", ",x", ",x"]
    products, rejected = read_catalog(catalog(tmp_path, *lines))
    ids = [row.id for row in rejected]
    assert len(set(ids)) == len(ids) == 5
    assert [row.id for row in products] == ["1"]


@pytest.mark.parametrize("name", ["..", ".", "/etc/passwd", "a/../b", "x" * 300])
def test_an_id_that_is_no_plain_file_name_is_set_aside(tmp_path: Path, name: str) -> None:
    products, rejected = read_catalog(catalog(tmp_path, f"{name},{CELLS}", f"1,{CELLS}"))
    assert [row.id for row in products] == ["1"]
    assert [row.reason for row in rejected] == ["unsafe_id"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such file"),
        ("", "column id, gender, .* missing .found nothing"),
        (HEADER + "\n", "no rows under the header"),
        (HEADER.replace("baseColour,", "") + "\n1,x\n", "column baseColour missing"),
        ("\0\n", "column|not CSV"),
    ],
)
def test_a_catalogue_that_is_none_is_one_line(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "styles.csv").write_text(text)
    with pytest.raises(LikenessError, match=says) as caught:
        read_catalog(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "styles.csv"))
    assert "\n" not in str(caught.value)


def test_another_encoding_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_bytes(f"{HEADER}\n1,{CELLS} caf\xe9\n".encode("latin-1"))
    with pytest.raises(LikenessError, match="UTF-8") as caught:
        read_catalog(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "brand"),
    [
        ("Nike Men Air Black Shoes", "Nike"),
        ("United Colors of Benetton Women's Red Shoes", "United Colors of Benetton"),
        ("Puma Black Shoes", "Puma"),
        ("", ""),
        ("Men Shoes", ""),
    ],
)
def test_the_brand_stands_before_the_gender(name: str, brand: str) -> None:
    assert product("1", productDisplayName=name).brand() == brand
