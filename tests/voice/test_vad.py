"""Speech is found however long a recording is, and long speech is cut where it is quiet."""

from itertools import pairwise

import numpy as np
import pytest

from likeness.voice import vad
from likeness.voice.audio import encode, resample
from likeness.voice.vad import VAD_RATE, SpeechDetector, split_long
from tests.voice.sounds import babble, silence, tone

RATE = 22050


def spans(samples: np.ndarray, block: int) -> list[tuple[float, float]]:
    listener = SpeechDetector(0.5, 0.25, 0.3)
    for at in range(0, len(samples), block):
        listener.add(samples[at : at + block])
    return listener.close()


def test_a_long_recording_is_heard_in_parts_without_a_seam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = [part for at in range(6) for part in (silence(1.2), babble(2.0 + at, seed=at))]
    samples = resample(np.concatenate(parts), RATE, VAD_RATE)
    whole = spans(samples, 5000)
    assert len(whole) >= 6
    monkeypatch.setattr(vad, "CHUNK", 9 * VAD_RATE)
    np.testing.assert_allclose(spans(samples, 5000), whole, atol=0.2)


def test_speech_without_end_is_heard_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vad, "CHUNK", 4 * VAD_RATE)
    samples = resample(babble(20.0), RATE, VAD_RATE)
    found = spans(samples, 5000)
    assert found[-1][1] == pytest.approx(20.0, abs=0.5)
    assert sum(end - start for start, end in found) > 18
    assert all(left[1] <= right[0] for left, right in pairwise(found))


def test_a_long_stretch_is_cut_where_it_is_quiet() -> None:
    samples = np.concatenate([tone(14.0), silence(0.4), tone(10.0), silence(0.4), tone(12.0)])
    spans = split_long((0.0, len(samples) / RATE), encode(samples, RATE, "FLAC"), 16.0)
    edges = [spans[0][0], *(end for _, end in spans)]
    assert edges == pytest.approx([0.0, 14.2, 24.6, 36.8], abs=0.15)


def test_parts_cover_the_stretch_without_overlap() -> None:
    samples = babble(70.0)
    spans = split_long((2.0, 69.0), encode(samples, RATE, "FLAC"), 10.0)
    assert spans[0][0] == 2.0
    assert spans[-1][1] == 69.0
    assert all(left[1] == right[0] for left, right in pairwise(spans))
    assert max(end - start for start, end in spans) <= 10.0
    assert min(end - start for start, end in spans) >= 2.0
