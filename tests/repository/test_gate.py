"""The gate on a toy with this repository's layout: cloned with its locks and without its data."""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from likeness.common.errors import LikenessError
from likeness.repository import gate
from tests.repository.forked import dvc

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = ("GIT_AUTHOR", "GIT_COMMITTER")

TRAIN = """
import json, pathlib, yaml
rank = yaml.safe_load(open("params.yaml"))["image_train"]["rank"]
numbers = [float(line) for line in open("data/raw/numbers/numbers.txt")]
for folder in ("data/image_train", "metrics", "plots/image_train"):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
pathlib.Path("data/image_train/adapter.txt").write_text(str(rank * sum(numbers)))
metrics = {"val_loss": 1 / rank, "best_step": 10, "extractor": "toy"}
pathlib.Path("metrics/image_train.json").write_text(json.dumps(metrics))
from PIL import Image
Image.new("L", (8, 8), 20 * rank).save("plots/image_train/sheet.png")
"""
EVALUATE = """
import json, pathlib
frechet = 100 / float(open("data/image_train/adapter.txt").read())
for folder in ("data/image_evaluate", "metrics", "reports/image_evaluate"):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
pathlib.Path("data/image_evaluate/table.txt").write_text(str(frechet))
metrics = {"tuned_frechet": frechet, "base_frechet": 2 * frechet, "tuned_n": 40}
pathlib.Path("metrics/image_evaluate.json").write_text(json.dumps(metrics))
intervals = {"tuned_frechet": {"value": frechet, "low": frechet - 1, "high": frechet + 1, "n": 40}}
pathlib.Path("reports/image_evaluate/intervals.json").write_text(json.dumps(intervals))
"""
PIPELINE = """
stages:
  image_train:
    cmd: python stages/image_train.py
    deps: [stages/image_train.py, "data/raw/${inputs.numbers}"]
    params: [image_train]
    outs: [data/image_train]
    metrics: [metrics/image_train.json: {cache: false}]
    plots: [plots/image_train: {cache: false}]
  image_evaluate:
    cmd: python stages/image_evaluate.py
    deps: [stages/image_evaluate.py, data/image_train, models/tool, models/base]
    outs: [data/image_evaluate, reports/image_evaluate/intervals.json: {cache: false}]
    metrics: [metrics/image_evaluate.json: {cache: false}]
"""
MODELS = """
stages:
  tool:
    wdir: ..
    cmd: python models/tool.py > models/tool
    deps: [models/tool.py]
    outs: [models/tool]
  base:
    cmd: python base.py > base
    frozen: true
    deps: [base.py]
    outs: [base]
"""
MAKEFILE = """
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)
$(VENV)/.ready:
\tmkdir -p $(VENV)
\tfor each in bin lib pyvenv.cfg; do ln -s PREFIX/$$each $(VENV)/$$each; done
\ttouch $@
repro: $(VENV)/.ready
\tdvc pull --quiet --remote bundled data/raw/numbers models/base
\tdvc repro
"""


def environment() -> dict[str, str]:
    identity = {
        f"{who}_{what}": "toy@example.org" for who in IDENTITY for what in ("NAME", "EMAIL")
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, **identity, "PATH": path}


