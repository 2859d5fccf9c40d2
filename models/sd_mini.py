"""Train a small Stable Diffusion on rendered products (autoencoder, denoiser), then measure it.

Real photos are not trained on: they measure the autoencoder before the denoiser (`vae_gate.py`).

`StableDiffusionPipeline.from_pretrained` loads the folder that this writes. Its text encoder is
clip_mini's, unchanged.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.cli import run
from likeness.common.io import digest, write_json, write_text
from likeness.common.runtime import Runtime
from likeness.image.diffusion import sampling
from likeness.image.quality import colour_prototypes, measure, nearest_colour
from models.fitting import fit, follow, to_pixels
from models.render import sample_products
from models.rendered import describe, footwear_chances, full_caption, known_types, rendered
from models.sd_autoencoder import (
    encode,
    latent_size,
    measure_vae,
    save_vae,
    train_decoder,
    train_vae,
)
from models.settings import ControlnetMini, SdMini, begin, code_key
from models.vae_gate import pass_gate

if TYPE_CHECKING:
    import torch


def main(argv: Sequence[str]) -> None:
    args, cfg, rt = begin(__doc__, argv, SdMini, "clip", "dataset", "extractor", "out_dir")
    gate = partial(
        pass_gate,
        cfg.gate,
        base=args.out_dir,
        dataset=args.dataset,
        extractor=args.extractor,
        rt=rt,
    )
    vae, vae_seconds = train_vae(cfg, rt)
    decoder_seconds = train_decoder(cfg, cfg.decoder.before, vae, rt)
    save_vae(vae, args.out_dir)
    gate()
    unet, unet_seconds = train_unet(cfg, vae, args.clip, rt)
    drawn = draw_again(cfg, vae, unet, args.clip, rt)
    decoder_seconds += train_decoder(cfg, cfg.decoder.after, vae, rt, drawn)
    save(cfg, vae, unet, args.clip, args.out_dir)
    quality = {
        "vae_steps": sum(phase.steps for phase in cfg.vae.phases),
        "vae_seconds": round(vae_seconds),
        "decoder_steps": cfg.decoder.before.steps + cfg.decoder.after.steps,
        "decoder_seconds": round(decoder_seconds),
        "unet_steps": cfg.unet.steps,
        "unet_seconds": round(unet_seconds),
        **gate(),
        **measure_vae(cfg, vae, rt),
        **measure_prompts(cfg, args.out_dir, rt),
    }
    write_json(args.out_dir / "quality.json", quality)
    write_text(args.out_dir / "README.md", CARD.format(cfg=cfg, q=quality))


# --- the denoiser -------------------------------------------------------------------------------


def build_unet(cfg: SdMini, text_width: int) -> Any:
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(cfg.renders.seed)
    down = ["CrossAttnDownBlock2D" if here else "DownBlock2D" for here in cfg.unet.attention]
    up = ["CrossAttnUpBlock2D" if here else "UpBlock2D" for here in cfg.unet.attention[::-1]]
    return UNet2DConditionModel(
        sample_size=latent_size(cfg)[0],
        in_channels=cfg.vae.latent,
        out_channels=cfg.vae.latent,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=tuple(cfg.unet.channels),
        layers_per_block=cfg.unet.layers,
        attention_head_dim=cfg.unet.heads,
        cross_attention_dim=text_width,
        norm_num_groups=16,
    )


def build_scheduler() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction",
    )  # fmt: skip


def step_weights(scheduler: Any, gamma: float) -> "torch.Tensor":
    """The weight of each timestep's loss of velocities.

    Min-SNR weighting (https://arxiv.org/abs/2303.09556), but of snr + 1: without it, nearly clean steps
    outweigh those that decide shapes; with snr alone, the noisiest steps, in which colours are decided,
    hardly count.
    """
    snr = scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod)
    weights: torch.Tensor = (snr + 1).clamp(max=gamma) / (snr + 1)
    return weights


def load_text(clip: Path) -> tuple[Any, Any]:
    """The tokenizer and the frozen text tower of clip_mini."""
    import torch
    from transformers import CLIPTextModel, CLIPTokenizer
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()  # else it warns of clip_mini's vision tower, left out on purpose
    encoder = CLIPTextModel.from_pretrained(clip, dtype=torch.float32)
    return CLIPTokenizer.from_pretrained(clip), encoder.eval().requires_grad_(False)


def train_unet(cfg: SdMini, vae: Any, clip: Path, rt: Runtime) -> tuple[Any, float]:
    """Train the denoiser. Returns the moving average of its weights and the training time in seconds."""
    import copy

    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    products, photos = rendered(cfg.renders, rt)
    latents = encode(vae, photos, rt)
    tokenizer, encoder = load_text(clip)
    scheduler = build_scheduler()
    weights = step_weights(scheduler, cfg.unet.snr_gamma)
    unet = build_unet(cfg, encoder.config.hidden_size).to(rt.device)
    encoder.to(rt.device)
    average = copy.deepcopy(unet).eval().requires_grad_(False)
    denoise: Any = torch.compile(unet)
    # The adapter's photos are of footwear, so that is what the denoiser has to know best.
    chances = footwear_chances(products, cfg.unet.footwear_share)

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        at = rng.choice(len(products), size=cfg.unet.batch, p=chances)
        texts = [describe(products[i], cfg.renders.captions, rng) for i in at]
        texts = ["" if rng.random() < cfg.unet.empty_share else text for text in texts]
        clean = latents[at]
        noise = torch.from_numpy(rng.normal(size=clean.shape)).float()
        times = torch.from_numpy(rng.integers(1000, size=cfg.unet.batch))
        tokens = tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt")
        noisy = scheduler.add_noise(clean, noise, times)
        with torch.autocast(rt.device, torch.bfloat16):
            with torch.no_grad():
                states = encoder(tokens.input_ids.to(rt.device)).last_hidden_state
            # Images are small here: the plain product is quicker to go back through than flash attention.
            with sdpa_kernel(SDPBackend.MATH):
                predicted = denoise(noisy.to(rt.device), times.to(rt.device), states).sample.float()
        velocity = scheduler.get_velocity(clean, noise, times)
        error = (predicted - velocity.to(rt.device)).square().mean(dim=(1, 2, 3))
        weighted: torch.Tensor = weights[times].to(rt.device) * error
        return weighted.mean()

    key = code_key(
        train_unet, step_weights, build_unet, build_scheduler, cfg.unet, cfg.vae, cfg.renders,
        digest(clip / "model.safetensors"),
    )  # fmt: skip
    seconds = fit(
        "unet", {"unet": unet, "average": average}, loss, steps=cfg.unet.steps, lr=cfg.unet.lr,
        decay=0.01, seed=cfg.renders.seed, scratch=rt.scratch("sd_mini_unet", key),
        save_seconds=cfg.save_seconds, rt=rt,
        after=partial(follow, average, unet, cfg.unet.ema),
        muon_except=frozenset({"conv_in", "time_embedding", "conv_out"}),
    )  # fmt: skip
    return average, seconds


def draw_again(cfg: SdMini, vae: Any, unet: Any, clip: Path, rt: Runtime) -> "torch.Tensor":
    """Latents (N, C, h, w) of the autoencoder's photos, noised in part and then denoised.

    That is image-to-image by SDEdit (Meng et al. 2021): they still show the photos, with the errors of a
    denoiser.
    """
    import torch
    from diffusers import StableDiffusionImg2ImgPipeline

    products, photos = rendered(cfg.renders.model_copy(update={"count": cfg.vae.photos}), rt)
    tokenizer, encoder = load_text(clip)
    pipeline = StableDiffusionImg2ImgPipeline(
        vae=vae, text_encoder=encoder, tokenizer=tokenizer, unet=unet, scheduler=build_scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).to(rt.device)  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    drawn = torch.empty(len(photos), cfg.vae.latent, *latent_size(cfg))
    order = np.random.default_rng(cfg.renders.seed).permutation(len(photos))
    parts = [order[i : i + cfg.test_batch] for i in range(0, len(order), cfg.test_batch)]
    for number, at in enumerate(rt.progress(parts, "draw again")):
        rng = np.random.default_rng([cfg.renders.seed, number])
        with sampling(pipeline, "dpm++"), torch.autocast(rt.device, torch.bfloat16):
            made = pipeline(
                [describe(products[i], cfg.renders.captions, rng) for i in at],
                image=to_pixels(photos[at]),
                strength=cfg.decoder.strengths[number % len(cfg.decoder.strengths)],
                num_inference_steps=cfg.decoder.draw_steps,
                guidance_scale=cfg.test_guidance,
                generator=[torch.Generator().manual_seed(rt.seed_for("again", i)) for i in at],
                output_type="latent",
            ).images
        drawn[at] = made.float().cpu()
    return drawn


def save(cfg: SdMini, vae: Any, unet: Any, clip: Path, folder: Path) -> None:
    """Write the pipeline to `folder`, with weights in half precision."""
    import copy

    from diffusers import StableDiffusionPipeline

    tokenizer, encoder = load_text(clip)
    pipeline = StableDiffusionPipeline(
        vae=copy.deepcopy(vae).cpu().half(), text_encoder=encoder.half(), tokenizer=tokenizer,
        unet=copy.deepcopy(unet).cpu().half(), scheduler=build_scheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)


# --- measurements -------------------------------------------------------------------------------


def measure_prompts(cfg: SdMini, folder: Path, rt: Runtime) -> dict[str, float]:
    """Shares (0..1) of generated photos, and of unseen renders, with the type and colour asked for."""
    import torch
    from diffusers import StableDiffusionPipeline
    from PIL import Image

    kinds = known_types(cfg.renders)
    products, photos = rendered(cfg.renders.model_copy(update={"count": cfg.vae.photos}), rt)
    held = cfg.renders.model_copy(update={"count": cfg.test_prompts})
    unseen, unseen_photos = rendered(held, rt, part=1)
    wanted = sample_products(cfg.test_prompts, cfg.renders.seed + 2, kinds, balanced=True)
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, torch_dtype=torch.float32
    )
    prompts = [full_caption(p, cfg.renders.captions) for p in wanted]
    made = generate(pipeline, cfg, prompts, "test", rt)
    classify = train_classifier(cfg, [kinds.index(p.articleType) for p in products], photos, rt)
    labs = np.array([measure(Image.fromarray(photo)).lab for photo in photos[:2000]])
    prototypes = colour_prototypes([p.baseColour for p in products[:2000]], labs)

    quality: dict[str, float] = {"prompts_n": len(wanted)}
    for name, meant, shown in (("prompts", wanted, made), ("renders", unseen, unseen_photos)):
        found = classify(shown)
        colours = [nearest_colour(measure(Image.fromarray(p)).lab, prototypes) for p in shown]
        right = [kinds[k] == p.articleType for k, p in zip(found, meant, strict=True)]
        match = [c == p.baseColour for c, p in zip(colours, meant, strict=True)]
        quality[f"{name}_type_accuracy"] = round(float(np.mean(right)), 4)
        quality[f"{name}_colour_accuracy"] = round(float(np.mean(match)), 4)
    sheet(made, folder / "samples.png")
    return quality


def generate(
    pipeline: Any,
    cfg: SdMini | ControlnetMini,
    prompts: Sequence[str],
    seeds: str,
    rt: Runtime,
    *,
    conditions: "torch.Tensor | None" = None,
    **options: Any,
) -> np.ndarray:
    """Generate a photo for each prompt: (N, H, W, 3) uint8.

    Args:
        seeds: what each prompt's seed is made of, with its number.
        conditions: (N, 3, H, W), for a pipeline with a ControlNet.
        options: further ones of the pipeline.
    """
    import torch

    pipeline.set_progress_bar_config(disable=True)
    photos = []
    for i in rt.progress(range(0, len(prompts), cfg.test_batch), "generate"):
        texts = list(prompts[i : i + cfg.test_batch])
        numbers = range(i, i + len(texts))
        generators = [torch.Generator().manual_seed(rt.seed_for(seeds, k)) for k in numbers]
        given = {} if conditions is None else {"image": conditions[i : i + len(texts)]}
        with sampling(pipeline, "dpm++"):
            drawn = pipeline(
                texts, num_inference_steps=cfg.test_steps, guidance_scale=cfg.test_guidance,
                generator=generators, output_type="np", height=cfg.renders.size,
                width=cfg.renders.size, **given, **options,
            )  # fmt: skip
        photos.append(drawn.images)
    return (np.concatenate(photos) * 255).round().astype(np.uint8)


def train_classifier(cfg: SdMini, labels: list[int], photos: np.ndarray, rt: Runtime) -> Any:
    """Train a small classifier on renders only: photos (N, H, W, 3) uint8 to indices of their type."""
    import torch
    from torch import nn

    torch.manual_seed(cfg.renders.seed)
    layers: list[nn.Module] = []
    for before, after in ((3, 24), (24, 48), (48, 96)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1)]
        layers += [nn.BatchNorm2d(after), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96 * 16, max(labels) + 1)]
    network = nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    target = torch.tensor(labels)
    rng = np.random.default_rng(cfg.renders.seed)
    for _ in rt.progress(range(400), "classifier"):
        at = rng.integers(len(photos), size=64)
        pixels = to_pixels(photos[at])
        # Generated photos are softer than renders, so noise hides the finest detail from the network.
        pixels += 0.1 * torch.from_numpy(rng.normal(size=pixels.shape)).float()
        loss = nn.functional.cross_entropy(network(pixels), target[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()

    def classify(shown: np.ndarray) -> list[int]:
        with torch.inference_mode():
            return [int(k) for k in network(to_pixels(shown)).argmax(1)]

    return classify


def sheet(photos: np.ndarray, path: Path, columns: int = 10, rows: int = 5) -> None:
    """Write the first `columns * rows` photos as one contact sheet."""
    from PIL import Image

    size = photos.shape[1]
    grid = photos[: columns * rows].reshape(rows, columns, size, size, 3)
    Image.fromarray(np.concatenate(np.concatenate(grid, axis=1), axis=1)).save(path)


CARD = """---
license: apache-2.0
library_name: diffusers
---
# sd_mini

![The first prompts of its test](samples.png)

A small Stable Diffusion (`StableDiffusionPipeline`, {cfg.renders.size} x {cfg.renders.size} pixels)
that draws rendered catalogue photos. It stands in for Stable Diffusion 1.5 where no model hub can
be reached, so that the whole lane runs and learns on a CPU. It has never seen *Casual Shoes*, which
the lane's adapter teaches it, and knows nothing outside this catalogue.

- Data: {cfg.renders.count} photos drawn by `models.render` (seed {cfg.renders.seed}), fifteen
  article types, ten colours, each as often. Not the photos of the sample catalogue.
- Autoencoder: {q[vae_steps]} steps of {cfg.vae.batch} crops in {q[vae_seconds]} s, compared in pixels
  and by the features of EfficientNet-Lite2 (`{cfg.vae.perceptual.requirement}`). Then its decoder alone:
  {q[decoder_steps]} steps in {q[decoder_seconds]} s. In the last {cfg.decoder.after.steps} of them,
  {cfg.decoder.after.drawn_share:.0%} of the latents had been drawn again by the denoiser, so that the
  decoder learns to mend its errors. Train photos of *Casual Shoes* of the sample
  catalogue, which it has not seen, then have Fréchet distance {q[gate_frechet]} to the test photos
  and precision {q[gate_precision]}; untouched, they have {q[gate_floor_frechet]} and
  {q[gate_floor_precision]} (n {q[gate_n]}). On {q[vae_n]} unseen renders: PSNR of the item
  {q[vae_item_psnr]} dB, median colour drift {q[vae_colour_drift]} (CIE76).
- Denoiser, which predicts velocities as Stable Diffusion 2's does: {q[unet_steps]} steps of
  {cfg.unet.batch} by Muon in {q[unet_seconds]} s, {cfg.unet.empty_share:.0%} empty captions, moving
  average. {cfg.unet.footwear_share:.0%} of what it saw is footwear, which is two fifths of the photos.
  Text encoder: clip_mini's, frozen. All on two CPU cores, from scratch.
- {q[prompts_n]} prompts, {cfg.test_steps} steps of DPM-Solver++, guidance {cfg.test_guidance}:
  {q[prompts_type_accuracy]:.1%} are classified as the prompted type, and
  {q[prompts_colour_accuracy]:.1%} have the prompted colour. The same measures on unseen renders:
  {q[renders_type_accuracy]:.1%} and {q[renders_colour_accuracy]:.1%}. The classifier was trained on
  renders only.
- Weights are stored in half precision; load them with `torch_dtype=torch.float32` on a CPU.
"""


if __name__ == "__main__":
    run(main)
