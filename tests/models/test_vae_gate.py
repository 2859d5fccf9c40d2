"""The gate: an autoencoder that keeps real photos passes, one that blurs them does not."""

from types import SimpleNamespace

import pytest
import torch

from likeness.common.errors import LikenessError
from models.settings import Gate
from models.vae_gate import pass_gate
from tests.conftest import write_dataset

LIMITS = Gate(rounds=10, neighbours=2, frechet=1.15, precision=0.5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset"), train=18, val=2, test=12)


def through(monkeypatch, change):
    """Give the gate an autoencoder that has pixels for latents, and decodes them changed."""
    vae = SimpleNamespace(
        config=SimpleNamespace(scaling_factor=1.0),
        device=torch.device("cpu"),
        dtype=torch.float32,
        encode=lambda pixels: SimpleNamespace(latent_dist=SimpleNamespace(mean=pixels)),
        decode=lambda latents: SimpleNamespace(sample=change(latents)),
    )
    loaded = SimpleNamespace(from_pretrained=lambda *_, **__: SimpleNamespace(to=lambda _: vae))
    monkeypatch.setattr("diffusers.AutoencoderKL", loaded)


@pytest.mark.slow
def test_what_keeps_photos_has_the_floor_s_figures(
    dataset, tiny_extractor, tmp_path, rt, monkeypatch
):
    through(monkeypatch, torch.clone)
    found = pass_gate(LIMITS, base=tmp_path, dataset=dataset, extractor=tiny_extractor, rt=rt)
    assert found["gate_n"] == 12
    assert found["gate_frechet"] == found["gate_floor_frechet"] > 0
    assert found["gate_precision"] == found["gate_floor_precision"]


@pytest.mark.slow
def test_what_loses_photos_stops_the_training_with_one_line(
    dataset, tiny_extractor, tmp_path, rt, monkeypatch
):
    through(monkeypatch, torch.zeros_like)
    with pytest.raises(LikenessError, match=r"12 real photos .* precision 0\.00 ") as caught:
        pass_gate(LIMITS, base=tmp_path, dataset=dataset, extractor=tiny_extractor, rt=rt)
    assert "\n" not in str(caught.value)
