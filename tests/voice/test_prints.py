"""Copies of a recording are known by their fingerprints, whatever was done to them."""

from pathlib import Path

import numpy as np
import pytest

from likeness.voice.audio import encode
from likeness.voice.decode import Decoding
from likeness.voice.prints import print_recordings, shared_frames
from tests.voice.sounds import babble, file_bytes, silence, write

RATE = 22050
Array = np.ndarray
SPEECH = np.concatenate([babble(6.0), silence(1.0), babble(5.0, seed=1)])


def printed(tmp_path: Path, **recordings: Array) -> dict[str, Array]:
    paths = [
        write(tmp_path / f"{name}.flac", encode(samples, RATE, "FLAC"))
        for name, samples in recordings.items()
    ]
    found = print_recordings(paths)
    return {
        name: np.frombuffer(one.files["prints.u32"], "<u4")
        for name, one in zip(recordings, found, strict=True)
    }


def coded(tmp_path: Path, form: str, rate: int) -> Array:
    path = write(tmp_path / f"coded.{form}", file_bytes(SPEECH, RATE, form))
    return np.concatenate(list(Decoding(path, rate)))


@pytest.mark.parametrize("form", ["mp3", "webm", "m4a", "g722", "adpcm"])
def test_a_lossy_copy_shares_nearly_all_its_frames(tmp_path: Path, form: str) -> None:
    prints = printed(tmp_path, a=SPEECH, b=0.2 * coded(tmp_path, form, RATE))
    assert shared_frames(prints)["a", "b"] > 0.9 * len(prints["a"])


def test_an_excerpt_shares_its_own_length(tmp_path: Path) -> None:
    prints = printed(tmp_path, whole=SPEECH, excerpt=SPEECH[30000 : 30000 + 5 * RATE])
    assert shared_frames(prints)["whole", "excerpt"] == len(prints["excerpt"])


def test_other_speech_shares_nothing(tmp_path: Path) -> None:
    others = {f"n{seed}": babble(8.0, seed=seed) for seed in range(20, 26)}
    prints = printed(tmp_path, **others, quiet=silence(8.0), nothing=np.zeros(8 * RATE))
    assert shared_frames(prints) == {}


def test_many_copies_are_all_found(tmp_path: Path) -> None:
    prints = printed(tmp_path, **{f"n{at}": SPEECH for at in range(12)})
    assert len(shared_frames(prints)) == 12 * 11 / 2


def test_the_very_short_have_no_print(tmp_path: Path) -> None:
    prints = printed(tmp_path, a=SPEECH[:2000], b=SPEECH[:2000])
    assert len(prints["a"]) == 0
    assert shared_frames(prints) == {}
