"""Models and recordings that tests use where they are there."""

from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def whisper() -> Path:
    """The tiny English Whisper; a stage of models/dvc.yaml makes it."""
    folder = ROOT / "models" / "whisper_tiny_en"
    if not (folder / "model.bin").is_file():
        pytest.skip("models/whisper_tiny_en is not here: run `dvc repro models/dvc.yaml`")
    return folder


@pytest.fixture
def narration() -> Path:
    """The sample narration with its script."""
    folder = ROOT / "data" / "raw" / "sample_voice"
    if not (folder / "script.jsonl").is_file():
        pytest.skip("data/raw/sample_voice is not here; `make repro` fetches it")
    return folder
