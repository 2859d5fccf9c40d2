"""Images and captions as a base's UNet takes them, which a training needs but once."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from likeness.common.precision import Precision
from likeness.common.result import Result
from likeness.image.diffusion import family_in, resident_pipeline

if TYPE_CHECKING:
    import torch


def encode_images(paths: Sequence[Path], *, base: Path, device: str) -> list[Result]:
    """`moments` of each image: mean and standard deviation of its latents as the UNet takes them.

    They are (2, C, height, width), in latents.
    """
    import torch

    vae = resident_pipeline(base, device, "no", only=("vae",)).vae
    arrays = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    pixels = torch.from_numpy(arrays).to(device, vae.dtype).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        posterior = vae.encode(pixels).latent_dist
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        scale = vae.config.scaling_factor
        moments = torch.stack([(posterior.mean - shift) * scale, posterior.std * scale], dim=1)
    return [_stored(moments=row) for row in moments]


def encode_captions(
    texts: Sequence[str], *, base: Path, device: str, precision: Precision
) -> list[Result]:
    """What the family's `embed` gives for each caption."""
    import torch

    family = family_in(base)
    pipeline = resident_pipeline(base, device, precision, only=family.text_encoders)
    with torch.inference_mode():
        embedded = family.embed(pipeline, list(texts))
    return [
        _stored(**{name: rows[at] for name, rows in embedded.items()}) for at in range(len(texts))
    ]


def _stored(**tensors: "torch.Tensor") -> Result:
    """A file `NAME.f32` for each of these tensors, whose shapes are in the record."""
    arrays = {name: one.float().cpu().contiguous().numpy() for name, one in tensors.items()}
    return Result(
        {name: list(array.shape) for name, array in arrays.items()},
        {f"{name}.f32": array.tobytes() for name, array in arrays.items()},
    )
