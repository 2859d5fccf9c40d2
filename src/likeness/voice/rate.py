"""The figures of what people heard in blind tests (docs/studio.md)."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.common.tally import write_figures


class VoiceRate(Section):
    rounds: Annotated[int, Field(ge=10, le=10000)]


def rate(
    cfg: VoiceRate,
    *,
    ratings: Path,
    dataset: Path,
    synthesized: Path,
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    rt: Runtime,
) -> dict[str, Any]:
    """Sum up real or synthetic, preference and opinion; see `write_figures`.

    Args:
        ratings: folder of the tests of both lanes.
        dataset, synthesized: what the tests play; a test of other files is of an earlier version.
    """
    return write_figures(
        "voice",
        ratings=ratings,
        outputs=(dataset, synthesized),
        out_dir=out_dir,
        plots_dir=plots_dir,
        report=report,
        rounds=cfg.rounds,
        seed=rt.seed_for("bootstrap"),
    )
