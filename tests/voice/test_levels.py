"""Levels and pauses are where they were put, at any rate, level and noise."""

import numpy as np
import pytest

from likeness.voice.levels import (
    FLOOR,
    HOP,
    find_pauses,
    frame_levels,
    quietest,
    speech_level,
)
from tests.voice.spoken import RATE, speak


def noise(seconds: float, level: float, rate: int = RATE) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 10 ** (level / 20) * rng.standard_normal(round(seconds * rate))


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_a_frame_s_level_is_that_of_its_samples(rate: int) -> None:
    levels = frame_levels(np.concatenate([noise(1, -20, rate), noise(1, -50, rate)]), rate)
    assert len(levels) == 200
    assert levels[5:95].mean() == pytest.approx(-20, abs=0.3)
    assert levels[105:195].mean() == pytest.approx(-50, abs=0.3)


@pytest.mark.parametrize("rate", [16000, 22050, 44100])
def test_frames_are_not_late_after_ten_minutes(rate: int) -> None:
    # A hop of whole samples, 220 for 220.5, would be late by more than a second.
    samples = np.zeros(610 * rate, np.float32)
    samples[600 * rate :] = 0.1
    levels = frame_levels(samples, rate)
    assert int(np.argmax(levels > -40)) * HOP == pytest.approx(600, abs=0.03)


def test_silence_has_a_level() -> None:
    assert frame_levels(np.zeros(RATE), RATE).tolist() == [FLOOR] * 100
    assert len(frame_levels(np.zeros(0), RATE)) == 0
    assert find_pauses(np.zeros(0), 0.1) == []


@pytest.mark.parametrize("snr", [60, 20, 10])
@pytest.mark.parametrize("gain", [0, -25])
def test_pauses_are_found_in_noise_and_at_any_level(snr: float, gain: float) -> None:
    spoken = speak("One two three. ___ Four five six. _____ Seven eight nine ten.")
    speech = speech_level(frame_levels(spoken.samples, RATE))
    samples = spoken.samples + noise(spoken.seconds, speech - snr)[: len(spoken.samples)]
    levels = frame_levels(samples * 10 ** (gain / 20), RATE)
    inner = [
        pause for pause in find_pauses(levels, 0.15) if 0.2 < pause.start < spoken.seconds - 0.2
    ]
    assert len(inner) == 2
    for pause, at in zip(inner, (2, 5), strict=True):
        assert pause.start == pytest.approx(spoken.words[at].end, abs=0.04)
        assert pause.end == pytest.approx(spoken.words[at + 1].start, abs=0.04)
        assert pause.start < pause.cut < pause.end


def test_a_short_stop_is_no_pause() -> None:
    spoken = speak("One two _ three four.")
    pauses = find_pauses(frame_levels(spoken.samples, RATE), 0.15)
    assert not [pause for pause in pauses if 0.2 < pause.start < spoken.seconds - 0.2]


def test_the_middle_is_cut_unless_something_is_there() -> None:
    levels = np.full(100, -60.0)
    assert quietest(levels, 20, 80) in (49, 50)
    levels[46:54] = -40
    assert quietest(levels, 20, 80) in (*range(37, 45), *range(55, 63))
    # Something quieter at the very edge does not draw the cut there.
    levels[20:25] = -70
    assert 35 <= quietest(levels, 20, 80) <= 65


def test_the_speech_s_level_is_not_that_of_the_pauses() -> None:
    samples = np.concatenate([noise(1, -20), noise(0.8, -60)])
    assert speech_level(frame_levels(samples, RATE)) == pytest.approx(-20, abs=0.5)
