"""Curves and samples of a training, written by DVCLive; a resumed run writes the same as a whole one.

Other trackers, which the environment variable `LIKENESS_TRACKERS` names, get the same curves through
Accelerate. It is no param, as where curves are shown changes no result.
"""

import resource
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from likeness.common.errors import LikenessError, one_line

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker
    from dvclive import Live

PROJECT = (
    "likeness"  # of wandb, and the experiment of mlflow, unless their own variables say otherwise
)
TRACKERS = ("tensorboard", "wandb", "mlflow")  # by the names of their packages


class Tracker:
    """Logs to two DVCLive folders: one that is part of the stage's outputs, one for timings.

    Outputs must be a pure function of their inputs. Seconds and bytes are not, so they go to a folder
    that neither DVC nor git tracks.
    """

    def __init__(
        self, plots_dir: Path, timings_dir: Path, others: Sequence[str], params: Mapping[str, Any]
    ) -> None:
        """`others` are names of `TRACKERS`, which list the training's `params` too.

        Raises:
            LikenessError: one of them does not start.
        """
        from dvclive import Live

        self._others = [
            _started(name, plots_dir.name, timings_dir.parent, params) for name in others
        ]
        self._curves, self._timings = (
            Live(str(folder), dvcyaml=None, report=None, save_dvc_exp=False)
            for folder in (plots_dir, timings_dir)
        )

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add a point to each named curve (`train/loss` makes a folder of curves)."""
        self._log(self._curves, step, values)
        for other in self._others:
            other.log(values, step=step)

    def log_timings(self, step: int, values: dict[str, float]) -> None:
        self._log(self._timings, step, values)
        for other in self._others:
            other.log({f"timings/{name}": value for name, value in values.items()}, step=step)

    def log_image(self, name: str, path: Path) -> None:
        self._curves.log_image(name, path)
        for other in self._others:
            _show(other, name, path)

    def end(self) -> None:
        self._curves.end()
        self._timings.end()
        for other in self._others:
            other.finish()

    @staticmethod
    def _log(live: "Live", step: int, values: dict[str, float]) -> None:
        live.step = step
        for name, value in values.items():
            live.log_metric(name, value)
        live.make_summary()


def parse_trackers(given: str) -> list[str]:
    """The names in `LIKENESS_TRACKERS`, such as `tensorboard,wandb`.

    Raises:
        LikenessError: there is no tracker of a name, or its package is not installed.
    """
    names = given.replace(",", " ").split()
    for name in names:
        line = f"LIKENESS_TRACKERS={given}: {name}"
        if name not in TRACKERS:
            raise LikenessError(f"{line}: no tracker; choose from {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise LikenessError(f"{line}: not installed; pip install {name}")
    return names


def _started(name: str, stage: str, timings: Path, params: Mapping[str, Any]) -> "GeneralTracker":
    """A new run of the tracker of this name, with the stage's name and its params."""
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # which the trackers ask whether this is the main process
    kind, run = LOGGER_TYPE_TO_CLASS[name], f"{stage}-{datetime.now():%Y%m%d-%H%M%S}"
    made: GeneralTracker
    if name == "tensorboard":
        made = kind(run, timings / name)
    elif name == "wandb":
        made = kind(PROJECT, name=run)
    else:
        made = kind(PROJECT, run_name=run)
    plain = {
        key: one if isinstance(one, int | float | str) else str(one) for key, one in params.items()
    }
    try:
        made.start()
        made.store_init_configuration(plain)
    except Exception as error:
        raise LikenessError(
            f"LIKENESS_TRACKERS={name}: does not start: {one_line(error)}"
        ) from None
    return made


def _show(tracker: "GeneralTracker", name: str, path: Path) -> None:
    if tracker.name == "mlflow":
        tracker.log_artifact(str(path), str(Path(name).parent))
        return
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))[None]
    how = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
    tracker.log_images({name: pixels}, **how)


def step_timings(seconds: Sequence[float], device: str) -> dict[str, float]:
    """Mean seconds of a training's last hundred steps, and its peak memory in MiB."""
    import torch

    recent = seconds[-100:]
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"seconds_per_step": sum(recent) / len(recent), "peak_memory_mib": peak}
