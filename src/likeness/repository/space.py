"""The space of a search: which overrides are combined, and what is the same for all combinations."""

import hashlib
import itertools
import json
import math
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from likeness.common.errors import LikenessError
from likeness.repository.metrics import Direction, direction
from likeness.repository.runs import Run

_composing = threading.Lock()  # Hydra keeps its state in the process


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes:
        root: the repository.
        lane: its name.
        target: the stage that is reproduced, with all that it needs.
        metrics: the first of these that an experiment has is what the search is about.
        choices: overrides (`key=value`) of each key; of a key that does not vary, one.
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
        """Every combination once; the first key changes slowest."""
        runs = [self.run(overrides) for overrides in itertools.product(*self.choices.values())]
        return list({run.name: run for run in runs}.values())

    def varied(self) -> Iterator[dict[str, str]]:
        """Every combination, as the overrides of the keys that vary."""
        for values in itertools.product(*(self.choices[key] for key in self.varying)):
            yield dict(zip(self.varying, values, strict=True))

    def run(self, overrides: Sequence[str]) -> Run:
        """The experiment of one combination, named by the params that it composes."""
        params = compose(self.root, overrides)
        return Run(f"{self.lane}-{_digest(params)}", tuple(overrides), params, (self.target,))

    def shared(self, stages: Sequence[str]) -> Run:
        """A run of some stages with what does not vary."""
        fixed = tuple(values[0] for values in self.choices.values() if len(values) == 1)
        return Run(f"{self.lane}-shared", fixed, compose(self.root, fixed), tuple(stages))


def read_space(root: Path, lane: str, sets: Sequence[str]) -> Space:
    """What conf/search/<lane>.yaml says; `sets` (`key=values`) add to its params or replace them.

    Raises:
        LikenessError: the file or an override cannot be read, or neither way of a metric is better.
    """
    where = f"conf/search/{lane}.yaml"
    try:
        spec = yaml.safe_load((root / where).read_text(encoding="utf-8"))
        target, metrics, params = spec["target"], tuple(spec["metrics"]), dict(spec["params"])
    except FileNotFoundError as error:
        raise LikenessError(f"{where}: no such file; it says what is searched") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise LikenessError(f"{where}: expected target, metrics and params ({why})") from error
    for metric in metrics:
        if direction(metric) is None:
            raise LikenessError(f"{where}: metrics: {metric}: nobody knows which way is better")
    for override in sets:
        key, equals, value = override.partition("=")
        if not equals:
            raise LikenessError(f"-S {override}: expected KEY=VALUES")
        params[key] = value
    choices = {key: _choices(f"{key}={value}") for key, value in params.items()}
    return Space(root, lane, target, metrics, choices)


def compose(root: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The params that `dvc exp run` makes of these overrides. Raises `LikenessError`."""
    from dvc.config import Config
    from dvc.utils.hydra import apply_overrides, compose_and_dump

    hydra = Config(dvc_dir=str(root / ".dvc")).get("hydra", {})
    with tempfile.TemporaryDirectory() as folder, _composing, _one_line_errors("-S"):
        path = Path(folder) / "params.yaml"
        if hydra.get("enabled"):
            conf, name = hydra.get("config_dir", "conf"), hydra.get("config_name", "config")
            compose_and_dump(path, str(root / conf), None, name, str(root), list(overrides))
        else:
            path.write_bytes((root / "params.yaml").read_bytes())
            apply_overrides(str(path), list(overrides))
        composed: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return composed


def upstream(root: Path, target: str, keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Stages of dvc.yaml that the target needs, itself included; and the last of those that do the
    same whatever the values of `keys`.
    """
    import networkx  # type: ignore[import-untyped]
    from dvc.dependency.param import ParamsDependency
    from dvc.repo import Repo

    with _one_line_errors("dvc.yaml"), Repo(str(root)) as repo:
        graph = repo.index.graph  # from each stage to those that it needs
        needs = {stage: {stage, *networkx.descendants(graph, stage)} for stage in graph}
        end = next((stage for stage in graph if _own([stage]) == [target]), None)
        if end is None:
            raise LikenessError(f"dvc.yaml: no stage {target}, which the search is about")
        reads = {
            stage: [
                param
                for dep in stage.deps
                if isinstance(dep, ParamsDependency)
                for param in dep.params
            ]
            for stage in needs[end]
        }
        by_key = [
            {stage for stage in reads if any(_within(key, param) for param in reads[stage])}
            for key in keys
        ]
        # What no stage reads is a group of conf/, or builds paths in dvc.yaml: it may touch any.
        touched = set().union(*by_key) if all(by_key) else needs[end]
        varying = {stage for stage in needs[end] if needs[stage] & touched}
        last = {
            stage
            for stage in needs[end] - varying
            if any(after in varying for after in graph.predecessors(stage))
        }
        return _own(needs[end]), _own(last)


def _within(key: str, param: str) -> bool:
    return f"{key}.".startswith(f"{param}.") or f"{param}.".startswith(f"{key}.")


def _own(stages: Iterable[Any]) -> list[str]:
    """Names of those that are in the root's dvc.yaml and that `dvc repro` runs."""
    own = (stage for stage in stages if stage.path_in_repo == "dvc.yaml" and not stage.frozen)
    return sorted(stage.name for stage in own)


def _choices(override: str) -> tuple[str, ...]:
    from dvc.utils.hydra import get_hydra_sweeps

    with _one_line_errors("-S"):
        sweeps = get_hydra_sweeps({"params.yaml": [override]})
    return tuple(each["params.yaml"][0] for each in sweeps)


@contextmanager
def _one_line_errors(where: str) -> Iterator[None]:
    from dvc.exceptions import DvcException
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (DvcException, HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__ if isinstance(error, DvcException) else None
        reason = " ".join(str(cause or error).split())[:200]
        raise LikenessError(f"{where}: {reason}") from error


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
