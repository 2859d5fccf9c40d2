"""Codes are heard as Coqui hears them, and spoken by the DVAE and Griffin-Lim where a config says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.voice.codes import CODE, FFT, HOP, RATE, griffin_lim, load_dvae, log_mel
from likeness.voice.xtts import Voice, load_xtts, say, voice_of
from likeness.voice.xtts_files import read_settings
from tests.voice.sounds import babble
from tests.voice.tiny_xtts import with_decoder


@pytest.fixture(scope="module")
def folder(tiny_xtts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose config names Griffin-Lim; its weights are those of `tiny_xtts`."""
    return with_decoder(tiny_xtts, tmp_path_factory.mktemp("griffin_lim") / "base", "griffin_lim")


@pytest.fixture
def model(folder: Path) -> Any:
    return load_xtts(folder, "cpu")


@pytest.fixture
def voice(model: Any) -> Voice:
    return voice_of(model, [babble(2)])


def said(model: Any, base: Path, voice: Voice) -> np.ndarray:
    settings = read_settings(base)
    return say(model, "A hat.", language="en", voice=voice, seed=0, settings=settings)


@pytest.mark.slow
def test_references_are_seen_as_when_it_speaks(model: Any) -> None:
    import torch
    from TTS.tts.models.xtts import wav_to_mel_cloning

    stats = torch.linspace(1, 3, 80)
    wave = torch.from_numpy(babble(1.0))[None]
    expected = wav_to_mel_cloning(
        wave, mel_norms=stats, n_fft=2048, hop_length=256, win_length=1024, power=2,
        normalized=False, sample_rate=RATE, f_min=0, f_max=8000, n_mels=80,
    )  # fmt: skip
    assert torch.equal(log_mel(wave, 2048, stats), expected[:, :, :-1])


def test_griffin_lim_inverts_the_mels() -> None:
    import torch

    stats = torch.linspace(1, 3, 80)
    wave = torch.from_numpy(babble(1.0)[: 80 * HOP])[None]
    mel = log_mel(wave, FFT, stats)[0]
    made = griffin_lim(mel, stats)
    again = log_mel(made[None], FFT, stats)[0]
    # The last frame of `log_mel` is cut off, and what Griffin-Lim makes is a frame shorter.
    loud = mel[:, : again.shape[1]] > -2
    assert (again - mel[:, : again.shape[1]])[loud].abs().mean() < 0.2
    assert torch.equal(made, griffin_lim(mel, stats))


def test_what_the_language_model_says_is_decoded_by_the_dvae(
    folder: Path, model: Any, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    heard: list[Any] = []
    dvae, stats = load_dvae(folder, "cpu")
    decode = dvae.decode
    monkeypatch.setattr(dvae, "decode", lambda codes: heard.append(codes) or decode(codes))
    wave = said(model, folder, voice)
    (codes,) = heard
    assert int(codes.max()) < dvae.num_tokens
    rate = model.config.audio.output_sample_rate
    expected = griffin_lim(decode(codes)[0][0], stats)
    assert len(wave) == pytest.approx(len(expected) * rate / RATE, abs=2)
    assert len(wave) == pytest.approx(codes.shape[1] * CODE * rate / RATE, abs=2 * HOP)
    assert np.isfinite(wave).all()
    loudness = (np.square(wave).mean() / torch.mean(expected**2).item()) ** 0.5
    assert loudness == pytest.approx(1, abs=0.1)


def test_saying_nothing_is_silence(folder: Path, model: Any, voice: Voice) -> None:
    import torch

    with torch.no_grad():
        model.gpt.mel_head.bias[model.gpt.stop_audio_token] = 100.0
    wave = said(model, folder, voice)
    assert len(wave)
    assert not wave.any()


def test_the_stock_loader_passes_over_the_name(folder: Path, tiny_xtts: Path) -> None:
    from models.xtts_measure import load_stock as stock

    wave = babble(2)
    named, plain = (
        said(found, folder, voice_of(found, [wave]))
        for found in (stock(folder), load_xtts(tiny_xtts, "cpu"))
    )
    assert np.array_equal(named, plain)
