"""Photos through a base's autoencoder alone: what a perfect denoiser would draw with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from likeness.common.result import Result
from likeness.image.diffusion import decode, resident_pipeline
from likeness.image.pixels import png_bytes


def reconstruct(paths: Sequence[Path], *, base: Path, device: str) -> list[Result]:
    """`image.png` for each image, as it comes back from the autoencoder of `base`."""
    images = through(resident_pipeline(base, device, "no", only=("vae",)).vae, paths)
    return [Result({}, {"image.png": png_bytes(image)}) for image in images]


def through(vae: Any, paths: Sequence[Path]) -> list[Image.Image]:
    """The images, encoded to the means of their latents and decoded again, as when they are drawn.

    Args:
        vae: an autoencoder in float32.
        paths: images of one size, which the autoencoder can divide.
    """
    import torch

    arrays = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    pixels = torch.from_numpy(arrays).to(vae.device, vae.dtype).permute(0, 3, 1, 2) / 127.5 - 1
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    with torch.inference_mode():
        latents = vae.encode(pixels).latent_dist.mean
        return decode(vae, (latents - shift) * vae.config.scaling_factor)
