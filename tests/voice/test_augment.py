"""A varied copy differs by what was asked for and by nothing else."""

import numpy as np
import pytest

from likeness.voice.augment import augment
from tests.voice.spoken import RATE, speak

SAMPLES = speak("One two three four, __ five six seven.").samples
OFF = {"speed": 0.0, "noise_db": 200.0, "gain_db": 0.0}


def test_nothing_asked_for_is_nothing_changed() -> None:
    assert augment(SAMPLES, RATE, seed=1, **OFF) == pytest.approx(SAMPLES, abs=1e-6)


def test_the_same_seed_is_the_same_copy() -> None:
    options = {"speed": 0.1, "noise_db": 20.0, "gain_db": 6.0}
    first = augment(SAMPLES, RATE, seed=1, **options)
    assert np.array_equal(first, augment(SAMPLES, RATE, seed=1, **options))
    assert not np.array_equal(first, augment(SAMPLES, RATE, seed=2, **options)[: len(first)])


def test_speed_changes_the_length_within_its_bounds() -> None:
    lengths = [len(augment(SAMPLES, RATE, seed=at, **{**OFF, "speed": 0.1})) for at in range(20)]
    ratios = np.array(lengths) / len(SAMPLES)
    assert ratios.min() >= 1 / 1.1 - 0.001
    assert ratios.max() <= 1 / 0.9 + 0.001
    assert np.ptp(ratios) > 0.1


def test_noise_is_at_its_ratio() -> None:
    ratios = []
    for seed in range(10):
        noise = augment(SAMPLES, RATE, seed=seed, **{**OFF, "noise_db": 20.0}) - SAMPLES
        ratios.append(10 * np.log10(np.mean(SAMPLES**2) / np.mean(noise**2)))
    assert 19.9 < min(ratios) < max(ratios) < 35.1


def test_gain_is_in_its_bounds_and_clips_nothing() -> None:
    for seed in range(10):
        quiet = augment(0.1 * SAMPLES, RATE, seed=seed, **{**OFF, "gain_db": 6.0})
        change = 20 * np.log10(np.abs(quiet).max() / np.abs(0.1 * SAMPLES).max())
        assert abs(change) <= 6.01
        loud = augment(SAMPLES / np.abs(SAMPLES).max(), RATE, seed=seed, **{**OFF, "gain_db": 6.0})
        assert np.abs(loud).max() <= 0.991
    assert augment(np.zeros(100), RATE, seed=1, **OFF).tolist() == [0.0] * 100
