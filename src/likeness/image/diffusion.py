"""Stable Diffusion: loading a base and an adapter, encoding images and captions, drawing images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from likeness.common.errors import LikenessError, one_line
from likeness.common.precision import Precision, dtype_of
from likeness.common.resident import OneAtATime
from likeness.common.result import Result
from likeness.image.pixels import png_bytes

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline

ADAPTER = "pytorch_lora_weights.safetensors"
# On a CPU the last bits of a row can depend on the batch's size, but not from this size on
# (tests/image/test_diffusion.py). An image must not depend on how many were drawn with it.
FEWEST_ROWS = 16

Sampler = Literal["base", "dpm++"]


def load_pipeline(
    base: Path, device: str, precision: Precision = "no", adapter: Path | None = None
) -> "StableDiffusionPipeline":
    """The base with the adapter's weights if given; UNet and text encoder in `precision`.

    The autoencoder stays in float32: in bf16 colours change by up to two of 256 levels, and SDXL's
    overflows in fp16. It decodes one image at a time, or it would need more memory than all else.

    Raises:
        LikenessError: `base` is no Stable Diffusion pipeline, or the adapter does not fit it.
    """
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            base, torch_dtype=torch.float32, local_files_only=True, safety_checker=None
        )
    except (OSError, ValueError, TypeError) as error:
        raise LikenessError(
            f"{base}: cannot be loaded as Stable Diffusion ({one_line(error)})"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vae.enable_slicing()
    if adapter is not None:
        load_adapter(pipeline, adapter)
        if precision == "no":
            fuse_adapter(pipeline)
    for network in (pipeline.unet, pipeline.text_encoder):
        for name, parameter in network.named_parameters():
            if "lora_" not in name:
                parameter.data = parameter.data.to(dtype_of(precision))
    return pipeline.to(device)


resident_pipeline = OneAtATime(load_pipeline)


def load_adapter(pipeline: "StableDiffusionPipeline", adapter: Path) -> None:
    """Add a LoRA, saved with diffusers' keys, to a pipeline as layers beside its weights.

    diffusers itself only warns when no key matched, and then draws with the base alone.
    """
    from safetensors import SafetensorError, safe_open

    path = adapter / ADAPTER
    if not path.is_file():
        raise LikenessError(f"{path}: no such file; run image_train")
    try:
        with safe_open(path, "pt") as file:
            wanted = len(file.keys())
    except SafetensorError as error:
        raise LikenessError(
            f"{path}: not safetensors ({one_line(error)}); run image_train"
        ) from error
    try:
        pipeline.load_lora_weights(adapter, weight_name=ADAPTER)
    except (ValueError, RuntimeError) as error:
        raise LikenessError(f"{path}: does not fit this base ({one_line(error)})") from error
    matched = sum(
        "lora_" in name and not parameter.is_meta
        for network in (pipeline.unet, pipeline.text_encoder)
        for name, parameter in network.named_parameters()
    )
    if matched != wanted:
        raise LikenessError(
            f"{path}: {matched} of its {wanted} keys match this base; use its own base"
        )


def fuse_adapter(pipeline: "StableDiffusionPipeline") -> None:
    """Add the adapter to the weights, which must be float32. Layers beside them can double the time.

    In half precision the sums would be rounded, and most of an adapter's small values lost.
    """
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()


def scale_of(vae: Any) -> int:
    """Pixels per latent along one side."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def encode_images(paths: Sequence[Path], *, base: Path, device: str) -> list[Result]:
    """`array.f32` for each image: mean and standard deviation of its latents as the UNet takes them.

    The shape (2, C, height, width), in latents, is in the record.
    """
    import torch

    vae = resident_pipeline(base, device, "no").vae
    arrays = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    pixels = torch.from_numpy(arrays).to(device, vae.dtype).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        posterior = vae.encode(pixels).latent_dist
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        scale = vae.config.scaling_factor
        moments = torch.stack([(posterior.mean - shift) * scale, posterior.std * scale], dim=1)
    return [_array(row) for row in moments]


def encode_captions(
    texts: Sequence[str], *, base: Path, device: str, precision: Precision
) -> list[Result]:
    """`array.f32` for each caption: the text encoder's last hidden state (tokens, width)."""
    import torch

    with torch.inference_mode():
        states = embed(resident_pipeline(base, device, precision), list(texts))
    return [_array(row) for row in states]


