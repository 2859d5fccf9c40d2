"""An item's key changes with what its result depends on, and with nothing else: by edits in a copy."""

import ast
import shutil
from pathlib import Path

import pytest

from likeness.common.closure import code_digest
from tests.conftest import ROOT
from tests.test_contract import makes_results

SRC = ROOT / "src" / "likeness"


def keys(package: Path) -> dict[str, str]:
    """The part of each item function's key that its code is, by the function's name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        text = path.read_text()
        if path != package / "common" / "items.py" and makes_results(text):
            room = ".".join(path.relative_to(package).with_suffix("").parts)
            for node in ast.parse(text).body:
                if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                    continue
                if node.returns and "list[Result" in ast.unparse(node.returns):
                    found[f"{room}.{node.name}"] = code_digest(path, package)
    return found


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return keys(SRC)


def changed(before: dict[str, str], folder: Path, file: str, old: str, new: str) -> set[str]:
    """The item functions whose keys change with an edit of one file in a copy of src."""
    package = folder / "likeness"
    shutil.copytree(SRC, package, ignore=shutil.ignore_patterns("__pycache__"))
    path = package / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    after = keys(package)
    assert list(after) == list(before)
    return {name for name in after if after[name] != before[name]}


def test_every_item_function_is_looked_at(before: dict[str, str]) -> None:
    assert {"voice.quality.measure_clips", "image.diffusion.draw_images"} <= set(before)
    assert len(before) >= 15


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("voice/transcribe.py", "Confidence of the words", "How sure the words are"),
        ("voice/dataset.py", "The commonest words", "Words by number"),
        ("image/prepare.py", "Images by gender and colour", "Gender and colour"),
        ("report.html", "<h1>", "<h1 class='large'>"),
        ("voice/text.py", "LONGEST = 8", "LONGEST = 9"),
        ("voice/tables/all.py", "ABBREVIATIONS = frozenset", "ABBREVIATIONS = set"),
        ("voice/rules.py", '"too_short", "seconds"', '"short", "seconds"'),
        ("common/figures.py", "dpi=110", "dpi=120"),
        ("common/items.py", "to do", "to be done"),
        ("image/contradictions.py", "REACH = 4", "REACH = 5"),
    ],
)
def test_what_draws_reports_judges_or_normalises_changes_no_key(
    before: dict[str, str], tmp_path: Path, file: str, old: str, new: str
) -> None:
    assert changed(before, tmp_path, file, old, new) == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        (
            "voice/levels.py",
            "FLOOR = -70.0",
            "FLOOR = -80.0",
            {"voice.cuts.cut_recordings", "voice.quality.measure_clips"},
        ),
        (
            "voice/mos.py",
            "np.polyval",
            "np.polynomial.Polynomial",
            {"voice.mos.rate_clips", "voice.quality.measure_clips"},
        ),
        ("voice/decode.py", "MISSING = 0.25", "MISSING = 0.5", {"voice.vad.segment_recordings"}),
        (
            "voice/whisper.py",
            "CLIPS = 4",
            "CLIPS = 5",
            {"voice.whisper.detect_languages", "voice.whisper.transcribe_clips"},
        ),
        (
            "image/captions.py",
            "if name",
            "if name and True",
            {"image.writing.fill_templates", "image.writing.ask_model"},
        ),
        (
            "image/edges.py",
            "cv2.Canny",
            "cv2.Laplacian",
            {"image.edges.find_edges"},
        ),
        (
            "image/control.py",
            "local_files_only=True",
            "local_files_only=False",
            {"image.control.draw_controlled"},
        ),
        ("image/quality.py", "LIGHT = 235", "LIGHT = 230", {"image.quality.measure_files"}),
    ],
)
def test_what_a_result_depends_on_changes_its_key(
    before: dict[str, str], tmp_path: Path, file: str, old: str, new: str, found: set[str]
) -> None:
    assert changed(before, tmp_path, file, old, new) == found
