"""An image's key has the adapter's file, and nothing that lies beside it."""

from functools import partial
from pathlib import Path
from typing import Any

from likeness.common.io import link
from likeness.common.items import map_items
from likeness.common.runtime import Runtime
from likeness.image.diffusion import ADAPTER, draw_images
from likeness.image.drawing import draw_with
from tests.conftest import SIDE

OPTIONS: dict[str, Any] = {
    "resolution": SIDE, "sampler": "dpm++", "steps": 1, "guidance": 2.0, "negative_prompt": "",
    "device": "cpu", "precision": "no",
}  # fmt: skip
PROMPT = {"prompt": "red shoes", "seed": 1}


def test_each_adapter_draws_its_own_and_is_known_by_its_file(
    tiny_base: Path, tiny_adapter: Path, tmp_path: Path, rt: Runtime
) -> None:
    alone = tmp_path / "alone" / ADAPTER
    link(tiny_adapter / ADAPTER, alone)
    best, other = tiny_adapter / ADAPTER, tiny_adapter / "adapters/000006" / ADAPTER

    def ask(adapter: Path | None) -> tuple[Path, bytes]:
        function = partial(draw_with, base=tiny_base, adapter=adapter, **OPTIONS)
        stored, _ = map_items(function, {"": PROMPT}, what="image_draw", rt=rt)
        return stored[""].folder, stored[""].read("image.png")

    drawn = [ask(adapter) for adapter in (None, best, other)]
    assert len({image for _, image in drawn}) == len({folder for folder, _ in drawn}) == 3
    assert ask(alone) == drawn[1]
    (direct,) = draw_images([PROMPT], base=tiny_base, adapter=tiny_adapter, **OPTIONS)
    assert direct.files["image.png"] == drawn[1][1]
