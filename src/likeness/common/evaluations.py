"""The evaluations of a training: their figures, and the weights of those that rank highest."""

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.common.io import atomic_path

if TYPE_CHECKING:
    import torch

KEPT = "adapters"  # folder for those beside the best one, in what a training writes
WEIGHTS = "weights"  # folder in its scratch


@dataclass(frozen=True)
class Evaluation:
    """One evaluation.

    Attributes:
        name: its epoch or step with leading zeros, as its samples have it; 0 is untrained.
        figures: what was measured.
        order: the evaluation with the highest is the best.
    """

    name: str
    figures: dict[str, float]
    order: tuple[float, ...]


class Evaluations:
    """All evaluations of one training, in order.

    The weights lie in files beside the checkpoint, which would otherwise be written with all of them
    each time. `drop_others` deletes what is no longer needed. Call it after the checkpoint with the
    newest evaluation was written: a run that is resumed from an older one may need the rest.

    Args:
        scratch: the training's scratch folder.
        keep: how many adapters stay beside the best.
    """

    def __init__(self, scratch: Path, keep: int) -> None:
        self.folder, self._keep = scratch / WEIGHTS, keep
        self.all: list[Evaluation] = []

    def add(self, one: Evaluation, weights: "Mapping[str, torch.Tensor]") -> None:
        self.all.append(one)
        save_tensors(self._path(one), weights)

    def kept(self) -> list[Evaluation]:
        """The best one and the best-ranked others, of equal ones the earlier.

        The untrained one, which is the base, stays only if it is the best.
        """
        best, *others = sorted(self.all, key=_rank, reverse=True)
        return [best, *[one for one in others if int(one.name)][: self._keep]]

    def best(self) -> Evaluation:
        return self.kept()[0]

    def weights(self, one: Evaluation) -> "dict[str, torch.Tensor]":
        from safetensors.torch import load_file

        return load_file(self._path(one))

    def drop_others(self) -> None:
        needed = {self._path(one) for one in self.kept()}
        for path in set(self.folder.iterdir()) - needed:
            path.unlink()

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def rows(self, unit: str) -> list[dict[str, Any]]:
        """For training.json: each evaluation with its figures, and whether its adapter is kept.

        Args:
            unit: what the names count, as `epoch`.
        """
        kept = self.kept()
        return [
            {
                unit: int(one.name),
                "name": one.name,
                "kept": one in kept,
                "figures": {name: round(value, 6) for name, value in one.figures.items()},
            }
            for one in self.all
        ]

    def _path(self, one: Evaluation) -> Path:
        return self.folder / f"{one.name}.safetensors"


def _rank(one: Evaluation) -> tuple[float, ...]:
    return tuple(-math.inf if math.isnan(value) else value for value in one.order)


def save_tensors(path: Path, tensors: "Mapping[str, torch.Tensor]") -> None:
    """Write a safetensors file, completely or not at all."""
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(plain, temporary, metadata={"format": "pt"})
