"""Samples are written, read and resampled without loss."""

from pathlib import Path

import numpy as np
import pytest

from likeness.voice.audio import encode, read, resample
from likeness.voice.streams import FlacWriter, blocks
from tests.voice.sounds import silence, strongest, tone, write


@pytest.mark.parametrize("form", ["FLAC", "WAV"])
def test_what_is_written_is_read_back(form: str) -> None:
    samples = tone(1.0) + silence(1.0)
    data = encode(samples, 22050, form)  # type: ignore[arg-type]
    assert data == encode(samples, 22050, form)  # type: ignore[arg-type]
    back, rate = read(data)
    assert rate == 22050
    np.testing.assert_allclose(back, samples, atol=0.6 / 32768)
    assert encode(back, rate, form) == data  # type: ignore[arg-type]


def test_samples_over_full_scale_are_cut_not_wrapped() -> None:
    back, _ = read(encode(np.array([1.5, -1.5, 0.0], np.float32), 8000, "WAV"))
    np.testing.assert_allclose(back, [32767 / 32768, -1.0, 0.0])


def test_a_part_is_read_by_its_seconds(tmp_path: Path) -> None:
    samples = tone(3.0)
    path = write(tmp_path / "a.flac", encode(samples, 22050, "FLAC"))
    part, _ = read(path, 1.0, 2.5)
    np.testing.assert_allclose(part, samples[22050 : round(2.5 * 22050)], atol=1e-4)
    assert len(read(path, 2.5, 9.0)[0]) == round(0.5 * 22050)


def test_resampling_keeps_pitch_and_length() -> None:
    found = resample(tone(2.0, 22050), 22050, 16000)
    assert len(found) == 32000
    assert strongest(found, 16000) == pytest.approx(440, abs=1)


def test_a_file_is_read_in_blocks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", encode(tone(3.0, 22050), 22050, "FLAC"))
    found = list(blocks(path, 16000, seconds=0.7))
    assert len(found) > 4
    np.testing.assert_allclose(
        np.concatenate(found), resample(read(path)[0], 22050, 16000), atol=1e-6
    )


def test_a_flac_that_is_written_in_parts_is_the_same(tmp_path: Path) -> None:
    samples = tone(3.0, 22050)
    writer = FlacWriter(22050)
    for at in range(0, len(samples), 1234):
        writer.add(samples[at : at + 1234])
    assert writer.close() == encode(samples, 22050, "FLAC")
