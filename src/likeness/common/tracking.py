"""Curves and samples of a training, written by DVCLive; a resumed run writes the same as a whole one."""

import resource
from collections.abc import Sequence
from pathlib import Path


class Tracker:
    """Logs to two DVCLive folders: one that is part of the stage's outputs, one for timings.

    Outputs must be a pure function of their inputs. Seconds and bytes are not, so they go to a folder
    that neither DVC nor git tracks.
    """

    def __init__(self, plots_dir: Path, timings_dir: Path) -> None:
        from dvclive import Live

        self._curves, self._timings = (
            Live(str(folder), dvcyaml=None, report=None, save_dvc_exp=False)
            for folder in (plots_dir, timings_dir)
        )

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add a point to each named curve (`train/loss` makes a folder of curves)."""
        self._log(self._curves, step, values)

    def log_timings(self, step: int, values: dict[str, float]) -> None:
        self._log(self._timings, step, values)

    def log_image(self, name: str, path: Path) -> None:
        self._curves.log_image(name, path)

    def end(self) -> None:
        self._curves.end()
        self._timings.end()

    @staticmethod
    def _log(live: "Live", step: int, values: dict[str, float]) -> None:  # type: ignore[name-defined]  # noqa: F821
        live.step = step
        for name, value in values.items():
            live.log_metric(name, value)
        live.make_summary()


def step_timings(seconds: Sequence[float], device: str) -> dict[str, float]:
    """Mean seconds of a training's last hundred steps, and its peak memory in MiB."""
    import torch

    recent = seconds[-100:]
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"seconds_per_step": sum(recent) / len(recent), "peak_memory_mib": peak}
