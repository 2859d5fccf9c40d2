"""Images drawn with an adapter that is given by its file.

`draw_images` takes its folder, which also holds samples and other adapters; an image's key would
depend on them all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from likeness.common.result import Result
from likeness.image.diffusion import draw_images


def draw_with(
    prompts: Sequence[dict[str, Any]], *, adapter: Path | None, **options: Any
) -> list[Result]:
    """`draw_images` with the other keywords; `adapter` is a file with diffusers' usual name, or None."""
    return draw_images(prompts, adapter=adapter and adapter.parent, **options)
