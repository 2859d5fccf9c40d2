"""The autoencoder of the small Stable Diffusion: its latents, its training, and its decoder's."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.fitting import to_pixels
from models.render import sample_products
from models.sd_autoencoder import (
    build_vae,
    encode,
    normalize_latents,
    to_photos,
    train_decoder,
    train_vae,
    views,
)
from tests.models.tiny import Interrupted


@pytest.mark.slow
def test_normalized_latents_decode_to_the_same_pixels(cfg):
    vae = build_vae(cfg).eval().requires_grad_(False)
    pixels = torch.rand(4, 3, 64, 64) * 2 - 1
    before = vae.encode(pixels).latent_dist
    decoded = vae.decode(before.mean).sample
    normalize_latents(vae, before.mean)
    after = vae.encode(pixels).latent_dist
    assert torch.allclose(after.mean.mean(dim=(0, 2, 3)), torch.zeros(cfg.vae.latent), atol=1e-4)
    assert torch.allclose(after.mean.std(dim=(0, 2, 3)), torch.ones(cfg.vae.latent), atol=1e-4)
    assert torch.allclose(vae.decode(after.mean).sample, decoded, atol=1e-4)
    deviation = before.mean.std(dim=(0, 2, 3)).view(1, cfg.vae.latent, 1, 1)
    assert torch.allclose(after.std * deviation, before.std, rtol=1e-3)


@pytest.mark.slow
def test_training_the_decoder_leaves_the_latents_as_they_are(cfg, rt, monkeypatch):
    monkeypatch.setattr("models.sd_autoencoder.PerceptualLoss", lambda *_: lambda made, meant: 0.0)
    photos = np.zeros((12, 64, 64, 3), np.uint8)
    photos[:, 16:48, 8:56] = np.random.default_rng(0).integers(60, 256, (12, 1, 1, 3))
    monkeypatch.setattr("models.sd_autoencoder.rendered", lambda *_: ([], photos))
    small = cfg.model_copy(
        update={
            "vae": cfg.vae.model_copy(update={"channels": [16, 16], "crop": 128, "batch": 4}),
        }
    )
    phase = cfg.decoder.before.model_copy(update={"steps": 40})
    vae = build_vae(small).eval().requires_grad_(False)
    latents = encode(vae, photos, rt)
    before = vae.decode(latents).sample
    train_decoder(small, phase, vae, rt)
    assert torch.equal(encode(vae, photos, rt), latents)
    after, meant = vae.decode(latents).sample, to_pixels(photos)
    assert (after - meant).abs().mean() < 0.8 * (before - meant).abs().mean()
    assert not any(parameter.requires_grad for parameter in vae.parameters())


@pytest.mark.slow
def test_the_decoder_learns_to_mend_latents_that_were_drawn_again(cfg, rt, monkeypatch):
    monkeypatch.setattr("models.sd_autoencoder.PerceptualLoss", lambda *_: lambda made, meant: 0.0)
    photos = np.full((12, 64, 64, 3), 255, np.uint8)
    photos[:, 16:48, 8:56] = np.random.default_rng(0).integers(0, 200, (12, 1, 1, 3))
    products = sample_products(12, 1, ["Boots", "Caps"])
    monkeypatch.setattr("models.sd_autoencoder.rendered", lambda *_: (products, photos))
    small = cfg.model_copy(
        update={"vae": cfg.vae.model_copy(update={"channels": [16, 16], "crop": 128, "batch": 4})}
    )
    vae = build_vae(small).eval().requires_grad_(False)
    clean = encode(vae, photos, rt)
    drawn = clean.flip(1)  # an error that no average over the photos explains
    meant = to_pixels(photos)
    errors = []
    for share in (0.0, 1.0):
        phase = cfg.decoder.after.model_copy(update={"steps": 40, "drawn_share": share})
        own = copy.deepcopy(vae)
        train_decoder(small, phase, own, rt, drawn)
        errors.append((own.decode(drawn).sample - meant).abs().mean())
    assert errors[1] < 0.8 * errors[0]


def test_crops_show_the_item_and_whole_photos_have_as_many_pixels(cfg):
    photos = np.full((3, 128, 128, 3), 255, np.uint8)
    photos[:, 40:60, 10:118] = 90
    crops, whole = (
        views(photos, cfg.vae.model_copy(update={"whole_share": share}), np.random.default_rng(0))
        for share in (0.0, 1.0)
    )
    assert crops.shape == (cfg.vae.batch, cfg.vae.crop, cfg.vae.crop, 3)
    assert all((crop < 200).any() for crop in crops)
    assert whole.shape[1:] == (128, 128, 3)
    assert crops.size == whole.size


@pytest.mark.slow
def test_the_autoencoder_s_loss_falls_and_a_killed_training_goes_on(cfg, rt, monkeypatch):
    photos = np.full((8, 32, 32, 3), 255, np.uint8)
    photos[:, 8:24, 4:28] = np.random.default_rng(0).integers(60, 200, (8, 1, 1, 3))
    monkeypatch.setattr("models.sd_autoencoder.rendered", lambda *_: ([], photos))
    monkeypatch.setattr("models.sd_autoencoder.PerceptualLoss", lambda *_: lambda made, meant: 0.0)
    small = cfg.model_copy(
        update={
            "vae": cfg.vae.model_copy(
                update={
                    "channels": [16, 16],
                    "crop": 16,
                    "batch": 4,
                    "phases": [
                        phase.model_copy(update={"steps": steps})
                        for phase, steps in zip(cfg.vae.phases, (30, 10), strict=False)
                    ],
                }
            ),
        }
    )
    trained = []
    for folder, breaks in (("whole", False), ("killed", True)):
        again = replace(rt, cache=rt.cache / folder)
        if breaks:
            # The first phase and four steps of the second are done and saved; the fifth is interrupted.
            with monkeypatch.context() as stop:
                stop.setattr("models.sd_autoencoder.to_pixels", Interrupted(to_pixels, 35))
                with pytest.raises(KeyboardInterrupt):
                    train_vae(small.model_copy(update={"save_seconds": 0}), again)
        vae, _ = train_vae(small, again)
        trained.append(vae)
    for left, right in zip(*(vae.parameters() for vae in trained), strict=True):
        assert torch.equal(left, right)
    untrained = build_vae(small).eval()
    pixels = to_pixels(photos)
    before, after = (
        (vae.decode(vae.encode(pixels).latent_dist.mean).sample - pixels).abs().mean()
        for vae in (untrained, trained[0])
    )
    assert after < 0.9 * before


def test_photos_are_rounded_and_clipped():
    pixels = torch.tensor([-2.0, -1.0, 0.0, 2.0]).view(1, 1, 2, 2).repeat(1, 3, 1, 1)
    assert to_photos(pixels)[0, :, :, 0].tolist() == [[0, 0], [128, 255]]
