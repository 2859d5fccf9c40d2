"""The small Stable Diffusion: its latents, how it loads, and what it can draw."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from likeness.common.io import read_json
from likeness.common.params import load_params
from likeness.image.quality import measure
from models.fitting import to_pixels
from models.render import sample_products
from models.rendered import describe
from models.sd_mini import (
    build_scheduler,
    build_unet,
    build_vae,
    draw_again,
    encode,
    latent_size,
    normalize_latents,
    sheet,
    to_photos,
    train_decoder,
    train_unet,
    train_vae,
    views,
)
from models.settings import ROOT, SCHEMA, SdMini

sd_mini = pytest.mark.parametrize(
    "model", [pytest.param("sd_mini", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def cfg():
    return load_params(ROOT / "models" / "params.yaml", SCHEMA, SdMini)


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
    monkeypatch.setattr("models.sd_mini.PerceptualLoss", lambda *_: lambda made, meant: 0.0)
    photos = np.zeros((12, 64, 64, 3), np.uint8)
    photos[:, 16:48, 8:56] = np.random.default_rng(0).integers(60, 256, (12, 1, 1, 3))
    monkeypatch.setattr("models.sd_mini.rendered", lambda *_: ([], photos))
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
    monkeypatch.setattr("models.sd_mini.PerceptualLoss", lambda *_: lambda made, meant: 0.0)
    photos = np.full((12, 64, 64, 3), 255, np.uint8)
    photos[:, 16:48, 8:56] = np.random.default_rng(0).integers(0, 200, (12, 1, 1, 3))
    products = sample_products(12, 1, ["Boots", "Caps"])
    monkeypatch.setattr("models.sd_mini.rendered", lambda *_: (products, photos))
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
    monkeypatch.setattr("models.sd_mini.rendered", lambda *_: ([], photos))
    monkeypatch.setattr("models.sd_mini.PerceptualLoss", lambda *_: lambda made, meant: 0.0)
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
                stop.setattr("models.sd_mini.to_pixels", Interrupted(to_pixels, 35))
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


class Interrupted:
    """`function`, until it is called for the `last` time."""

    def __init__(self, function, last: int) -> None:
        self.function, self.left = function, last

    def __call__(self, *args):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return self.function(*args)


def test_the_denoiser_fits_the_latents(cfg):
    unet = build_unet(cfg, 128)
    latents = torch.randn(2, cfg.vae.latent, *latent_size(cfg))
    with torch.inference_mode():
        assert unet(latents, 5, torch.randn(2, 77, 128)).sample.shape == latents.shape


def test_photos_are_rounded_and_clipped():
    pixels = torch.tensor([-2.0, -1.0, 0.0, 2.0]).view(1, 1, 2, 2).repeat(1, 3, 1, 1)
    assert to_photos(pixels)[0, :, :, 0].tolist() == [[0, 0], [128, 255]]


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
