"""Photos through a base's autoencoder alone: what a perfect denoiser would draw with it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from likeness.common.result import Result
from likeness.image.diffusion import decode, resident_pipeline
from likeness.image.pixels import png_bytes


def reconstruct(paths: Sequence[Path], *, base: Path, device: str) -> list[Result]:
    """`image.png` for each image: encoded to the means of its latents, and decoded again.

    Args:
        paths: images of one size, which the autoencoder can divide.
        base: folder of a Stable Diffusion; its autoencoder is used in float32, as for drawing.
        device: cpu, cuda or mps.
    """
    import torch

    vae = resident_pipeline(base, device, "no").vae
    arrays = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    pixels = torch.from_numpy(arrays).to(device, vae.dtype).permute(0, 3, 1, 2) / 127.5 - 1
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    with torch.inference_mode():
        latents = vae.encode(pixels).latent_dist.mean
        images = decode(vae, (latents - shift) * vae.config.scaling_factor)
    return [Result({}, {"image.png": png_bytes(image)}) for image in images]
