"""Which weights stay of a training's evaluations, and what is said of them."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from likeness.common.evaluations import Evaluation, Evaluations


def measured(name: str, loss: float) -> Evaluation:
    return Evaluation(name, {"loss": loss}, order=(-loss,))


def filled(folder: Path, keep: int, losses: list[float]) -> Evaluations:
    """Evaluations of the steps 0, 1, 2, ..., each of weights that are its step."""
    made = Evaluations(folder, keep)
    for step, loss in enumerate(losses):
        made.add(measured(f"{step:02d}", loss), {"w": torch.tensor([float(step)])})
    return made


def files(made: Evaluations) -> list[str]:
    return sorted(path.stem for path in made.folder.iterdir())


@pytest.mark.parametrize(
    ("losses", "keep", "kept"),
    [
        ([9, 5, 3, 4], 0, ["02"]),
        ([9, 5, 3, 4], 1, ["02", "03"]),
        ([9, 5, 3, 4], 9, ["02", "03", "01"]),  # the untrained one is the base
        ([1, 5, 3, 4], 1, ["00", "02"]),
        ([9, 5, 3, 3], 0, ["02"]),  # of equal ones the earlier
        ([9, math.nan, 5, math.nan], 1, ["02", "01"]),
    ],
)
def test_the_best_ranked_are_kept(
    tmp_path: Path, losses: list[float], keep: int, kept: list[str]
) -> None:
    made = filled(tmp_path, keep, losses)
    assert [one.name for one in made.kept()] == kept
    made.drop_others()
    assert files(made) == sorted(kept)
    for one in made.kept():
        assert made.weights(one)["w"].item() == int(one.name)
    made.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_resumed_finds_what_its_checkpoint_names(tmp_path: Path) -> None:
    made = filled(tmp_path, 0, [9, 5])
    made.drop_others()
    checkpoint = list(made.all)
    made.add(measured("02", 3.0), {"w": torch.zeros(1)})  # and killed before the next checkpoint
    resumed = Evaluations(tmp_path, 0)
    resumed.all = checkpoint
    assert resumed.weights(resumed.best())["w"].item() == 1
    resumed.drop_others()
    assert files(resumed) == ["01"]


def test_rows_have_figures_and_what_is_kept(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = filled(tmp_path, 0, [9, 1 / 3]).rows("step")
    assert rows == [
        {"step": 0, "name": "00", "kept": False, "figures": {"loss": 9}},
        {"step": 1, "name": "01", "kept": True, "figures": {"loss": 0.333333}},
    ]
