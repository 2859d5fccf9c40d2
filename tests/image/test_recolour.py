"""Products in another colour: which, by what prompt, with what rules, and what is said of them."""

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.runtime import Runtime
from likeness.image.recolour import (
    ImageRecolour,
    choose,
    choose_colours,
    prompt_in,
    recolour,
    summarize,
)
from likeness.image.rows import PreparedImage, RecolouredImage
from tests.conftest import build_controlnet, files_of, prepared, runtime, section, write_dataset

# A random base draws noise, so the rules let everything pass unless a test says otherwise.
LOOSE: dict[str, Any] = {
    **{"steps": 2, "guidance": 2.0, "batch": 4, "rounds": 20, "max_rejected_share": 1.0},
    **{"min_coverage": 0.0, "max_cut_off": 1.0, "min_clean_background": 0.0, "min_overlap": 0.0},
}


# --- choosing -------------------------------------------------------------------------------------


def val_rows() -> list[PreparedImage]:
    counts = {("Men", "Red"): 12, ("Men", "Blue"): 6, ("Women", "Red"): 5, ("Women", "Black"): 1}
    return [
        prepared(f"{gender}{colour}{at:02d}", "val", gender=gender, baseColour=colour)
        for (gender, colour), count in counts.items()
        for at in range(count)
    ]


def strata(rows: list[PreparedImage]) -> Counter[tuple[str, str]]:
    return Counter((row.gender, row.baseColour) for row in rows)


@pytest.mark.parametrize("count", [4, 8, 12, 24])
def test_every_stratum_has_its_share_to_within_one(rt: Runtime, count: int) -> None:
    rows = val_rows()
    chosen = choose(rows, count, rt)
    assert len(chosen) == count
    assert [row.id for row in chosen] == sorted(row.id for row in chosen)
    for stratum, number in strata(rows).items():
        assert abs(strata(chosen)[stratum] - count * number / len(rows)) <= 1, stratum


def test_only_val_products_that_have_a_colour_are_chosen(rt: Runtime) -> None:
    rows = [prepared("a"), prepared("b", "val"), prepared("c", "val", baseColour="")]
    assert [row.id for row in choose(rows, 9, rt)] == ["b"]
    assert choose(rows[::2], 9, rt) == []


def test_one_more_photo_changes_the_choice_of_its_stratum_alone(rt: Runtime) -> None:
    rows = val_rows()
    before = {row.id for row in choose(rows, 12, rt)}
    more = [*rows, prepared("another", "val", gender="Women", baseColour="Black")]
    after = {row.id for row in choose(more, 12, rt)}
    assert len(before - after) <= 1


def test_colours_are_others_that_the_train_split_has(rt: Runtime) -> None:
    train = [prepared(name, baseColour=name) for name in ("Red", "Blue", "Black", "")]
    rows = val_rows()
    colours = choose_colours([*train, *rows], rows, rt)
    assert all(colours[row.id] in {"Red", "Blue", "Black"} - {row.baseColour} for row in rows)
    assert len(Counter(colours.values())) == 3
    unnamed = [prepared(name, "train", baseColour=name) for name in ("Multi", "Other", "")]
    assert choose_colours([*train, *unnamed], rows, rt) == choose_colours(train, rows, rt)
    only = choose_colours(train[:1], rows, rt)
    assert {only[row.id] for row in rows if row.baseColour == "Red"} == {""}
    assert {only[row.id] for row in rows if row.baseColour != "Red"} == {"Red"}


def test_the_prompt_names_the_other_colour() -> None:
    row = prepared("a", "val", baseColour="Blue")
    assert prompt_in("Navy Blue", row) == "A photo of Navy Blue Casual Shoes, Men"
    words = row.model_copy(update={"caption": "A Bluebell of Blue, Blue"})
    assert prompt_in("Red", words) == "A Bluebell of Red, Blue"
    silent = row.model_copy(update={"caption": "A shoe"})
    assert prompt_in("Red", silent) == ""
    assert prompt_in("", row) == ""


# --- the figures ----------------------------------------------------------------------------------


def test_gains_are_of_the_same_products(rt: Runtime) -> None:
    found = [("Red", 0.9, 0.8), ("Blue", 0.7, 0.6), ("Red", 0.5, 0.4)]
    by_edges = {
        str(at): {"colour": colour, "overlap": one, "edges_followed": two}
        for at, (colour, one, two) in enumerate(found)
    }
    plain = {
        name: {**values, "colour": "Red", "overlap": values["overlap"] - 0.3}
        for name, values in by_edges.items()
    }
    estimates = summarize(by_edges, plain, dict.fromkeys(by_edges, "Red"), 100, rt)
    assert estimates["overlap"].value == pytest.approx(0.7)
    assert estimates["plain_overlap"].value == pytest.approx(0.4)
    gain = estimates["overlap_gain"]
    # The same for each product, so without an interval, however different the products are.
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.3, 0.3, 0.3))
    assert estimates["edges_followed_gain"].value == 0
    assert estimates["colour_share"].value == pytest.approx(2 / 3)
    assert estimates["colour_share_gain"].value == pytest.approx(-1 / 3)
    assert {one.n for one in estimates.values()} == {3}


# --- the stage ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset", 6, 6, 0)


@pytest.fixture
def inputs(
    dataset: Path, tiny_base: Path, tiny_adapter: Path, tiny_controlnet: Path
) -> dict[str, Path]:
    return {
        "dataset": dataset,
        "base": tiny_base,
        "adapter": tiny_adapter,
        "controlnet": tiny_controlnet,
    }


