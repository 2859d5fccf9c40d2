"""The lane's blind tests as a stage; tests/common/test_tally.py has the figures."""

from pathlib import Path

from likeness.common.runtime import Runtime
from likeness.image.rate import ImageRate, rate
from tests.conftest import files_of, section
from tests.rated import item, write_test


def run(root: Path, out: Path, rt: Runtime) -> dict[str, object]:
    return rate(
        section(ImageRate, rounds=50), ratings=root / "ratings", dataset=root / "image_prepare",
        generated=root / "image_generate", out_dir=out / "out", plots_dir=out / "plots",
        report=out / "ratings.md", rt=rt,
    )  # fmt: skip


def test_classes_of_synthetic_images(tmp_path: Path, rt: Runtime) -> None:
    items = [
        item(f"tuned/{at}", tmp_path, {"tuned": f"image_generate/{at}.png"}) for at in range(4)
    ]
    rules = {"ann": lambda at, one, sides: "good" if at else "colour"}
    write_test(tmp_path / "ratings", "0" * 16, "classes", "image", items, rules)
    found = run(tmp_path, tmp_path / "first", rt)
    assert (found["classes_good"], found["classes_colour"], found["classes_n"]) == (0.75, 0.25, 4)
    assert "opinion_n" not in found
    run(tmp_path, tmp_path / "second", rt)
    assert files_of(tmp_path / "first") == files_of(tmp_path / "second")


def test_without_ratings_there_are_counts_alone(tmp_path: Path, rt: Runtime) -> None:
    found = run(tmp_path, tmp_path / "out", rt)
    assert {value for value in found.values() if value is not None} == {0}