def sh(folder: Path, command: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_toy(folder: Path) -> Path:
    """A repository whose two lanes are one, reproduced and committed; its bundled remote is in git."""
    files = {
        "stages/image_train.py": TRAIN,
        "stages/image_evaluate.py": EVALUATE,
        "models/tool.py": "print('tool')\n",
        "models/base.py": "print('base')\n",
        "models/dvc.yaml": MODELS,
        "models/base": "base\n",
        "data/raw/numbers/numbers.txt": "0.5\n0.5\n",
        "dvc.yaml": PIPELINE,
        "params.yaml": "inputs:\n  numbers: numbers\nimage_train:\n  rank: 4  # width\n",
        "requirements.lock": "toy==1\n",
        "Makefile": MAKEFILE.replace("PREFIX", sys.prefix),
        ".gitignore": "/.venv\n__pycache__\n/data/image_*\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    sh(folder, "git init -q -b main")
    for command in (
        "init -q",
        "remote add bundled bundled",
        "config core.analytics false",
        "add -q data/raw/numbers",
        "commit -q -f models/dvc.yaml:base",
        "push -q -r bundled data/raw/numbers models/base",
        "repro -q",
    ):
        dvc(folder, *command.split(), env=environment()).check_returncode()
    sh(folder, "git add -A && git commit -q -m toy")
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def clone(toy: Path, tmp_path: Path) -> Path:
    """As a machine of CI has it: no data, no cache."""
    sh(tmp_path, f"git clone -q {toy} clone")
    return tmp_path / "clone"


def run_gate(root: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    gate.add_arguments(parser)
    return gate.main(parser.parse_args(words), root)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, path
    path.write_text(text.replace(old, new, 1))


# --- is dvc.lock up to date -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_clean_clone_without_data_is_green(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_gate(clone) == 0
    assert capsys.readouterr().out.startswith("green: no difference; 2 metrics files against HEAD")


@pytest.mark.parametrize(
    ("path", "old", "new", "stages", "reason"),
    [
        ("params.yaml", "# width", "# of the adapter", [], ""),
        ("models/base.py", "base", "another", [], ""),  # frozen
        ("stages/image_train.py", "20 *", "21 *", ["image_train"], "image_train.py modified"),
        ("params.yaml", "rank: 4", "rank: 8", ["image_train"], "image_train.rank 4 → 8"),
        ("models/tool.py", "tool", "saw", ["models/dvc.yaml:tool"], "tool.py modified"),
        ("dvc.yaml", "image_train.py\n", "image_train.py -x\n", ["image_train"], "its command"),
        ("metrics/image_train.json", "10", "11", ["image_train"], "image_train.json modified"),
    ],
    ids=["comment", "frozen", "code", "param", "sub-pipeline", "command", "metric"],
)
def test_what_makes_a_lock_stale(
    clone: Path, path: str, old: str, new: str, stages: list[str], reason: str
) -> None:
    replace(clone / path, old, new)
    found = gate.stale(clone)
    assert [(one.kind, one.name) for one in found] == [("stale", name) for name in stages]
    assert all(reason in one.text for one in found)


def test_a_stage_that_ran_alone_leaves_the_next_one_stale(clone: Path) -> None:
    lock = yaml.safe_load((clone / "dvc.lock").read_text())
    made = [each for each in lock["stages"]["image_train"]["outs"] if "data/" in each["path"]]
    made[0]["md5"] = f"{'0' * 32}.dir"
    (clone / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert [str(one) for one in gate.stale(clone)] == [
        "stale: image_evaluate: data/image_train is not what dvc.lock says was made"
    ]


@pytest.mark.parametrize("path", ["stages/image_train.py", "metrics/image_train.json"])
def test_a_file_of_git_that_is_gone_is_not_taken_for_data_not_pulled(
    clone: Path, path: str
) -> None:
    (clone / path).unlink()
    assert [str(one) for one in gate.stale(clone)] == [f"stale: image_train: {path} deleted"]


def test_other_inputs_make_their_readers_stale(clone: Path) -> None:
    (clone / "data/raw/numbers").mkdir()
    (clone / "data/raw/numbers/numbers.txt").write_text("7\n")
    assert [str(one) for one in gate.stale(clone)] == [
        "stale: image_train: data/raw/numbers modified",
    ]


def test_a_stage_that_never_ran_is_one_line(clone: Path) -> None:
    (clone / "dvc.lock").unlink()
    assert [str(one) for one in gate.stale(clone)] == [
        "stale: image_train: not in dvc.lock",
        "stale: image_evaluate: not in dvc.lock",
    ]


def test_touched_code_is_not_stale_and_many_reasons_are_counted(clone: Path) -> None:
    os.utime(clone / "stages/image_train.py", (1, 1))
    assert gate.stale(clone) == []
    replace(clone / "params.yaml", "rank: 4", "a: 1\n  b: 2\n  c: 3\n  d: 4\n  e: 5")
    assert " and 2 more" in gate.stale(clone)[0].text


def test_a_pipeline_that_dvc_cannot_read_is_one_line(clone: Path) -> None:
    replace(clone / "dvc.yaml", "inputs.numbers", "inputs.letters")
    with pytest.raises(LikenessError, match=r"stages\.image_train.*inputs\.letters") as error:
        gate.stale(clone)
    assert "\n" not in str(error.value)


# --- one metric -----------------------------------------------------------------------------------

INTERVAL = {"low": 20.0, "high": 26.0}


@pytest.mark.parametrize(
    ("name", "old", "new", "interval", "of_same", "of_other"),
    [
        ("image_evaluate.tuned_frechet", 23.0, 23.0, INTERVAL, None, None),
        ("image_evaluate.tuned_frechet", 23.0, 28.9, INTERVAL, None, None),
        ("image_evaluate.tuned_frechet", 23.0, 29.1, INTERVAL, "differs", "worse"),
        ("image_evaluate.tuned_frechet", 23.0, 16.9, INTERVAL, "improved", "improved"),
        ("image_evaluate.tuned_frechet", 23.0, float("nan"), INTERVAL, "differs", "worse"),
        ("image_evaluate.tuned_clip", 80.0, 67.9, None, "differs", "worse"),
        ("image_evaluate.tuned_clip", 80.0, 92.1, None, "improved", "improved"),
        ("image_evaluate.base_frechet", 230.0, 300.0, None, "differs", "changed"),
        ("image_prepare.train", 400, 459, None, None, None),
        ("image_prepare.train", 400, 461, None, "differs", "changed"),
        ("voice_clips.rejected_snr", 3, 5, None, None, None),
        ("voice_clips.rejected_snr", 3, 6, None, "differs", "changed"),
        ("voice_train.val_wer", 0.4, 0.69, None, None, None),
        ("voice_train.val_wer", 0.4, 0.71, None, "differs", "worse"),
        ("voice_train.val_similarity", 0.4, 0.69, None, None, None),
        ("voice_train.val_score", 0.4, 0.69, None, None, None),
        ("voice_train.val_loss", 3.0, 3.8, None, None, None),
        ("voice_train.val_loss", 3.0, 4.0, None, "differs", "worse"),
        ("voice_train.best_epoch", 1, 900, None, None, None),
        ("voice_evaluate.asr", "tiny", "small", None, "differs", "changed"),
        ("voice_evaluate.asr", "tiny", 3, None, "differs", "changed"),
        ("voice_evaluate.tuned_wer", 0.4, None, None, "differs", "changed"),
        ("voice_evaluate.tuned_wer", None, 0.4, None, "differs", "changed"),
    ],
)
def test_what_a_metric_may_do(
    name: str, old: Any, new: Any, interval: Any, of_same: str | None, of_other: str | None
) -> None:
    kinds = [gate.judge(name, old, new, interval, same=same) for same in (True, False)]
    assert [kind and kind.kind for kind in kinds] == [of_same, of_other]


def test_a_line_says_both_values_the_tolerance_and_which_way_is_better() -> None:
    found = gate.judge("image_evaluate.tuned_frechet", 23.0, 31.5, INTERVAL, same=False)
    assert str(found) == (
        "worse: image_evaluate.tuned_frechet: 23 → 31.5, tolerance 6, lower is better"
    )


# --- against a revision ---------------------------------------------------------------------------


def write_metric(root: Path, stage: str, **values: object) -> None:
    path = root / f"metrics/{stage}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_reproduction_must_agree_either_way_and_may_be_better(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_metric(clone, "image_evaluate", tuned_frechet=20, base_frechet=20, tuned_n=60)
    assert run_gate(clone, "--markdown", str(clone / "gate.md")) == 1
    out = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in out if "image_evaluate." in line] == [
        "stale: image_evaluate: metrics/image_evaluate.json modified",
        "differs: image_evaluate.base_frechet: 50 → 20",
        "differs: image_evaluate.tuned_n: 40 → 60",
        "improved: image_evaluate.tuned_frechet: 25 → 20",
    ]
    text = (clone / "gate.md").read_text()
    assert text.startswith("red: 1 stale, 2 differs, 1 improved; 2 metrics files against HEAD")
    assert "| **differs** | `image_evaluate.tuned_n` | 40 → 60, tolerance 6 |" in text
    assert "\n| improved | `image_evaluate.tuned_frechet` |" in text


def test_of_another_recipe_only_what_is_worse_fails(clone: Path) -> None:
    assert gate.recipe(clone, "HEAD") == gate.recipe(clone, gate.WORKSPACE)
    replace(clone / "dvc.lock", "rank: 4", "rank: 8")
    assert gate.recipe(clone, "HEAD") != gate.recipe(clone, gate.WORKSPACE)
    write_metric(clone, "image_evaluate", base_frechet=20)
    names = ("image_evaluate", "image_train")
    found = [one for name in names for one in gate.compare_file(clone, "HEAD", name, False)]
    assert [one.kind for one in found] == ["changed"]
    write_metric(clone, "image_evaluate", tuned_frechet=60)
    found = gate.compare_file(clone, "HEAD", "image_evaluate", False)
    assert [one.kind for one in found] == ["worse", "changed"]


@pytest.mark.parametrize(
    ("path", "old", "same"),
    [
        ("requirements.lock", "1", False),
        ("dvc.lock", "stages/image_train.py", False),
        ("dvc.lock", "path: data/raw/numbers\n      hash: md5\n      md5: ", False),
        ("models/dvc.lock", "path: models/tool.py\n      hash: md5\n      md5: ", False),
        ("models/dvc.lock", "path: models/tool\n      hash: md5\n      md5: ", True),
        ("dvc.lock", "path: models/tool\n      hash: md5\n      md5: ", True),
        ("dvc.lock", "path: data/image_train\n      hash: md5\n      md5: ", True),
    ],
)
def test_the_recipe_is_what_goes_in_and_not_what_comes_out(
    clone: Path, path: str, old: str, same: bool
) -> None:
    text = (clone / path).read_text()
    assert old in text
    (clone / path).write_text(text.replace(old, f"{old}0"))
    assert (gate.recipe(clone, "HEAD") == gate.recipe(clone, gate.WORKSPACE)) is same


def test_a_metrics_file_that_only_one_has(clone: Path) -> None:
    (clone / "metrics/image_train.json").rename(clone / "metrics/image_sharpen.json")
    assert gate.metrics_files(clone, "HEAD") == ["image_evaluate", "image_sharpen", "image_train"]
    for name, there in [("image_train", "not in"), ("image_sharpen", "only in")]:
        for same, kind in [(True, "differs"), (False, "changed")]:
            found = gate.compare_file(clone, "HEAD", name, same)
            assert [str(one) for one in found] == [
                f"{kind}: metrics/{name}.json: {there} the workspace"
            ]


def test_mistakes_are_one_line(clone: Path) -> None:
    with pytest.raises(LikenessError, match="origin/nothing: no such revision"):
        run_gate(clone, "--base", "origin/nothing")
    (clone / "metrics/image_train.json").write_text("{")
    with pytest.raises(LikenessError, match=r"metrics/image_train\.json at workspace: not JSON"):
        run_gate(clone)
    sh(clone, "git rm -qrf metrics && git commit -q -m none")
    with pytest.raises(LikenessError, match="metrics/: no file, neither here nor at"):
        run_gate(clone)


# --- what CI runs ---------------------------------------------------------------------------------


def reproduce(root: Path, **environment: str) -> tuple[int, str]:
    """The exit code of .ci/reproduce, and its comment."""
    out = root.parent / "out"
    done = subprocess.run(
        [root / ".ci/reproduce"],
        env={**os.environ, "OUT": str(out), **environment},
        capture_output=True,
        text=True,
    )
    assert (out / "comment.md").is_file(), done.stdout + done.stderr
    return done.returncode, (out / "comment.md").read_text()


@pytest.mark.slow
def test_a_pull_request_with_a_stale_lock_is_not_reproduced(clone: Path) -> None:
    replace(clone / "stages/image_train.py", "20 *", "21 *")
    sh(clone, "git commit -qam code")
    code, comment = reproduce(clone, BASE="origin/main")
    assert code == 1
    assert comment.startswith("## Reproduction: red, dvc.lock is not up to date\n")
    assert "| **stale** | `image_train` | stages/image_train.py modified |" in comment
    assert not (clone / "data/image_train").exists()


@pytest.mark.slow
def test_a_pull_request_that_makes_a_metric_worse(clone: Path) -> None:
    replace(clone / "params.yaml", "rank: 4", "rank: 2")
    sh(
        clone,
        "dvc pull -q -r bundled data/raw/numbers models/base && dvc repro -q && git commit -qam worse",
    )
    sh(clone, "git clean -qfdX && git checkout -q .")
    code, comment = reproduce(clone, BASE="origin/main", FILES="https://forge/raw")
    assert code == 1
    assert comment.startswith("## Reproduction: red, worse than origin/main\n")
    assert "\ngreen: no difference; 2 metrics files against HEAD" in comment
    assert "| **worse** | `image_evaluate.tuned_frechet` | 25 → 50, tolerance 2, lower" in comment
    assert "| metrics/image_evaluate.json | tuned_frechet" in comment
    assert "![after](https://forge/raw/" in comment
    for stage in ("image_train", "models/dvc.yaml:tool", "image_evaluate"):
        assert f"- `{stage}` 0 min " in comment


def commit_with_lying_lock(root: Path, path: str, old: str, new: str, lock: str) -> None:
    """An edit of code that the lock calls reproduced."""
    before = hashlib.md5((root / path).read_bytes()).hexdigest()
    replace(root / path, old, new)
    replace(root / lock, before, hashlib.md5((root / path).read_bytes()).hexdigest())
    sh(root, "git commit -qam edit")


@pytest.mark.slow
def test_a_lock_that_lies_is_found_by_the_run(clone: Path) -> None:
    commit_with_lying_lock(clone, "stages/image_evaluate.py", "100 /", "120 /", "dvc.lock")
    code, comment = reproduce(clone)
    assert code == 1
    assert comment.startswith("## Reproduction: red, other metrics than the committed ones\n")
    assert "| **differs** | `image_evaluate.tuned_frechet` | 25 → 30, tolerance 2, lower" in comment


@pytest.mark.slow
def test_a_stage_that_fails_is_shown_with_the_end_of_its_log(clone: Path) -> None:
    failing = "raise SystemExit('error: no tool here')"
    commit_with_lying_lock(clone, "models/tool.py", "print('tool')", failing, "models/dvc.lock")
    code, comment = reproduce(clone)
    assert code == 1
    assert comment.startswith("## Reproduction: red, a stage failed\n")
    assert "\nerror: no tool here\n" in comment


def test_the_workflow_gives_what_the_script_reads() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/reproduce.yml").read_text())
    steps = workflow["jobs"]["reproduce"]["steps"]
    given = next(step["env"] for step in steps if step.get("run") == ".ci/reproduce")
    script = (ROOT / ".ci/reproduce").read_text()
    documented = set(re.findall(r"^#   ([A-Z]+) ", script, re.MULTILINE))
    assert given.keys() <= documented
    assert {name for name in documented if f"${{{name}:-" in script} == documented