def run(inputs: dict[str, Path], folder: Path, rt: Runtime, **changes: Any) -> dict[str, Any]:
    return recolour(
        section(ImageRecolour, **{**LOOSE, **changes}),
        **inputs,
        out_dir=folder / "data",
        plots_dir=folder / "plots",
        report=folder / "recolour.md",
        intervals=folder / "intervals.json",
        rt=rt,
    )


def test_every_product_is_drawn_both_ways(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(inputs, tmp_path / "one", rt)
    rows = read_manifest(tmp_path / "one/data/manifest.jsonl", RecolouredImage)
    sources = {
        row.id: row for row in read_manifest(inputs["dataset"] / "manifest.jsonl", PreparedImage)
    }
    assert (metrics["n"], metrics["kept"], metrics["rejected_share"]) == (6, 6, 0.0)
    assert metrics["controlnet"] == "controlnet"
    for row in rows:
        source = sources[row.id]
        assert source.split == "val"
        assert (row.source, row.source_colour) == (source.file_name, source.baseColour)
        assert row.baseColour != source.baseColour
        assert row.prompt == source.caption.replace(source.baseColour, row.baseColour)
        assert row.productDisplayName == f"{row.gender} {row.baseColour} Casual Shoes"
        both = [tmp_path / "one/data" / part / f"{row.id}.png" for part in ("images", "plain")]
        assert both[0].read_bytes() != both[1].read_bytes()
    figures = read_json(tmp_path / "one/intervals.json")
    assert {name: one["value"] for name, one in figures.items()}.items() <= metrics.items()
    assert all(one["n"] == 6 for one in figures.values())
    text = (tmp_path / "one/recolour.md").read_text()
    assert re.search(r"# 6 products .*`controlnet` at scale 1", text, re.S)
    assert (tmp_path / "one/plots/recoloured.png").is_file()
    run(inputs, tmp_path / "two", runtime(tmp_path / "other"), batch=3)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_without_weight_the_edges_do_nothing(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(inputs, tmp_path, rt, scale=0.0)
    data = files_of(tmp_path / "data")
    for name in (name for name in data if name.startswith("images/")):
        assert data[name] == data[name.replace("images", "plain")]
    for name in ("overlap", "edges_followed", "colour_share"):
        assert metrics[f"{name}_gain"] == 0


def test_one_that_breaks_a_rule_is_set_aside_and_counts_in_the_figures(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    loose = run(inputs, tmp_path / "loose", rt)
    rows = read_manifest(tmp_path / "loose/data/manifest.jsonl", RecolouredImage)
    bound = float(np.median([row.overlap for row in rows]))
    strict = run(inputs, tmp_path / "strict", rt, min_overlap=bound)
    rejected = read_manifest(tmp_path / "strict/data/rejected.jsonl", Rejection)
    assert {one.id for one in rejected} == {row.id for row in rows if row.overlap < bound}
    assert {(one.reason, one.threshold) for one in rejected} == {("shape", bound)}
    assert strict["rejected_shape"] == len(rejected) == 6 - strict["kept"] > 0
    assert {name: strict[name] for name in ("n", "overlap")} == {
        name: loose[name] for name in ("n", "overlap")
    }
    with pytest.raises(
        LikenessError, match=r"image_recolour: 6 of 6 items rejected.*raise image_rec"
    ):
        run(inputs, tmp_path / "none", rt, min_overlap=1.0, max_rejected_share=0.5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"baseColour": "Red"}, "no_other_colour"), ({"caption": "A shoe"}, "caption")],
)
def test_a_catalogue_without_other_colours_gives_empty_figures(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime, changes: dict[str, str], reason: str
) -> None:
    shutil.copytree(inputs["dataset"], tmp_path / "dataset")
    rows = read_manifest(tmp_path / "dataset/manifest.jsonl", PreparedImage)
    write_manifest(
        tmp_path / "dataset/manifest.jsonl", [row.model_copy(update=changes) for row in rows]
    )
    metrics = run({**inputs, "dataset": tmp_path / "dataset"}, tmp_path / "out", rt)
    rejected = read_manifest(tmp_path / "out/data/rejected.jsonl", Rejection)
    assert [one.reason for one in rejected] == [reason] * 6
    assert (metrics["n"], metrics["kept"], metrics[f"rejected_{reason}"]) == (0, 0, 6)
    assert metrics["overlap"] is metrics["rejected_share"] is None
    assert (tmp_path / "out/plots/recoloured.png").is_file()


def test_one_more_photo_costs_one_photo(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    run(inputs, tmp_path / "five", rt, count=5)
    capsys.readouterr()
    run(inputs, tmp_path / "six", rt, count=6)
    told = capsys.readouterr().err
    assert told.count("image_draw: 1 of 6 to do:   0%") == 2
    assert "image_edges: 1 of 6 to do" in told


def test_a_controlnet_of_another_base_is_one_line(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    other = build_controlnet(inputs["base"], tmp_path / "other", block_out_channels=(32, 64))
    with pytest.raises(LikenessError) as told:
        run({**inputs, "controlnet": other}, tmp_path, rt)
    assert str(told.value).splitlines() == [str(told.value)]
    assert "(block_out_channels is [32, 64], and [16, 32] there)" in str(told.value)
