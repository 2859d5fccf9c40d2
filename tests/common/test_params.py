"""The params file is checked as a whole, at once, before anything heavy is imported."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field

from likeness.common.errors import LikenessError
from likeness.common.params import Section, check_params, load_params
from likeness.stage import SCHEMA
from tests.conftest import ROOT


class Left(Section):
    count: Annotated[int, Field(ge=1, le=10)]
    kind: Literal["a", "b"]
    names: list[str]


class Right(Section):
    share: Annotated[float, Field(gt=0, lt=1)]


BOTH: dict[str, type[Section]] = {"left": Left, "right": Right}
GOOD = {"left": {"count": 3, "kind": "a", "names": ["x"]}, "right": {"share": 0.5}}


def write(path: Path, value: object) -> Path:
    path.write_text(yaml.safe_dump(value))
    return path


def test_a_section_comes_back_typed(tmp_path: Path) -> None:
    path = write(tmp_path / "params.yaml", GOOD)
    assert load_params(path, BOTH, Right) == Right(share=0.5)


def test_every_problem_is_in_one_error_by_dotted_key(tmp_path: Path) -> None:
    broken = {
        "left": {"count": 11, "names": ["x", 3], "new": 1},
        "right": {"share": "half"},
        "extra": {},
    }
    path = write(tmp_path / "params.yaml", broken)
    with pytest.raises(LikenessError) as caught:
        check_params(path, BOTH)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for part in (
        "extra: unknown section",
        "left.count: should be less than or equal to 10 (got 11)",
        "left.kind: missing",
        "left.names.1: should be a valid string (got 3)",
        "left.new: unknown key",
        "right.share: should be a valid number (got 'half')",
    ):
        assert part in message, part


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("left", "count", 1.5, "left.count: should be a valid integer"),
        ("left", "count", True, "left.count: should be a valid integer"),
        ("left", "count", "3", "left.count: should be a valid integer"),
        ("left", "kind", "c", "left.kind: should be 'a' or 'b'"),
        ("right", "share", float("nan"), "right.share: should be a finite number"),
        ("right", "share", 1.0, "right.share: should be less than 1"),
        ("right", "share", None, "right.share: should be a valid number"),
    ],
)
def test_nothing_is_converted(
    tmp_path: Path, section: str, key: str, value: object, says: str
) -> None:
    path = write(tmp_path / "params.yaml", {**GOOD, section: {**GOOD[section], key: value}})
    with pytest.raises(LikenessError) as caught:
        check_params(path, BOTH)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such file"),
        ("a: [", "not YAML"),
        ("- 1", "expected sections, found list"),
        ("", "expected sections, found NoneType"),
        ("left: 3\nright: {share: 0.5}", "left: should be a valid dictionary"),
        ("right: {share: 0.5}", "left: missing section"),
    ],
)
def test_a_file_of_another_shape_is_one_line(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LikenessError) as caught:
        check_params(path, BOTH)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_repository_s_own_file_is_right() -> None:
    assert set(check_params(ROOT / "params.yaml", SCHEMA)) == set(SCHEMA)


def test_the_command_line_reports_all_at_once_before_anything_heavy(tmp_path: Path) -> None:
    for name in ("src", "stages"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    del values["image_train"]["rank"]
    values["image_train"]["batch"] = 0
    values["image_generate"]["steps"] = "many"
    values["image_generate"]["colour"] = "Red"
    write(tmp_path / "params.yaml", values)
    flags = ["catalog", "out-dir", "plots-dir", "report", "metrics"]
    script = (
        "import atexit, runpy, sys; sys.argv[0] = 'image_analyze';"
        "atexit.register(lambda: print('torch' in sys.modules));"
        "runpy.run_module('stages.image_analyze', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *(part for flag in flags for part in (f"--{flag}", "x"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == "False\n", "torch was imported before the params were checked"
    for key in ("train.rank: missing", "train.batch: ", "generate.steps: ", "generate.colour: unk"):
        assert f"image_{key}" in done.stderr, done.stderr
