"""Reading `styles.csv` as it comes."""

from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from likeness.image.catalog import find_images, read_catalog
from likeness.image.rows import COLUMNS
from tests.conftest import product, write_catalog

HEADER = ",".join(COLUMNS)
CELLS = "Men,Footwear,Shoes,Casual Shoes,Red,Summer,2012,Casual,Acme Men Red Shoes"


def catalog(folder: Path, *lines: str, header: str = HEADER) -> Path:
    (folder / "styles.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def test_rows_come_back_with_further_columns_as_extra(tmp_path: Path) -> None:
    rows = [product("1", extra={"material": "Suède"}), product("2", extra={"material": ""})]
    found = read_catalog(write_catalog(tmp_path, rows))
    assert (found.products, found.rejected, found.mended) == (rows, [], 0)
    assert find_images(tmp_path, ["1"])[0]["1"].is_file()


def test_a_byte_order_mark_spaces_quotes_and_empty_lines_are_fine(tmp_path: Path) -> None:
    line = '1,Men , Footwear,Shoes,Casual Shoes,Red,Summer,2012,Casual,"Acme, Men, ""Red"" Shoes"'
    found = read_catalog(catalog(tmp_path, line, "", header="\ufeff" + HEADER))
    assert (found.rejected, found.mended) == ([], 0)
    assert found.products[0].gender == "Men"
    assert found.products[0].productDisplayName == 'Acme, Men, "Red" Shoes'


def test_every_bad_row_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    lines = [
        f"1,{CELLS}",
        '2,"Men,Footwear',
        "3,Men",
        f"../4,{CELLS}",
        f".5,{CELLS}",
        f" ,{CELLS}",
        f"a/6,{CELLS}",
        f"1,{CELLS}",
        f"7,{CELLS}",
    ]
    found = read_catalog(catalog(tmp_path, *lines))
    assert [row.id for row in found.products] == ["1", "7"]
    assert [(row.id, row.reason) for row in found.rejected] == [
        ("2", "malformed_row"),
        ("3", "malformed_row"),
        ("../4", "unsafe_id"),
        (".5", "unsafe_id"),
        ("?@line7", "unsafe_id"),
        ("a/6", "unsafe_id"),
        ("1@line9", "duplicate_id"),
    ]
    assert found.rejected[0].value == "a quote that is not closed, or not doubled"
    assert (found.rejected[1].value, found.rejected[1].threshold) == ("2 cells", "10 cells")
    assert found.types == {
        **dict.fromkeys(("2", "3"), ""),
        **dict.fromkeys(("../4", ".5", "?@line7", "a/6", "1@line9"), "Casual Shoes"),
    }


def names(folder: Path, *lines: str, header: str = HEADER) -> dict[str, str]:
    return {
        row.id: row.productDisplayName
        for row in read_catalog(catalog(folder, *lines, header=header)).products
    }


def test_commas_too_many_belong_to_the_name(tmp_path: Path) -> None:
    lines = [f"1,{CELLS}, After Shave,Balm", f"2,{CELLS}", f'3,{CELLS[:-19]},"A, b",c']
    assert names(tmp_path, *lines) == {
        "1": "Acme Men Red Shoes, After Shave,Balm",
        "2": "Acme Men Red Shoes",
        "3": "A, b,c",
    }
    assert read_catalog(tmp_path).mended == 2


def test_where_the_name_is_not_last_nobody_knows_whose_comma_it_is(tmp_path: Path) -> None:
    header = HEADER + ",material"
    lines = [f"1,{CELLS},Suede,x", f"2,{CELLS},Suede"]
    assert list(names(tmp_path, *lines, header=header)) == ["2"]
    (lost,) = read_catalog(tmp_path).rejected
    assert (lost.id, lost.reason, lost.value) == ("1", "malformed_row", "12 cells")


@pytest.mark.parametrize("end", ['Puma 12" Men Shoes', 'Puma Men Shoes"', "Puma Men Shoes"])
def test_a_quote_that_is_not_closed_swallows_no_row(tmp_path: Path, end: str) -> None:
    row = CELLS.removesuffix("Acme Men Red Shoes")
    lines = [f"{at},{CELLS}" for at in range(100)]
    lines[11] = f'11,{row}"Vans, Men Shoes'
    lines[60] = f"60,{row}{end}"
    found = names(tmp_path, *lines)
    assert len(found) == 100
    assert (found["11"], found["60"]) == ('"Vans, Men Shoes', end)
    assert read_catalog(tmp_path).mended == 1


def test_a_cell_in_quotes_may_hold_lines_and_a_name_quotes(tmp_path: Path) -> None:
    row = CELLS.removesuffix("Acme Men Red Shoes")
    lines = [f'1,{row}"Acme\n\nMen, Shoes"', f'2,{row}"Vans" Men Shoes', f'3,{row}6" Heel']
    assert names(tmp_path, *lines) == {
        "1": "Acme\n\nMen, Shoes",
        "2": '"Vans" Men Shoes',
        "3": '6" Heel',
    }


def test_blanks_round_an_id_or_a_column_s_name_are_no_part_of_it(tmp_path: Path) -> None:
    lines = [f"1,{CELLS}", f"1 ,{CELLS}", f" 2\u00a0,{CELLS}", f"0003,{CELLS}"]
    assert list(names(tmp_path, *lines, header=HEADER.replace(",", " , "))) == ["1", "2", "0003"]
    (lost,) = read_catalog(tmp_path).rejected
    assert (lost.id, lost.reason) == ("1@line3", "duplicate_id")


def test_rejections_have_unique_ids(tmp_path: Path) -> None:
    lines = ["1,x", "1,x", f"1,{CELLS}", f"1,{CELLS}", ",x", ",x"]
    found = read_catalog(catalog(tmp_path, *lines))
    assert len({row.id for row in found.rejected}) == len(found.rejected) == len(found.types) == 5
    assert [row.id for row in found.products] == ["1"]


@pytest.mark.parametrize("name", ["..", ".", "/etc/passwd", "a/../b", "x" * 300])
def test_an_id_that_is_no_plain_file_name_is_set_aside(tmp_path: Path, name: str) -> None:
    found = read_catalog(catalog(tmp_path, f"{name},{CELLS}", f"1,{CELLS}"))
    assert [row.id for row in found.products] == ["1"]
    assert [row.reason for row in found.rejected] == ["unsafe_id"]


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


@pytest.mark.parametrize("absent", ["", "NA", "nan", "NaN", "None", "NULL", "N/A", "<NA>", " na "])
def test_what_tables_write_for_no_value_is_an_absent_attribute(tmp_path: Path, absent: str) -> None:
    line = f"NA,{absent},Footwear,Shoes,Casual Shoes,{absent},Summer,2012,{absent},Nancy NA"
    (row,) = read_catalog(catalog(tmp_path, line)).products
    assert (row.id, row.gender, row.baseColour, row.usage) == ("NA", "", "", "")
    assert (row.season, row.productDisplayName) == ("Summer", "Nancy NA")


def test_photos_are_found_by_their_stem(tmp_path: Path) -> None:
    names = [
        "1.JPG",
        "2.jpeg",
        "3.png",
        "4.webp",
        "5.jpg",
        "5.png",
        "6.0.jpg",
        "caf\u0065\u0301.tif",
    ]
    beside = ["._1.jpg", ".DS_Store", "1.txt", "7.json", "8.png/inner.png"]
    for name in [*names, *beside, "9.Jpeg"]:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    ids = ["1", "2", "3", "4", "5", "6.0", "caf\u00e9", "7", "8"]
    found, others = find_images(tmp_path, ids)
    assert [path.name for path in found.values()] == [
        *["1.JPG", "2.jpeg", "3.png", "4.webp", "5.jpg", "6.0.jpg", names[-1], "7.jpg", "8.jpg"]
    ]
    assert [path.name for path in others] == ["9.Jpeg"]