def embed(pipeline: Any, texts: list[str]) -> "torch.Tensor":
    """(N, tokens, width) hidden states as `StableDiffusionPipeline.encode_prompt` makes them."""
    tokens = pipeline.tokenizer(
        texts,
        padding="max_length",
        max_length=pipeline.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return pipeline.text_encoder(tokens.input_ids.to(pipeline.device))[0]  # type: ignore[no-any-return]


def _array(row: "torch.Tensor") -> Result:
    data = row.float().cpu().contiguous().numpy()
    return Result({"shape": list(data.shape)}, {"array.f32": data.tobytes()})


def draw_images(
    prompts: Sequence[dict[str, Any]],
    *,
    base: Path,
    adapter: Path | None,
    resolution: int,
    sampler: Sampler,
    steps: int,
    guidance: float,
    negative_prompt: str,
    device: str,
    precision: Precision,
) -> list[Result]:
    """`image.png` for each `{"prompt", "seed"}`. It depends on those two, not on the rest of the batch.

    Args:
        base: folder of a Stable Diffusion; `adapter` is that of a LoRA, or None.
        resolution: pixels of each side.
        steps: denoising steps of the `sampler`.
        guidance: weight of classifier-free guidance; 1 switches it off.
        precision: of the UNet and the text encoder.
    """
    images = draw(
        resident_pipeline(base, device, precision, adapter),
        [str(row["prompt"]) for row in prompts],
        [int(row["seed"]) for row in prompts],
        resolution=resolution,
        sampler=sampler,
        steps=steps,
        guidance=guidance,
        negative_prompt=negative_prompt,
    )
    return [Result({}, {"image.png": png_bytes(image)}) for image in images]


def draw(
    pipeline: "StableDiffusionPipeline",
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    resolution: int,
    sampler: Sampler,
    steps: int,
    guidance: float,
    negative_prompt: str,
) -> list[Image.Image]:
    """An image of `resolution` x `resolution` pixels for each prompt.

    The noise it starts from is drawn on the CPU from the prompt's seed, so that every device starts
    from the same.
    """
    import torch

    missing = max(0, FEWEST_ROWS - len(prompts)) if pipeline.device.type == "cpu" else 0
    texts = [*prompts, *[prompts[-1]] * missing]
    side = resolution // scale_of(pipeline.vae)
    shape = (pipeline.unet.config.in_channels, side, side)
    latents = torch.stack([noise(seed, shape) for seed in [*seeds, *[seeds[-1]] * missing]])
    with torch.inference_mode(), sampling(pipeline, sampler):
        drawn = pipeline(
            prompt=texts,
            negative_prompt=[negative_prompt] * len(texts),
            latents=latents.to(pipeline.device, pipeline.unet.dtype),
            height=resolution,
            width=resolution,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="latent",
        ).images
        return decode(pipeline.vae, drawn[: len(prompts)])


def decode(vae: Any, latents: "torch.Tensor") -> list[Image.Image]:
    """N images from the UNet's latents (N, C, height, width) of any precision."""
    import torch

    shift = getattr(vae.config, "shift_factor", None) or 0.0
    pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor + shift).sample
    levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return [Image.fromarray(row.numpy()) for row in levels.permute(0, 2, 3, 1).cpu()]


@contextmanager
def sampling(pipeline: "StableDiffusionPipeline", sampler: Sampler) -> Iterator[None]:
    """Give the pipeline the `sampler`'s scheduler: its own, or DPM-Solver++ (Lu et al. 2022).

    DPM-Solver++ is of second order and needs about half the steps of DDIM, which most bases come
    with. Its steps begin at the last timestep ("trailing"). Few steps would otherwise begin earlier,
    where the model takes the noise for part of the picture (Lin et al. 2024).
    """
    from diffusers import DPMSolverMultistepScheduler

    own = pipeline.scheduler
    if sampler == "dpm++":
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
            own.config, timestep_spacing="trailing"
        )
    try:
        yield
    finally:
        pipeline.scheduler = own


def noise(seed: int, shape: tuple[int, ...]) -> "torch.Tensor":
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
