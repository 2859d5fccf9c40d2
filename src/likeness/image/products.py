"""What the stages that draw products share: their params, rules for any photo, and a product's row."""

from pathlib import Path
from typing import Annotated, Any

from PIL import Image
from pydantic import Field

from likeness.common.params import Section
from likeness.common.rules import Rule
from likeness.common.runtime import Runtime
from likeness.image.diffusion import Sampler
from likeness.image.rows import COLUMNS, PreparedImage


class DrawProducts(Section):
    """Params of a stage that draws products and sets some of the images aside."""

    sampler: Sampler
    steps: Annotated[int, Field(ge=1, le=1000)]
    guidance: Annotated[float, Field(ge=0)]
    batch: Annotated[int, Field(ge=1)]
    min_clean_background: Annotated[float, Field(ge=0, le=1)]
    max_cut_off: Annotated[float, Field(ge=0, le=1)]
    min_coverage: Annotated[float, Field(ge=0, le=1)]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]

    def options(self, base: Path, photo: Path, negative_prompt: str, rt: Runtime) -> dict[str, Any]:
        """Keywords of `draw_with` but for the adapter: images as large as a photo of the dataset."""
        with Image.open(photo) as image:
            resolution = image.width
        return {
            "base": base,
            "resolution": resolution,
            "sampler": self.sampler,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative_prompt": negative_prompt,
            "device": rt.device,
            "precision": rt.precision(),
        }

    def photo_rules(self) -> list[Rule]:
        """The rules that any product photo has to keep; see `likeness.image.quality.Measures`."""
        return [
            Rule("blank", "coverage", least=self.min_coverage),
            Rule("cut_off", "cut_off", most=self.max_cut_off),
            Rule("background", "clean_background", least=self.min_clean_background),
        ]


def product_row(source: PreparedImage, **changes: str) -> dict[str, Any]:
    """The catalogue row of a synthetic product: the source's with changes, named by what it shows."""
    row = {**source.model_dump(include={*COLUMNS, "extra"}), **changes}
    words = (row["gender"], row["baseColour"], row["articleType"])
    return {**row, "productDisplayName": " ".join(filter(None, words))}
