"""Spectra are compared, and phases are not."""

import numpy as np
import pytest
import torch

from models.spectra import spectral_distance

RATE = 24000


def test_spectral_distance_is_zero_for_the_same_and_ignores_the_sign() -> None:
    distance = spectral_distance(RATE)
    waves = 0.1 * torch.randn(2, 8000)
    assert distance(waves, waves).item() == pytest.approx(0, abs=1e-5)
    assert distance(-waves, waves).item() == pytest.approx(0, abs=1e-5)
    assert distance(0.5 * waves, waves) > 1


def test_spectral_distance_hears_another_pitch() -> None:
    distance = spectral_distance(RATE)
    seconds = torch.arange(12000) / RATE
    low, near, high = (
        (0.2 * torch.sin(2 * np.pi * hertz * seconds))[None] for hertz in (200, 210, 800)
    )
    assert 0 < distance(near, low) < distance(high, low)
