"""The small Stable Diffusion: how it is trained, how it loads, and what it can draw."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from likeness.common.io import read_json
from likeness.image.quality import measure
from models.render import sample_products
from models.rendered import describe
from models.sd_autoencoder import build_vae, encode, latent_size, normalize_latents
from models.sd_mini import build_scheduler, build_unet, draw_again, sheet, train_unet
from models.settings import ROOT
from tests.models.tiny import Interrupted

sd_mini = pytest.mark.parametrize(
    "model", [pytest.param("sd_mini", marks=pytest.mark.slow)], indirect=True
)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["clip_mini"], indirect=True)
def test_what_is_drawn_again_still_shows_the_photo_the_more_the_less_it_was_noised(
    model, cfg, rt, monkeypatch
):
    photos = np.full((8, 64, 64, 3), 255, np.uint8)
    photos[:, 16:48, 8:56] = np.random.default_rng(0).integers(0, 200, (8, 1, 1, 3))
    products = sample_products(8, 1, ["Boots", "Caps"])
    monkeypatch.setattr("models.sd_mini.rendered", lambda *_: (products, photos))
    unet = {**cfg.unet.model_dump(), "channels": [16, 16, 32]}
    small = cfg.model_copy(
        update={
            "test_batch": 4,
            "unet": type(cfg.unet)(**unet),
            "renders": cfg.renders.model_copy(update={"size": 64}),
        }
    )
    vae = build_vae(small).eval().requires_grad_(False)
    normalize_latents(vae, encode(vae, photos, rt))
    vae.quant_conv.bias[cfg.vae.latent :] = -20  # untrained, its posterior is wide
    clean = encode(vae, photos, rt)

    def error(strength):
        decoder = small.decoder.model_copy(update={"strengths": [strength]})
        drawn = draw_again(
            small.model_copy(update={"decoder": decoder}),
            vae,
            build_unet(small, 128).eval(),
            model,
            rt,
        )
        assert drawn.shape == clean.shape
        return (drawn - clean).square().mean()

    least, most = error(0.1), error(0.9)
    assert 0 < least < 0.5 * most


@pytest.mark.slow
@pytest.mark.parametrize("model", ["clip_mini"], indirect=True)
def test_the_denoiser_learns_velocities_and_a_killed_training_goes_on(model, cfg, rt, monkeypatch):
    photos = np.full((4, 64, 64, 3), 255, np.uint8)  # small, as bfloat16 is slow on a CPU
    photos[:, 15:45, 10:55] = (160, 40, 40)
    products = sample_products(4, 1, ["Boots", "Caps"])
    monkeypatch.setattr("models.sd_mini.rendered", lambda *_: (products, photos))
    monkeypatch.setattr("torch.compile", lambda network: network)
    small = cfg.model_copy(
        update={
            "unet": cfg.unet.model_copy(
                update={
                    "channels": [16, 16, 32],
                    "batch": 2,
                    "ema": 0.8,
                    "steps": 68,
                    "lr": 4e-3,
                }
            ),
        }
    )
    vae = build_vae(small).eval().requires_grad_(False)
    clean = encode(vae, photos, rt)
    normalize_latents(vae, clean)
    clean = encode(vae, photos, rt)
    learnt, _ = train_unet(small, vae, model, rt)
    short = small.model_copy(update={"unet": small.unet.model_copy(update={"steps": 4})})
    whole, _ = train_unet(short, vae, model, rt)
    killed = replace(rt, cache=rt.cache / "killed")
    with monkeypatch.context() as stop:
        # Two steps are done and saved; the next is interrupted.
        stop.setattr("models.sd_mini.describe", Interrupted(describe, 2 * 2 + 1))
        with pytest.raises(KeyboardInterrupt):
            train_unet(short.model_copy(update={"save_seconds": 0}), vae, model, killed)
    resumed, _ = train_unet(short, vae, model, killed)
    for left, right in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(left, right)
    scheduler = build_scheduler()
    noise, time = torch.randn(clean.shape), torch.full((len(clean),), 900)
    noisy, share = scheduler.add_noise(clean, noise, time), scheduler.alphas_cumprod[900]
    with torch.inference_mode():
        velocity = learnt(noisy, time, torch.zeros(len(clean), 77, 128)).sample
    found = share.sqrt() * noisy - (1 - share).sqrt() * velocity
    assert (found - clean).square().mean() < 0.5 * clean.square().mean()


@pytest.mark.slow
def test_the_denoiser_fits_the_latents(cfg):
    unet = build_unet(cfg, 128)
    latents = torch.randn(2, cfg.vae.latent, *latent_size(cfg))
    with torch.inference_mode():
        assert unet(latents, 5, torch.randn(2, 77, 128)).sample.shape == latents.shape


def test_sheet_keeps_the_order(tmp_path):
    photos = np.stack([np.full((4, 4, 3), 10 * k, np.uint8) for k in range(6)])
    sheet(photos, tmp_path / "sheet.png", columns=3, rows=2)
    image = Image.open(tmp_path / "sheet.png")
    assert image.size == (12, 8)
    assert image.getpixel((5, 1))[0] == 10
    assert image.getpixel((1, 5))[0] == 30


@sd_mini
def test_pipeline_draws_from_a_prompt_and_a_seed(model):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        model, safety_checker=None, torch_dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)

    prompt = (
        "A professional product photo of Red Tshirts, Summer collection, Men, "
        "centered on white background"
    )

    def draw():
        return np.asarray(
            pipeline(
                prompt, num_inference_steps=10,
                generator=torch.Generator().manual_seed(1),
            ).images[0]
        )  # fmt: skip

    photo = draw()
    assert photo.shape == (128, 128, 3)
    assert np.array_equal(photo, draw())
    assert photo[:2].min() > 225
    assert measure(Image.fromarray(photo)).lab[1] > 40, "the commonest colour is no red"


@sd_mini
def test_quality_is_stated_and_good(model):
    quality = read_json(model / "quality.json")
    assert quality["prompts_n"] >= 500
    assert quality["prompts_type_accuracy"] >= 0.9
    assert quality["prompts_colour_accuracy"] >= 0.85


def test_the_mini_models_are_small():
    files = [
        path for name in ("sd_mini", "clip_mini") for path in (ROOT / "models" / name).rglob("*")
    ]
    assert sum(path.stat().st_size for path in files if path.is_file()) <= 20e6
