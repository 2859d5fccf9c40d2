"""Stable Diffusion: loading a base and an adapter, and drawing images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from likeness.common.errors import LikenessError, one_line
from likeness.common.precision import Precision, dtype_of
from likeness.common.resident import OneAtATime
from likeness.common.result import Result
from likeness.image.families import FAMILIES, StableDiffusion, family_of
from likeness.image.pixels import png_bytes

if TYPE_CHECKING:
    import torch

ADAPTER = "pytorch_lora_weights.safetensors"
# On a CPU the last bits of a row can depend on the batch's size, but not from this size on
# (tests/image/test_diffusion.py). An image must not depend on how many were drawn with it.
FEWEST_ROWS = 16

Sampler = Literal["base", "dpm++"]


def load_pipeline(
    base: Path,
    device: str,
    precision: Precision = "no",
    adapter: Path | None = None,
    only: tuple[str, ...] = (),
) -> Any:
    """The base with the adapter's weights if given; UNet and text encoders in `precision`.

    The autoencoder stays in float32: in bf16 colours change by up to two of 256 levels, and SDXL's
    overflows in fp16. It decodes one image at a time, or it would need more memory than all else.
    Files may be in half precision, as those are that have `fp16` in their names.

    Args:
        only: the networks to load, by their folders; all if empty.

    Raises:
        LikenessError: `base` is no Stable Diffusion pipeline, or the adapter does not fit it.
    """
    import diffusers
    import torch
    from diffusers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    family = family_in(base)
    networks = ("vae", "unet", *family.text_encoders)
    stored_half = any(base.glob("*/*.fp16.safetensors"))
    # Beside weights in half precision, diffusers would round an adapter to it.
    loaded = torch.float32 if adapter else dtype_of(precision)
    try:
        pipeline = getattr(diffusers, family.pipeline).from_pretrained(
            base,
            dtype={"default": loaded, "vae": torch.float32},
            variant="fp16" if stored_half else None,
            local_files_only=True,
            **family.options,
            **{name: None for name in networks if only and name not in only},
        )
    except (OSError, ValueError, TypeError) as error:
        raise LikenessError(
            f"{base}: cannot be loaded as Stable Diffusion ({one_line(error)})"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    if pipeline.vae is not None:
        pipeline.vae.enable_slicing()
    if adapter is not None:
        load_adapter(pipeline, adapter)
        if precision == "no":
            fuse_adapter(pipeline)
        for part in ("unet", *family.text_encoders):
            for name, parameter in getattr(pipeline, part).named_parameters():
                if "lora_" not in name:
                    parameter.data = parameter.data.to(dtype_of(precision))
    return pipeline.to(device)


resident_pipeline = OneAtATime(load_pipeline)


def family_in(base: Path) -> StableDiffusion:
    """The family of a base by its folder. Raises `LikenessError` if it is of none."""
    from diffusers import DiffusionPipeline

    try:
        return FAMILIES[DiffusionPipeline.load_config(base, local_files_only=True)["_class_name"]]
    except (OSError, ValueError, KeyError) as error:
        raise LikenessError(f"{base}: no Stable Diffusion ({one_line(error)})") from error


def load_adapter(pipeline: Any, adapter: Path) -> None:
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
        for part in ("unet", *family_of(pipeline).text_encoders)
        for name, parameter in getattr(pipeline, part).named_parameters()
    )
    if matched != wanted:
        raise LikenessError(
            f"{path}: {matched} of its {wanted} keys match this base; use its own base"
        )


def fuse_adapter(pipeline: Any) -> None:
    """Add the adapter to the weights, which must be float32. Layers beside them can double the time.

    In half precision the sums would be rounded, and most of an adapter's small values lost.
    """
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()


def scale_of(vae: Any) -> int:
    """Pixels per latent along one side."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


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
        precision: of the UNet and the text encoders.
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
    pipeline: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    resolution: int,
    sampler: Sampler,
    steps: int,
    guidance: float,
    negative_prompt: str,
    conditions: Sequence[Image.Image] = (),
    scale: float = 1.0,
) -> list[Image.Image]:
    """An image of `resolution` x `resolution` pixels for each prompt.

    A pipeline with a ControlNet also takes `conditions`, an image of that size for each prompt, and their
    weight, `scale`.

    The noise it starts from is drawn on the CPU from the prompt's seed, so that every device starts
    from the same.
    """
    import torch

    missing = max(0, FEWEST_ROWS - len(prompts)) if pipeline.device.type == "cpu" else 0
    texts = [*prompts, *[prompts[-1]] * missing]
    side = resolution // scale_of(pipeline.vae)
    shape = (pipeline.unet.config.in_channels, side, side)
    latents = torch.stack([noise(seed, shape) for seed in [*seeds, *[seeds[-1]] * missing]])
    control: dict[str, Any] = {}
    if conditions:
        images = [image.convert("RGB") for image in [*conditions, *[conditions[-1]] * missing]]
        control = {"image": images, "controlnet_conditioning_scale": scale}
    with torch.inference_mode(), sampling(pipeline, sampler):
        drawn = pipeline(
            prompt=texts,
            # Given none, XL takes zeros, as it was trained with; 1.x takes the empty text.
            negative_prompt=[negative_prompt] * len(texts) if negative_prompt else None,
            latents=latents.to(pipeline.device, pipeline.unet.dtype),
            height=resolution,
            width=resolution,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="latent",
            **control,
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
def sampling(pipeline: Any, sampler: Sampler) -> Iterator[None]:
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
