"""Samples are small, whole and the same each time."""

from pathlib import Path

import numpy as np

from likeness.voice.audio import encode
from likeness.voice.decode import Decoding
from likeness.voice.samples import BIT_RATE, encode_mp3
from tests.voice.sounds import babble, write


def test_an_mp3_is_small_and_sounds_like_the_clip(tmp_path: Path) -> None:
    samples = babble(3.0)
    path = write(tmp_path / "a.wav", encode(samples, 22050, "WAV"))
    data = encode_mp3(path)
    assert len(data) < 3.3 * BIT_RATE / 8
    assert encode_mp3(path) == data
    found = np.concatenate(list(Decoding(write(tmp_path / "a.mp3", data), 22050)))
    assert abs(len(found) - len(samples)) < 0.15 * 22050
    # Codecs delay: the best of the shifts up to a tenth of a second.
    best = max(
        np.corrcoef(samples[: 2 * 22050], found[shift : shift + 2 * 22050])[0, 1]
        for shift in range(0, 2205)
    )
    assert best > 0.9
