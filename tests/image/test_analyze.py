"""A catalogue is described, and what is wrong with it counted."""

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.common.manifest import Rejection, read_manifest
from likeness.common.runtime import Runtime
from likeness.image.analyze import ImageAnalyze, analyze, distributions
from likeness.image.rows import COLUMNS, Product
from tests.conftest import encoded, files_of, mixed, photo, product, section, write_catalog

CELLS = "Men,Footwear,Shoes,Casual Shoes,Red,Summer,2012,Casual,Acme Men Red Shoes"


def run(catalog: Path, out: Path, rt: Runtime, **changes: Any) -> dict[str, float]:
    return analyze(
        section(ImageAnalyze, **changes),
        catalog=catalog,
        out_dir=out / "data",
        plots_dir=out / "plots",
        report=out / "analysis.md",
        rt=rt,
    )


def append(catalog: Path, *lines: str) -> None:
    with (catalog / "styles.csv").open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """20 casual shoes, 2 of them copies, and 2 shirts; 5 rows more are broken."""
    rows = mixed(20)
    shirts = [product(f"s{at}", articleType="Shirts") for at in range(2)]
    copied = encoded(photo(0, rows[0].baseColour), quality=95)
    folder = write_catalog(
        tmp_path / "catalog", [*rows, *shirts], {"005": copied, "006": copied, "007": b"text"}
    )
    (folder / "images" / "009.jpg").unlink()
    append(
        folder, "100,Men,Footwear,Shoes,Casual Shoes", f"../101,{CELLS}", f"000,{CELLS}", "102,Men"
    )
    return folder


def test_rows_are_counted_by_reason(catalog: Path, tmp_path: Path, rt: Runtime) -> None:
    metrics = run(catalog, tmp_path / "out", rt, max_rejected_share=0.5)
    assert metrics == {
        "rows": 26,
        "selected": 20,
        "kept": 19,
        "mended_rows": 0,
        "photos_without_row": 0,
        "unreadable": 1,
        "exact_duplicates": 2,
        "rejected_malformed_row": 2,
        "rejected_unsafe_id": 1,
        "rejected_duplicate_id": 1,
        "rejected_missing_file": 1,
    }
    kept = read_manifest(tmp_path / "out" / "data" / "manifest.jsonl", Product)
    assert {row.articleType for row in kept} == {"Casual Shoes"}
    rejected = read_manifest(tmp_path / "out" / "data" / "rejected.jsonl", Rejection)
    assert [(row.id, row.reason) for row in rejected] == [
        ("../101", "unsafe_id"),
        ("000@line26", "duplicate_id"),
        ("009", "missing_file"),
        ("100", "malformed_row"),
        ("102", "malformed_row"),
    ]
    assert rejected[2].value == "images/009.jpg"


@pytest.mark.plots
def test_figures_and_report_are_there(catalog: Path, tmp_path: Path, rt: Runtime) -> None:
    out = tmp_path / "out"
    run(catalog, out, rt, max_rejected_share=0.5)
    assert sorted(files_of(out)) == [
        "analysis.md",
        "data/manifest.jsonl",
        "data/rejected.jsonl",
        "plots/distributions.png",
        "plots/samples.png",
        "plots/sizes.png",
    ]
    report = (out / "analysis.md").read_text()
    assert report.startswith("# Casual Shoes: 19 of 22 products")
    for part in (
        "| malformed_row | 2 |",
        "| Shirts | 2 |",
        "| 48 × 64 | 18 |",
        "| unreadable | 1 |",
    ):
        assert part in report, part
    for name in ("distributions", "samples", "sizes"):
        with Image.open(out / "plots" / f"{name}.png") as figure:
            assert min(figure.size) > 100


@pytest.mark.plots
def test_outputs_are_a_function_of_the_input(catalog: Path, tmp_path: Path, rt: Runtime) -> None:
    for name in ("a", "b"):
        run(catalog, tmp_path / name, rt, max_rejected_share=0.5)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_another_article_type_is_a_params_change(
    catalog: Path, tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(catalog, tmp_path / "out", rt, article_type="Shirts", max_rejected_share=0.9)
    assert (metrics["selected"], metrics["kept"]) == (2, 2)


def test_distributions_count_every_attribute() -> None:
    rows = [product("1", extra={"material": "Suede"}), product("2", baseColour="Blue")]
    counts = distributions(rows)
    assert counts["baseColour"] == {"Red": 1, "Blue": 1}
    assert counts["material"] == {"Suede": 1, "": 1}
    assert counts["brand"] == {"Acme": 2}


def empty(folder: Path) -> None:
    (folder / "styles.csv").write_text(",".join(COLUMNS) + "\n")


def no_column(folder: Path) -> None:
    text = (folder / "styles.csv").read_text()
    (folder / "styles.csv").write_text(text.replace("baseColour", "colour", 1))


def no_file(folder: Path) -> None:
    (folder / "styles.csv").unlink()


def no_photo(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.unlink()


def unchanged(folder: Path) -> None:
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("damage", "changes", "says"),
    [
        (empty, {}, "no rows under the header"),
        (no_column, {}, "column baseColour missing"),
        (no_file, {}, "no such file"),
        (unchanged, {"article_type": "Hats"}, r"article_type: 'Hats' .*Casual Shoes \(20\)"),
        (unchanged, {"max_rejected_share": 0.05}, "4 of 23 items rejected"),
        (unchanged, {"max_rejected_share": 0.03}, "styles.csv: 1 of 26 items rejected"),
        (
            no_photo,
            {"max_rejected_share": 1.0},
            "none of the 20 photos of .Casual Shoes. is there .first 000",
        ),
    ],
)
def test_a_wrong_catalogue_is_one_line(
    catalog: Path, tmp_path: Path, rt: Runtime, damage: Any, changes: dict[str, Any], says: str
) -> None:
    damage(catalog)
    with pytest.raises(LikenessError, match=says) as caught:
        run(catalog, tmp_path / "out", rt, **{"max_rejected_share": 0.5, **changes})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "data" / "manifest.jsonl").exists()


