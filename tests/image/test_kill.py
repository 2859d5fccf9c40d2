"""`kill -9` in the middle of a stage, then `dvc repro`: the same dvc.lock as if nothing had happened."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.conftest import ROOT, SIDE, encoded, mixed, photo, write_catalog

PHOTOS = 60
LIMIT = 300  # seconds for one command, on a busy machine
COPIED = shutil.ignore_patterns("__pycache__", "*.egg-info")
SMALL: dict[str, dict[str, Any]] = {
    "base": {"device": "cpu", "threads": 1, "workers": 1},
    "inputs": {"catalog": "tiny", "diffusion": "tiny_base", "extractor": "tiny_extractor"},
    "image_analyze": {"max_rejected_share": 0.5},
    "image_prepare": {"resolution": SIDE, "near_hash_bits": 90, "max_rejected_share": 0.5},
    "image_train": {
        "rank": 4,  # half of the layers are folded
        "alpha": 2,
        "targets": ["to_q", "to_v", "conv1"],
        "epochs": 6,
        "batch": 8,
        "warmup_steps": 2,
        "evaluate_every": 10,
        "checkpoint_every": 5,
        "sample_every": 20,
        "samples": 2,
        "sample_steps": 1,
        "val_timesteps": 1,
    },
    "image_generate": {
        "count": 18,
        "baseline": 4,
        "steps": 6,
        "batch": 3,
        "min_clean_background": 0.0,
        "max_cut_off": 1.0,
        "min_coverage": 0.0,
        "outlier_factor": 1e9,
        "copy_factor": 0.0,
    },
}


def environment() -> dict[str, str]:
    """This interpreter under the name `python`, as the stages' commands call it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "PATH": path, "DVC_NO_ANALYTICS": "1"}


def call(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def clone(folder: Path, base: Path, extractor: Path) -> Path:
    """The repository's code and pipeline, on models and a catalogue that take seconds."""
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=COPIED)
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, values in SMALL.items():
        params[section].update(values)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.copytree(base, folder / "models" / "tiny_base")
    shutil.copytree(extractor, folder / "models" / "tiny_extractor")
    rows = mixed(PHOTOS)
    # Large photos, so that there is time to kill the stage that converts them.
    files = {row.id: encoded(photo(at, row.baseColour, (450, 600))) for at, row in enumerate(rows)}
    files["007"] = files["003"]
    files["011"] = b"404 Not Found"
    write_catalog(folder / "data" / "raw" / "tiny", rows, files)
    call(folder, "git", "init", "--quiet")
    call(folder, sys.executable, "-m", "dvc", "init", "--quiet")
    # DVCLive asks for the commit that it runs on.
    author = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    call(folder, "git", *author, "commit", "--quiet", "--message", "A clone")
    return folder


REPRO = (sys.executable, "-m", "dvc", "repro", "image_generate")


def kill_when(folder: Path, sign: Callable[[], bool]) -> None:
    """Start `dvc repro` and kill it, with all that it started, at the sign that a stage works."""
    log = (folder.parent / "killed.log").open("w")
    process = subprocess.Popen(
        REPRO, cwd=folder, env=environment(), stdout=log, stderr=log, start_new_session=True
    )
    started = time.monotonic()
    while not sign():
        assert process.poll() is None, (
            f"ended before it could be killed: {Path(log.name).read_text()}"
        )
        assert time.monotonic() - started < LIMIT, "no sign of work"
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    log.close()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == [], "something outlived its group"


def stages_done(folder: Path) -> set[str]:
    path = folder / "dvc.lock"
    return set(yaml.safe_load(path.read_text())["stages"]) if path.is_file() else set()


def to_do(shown: str, what: str) -> list[tuple[int, int]]:
    """The (to do, of all) numbers of a progress line."""
    found = re.findall(rf"{what}: (\d+) of (\d+) to do", shown)
    return [(int(left), int(right)) for left, right in found]


@pytest.mark.slow
def test_killed_stages_end_in_the_same_lock_file(
    tmp_path: Path, tiny_base: Path, tiny_extractor: Path
) -> None:
    whole = clone(tmp_path / "whole" / "repository", tiny_base, tiny_extractor)
    killed = shutil.copytree(whole, tmp_path / "killed" / "repository")
    call(whole, *REPRO)
    assert stages_done(whole) == {
        "image_analyze",
        "image_prepare",
        "image_train",
        "image_generate",
    }

    store = killed / ".dvc" / "likeness"

    def stored(what: str) -> int:
        return len(list((store / "items" / what).rglob("record.json")))

    kill_when(killed, lambda: stored("image_prepare") > 0)
    assert stages_done(killed) == {"image_analyze"}
    assert stored("image_prepare") < PHOTOS

    kill_when(killed, lambda: any((store / "scratch" / "image_train").rglob("state.pt")))
    assert stages_done(killed) == {"image_analyze", "image_prepare"}

    kill_when(killed, lambda: stored("image_draw") > 0)
    assert stages_done(killed) == {"image_analyze", "image_prepare", "image_train"}
    drawn = stored("image_draw")
    assert drawn < 18

    shown = call(killed, *REPRO)
    assert to_do(shown, "image_draw")[0] == (18 - drawn, 18), "what was drawn is not drawn again"
    assert (killed / "dvc.lock").read_text() == (whole / "dvc.lock").read_text()
    assert "up to date" in call(killed, *REPRO)
