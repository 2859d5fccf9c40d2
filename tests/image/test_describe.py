"""The texts of a small catalogue: kept, rejected with a reason, written again, and summed up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.manifest import Rejection, read_manifest
from likeness.common.runtime import Runtime
from likeness.image.contradictions import Vocabulary
from likeness.image.describe import CONTRADICTED, FORM, LENGTH, ImageDescribe, Judge
from likeness.image.rows import Description
from tests.conftest import (
    ROOT,
    build_writer,
    files_of,
    mixed,
    product,
    runtime,
    section,
    synthetic,
    write_catalog,
)
from tests.image import descriptions
from tests.image.descriptions import write_generated

TEMPLATES = ROOT / "models" / "templates"
WORDS = ("blue", "winter", *["soft", "light", "fine", "calm", "warm", "neat", "new", "good"])
LOOSE: dict[str, Any] = {
    **{"min_words": 1, "max_words": 400, "max_title_words": 400},
    **{"max_tokens": 24, "max_prompt_tokens": 128},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images, and a catalogue that has another season too."""
    rows = [synthetic(row.id, baseColour=row.baseColour, gender=row.gender) for row in mixed(12)]
    write_generated(tmp_path / "generated", rows)
    write_catalog(tmp_path / "catalog", [*mixed(12), product("winter", season="Winter")])
    return tmp_path


def run(
    folder: Path, rt: Runtime, writer: Path = TEMPLATES, out: str = "out", **changes: Any
) -> Mapping[str, Any]:
    return descriptions.run(folder, rt, writer, out, **changes)


def texts(folder: Path, out: str = "out") -> list[Description]:
    return read_manifest(folder / out / "data/manifest.jsonl", Description)


def rejections(folder: Path, out: str = "out") -> list[Rejection]:
    return read_manifest(folder / out / "data/rejected.jsonl", Rejection)


def test_templates_describe_every_product(folder: Path, rt: Runtime) -> None:
    metrics = run(folder, rt)
    assert [one.id for one in texts(folder)] == [row.id for row in mixed(12)]
    assert (metrics["writer"], metrics["n"], metrics["kept"], metrics["written"]) == (
        "templates", 12, 12, 12,
    )  # fmt: skip
    assert rejections(folder) == []
    assert metrics["contradictions"] == metrics["rejected_share"] == 0
    assert 0.5 < metrics["named_share"] <= 1
    assert metrics["distinct_descriptions"] > 0.9
    files = files_of(folder / "out")
    assert set(files) == {
        "data/manifest.jsonl", "data/rejected.jsonl", "plots/samples.png", "descriptions.md",
        "intervals.json",
    }  # fmt: skip
    intervals = read_json(folder / "out/intervals.json")
    assert intervals["rejected_share"]["n"] == 12
    assert intervals["rejected_share"]["low"] == 0 < intervals["rejected_share"]["high"] < 0.4
    assert {name: one["value"] for name, one in intervals.items()}.items() <= metrics.items()
    assert "rejected because of" not in files["descriptions.md"].decode()


def test_every_template_keeps_the_rules(folder: Path, rt: Runtime) -> None:
    """Whatever pattern a seed takes, of whatever product."""
    for seed in range(8):
        metrics = run(folder, runtime(folder / "cache", seed), out=f"seed{seed}")
        assert metrics["kept"] == metrics["written"] == 12


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_writer(tmp_path_factory.mktemp("babbler") / "babbler", WORDS)


@pytest.mark.slow
def test_what_a_model_babbles_against_the_row_is_rejected(
    folder: Path, rt: Runtime, babbler: Path
) -> None:
    metrics = run(folder, rt, babbler, max_attempts=4, batch=3, **LOOSE)
    kept, rejected = texts(folder), rejections(folder)
    assert metrics["writer"] == "babbler"
    assert metrics["kept"] == len(kept)
    assert metrics["written"] == len(kept) + len(rejected)
    assert metrics["rejected_share"] == pytest.approx(len(rejected) / metrics["written"], abs=1e-4)
    found = [one for one in rejected if one.reason in CONTRADICTED]
    assert metrics["contradictions"] == len(found) > 3
    rows = {row.id: row for row in mixed(12)}
    for one in found:
        row = rows[one.id.rpartition("-")[0]]
        assert one.threshold in row.attributes().values()
        assert one.value != one.threshold
    assert sum(metrics[f"rejected_{one}"] for one in (*CONTRADICTED, *LENGTH, *FORM)) == len(
        rejected
    )
    # Each is written again until a text is kept, and no longer.
    assert {one.attempt for one in kept} > {0}
    for one in kept:
        earlier = {other.id for other in rejected if other.id.startswith(f"{one.id}-")}
        assert earlier == {f"{one.id}-{attempt}" for attempt in range(one.attempt)}
    report = (folder / "out/descriptions.md").read_text()
    assert f"| {found[0].reason} |" in report


