"""The figures of what people saw in blind tests (docs/studio.md)."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.common.tally import write_figures


class ImageRate(Section):
    rounds: Annotated[int, Field(ge=10, le=10000)]


def rate(
    cfg: ImageRate,
    *,
    ratings: Path,
    dataset: Path,
    generated: Path,
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    rt: Runtime,
) -> dict[str, Any]:
    """Sum up real or synthetic, preference and classes; see `write_figures`.

    Args:
        ratings: folder of the tests of both lanes.
        dataset, generated: what the tests show; a test of other files is of an earlier version.
    """
    return write_figures(
        "image",
        ratings=ratings,
        outputs=(dataset, generated),
        out_dir=out_dir,
        plots_dir=plots_dir,
        report=report,
        rounds=cfg.rounds,
        seed=rt.seed_for("bootstrap"),
    )
