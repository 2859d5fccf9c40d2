"""`kill -9` of stages of both lanes, then `dvc repro`: the same dvc.lock as if nothing had happened.

`pytest tests/test_kill.py --kills 100` kills the data stages at a hundred random moments; with another
number after `--moments`, at other moments.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from difflib import unified_diff
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from likeness.voice.audio import encode, read
from tests.conftest import ROOT, SIDE, absent, encoded, mixed, photo, write_catalog

SAMPLE = ROOT / "data" / "raw" / "sample_voice"
MODELS = ("whisper_tiny_en", "speaker_encoder", "dnsmos")
RECORDINGS = ("truncated.mp3", "empty.mp3", "notes.wav", "script.jsonl")
SECONDS = 60  # of speech: enough for three splits, and for clips in more than one batch
PHOTOS = 60
LIMIT = 300  # seconds for one command, on a busy machine
COPIED = shutil.ignore_patterns("__pycache__", "*.egg-info")
SMALL: dict[str, dict[str, Any]] = {
    "base": {"device": "cpu", "threads": 1, "workers": 1},
    "inputs": {
        "catalog": "tiny",
        "diffusion": "tiny_base",
        "extractor": "tiny_extractor",
        "recordings": "tiny_voice",
    },
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
    "voice_segment": {"max_rejected_share": 0.9},
    "voice_clips": {"max_rejected_share": 0.9},
    "voice_dataset": {"block_seconds": 5.0, "train_share": 0.6, "val_share": 0.2},
}
DATA = ("image_prepare", "voice_dataset")
ALL = ("image_generate", "voice_dataset")
IMAGE_DATA = {"image_analyze", "image_prepare"}
VOICE_DATA = {"voice_segment", "voice_transcribe", "voice_clips", "voice_dataset"}


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
    """The repository's code and pipeline, on inputs and models of images that take seconds."""
    for name in (*(f"models/{model}" for model in MODELS), "data/raw/sample_voice"):
        if not (ROOT / name).is_dir():
            absent(f"{name} is not here; `make repro` brings it")
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=COPIED)
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, values in SMALL.items():
        params[section].update(values)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for model in MODELS:
        shutil.copytree(ROOT / "models" / model, folder / "models" / model)
    for name in ("data/voice_download", "plots/voice_download"):  # of a stage that is frozen
        shutil.copytree(ROOT / name, folder / name)
    (folder / "metrics").mkdir()
    for name in ("data/corrections.jsonl", "metrics/voice_download.json"):
        shutil.copy(ROOT / name, folder / name)
    voice = folder / "data" / "raw" / "tiny_voice"
    voice.mkdir(parents=True)
    for name in RECORDINGS:
        shutil.copy(SAMPLE / name, voice)
    samples, rate = read(SAMPLE / "04_care.mp3", 0, SECONDS)
    (voice / "04_care.flac").write_bytes(encode(samples, rate, "FLAC"))
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


def repro(*stages: str) -> list[str]:
    return [sys.executable, "-m", "dvc", "repro", *stages]


def kill_when(folder: Path, sign: Callable[[], bool]) -> None:
    """Start the image lane and kill it, with all that it started, at the sign that a stage works."""
    log = (folder.parent / "killed.log").open("w")
    process = subprocess.Popen(
        repro("image_generate"),
        cwd=folder,
        env=environment(),
        stdout=log,
        stderr=log,
        start_new_session=True,
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


def killed_after(folder: Path, seconds: float) -> bool:
    """Start `dvc repro` and kill it with all that it started; false if it ended before."""
    process = subprocess.Popen(
        repro(*DATA),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def forget(folder: Path, stages: Iterable[str]) -> None:
    """As if these stages had not run yet."""
    path = folder / "dvc.lock"
    lock = yaml.safe_load(path.read_text()) if path.is_file() else {"stages": {}}
    for stage in stages:
        lock["stages"].pop(stage, None)
        shutil.rmtree(folder / "data" / stage, ignore_errors=True)
        shutil.rmtree(folder / ".dvc" / "likeness" / "items" / stage, ignore_errors=True)
    if lock["stages"]:
        path.write_text(yaml.safe_dump(lock))
    else:
        path.unlink(missing_ok=True)
    # DVC's cache of runs would bring them back.
    shutil.rmtree(folder / ".dvc" / "cache" / "runs", ignore_errors=True)


def lock_of(folder: Path) -> str:
    """A lock file with its stages in one order: DVC adds them as they end, whichever lane is first."""
    return yaml.safe_dump(yaml.safe_load((folder / "dvc.lock").read_text()))


def changed(found: str, wanted: str) -> str:
    """The lines of a lock file that differ."""
    return "\n".join(unified_diff(wanted.splitlines(), found.splitlines(), n=4, lineterm=""))


@pytest.mark.slow
def test_killed_stages_end_in_the_same_lock_file(
    tmp_path: Path, tiny_base: Path, tiny_extractor: Path, request: pytest.FixtureRequest
) -> None:
    whole = clone(tmp_path / "whole" / "repository", tiny_base, tiny_extractor)
    killed = shutil.copytree(whole, tmp_path / "killed" / "repository")
    began = time.monotonic()
    call(whole, *repro(*DATA))
    seconds = time.monotonic() - began
    assert stages_done(whole) == {*IMAGE_DATA, *VOICE_DATA, "voice_download"}
    wanted = lock_of(whole)

    rng = np.random.default_rng(request.config.getoption("--moments"))
    kills = ends = 0
    while kills < request.config.getoption("--kills"):
        if killed_after(killed, rng.uniform(0.5, seconds / 2)):
            kills += 1
        else:
            ends += 1
            found = lock_of(killed)
            assert found == wanted, changed(found, wanted)
            forget(killed, {*IMAGE_DATA, *VOICE_DATA})
    print(f"{kills} kills, {ends} runs that ended before, each with the same dvc.lock")

    forget(killed, IMAGE_DATA)
    store = killed / ".dvc" / "likeness"

    def stored(what: str) -> int:
        return len(list((store / "items" / what).rglob("record.json")))

    def done() -> set[str]:
        return {stage for stage in stages_done(killed) if stage.startswith("image")}

    kill_when(killed, lambda: stored("image_prepare") > 0)
    assert done() == {"image_analyze"}
    assert stored("image_prepare") < PHOTOS

    kill_when(killed, lambda: any((store / "scratch" / "image_train").rglob("state.pt")))
    assert done() == IMAGE_DATA

    kill_when(killed, lambda: stored("image_draw") > 0)
    assert done() == {*IMAGE_DATA, "image_train"}
    drawn = stored("image_draw")
    assert drawn < 18

    call(whole, *repro("image_generate"))
    wanted = lock_of(whole)
    shown = call(killed, *repro(*ALL))
    assert to_do(shown, "image_draw")[0] == (18 - drawn, 18), "what was drawn is not drawn again"
    found = lock_of(killed)
    assert found == wanted, changed(found, wanted)
    assert "up to date" in call(killed, *repro(*ALL))