def bomb() -> bytes:
    """A small PNG whose header says that it is 40,000 pixels wide and high."""
    data = bytearray(encoded(Image.new("L", (8, 8)), "PNG"))
    data[16:24] = (40000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def broken_png() -> bytes:
    data = bytearray(encoded(photo(1), "PNG"))
    at = data.index(b"IDAT") + 40
    data[at] ^= 255
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"text", bomb(), broken_png(), encoded(photo(1))[:300], encoded(photo(1), "PNG")[:60]],
    ids=["empty", "text", "bomb", "broken PNG", "cut JPEG", "cut PNG"],
)
def test_a_bad_file_never_stops_the_stage(tmp_path: Path, rt: Runtime, data: bytes) -> None:
    catalog = write_catalog(tmp_path / "catalog", mixed(5), {"002": data})
    assert run(catalog, tmp_path / "out", rt)["kept"] == 5


def test_a_bad_row_never_stops_the_stage(tmp_path: Path, rt: Runtime) -> None:
    catalog = write_catalog(tmp_path / "catalog", mixed(6))
    # The second line's id is that of a row set aside before it, and its file is missing.
    append(catalog, f"900,{CELLS[:40]}", f"900,{CELLS}", f"{'x' * 300},{CELLS}")
    metrics = run(catalog, tmp_path / "out", rt, max_rejected_share=0.6)
    assert metrics["kept"] == 6
    rejected = (tmp_path / "out" / "data" / "rejected.jsonl").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in rejected}) == 3


def test_rows_of_other_types_do_not_count_against_the_chosen_one(
    tmp_path: Path, rt: Runtime
) -> None:
    catalog = write_catalog(tmp_path / "catalog", mixed(20))
    other = "Men,Personal Care,Fragrance,Perfume,Blue,Spring,2017,Casual,After Shave"
    append(catalog, *[f"9{at},{other}, Balm" for at in range(10)])
    append(catalog, *[f"../{at},{other}" for at in range(10)])
    metrics = run(catalog, tmp_path / "out", rt, max_rejected_share=0.1)
    assert (metrics["selected"], metrics["kept"], metrics["mended_rows"]) == (20, 20, 10)
    assert metrics["rejected_unsafe_id"] == 10


def test_a_missing_file_counts_once(tmp_path: Path, rt: Runtime) -> None:
    catalog = write_catalog(tmp_path / "catalog", mixed(20))
    for at in range(11):
        (catalog / "images" / f"{at:03d}.jpg").unlink()
    with pytest.raises(LikenessError, match="11 of 20 items rejected"):
        run(catalog, tmp_path / "out", rt, max_rejected_share=0.5)
    assert run(catalog, tmp_path / "out", rt, max_rejected_share=0.55)["kept"] == 9


def test_photos_without_a_row_are_counted(tmp_path: Path, rt: Runtime) -> None:
    catalog = write_catalog(tmp_path / "catalog", [*mixed(6), product("s1", articleType="Shirts")])
    append(catalog, f"a/7,{CELLS}", "8,Men")
    for name in ("8.jpg", "9.jpg", "10.PNG", "notes.txt"):
        (catalog / "images" / name).write_bytes(encoded(photo(9)))
    metrics = run(catalog, tmp_path / "out", rt, max_rejected_share=0.5)
    assert (metrics["kept"], metrics["photos_without_row"]) == (6, 2)
    assert "; 2 photos have no row." in (tmp_path / "out" / "analysis.md").read_text()


@pytest.mark.plots
def test_a_dollar_in_a_value_is_drawn_as_it_is(tmp_path: Path, rt: Runtime) -> None:
    values = {"extra": {"price $": "$20 to $40", "old $price$": "$\\frac{1$"}}
    rows = [row.model_copy(update=values) for row in mixed(6)]
    catalog = write_catalog(tmp_path / "catalog", rows)
    assert run(catalog, tmp_path / "out", rt)["kept"] == 6
