"""The autoencoder of sd_mini, whose decoder also learns from what the denoiser has drawn again."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.runtime import Runtime
from likeness.image.pixels import ITEM
from likeness.image.quality import measure
from models.fitting import fit, to_pixels
from models.perceptual import PerceptualLoss
from models.rendered import footwear_chances, rendered
from models.settings import DecoderPhase, SdMini, Vae, code_key

if TYPE_CHECKING:
    import torch


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


def latent_size(cfg: SdMini) -> tuple[int, int]:
    side = cfg.renders.size >> (len(cfg.vae.channels) - 1)
    return side, side


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


def save_vae(vae: Any, folder: Path) -> None:
    """Write the autoencoder where the pipeline will have it, as the gate measures what is kept."""
    import copy

    copy.deepcopy(vae).half().save_pretrained(folder / "vae")


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
