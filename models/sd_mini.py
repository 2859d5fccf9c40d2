"""Train a small Stable Diffusion on rendered products (autoencoder, denoiser), then measure it.

Real photos are not trained on: they measure the autoencoder before the denoiser (`vae_gate.py`).

`StableDiffusionPipeline.from_pretrained` loads the folder that this writes. Its text encoder is
clip_mini's, unchanged.
"""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.cli import run
from likeness.common.io import digest, write_json, write_text
from likeness.common.runtime import Runtime
from likeness.image.diffusion import sampling
from likeness.image.pixels import ITEM
from likeness.image.quality import colour_prototypes, measure, nearest_colour
from models.fitting import fit, follow, to_pixels
from models.footwear import FOOTWEAR
from models.perceptual import PerceptualLoss
from models.render import SampleProduct, sample_products
from models.rendered import describe, full_caption, known_types, rendered
from models.settings import ControlnetMini, DecoderPhase, SdMini, Vae, begin, code_key
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


# --- the autoencoder ----------------------------------------------------------------------------


def build_vae(cfg: SdMini) -> Any:
    import torch
    from diffusers import AutoencoderKL

    torch.manual_seed(cfg.renders.seed)
    levels = len(cfg.vae.channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(cfg.vae.channels),
        layers_per_block=cfg.vae.layers,
        latent_channels=cfg.vae.latent,
        norm_num_groups=cfg.vae.groups,
        mid_block_add_attention=False,
        sample_size=cfg.renders.size,
        scaling_factor=1.0,
    )


def train_vae(cfg: SdMini, rt: Runtime) -> tuple[Any, float]:
    """Train the autoencoder. Returns it and the training time in seconds.

    Pixels come first, as colours and places are learnt sooner from them. What a network sees counts for
    more in later phases, because that is what is judged.
    """
    import torch

    renders = cfg.renders.model_copy(update={"count": cfg.vae.photos})
    _, photos = rendered(renders, rt)
    vae = build_vae(cfg).to(rt.device)
    compare = ImageLoss(cfg.vae, rt)

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        pixels = to_pixels(views(photos, cfg.vae, rng)).to(rt.device)
        with torch.autocast(rt.device, torch.bfloat16):
            posterior = vae.encode(pixels).latent_dist
            noise = torch.from_numpy(rng.normal(size=posterior.mean.shape)).float().to(rt.device)
            decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        kl: torch.Tensor = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        return compare(decoded.float(), pixels) + cfg.vae.kl * kl

    plain = cfg.vae.model_dump(exclude={"phases"})
    key = code_key(
        train_vae, build_vae, views, likeness_loss, ImageLoss, PerceptualLoss, plain, renders
    )
    seconds = 0.0
    for number, phase in enumerate(cfg.vae.phases, start=1):
        compare.weight = phase.perceptual
        key = code_key(key, phase)
        seconds += fit(
            f"vae {number}", {"vae": vae}, loss, steps=phase.steps, lr=phase.lr, decay=0.0,
            seed=cfg.renders.seed, scratch=rt.scratch("sd_mini_vae", key),
            save_seconds=cfg.save_seconds, rt=rt,
        )  # fmt: skip
    vae.eval().requires_grad_(False)
    normalize_latents(vae, encode(vae, photos[:2000], rt))
    return vae, seconds


def views(photos: np.ndarray, cfg: Vae, rng: np.random.Generator) -> np.ndarray:
    """A batch of crops that show a part of the item, or of fewer whole photos with as many pixels."""
    side = photos.shape[1]
    if rng.random() < cfg.whole_share:
        return np.asarray(photos[rng.integers(len(photos), size=whole_batch(cfg, side))])
    crops: list[np.ndarray] = []
    while len(crops) < cfg.batch:
        at, (top, left) = rng.integers(len(photos)), rng.integers(side - cfg.crop + 1, size=2)
        crop = photos[at, top : top + cfg.crop, left : left + cfg.crop]
        if (crop.min(axis=2) < 255 - ITEM).mean() > 0.05:
            crops.append(crop)
    return np.stack(crops)


