"""Models and recordings that tests use where they are there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, absent
from tests.voice.tiny_xtts import (
    build_speaker_folder,
    build_xtts_folder,
    small_networks,
    write_voice_dataset,
)


@pytest.fixture
def whisper() -> Path:
    """The tiny English Whisper; a stage of models/dvc.yaml makes it."""
    folder = ROOT / "models" / "whisper_tiny_en"
    if not (folder / "model.bin").is_file():
        absent("models/whisper_tiny_en is not here: run `dvc repro models/dvc.yaml`")
    return folder


@pytest.fixture
def dnsmos() -> Path:
    """The network that rates recordings; a stage of models/dvc.yaml makes it."""
    folder = ROOT / "models" / "dnsmos"
    if not folder.is_dir():
        absent("models/dnsmos is not here; `make repro` makes it")
    return folder


@pytest.fixture
def narration() -> Path:
    """The sample narration with its script."""
    folder = ROOT / "data" / "raw" / "sample_voice"
    if not (folder / "script.jsonl").is_file():
        absent("data/raw/sample_voice is not here; `make repro` fetches it")
    return folder


@pytest.fixture(scope="session")
def xtts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_xtts_folder(tmp_path_factory.mktemp("models") / "tiny_xtts")


@pytest.fixture(scope="module")
def tiny_xtts(xtts_folder: Path) -> Iterator[Path]:
    """A base XTTS with random weights; nothing may write into it."""
    with small_networks():
        yield xtts_folder


@pytest.fixture(scope="session")
def tiny_speaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A speaker encoder with random weights."""
    return build_speaker_folder(tmp_path_factory.mktemp("models") / "tiny_speaker")


@pytest.fixture(scope="session")
def tiny_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of babble; nothing may write into it."""
    return write_voice_dataset(tmp_path_factory.mktemp("data") / "voice_dataset")
