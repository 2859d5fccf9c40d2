"""Images that follow a condition image, by a ControlNet (Zhang et al. 2023) beside the base's UNet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from likeness.common.errors import LikenessError, one_line
from likeness.common.precision import Precision, dtype_of
from likeness.common.resident import OneAtATime
from likeness.common.result import Result
from likeness.image.diffusion import draw, resident_pipeline
from likeness.image.families import family_of
from likeness.image.pixels import png_bytes


def draw_controlled(
    prompts: Sequence[dict[str, Any]],
    *,
    base: Path,
    adapter: Path | None,
    controlnet: Path,
    device: str,
    precision: Precision,
    **options: Any,
) -> list[Result]:
    """`image.png` for each `{"prompt", "seed", "condition"}`, of which the last is a path to an image.

    Args:
        adapter: a file with diffusers' usual name, or None.
        controlnet: its folder.
        options: of `draw`.
    """
    pipeline = resident_pipeline(base, device, precision, adapter and adapter.parent)
    images = draw(
        with_controlnet(pipeline, controlnet, precision),
        [str(row["prompt"]) for row in prompts],
        [int(row["seed"]) for row in prompts],
        conditions=[Image.open(row["condition"]) for row in prompts],
        **options,
    )
    return [Result({}, {"image.png": png_bytes(image)}) for image in images]


def load_controlnet(folder: Path, device: str, precision: Precision) -> Any:
    """The ControlNet of a folder. Raises `LikenessError` if it cannot be loaded."""
    from diffusers import ControlNetModel

    try:
        return ControlNetModel.from_pretrained(
            folder,
            torch_dtype=dtype_of(precision),
            variant="fp16" if any(folder.glob("*.fp16.safetensors")) else None,
            local_files_only=True,
        ).to(device)
    except (OSError, ValueError, RuntimeError) as error:
        raise LikenessError(
            f"{folder}: cannot be loaded as a ControlNet ({one_line(error)})"
        ) from error


resident_controlnet = OneAtATime(load_controlnet)


def with_controlnet(pipeline: Any, folder: Path, precision: Precision) -> Any:
    """The pipeline of its family that takes a condition image, too, with the networks of this one."""
    import diffusers

    controlnet = resident_controlnet(folder, pipeline.device.type, precision)
    family, networks = family_of(pipeline), pipeline.components
    # Not by `from_pipe`, which brings all networks to one type.
    config = {name: one for name, one in pipeline.config.items() if not name.startswith("_")}
    controlled = getattr(diffusers, family.controlled)(
        **{**family.options, **config, **networks}, controlnet=controlnet
    )
    controlled.set_progress_bar_config(disable=True)
    return controlled
