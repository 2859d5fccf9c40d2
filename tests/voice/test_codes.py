"""Mels are those that Coqui's XTTS makes."""

import pytest

from likeness.voice.codes import RATE, log_mel
from tests.voice.sounds import babble


@pytest.mark.slow
def test_references_are_seen_as_when_it_speaks() -> None:
    import torch
    from TTS.tts.models.xtts import wav_to_mel_cloning

    stats = torch.linspace(1, 3, 80)
    wave = torch.from_numpy(babble(1.0))[None]
    expected = wav_to_mel_cloning(
        wave, mel_norms=stats, n_fft=2048, hop_length=256, win_length=1024, power=2,
        normalized=False, sample_rate=RATE, f_min=0, f_max=8000, n_mels=80,
    )  # fmt: skip
    assert torch.equal(log_mel(wave, 2048, stats), expected[:, :, :-1])
