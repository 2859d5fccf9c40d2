"""`kill -9` at random moments of the data stages of both lanes: the same dvc.lock as without.

`pytest tests/test_kill.py --kills 100` kills a hundred times; with another number after `--moments`, at
other moments.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from difflib import unified_diff
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.conftest import ROOT, absent
from tests.image.test_kill import call, clone, environment, stages_done

MODELS = ("whisper_tiny_en", "speaker_encoder", "dnsmos")
RECORDINGS = ("04_care.mp3", "truncated.mp3", "empty.mp3", "notes.wav", "script.jsonl")
SMALL: dict[str, dict[str, Any]] = {
    "inputs": {"recordings": "tiny_voice"},
    "voice_segment": {"max_rejected_share": 0.9},
    "voice_clips": {"max_rejected_share": 0.9},
}
REPRO = (sys.executable, "-m", "dvc", "repro", "image_prepare", "voice_dataset")
DATA_STAGES = {
    *("image_analyze", "image_prepare"),
    *("voice_segment", "voice_transcribe", "voice_clips", "voice_dataset"),
}


def both_lanes(folder: Path, base: Path, extractor: Path) -> Path:
    """The small clone of the image lane's test, with one recording for the voice lane."""
    for name in (*(f"models/{model}" for model in MODELS), "data/raw/sample_voice"):
        if not (ROOT / name).is_dir():
            absent(f"{name} is not here; `make repro` brings it")
    clone(folder, base, extractor)
    for model in MODELS:
        shutil.copytree(ROOT / "models" / model, folder / "models" / model)
    voice = folder / "data" / "raw" / "tiny_voice"
    voice.mkdir()
    for name in RECORDINGS:
        shutil.copy(ROOT / "data" / "raw" / "sample_voice" / name, voice)
    for name in ("data/voice_download", "plots/voice_download"):  # of a stage that is frozen
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "data" / "corrections.jsonl", folder / "data")
    (folder / "metrics").mkdir(exist_ok=True)
    shutil.copy(ROOT / "metrics" / "voice_download.json", folder / "metrics")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for section, values in SMALL.items():
        params[section].update(values)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return folder


def killed_after(folder: Path, seconds: float) -> bool:
    """Start `dvc repro` and kill it with all that it started; false if it ended before."""
    process = subprocess.Popen(
        REPRO,
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


def start_over(folder: Path) -> None:
    """As if nothing had been made yet."""
    (folder / "dvc.lock").unlink()
    shutil.rmtree(folder / ".dvc" / "likeness")
    for stage in DATA_STAGES:
        shutil.rmtree(folder / "data" / stage)


def lock_of(folder: Path) -> str:
    """A lock file with its stages in one order: DVC adds them as they end, whichever lane is first."""
    return yaml.safe_dump(yaml.safe_load((folder / "dvc.lock").read_text()))


def changed(found: str, wanted: str) -> str:
    """The lines of a lock file that differ."""
    return "\n".join(unified_diff(wanted.splitlines(), found.splitlines(), n=4, lineterm=""))


@pytest.mark.slow
def test_random_kills_of_data_stages_end_in_the_same_lock_file(
    tmp_path: Path, tiny_base: Path, tiny_extractor: Path, request: pytest.FixtureRequest
) -> None:
    whole = both_lanes(tmp_path / "whole" / "repository", tiny_base, tiny_extractor)
    began = time.monotonic()
    call(whole, *REPRO)
    seconds = time.monotonic() - began
    assert stages_done(whole) == {*DATA_STAGES, "voice_download"}
    wanted = lock_of(whole)

    folder = both_lanes(tmp_path / "killed" / "repository", tiny_base, tiny_extractor)
    rng = np.random.default_rng(request.config.getoption("--moments"))
    kills = ends = 0
    while kills < request.config.getoption("--kills"):
        if killed_after(folder, rng.uniform(0.5, seconds / 2)):
            kills += 1
        else:
            ends += 1
            found = lock_of(folder)
            assert found == wanted, changed(found, wanted)
            start_over(folder)
    call(folder, *REPRO)
    found = lock_of(folder)
    assert found == wanted, changed(found, wanted)
    print(f"{kills} kills, {ends + 1} runs that ended, each with the same dvc.lock")
