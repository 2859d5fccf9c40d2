"""The codes of xtts_mini: k-means, mels, and a DVAE that learns what it is given."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from likeness.common.runtime import Runtime
from likeness.voice.codes import build_dvae
from models.spoken import CODE
from models.xtts_codes import encode, kmeans, log_mels, start_codebook, train_dvae
from models.xtts_nets import CODES
from tests.models.tiny import Dying, Killed, same_weights, steps


def test_kmeans_finds_separate_clusters():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    vectors = centres.repeat_interleave(50, 0) + 0.1 * torch.randn(150, 2)
    found, counts = kmeans(vectors, 3)
    assert counts.tolist() == [50, 50, 50]
    assert torch.cdist(found, centres).min(dim=1).values.max() < 0.1


@pytest.mark.slow
def test_the_codebook_starts_at_the_encoders_outputs():
    torch.manual_seed(0)
    dvae = build_dvae(CODES, 16, 8).eval().requires_grad_(False)
    mels = [torch.randn(80, 400) for _ in range(60)]
    vectors = dvae.encoder(torch.stack(mels)).transpose(1, 2)

    def error():
        return dvae.codebook(vectors)[2].item()

    before = error()
    start_codebook(dvae, mels, 100)
    assert error() < 0.5 * before
    assert len(dvae.get_codebook_indices(torch.stack(mels)).unique()) > 0.9 * CODES
    assert dvae.codebook.cluster_size.sum() == pytest.approx(100, rel=1e-3)


def test_mels_have_unit_deviation_and_four_frames_a_code(corpus, rt):
    mels, mel_stats = log_mels(corpus, rt)
    assert [mel.shape for mel in mels] == [(80, len(x) // CODE * 4) for x in corpus.inputs]
    assert torch.allclose(torch.cat(mels, dim=1).std(dim=1), torch.ones(80), atol=1e-3)
    assert mel_stats.shape == (80,)


def test_an_utterance_has_a_code_for_each_1024_samples(dvae, corpus, rt):
    mels, _ = log_mels(corpus, rt)
    codes = encode(dvae, mels, rt)
    assert [len(own) for own in codes] == [len(x) // CODE for x in corpus.inputs]
    assert all(int(own.min()) >= 0 and int(own.max()) < CODES for own in codes)


@pytest.mark.slow
def test_the_dvae_learns_a_tiny_set(mini, corpus, rt):
    mels, _ = log_mels(corpus, rt)

    def error(count):
        own = steps(mini, "dvae", count, plain_steps=10 * count, lr=3e-3)
        dvae, _ = train_dvae(own, mels, rt)
        made = [dvae.decode(codes[None])[0][0] for codes in encode(dvae, mels, rt)]
        return functional.mse_loss(torch.cat(made, 1), torch.cat(mels, 1)).item()

    assert error(8) < 0.7 * error(1)


@pytest.mark.slow
@pytest.mark.parametrize("training", ["dvae plain", "dvae"])
def test_a_resumed_dvae_equals_an_uninterrupted_one(mini, corpus, rt, tmp_path, training):
    cfg = steps(mini, "dvae", 5, plain_steps=5)
    mels, _ = log_mels(corpus, rt)
    whole, _ = train_dvae(cfg, mels, rt)
    other = {"seed": 0, "device": "cpu", "workers": 0, "cache": tmp_path / "other"}
    with pytest.raises(Killed):
        train_dvae(cfg, mels, Dying(**other, kill=training))
    resumed, _ = train_dvae(cfg, mels, Runtime(**other))
    assert same_weights(whole, resumed)
    assert np.isfinite(whole.codebook.embed).all()