@pytest.mark.slow
def test_texts_depend_on_neither_batch_nor_store(folder: Path, rt: Runtime, babbler: Path) -> None:
    options = {"max_attempts": 2, **LOOSE}
    run(folder, rt, babbler, out="a", batch=5, **options)
    run(folder, rt, babbler, out="b", batch=5, **options)
    run(folder, runtime(folder / "other"), babbler, out="c", batch=1, **options)
    assert files_of(folder / "a") == files_of(folder / "b") == files_of(folder / "c")


@pytest.mark.parametrize(
    ("title", "description", "problem"),
    [
        ("Red Shoes", "Red casual shoes for men, made for summer.", None),
        ("Blue Shoes", "Red casual shoes for men, made for summer.", ("colour", "Blue", "Red")),
        ("Red Shoes", "Casual shoes for women, made for summer.", ("gender", "Women", "Men")),
        ("Red Shoes", "Casual shoes for a cold winter's day.", ("season", "Winter", "Summer")),
        ("Red " * 13, "Red casual shoes for men, made for summer.", ("title_too_long", 13, 12)),
        ("Red Shoes", "Red shoes.", ("too_short", 2, 5)),
        ("Red Shoes", "red " * 81, ("too_long", 81, 80)),
    ],
)
def test_each_rule_can_be_broken(
    title: str, description: str, problem: tuple[Any, ...] | None
) -> None:
    vocabulary = Vocabulary([*mixed(12), product("winter", season="Winter")])
    judge = Judge(section(ImageDescribe), vocabulary)
    found = judge(title, description, synthetic("1"))
    assert (found and (found.reason, found.value, found.threshold)) == problem


def test_what_a_model_writes_is_no_markup(folder: Path, rt: Runtime) -> None:
    writer = folder / "writer"
    writer.mkdir()
    (writer / "templates.yaml").write_text(
        'title: [["<b>{baseColour}</b> | {articleType}"]]\ndescription: [["Made for your every day."]]\n'
    )
    run(folder, rt, writer)
    report = (folder / "out/descriptions.md").read_text()
    assert "&lt;b&gt;Red&lt;/b&gt; \\| Casual Shoes" in report
    assert "<b>" not in report


def test_a_writer_that_is_mostly_wrong_ends_the_stage(folder: Path, rt: Runtime) -> None:
    writer = folder / "writer"
    writer.mkdir()
    (writer / "templates.yaml").write_text(
        'title: [["Shoes"]]\ndescription: [["Blue winter shoes."]]\n'
    )
    with pytest.raises(
        LikenessError, match=r"image_describe: 36 of 36 items rejected.*take another"
    ):
        run(folder, rt, writer, max_rejected_share=0.5, min_words=1)


def test_a_model_that_cannot_be_loaded_ends_the_stage(folder: Path, rt: Runtime) -> None:
    (folder / "writer").mkdir()
    with pytest.raises(LikenessError, match="writer: cannot be loaded as a causal language model"):
        run(folder, rt, folder / "writer")


def test_a_template_that_names_no_attribute_ends_the_stage(folder: Path, rt: Runtime) -> None:
    writer = folder / "writer"
    writer.mkdir()
    (writer / "templates.yaml").write_text(
        'title: [["{colour} shoes"]]\ndescription: [["Fine."]]\n'
    )
    problem = (
        r"templates\.yaml: title: \{colour\} is no attribute of the products; they have .*baseCo"
    )
    with pytest.raises(LikenessError, match=problem):
        run(folder, rt, writer)