def whole_batch(cfg: Vae, side: int) -> int:
    """How many whole photos have as many pixels as a batch of crops."""
    return max(1, cfg.batch * cfg.crop**2 // side**2)


def train_decoder(
    cfg: SdMini, phase: DecoderPhase, vae: Any, rt: Runtime, drawn: "torch.Tensor | None" = None
) -> float:
    """Train the decoder further, with the encoder frozen. Returns the training time in seconds.

    It sees whole photos alone, as which it is used, and a step costs half as much as one of the whole
    autoencoder. Noise on the latents stands for errors that a denoiser leaves in them.

    Args:
        drawn: (N, C, h, w) latents of the same photos by `draw_again`, with a denoiser's own errors. The
            decoder learns to make the photos of them all the same.
    """
    import torch

    renders = cfg.renders.model_copy(update={"count": cfg.vae.photos})
    products, photos = rendered(renders, rt)
    latents = encode(vae, photos, rt)
    decoder = torch.nn.Sequential(vae.post_quant_conv, vae.decoder).train().requires_grad_(True)
    compare = ImageLoss(cfg.vae, rt)
    compare.weight = cfg.decoder.perceptual
    chances = None if drawn is None else footwear_chances(products, cfg.unet.footwear_share)

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        at = rng.choice(len(photos), size=whole_batch(cfg.vae, cfg.renders.size), p=chances)
        seen = latents[at]
        if drawn is not None:
            which = torch.from_numpy(rng.random(len(at)) < phase.drawn_share)
            seen = torch.where(which[:, None, None, None], drawn[at], seen)
        noise = torch.from_numpy(rng.normal(size=seen.shape)).float()
        with torch.autocast(rt.device, torch.bfloat16):
            decoded = decoder((seen + cfg.decoder.noise * noise).to(rt.device))
        return compare(decoded.float(), to_pixels(photos[at]).to(rt.device))

    key = code_key(
        train_decoder,
        train_vae,
        likeness_loss,
        ImageLoss,
        cfg.decoder,
        phase,
        cfg.vae,
        renders,
        *([] if drawn is None else [sha256(drawn.numpy().tobytes()).hexdigest()]),
    )
    seconds = fit(
        "decoder", {"decoder": decoder}, loss, steps=phase.steps, lr=phase.lr, decay=0.0,
        seed=cfg.renders.seed, scratch=rt.scratch("sd_mini_decoder", key),
        save_seconds=cfg.save_seconds, rt=rt,
    )  # fmt: skip
    vae.eval().requires_grad_(False)
    return seconds


def footwear_chances(products: Sequence[SampleProduct], share: float) -> np.ndarray:
    """(N,) chances of the products, so that this share of what is drawn from them is footwear."""
    worn = np.array([product.articleType in FOOTWEAR for product in products])
    return np.asarray(np.where(worn, share / worn.sum(), (1 - share) / (~worn).sum()))


def latent_size(cfg: SdMini) -> tuple[int, int]:
    side = cfg.renders.size >> (len(cfg.vae.channels) - 1)
    return side, side


class ImageLoss:
    """The loss between images (N, 3, H, W) in -1..1: in pixels, and as an ImageNet network sees them."""

    def __init__(self, cfg: Vae, rt: Runtime) -> None:
        self.cfg = cfg
        self.weight = cfg.phases[-1].perceptual
        self.perceptual = PerceptualLoss(cfg.perceptual, rt.scratch("wheels", "lite2"), rt.device)

    def __call__(self, made: "torch.Tensor", meant: "torch.Tensor") -> "torch.Tensor":
        # Half of the images are enough for the second term, which costs as much as all else.
        half = max(1, len(made) // 2)
        seen = self.perceptual(made[:half], meant[:half])
        return likeness_loss(made, meant, self.cfg) + self.weight * seen


def likeness_loss(made: "torch.Tensor", meant: "torch.Tensor", cfg: Vae) -> "torch.Tensor":
    """Reconstruction loss between images (N, 3, H, W) in -1..1, summed over three scales.

    Absolute and squared differences; the chroma's absolute difference once more, because otherwise
    brightness dominates the loss and colours are learnt last; and differences of image gradients,
    which keep edges sharp.
    """
    import torch.nn.functional as functional

    total = made.new_zeros(())
    for _ in range(3):
        error = made - meant
        chroma = error - error.mean(dim=1, keepdim=True)
        total = total + error.abs().mean() + cfg.squares * error.square().mean()
        total = total + cfg.chroma * chroma.abs().mean()
        for axis in (2, 3):
            total = total + cfg.edges * error.diff(dim=axis).abs().mean()
        made, meant = functional.avg_pool2d(made, 2), functional.avg_pool2d(meant, 2)
    return total


def encode(vae: Any, photos: np.ndarray, rt: Runtime) -> "torch.Tensor":
    """Encode photos (N, H, W, 3) uint8 to latents (N, C, h, w), the means of the posteriors."""
    import torch

    with torch.inference_mode():
        parts = [photos[i : i + 100] for i in range(0, len(photos), 100)]
        latents = [
            vae.encode(to_pixels(np.array(part)).to(rt.device)).latent_dist.mean.cpu()
            for part in rt.progress(parts, "encode")
        ]
    return torch.cat(latents).clone()


def normalize_latents(vae: Any, latents: "torch.Tensor") -> None:
    """Fold the mean and deviation of each channel of `latents` (N, C, h, w) into the VAE.

    The 1x1 convolutions before and after the latents absorb them. Every channel then has mean 0 and
    deviation 1, so the `scaling_factor`, which is 1 / deviation as in Stable Diffusion, is 1.
    """
    import torch

    mean, std = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    count = len(mean)
    into, out = vae.quant_conv, vae.post_quant_conv
    with torch.no_grad():
        into.weight[:count] /= std[:, None, None, None]
        into.bias[:count] = (into.bias[:count] - mean) / std
        into.bias[count:] -= 2 * std.log()
        out.bias += (out.weight[:, :, 0, 0] * mean).sum(1)
        out.weight *= std[None, :, None, None]


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


def save_vae(vae: Any, folder: Path) -> None:
    """Write the autoencoder where the pipeline will have it, as the gate measures what is kept."""
    import copy

    copy.deepcopy(vae).half().save_pretrained(folder / "vae")


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


def measure_vae(cfg: SdMini, vae: Any, rt: Runtime) -> dict[str, float]:
    """Reconstruction of unseen photos: PSNR of the item in dB, median colour difference (CIE76)."""
    import torch
    from PIL import Image

    _, photos = rendered(cfg.renders.model_copy(update={"count": 200}), rt, part=1)
    with torch.inference_mode():
        parts = encode(vae, photos, rt).to(rt.device).split(20)
        decoded = np.concatenate([to_photos(vae.decode(part).sample.cpu()) for part in parts])
    item = np.abs(photos.astype(float) - 255).max(3) > ITEM
    error = (photos.astype(float) - decoded)[item]
    before, after = (
        np.array([measure(Image.fromarray(photo)).lab for photo in side])
        for side in (photos, decoded)
    )
    drift = np.linalg.norm(before - after, axis=1)
    return {
        "vae_n": len(photos),
        "vae_item_psnr": round(float(10 * np.log10(255**2 / np.mean(error**2))), 2),
        "vae_colour_drift": round(float(np.median(drift)), 2),
    }


def to_photos(pixels: "torch.Tensor") -> np.ndarray:
    """Convert a tensor (N, 3, H, W) in -1..1 to photos (N, H, W, 3) uint8."""
    scaled = ((pixels.float() + 1) * 127.5).round().clamp(0, 255)
    return scaled.permute(0, 2, 3, 1).byte().numpy()


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
