"""The speaker encoder of xtts_mini tells voices apart, and hears excerpts at other speeds."""

import numpy as np
import pytest
import torch

from models.spoken import INPUT_RATE
from models.xtts_speakers import ENCODER_RATE, embed_speakers, excerpt, train_speaker_encoder
from tests.models.tiny import Watching, steps


def pitch(wave):
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return np.argmax(spectrum) * ENCODER_RATE / len(wave)


@pytest.mark.parametrize("stretch", [0.8, 1.0, 1.25])
def test_an_excerpt_is_as_long_as_asked_and_lower_when_slowed_down(stretch):
    tone = 9000 * np.sin(2 * np.pi * 500 * np.arange(2 * INPUT_RATE) / INPUT_RATE)
    heard = excerpt(tone.astype(np.int16), 16000, stretch, np.random.default_rng(0))
    assert heard.shape == (16000,)
    assert pitch(heard) == pytest.approx(500 / stretch, abs=2)
    assert np.abs(heard).max() == pytest.approx(9000 / 32768, rel=0.02)


def test_an_excerpt_of_too_short_an_utterance_repeats_it():
    samples = np.random.default_rng(0).integers(-9000, 9000, 3000).astype(np.int16)
    heard = excerpt(samples, 9000, 1.0, np.random.default_rng(0))
    assert heard.shape == (9000,)
    assert heard[-2000:].std() > 0.05


@pytest.mark.slow
def test_the_speaker_encoder_learns_a_tiny_set(mini, corpus, tmp_path):
    rt = Watching(seed=0, device="cpu", workers=0, cache=tmp_path)
    same = corpus.voices[:, None] == corpus.voices
    others = same & ~np.eye(12, dtype=bool)

    def gap(count):
        """By how much an utterance is more like others of its voice than like the other voice's."""
        encoder, _ = train_speaker_encoder(steps(mini, "speakers", count, lr=1e-2), corpus, rt)
        vectors = embed_speakers(encoder, corpus.inputs)[:, :, 0]
        assert vectors.shape == (12, 512)
        assert torch.allclose(vectors.norm(dim=1), torch.ones(12), atol=1e-4)
        cosines = (vectors @ vectors.T).numpy()
        return cosines[others].mean() - cosines[~same].mean()

    assert gap(1) < 0.03
    rt.losses.clear()
    assert gap(50) > 0.06
    losses = rt.losses["speakers"]
    assert sum(losses[-8:]) < 0.7 * sum(losses[:8])
