"""The worst images and what is measurably wrong with them."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from likeness.common.manifest import read_manifest, write_manifest
from likeness.common.runtime import Runtime
from likeness.image.failures import ADVICE, ImageFailures, categorize, find_failures
from likeness.image.rows import FailedImage
from tests.conftest import evaluated, files_of, photo, section, synthetic

REAL = [
    evaluated(
        f"real/{at:03d}",
        set="real",
        sharpness=10 + at / 10,
        aspect=1 + at / 100,
        cut_off=at / 10000,
        clean_background=1 - at / 1000,
    )
    for at in range(100)
]


@pytest.mark.parametrize(
    ("changes", "categories"),
    [
        ({}, ["other"]),
        ({"cut_off": 0.2}, ["cut_off"]),
        ({"clean_background": 0.5}, ["background"]),
        ({"sharpness": 3.0}, ["blur"]),
        ({"sharpness": 300.0}, ["other"]),
        ({"aspect": 0.3}, ["proportions"]),
        ({"aspect": 4.0}, ["proportions"]),
        ({"colour": "Blue"}, ["colour"]),
        ({"clean_background": 1.0, "cut_off": 0.0}, ["other"]),
        (
            {"colour": "Blue", "sharpness": 3.0, "cut_off": 0.2},
            ["cut_off", "blur", "colour"],
        ),
    ],
)
def test_a_category_applies_outside_what_real_images_show(
    changes: dict[str, Any], categories: list[str]
) -> None:
    row = evaluated("tuned/1", **{"sharpness": 15.0, "aspect": 1.5, **changes})
    assert categorize(row, REAL, 0.02) == categories


def test_an_image_of_no_asked_colour_has_none_that_is_wrong() -> None:
    row = evaluated("tuned/1", sharpness=15.0, aspect=1.5, colour="Blue", colour_asked="")
    assert categorize(row, REAL, 0.02) == ["other"]


def test_a_wider_tail_finds_more() -> None:
    row = evaluated("tuned/1", sharpness=10.5, aspect=1.5)
    assert categorize(row, REAL, 0.02) == ["other"]
    assert categorize(row, REAL, 0.2) == ["blur"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 images: 000–003 with the lowest CLIP scores, 002–005 with the lowest realism."""
    rows, images = list(REAL), []
    for at in range(40):
        changes: dict[str, Any] = {
            "clip": 20.0 + at if at < 4 else 60.0 + at,
            "realism": 0.1 if 2 <= at < 6 else 1.0 + at / 100,
            "sharpness": 3.0 if at in (0, 3) else 15.0,
            "colour": "Blue" if at in (1, 3, 20) else "Red",
            "aspect": 1.5,
        }
        rows.append(evaluated(f"tuned/{at:06d}", **changes))
        rows.append(evaluated(f"base/{at:06d}", set="base", clip=1.0, realism=0.0))
        images.append(synthetic(f"{at:06d}"))
        path = tmp_path / "generated" / images[-1].file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(at).save(path)
    write_manifest(tmp_path / "evaluated" / "manifest.jsonl", rows)
    write_manifest(tmp_path / "generated" / "manifest.jsonl", images)
    return tmp_path


def run(folder: Path, rt: Runtime, out: str = "out") -> dict[str, float]:
    return find_failures(
        section(ImageFailures, bottom_share=0.1, tail=0.02),
        generated=folder / "generated",
        evaluated=folder / "evaluated",
        out_dir=folder / out / "data",
        plots_dir=folder / out / "plots",
        report=folder / out / "failures.md",
        rt=rt,
    )


def test_the_bottom_by_each_score_is_taken_and_counted(folder: Path, rt: Runtime) -> None:
    metrics = run(folder, rt)
    rows = {row.id: row for row in read_manifest(folder / "out/data/manifest.jsonl", FailedImage)}
    assert {name: row.low_in for name, row in rows.items()} == {
        "000000": ["clip"],
        "000001": ["clip"],
        "000002": ["clip", "realism"],
        "000003": ["clip", "realism"],
        "000004": ["realism"],
        "000005": ["realism"],
    }
    assert rows["000003"].categories == ["blur", "colour"]
    assert (metrics["n"], metrics["failed"]) == (40, 6)
    shares = {name: metrics[f"share_{name}"] for name in ADVICE}
    assert shares["blur"] == pytest.approx(2 / 6, abs=1e-4)
    assert shares["colour"] == pytest.approx(1 / 6, abs=1e-4)
    assert shares["other"] == pytest.approx(3 / 6, abs=1e-4)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert set(metrics) == {"n", "failed", *(f"share_{name}" for name in ADVICE)}


@pytest.mark.plots
def test_images_sheets_and_advice_are_written(folder: Path, rt: Runtime) -> None:
    run(folder, rt)
    out = files_of(folder / "out")
    copied = sorted(name for name in out if name.startswith("data/images/"))
    assert copied == [f"data/images/{at:06d}.png" for at in range(6)]
    for name in copied:
        assert out[name] == (folder / "generated" / name.removeprefix("data/")).read_bytes()
    sheets = {name for name in out if name.startswith("plots/")}
    assert sheets == {f"plots/{name}.png" for name in ("blur", "colour", "other", "categories")}
    with Image.open(folder / "out/plots/blur.png") as sheet:
        assert sheet.width > 96
    report = out["failures.md"].decode()
    assert report.startswith("# The 6 worst of 40 synthetic images")
    assert "| other | 3 | 50% |" in report
    assert ADVICE["blur"] in report
    assert ADVICE["cut_off"] not in report
    assert all(f"| 00000{at} |" in report for at in range(6))


def test_outputs_are_a_function_of_the_input(folder: Path, rt: Runtime) -> None:
    assert run(folder, rt, "a") == run(folder, rt, "b")
    assert files_of(folder / "a") == files_of(folder / "b")
