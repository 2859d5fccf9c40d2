"""Loudness as the standard has it, however the samples are cut into blocks."""

import numpy as np
import pytest

from likeness.voice.loudness import LoudnessMeter
from tests.voice.sounds import babble, loudness, tone


def test_loudness_is_the_standard_s() -> None:
    # BS.1770: a full-scale sine of 997 Hz in one channel reads -3.01.
    assert loudness(tone(5.0, 48000, 997, 1.0), 48000) == pytest.approx(-3.01, abs=0.05)
    quiet = loudness(tone(5.0, 22050, 997, 0.1), 22050)
    assert quiet == pytest.approx(-23.01, abs=0.1)


def test_silence_and_the_very_short_have_no_loudness() -> None:
    assert loudness(np.zeros(22050, np.float32), 22050) == -np.inf
    assert loudness(tone(0.3), 22050) == -np.inf


def test_blocks_change_nothing_and_pyloudnorm_agrees() -> None:
    import pyloudnorm

    samples = np.concatenate([babble(7.3), 0.01 * babble(3.14, seed=1)])
    rng = np.random.default_rng(0)
    meter, at = LoudnessMeter(22050), 0
    while at < len(samples):
        size = int(rng.integers(0, 9000))
        meter.add(samples[at : at + size])
        at += size
    assert meter.integrated() == loudness(samples, 22050)
    assert meter.integrated() == pyloudnorm.Meter(22050).integrated_loudness(samples)
