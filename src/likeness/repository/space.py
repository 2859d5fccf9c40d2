"""The space of a search: the overrides that are combined, and those that are the same for all."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from likeness.common.errors import LikenessError, one_line
from likeness.repository.dvc import compose, single_overrides
from likeness.repository.metrics import Direction, direction
from likeness.repository.runs import Run


@dataclass(frozen=True)
class Space:
    """The combinations of a search.

    Attributes:
        root: the repository.
        lane: the name of its file in conf/search/.
        target: the stage to reproduce, with all that it depends on.
        metrics: the search optimises the first of these that an experiment has.
        choices: by key, its overrides (`key=value`); one if the key does not vary.
    """

    root: Path
    lane: str
    target: str
    metrics: tuple[str, ...]
    choices: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return math.prod(map(len, self.choices.values()))

    @property
    def varying(self) -> list[str]:
        return [key for key, values in self.choices.items() if len(values) > 1]

    @property
    def better(self) -> Direction:
        return direction(self.metrics[0]) or "higher"

    @property
    def digest(self) -> str:
        return _digest([self.target, self.metrics, self.choices])

    def grid(self) -> list[Run]:
        """Every combination once; the first key varies slowest."""
        runs = [self.run(overrides) for overrides in itertools.product(*self.choices.values())]
        return list({run.name: run for run in runs}.values())

    def varied(self) -> Iterator[dict[str, str]]:
        """Every combination, as the overrides of the keys that vary."""
        for values in itertools.product(*(self.choices[key] for key in self.varying)):
            yield dict(zip(self.varying, values, strict=True))

    def run(self, overrides: Sequence[str]) -> Run:
        """The experiment of one combination; its name is a hash of its params."""
        params = compose(self.root, overrides)
        return Run(f"{self.lane}-{_digest(params)}", tuple(overrides), params, (self.target,))

    def shared(self, stages: Sequence[str]) -> Run:
        """A run of some stages with the overrides that do not vary."""
        fixed = tuple(values[0] for values in self.choices.values() if len(values) == 1)
        return Run(f"{self.lane}-shared", fixed, compose(self.root, fixed), tuple(stages))


def read_space(root: Path, lane: str, sets: Sequence[str]) -> Space:
    """The space of conf/search/<lane>.yaml; `sets` (`key=values`) add params or replace their values.

    Raises:
        LikenessError: the file or an override cannot be read, or a metric has no better direction.
    """
    where = f"conf/search/{lane}.yaml"
    try:
        spec = yaml.safe_load((root / where).read_text(encoding="utf-8"))
        target, metrics, params = spec["target"], tuple(spec["metrics"]), dict(spec["params"])
    except FileNotFoundError as error:
        raise LikenessError(f"{where}: no such file; it says what is searched") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise LikenessError(
            f"{where}: expected target, metrics and params ({one_line(error)})"
        ) from error
    for metric in metrics:
        if direction(metric) is None:
            raise LikenessError(f"{where}: metrics: {metric}: which way is better is not known")
    for override in sets:
        key, equals, value = override.partition("=")
        if not equals:
            raise LikenessError(f"-S {override}: expected KEY=VALUES")
        params[key] = value
    choices = {key: single_overrides(f"{key}={value}") for key, value in params.items()}
    return Space(root, lane, target, metrics, choices)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
