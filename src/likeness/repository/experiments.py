"""Experiments as DVC lists them, files of their revisions, and which experiment is best.

They are read from `dvc exp show --json`, since `dvc.api.exp_show` adds the file's name to a key only
if two files have that key, turns every number into a float and leaves out errors.
"""

import json
import math
import shlex
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from likeness.common.errors import LikenessError, shortened
from likeness.repository.dvc import flat, run_dvc
from likeness.repository.metrics import Direction, find

WORKSPACE = "workspace"
UNFINISHED = ("queued", "running", "failed")

Directions = Mapping[str, Direction]  # by metric, for those that choose the best


@dataclass(frozen=True)
class Measured:
    """A metric, and its 95 % interval over n items where there is one."""

    value: float
    interval: tuple[float, float] | None = None
    n: int = 0

    def __str__(self) -> str:
        text = f"{self.value:.4g}"
        if self.interval is None:
            return text
        low, high = self.interval
        return f"{text} ({low:.4g} to {high:.4g}; n {self.n})"


@dataclass(frozen=True)
class Experiment:
    """A row of `dvc exp show`: the workspace, a baseline commit, or an experiment of one."""

    name: str
    rev: str  # a commit, or `workspace`
    baseline: str | None  # name of the commit that it is an experiment of
    state: str
    params: dict[str, Any]  # by dotted key; `file:key` if the file is not params.yaml
    metrics: dict[str, Any]  # by `<stage>.<key>`; empty until it is finished
    estimates: dict[str, Measured] = field(default_factory=dict)  # of the metrics that are compared

    @property
    def is_workspace(self) -> bool:
        return self.rev == WORKSPACE

    @property
    def commit(self) -> str:
        """The name of its baseline commit, or its own name if it is a commit."""
        return self.baseline or self.name

    @property
    def is_commit(self) -> bool:
        return self.baseline is None and not self.is_workspace

    def number(self, metric: str) -> float | None:
        """A metric's value; None if it is missing or not a finite number."""
        value = self.metrics.get(metric)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if math.isfinite(value) else None


def read_experiments(root: Path, selection: Sequence[str] = ()) -> list[Experiment]:
    """The workspace, then each baseline commit followed by its experiments in order of name.

    Args:
        selection: options of `dvc exp show` that choose commits.

    Raises:
        LikenessError: what DVC says of the selection.
    """
    found: list[Experiment] = []
    for state in json.loads(run_dvc(root, "exp", "show", "--json", *selection)):
        commit = _experiment(state)
        ranges = state["experiments"] or []
        experiments = [
            _experiment(each["revs"][0], commit.name, each["executor"]) for each in ranges
        ]
        found += [commit, *sorted(experiments, key=lambda row: row.name)]
    found = [_without_outdated_metrics(root, row) for row in found]
    return [_with_saved_state(row, found) if row.is_workspace else row for row in found]


def _experiment(
    state: Mapping[str, Any],
    baseline: str | None = None,
    executor: Mapping[str, Any] | None = None,
) -> Experiment:
    data = state["data"] or {"params": {}, "metrics": {}}
    unreadable = [
        path
        for kind in ("params", "metrics")
        for path, content in data[kind].items()
        if "error" in content
    ]
    status = executor["state"] if executor else ""
    if status not in UNFINISHED:
        status = "done"
        if state["error"]:
            status = "broken: " + " ".join(state["error"]["msg"].split())
        elif unreadable:
            status = f"incomplete: cannot read {', '.join(unreadable)}"
    rev = state["rev"]
    return Experiment(
        name=state["name"] or (rev if rev == WORKSPACE else rev[:7]),
        rev=rev,
        baseline=baseline,
        state=status,
        params={
            key if path == "params.yaml" else f"{path}:{key}": value
            for path, content in data["params"].items()
            for key, value in flat(content.get("data")).items()
        },
        # Before a run has ended, the files still hold the metrics of its baseline.
        metrics={
            f"{path.removeprefix('metrics/').removesuffix('.json')}.{key}": value
            for path, content in data["metrics"].items()
            for key, value in flat(content.get("data")).items()
            if status not in UNFINISHED
        },
    )


def _without_outdated_metrics(root: Path, row: Experiment) -> Experiment:
    """The row without metrics of stages that are older than what they depend on.

    An experiment of some stages leaves the later ones, and their metrics, as they are in the commit.
    """
    if row.state != "done":
        return row
    old = outdated_stages(read_lock(root, row.rev), row.params)
    kept = {key: value for key, value in row.metrics.items() if key.partition(".")[0] not in old}
    return replace(row, metrics=kept)


def outdated_stages(lock: Mapping[str, Any], params: Mapping[str, Any]) -> set[str]:
    """The stages of a lock that ran with other params, or on other files than those it says were made."""
    stages = lock.get("stages", {})
    made = {
        out["path"]: (name, out.get("md5"))
        for name, stage in stages.items()
        for out in stage.get("outs", [])
    }
    found = {
        name
        for name, stage in stages.items()
        for key, value in flat(stage.get("params", {}).get("params.yaml", {})).items()
        if params.get(key) != value
    }
    before = None
    while before != found:  # a stage behind an outdated one is outdated too
        before = set(found)
        for name, stage in stages.items():
            inputs = [
                (made[dep["path"]], dep) for dep in stage.get("deps", []) if dep["path"] in made
            ]
            if any(maker in found or md5 != dep.get("md5") for (maker, md5), dep in inputs):
                found.add(name)
    return found


def read_lock(root: Path, rev: str) -> dict[str, Any]:
    """The dvc.lock of a revision without frozen stages, which do not follow their dependencies."""
    from ruamel.yaml import YAML  # YAML 1.2, as DVC writes it; PyYAML reads 1e-05 as text

    lock, pipeline = (
        YAML(typ="safe").load(read_file(root, rev, name) or b"{}") or {}
        for name in ("dvc.lock", "dvc.yaml")
    )
    frozen = {name for name, stage in pipeline.get("stages", {}).items() if stage.get("frozen")}
    stages = lock.get("stages", {})
    return {**lock, "stages": {name: stages[name] for name in stages if name not in frozen}}


def _with_saved_state(workspace: Experiment, rows: Sequence[Experiment]) -> Experiment:
    """The workspace with the state `same as NAME` if a revision has the same params and metrics."""
    if workspace.state != "done":
        return workspace
    for row in rows:
        same = row.params == workspace.params and row.metrics == workspace.metrics
        if same and not row.is_workspace:
            return replace(workspace, state=f"same as {row.name}")
    return replace(workspace, state="not saved")


def with_estimates(root: Path, row: Experiment, metrics: Sequence[str]) -> Experiment:
    """The row with estimates, and intervals from the revision's `reports/<stage>/intervals.json`."""
    stages = {metric.partition(".")[0] for metric in metrics}
    files = {stage: read_file(root, row.rev, f"reports/{stage}/intervals.json") for stage in stages}
    estimates = {}
    for metric in metrics:
        stage, _, key = metric.partition(".")
        value = row.number(metric)
        if value is not None:
            estimates[metric] = _estimate(value, files[stage] or b"{}", key)
    return replace(row, estimates=estimates)


def _estimate(value: float, intervals: bytes, key: str) -> Measured:
    try:
        found = json.loads(intervals)[key]
        low, high, n = float(found["low"]), float(found["high"]), int(found["n"])
    except (ValueError, KeyError, TypeError):
        return Measured(value)
    return Measured(value, (low, high), n)


def git(root: Path, *command: str, environment: Mapping[str, str] | None = None) -> str:
    """What a git command prints. Raises `LikenessError` if it fails."""
    done = subprocess.run(
        ["git", *command], cwd=root, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["failed"])[0]
        raise LikenessError(f"git {shlex.join(command)}: {reason}")
    return done.stdout.strip()


def read_file(root: Path, rev: str, path: str) -> bytes | None:
    """The bytes of a file in a revision or in the workspace; None if there is no such file."""
    if rev == WORKSPACE:
        return (root / path).read_bytes() if (root / path).is_file() else None
    done = subprocess.run(["git", "show", f"{rev}:./{path}"], cwd=root, capture_output=True)
    return done.stdout if done.returncode == 0 else None


# --- which is better -----------------------------------------------------------------------------


def ranked(rows: Sequence[Experiment], metric: str, better: Direction) -> list[Experiment]:
    """The `comparable` rows, best first; among equals, commits first."""
    sign = 1 if better == "lower" else -1
    return sorted(
        comparable(rows, metric),
        key=lambda row: (sign * row.estimates[metric].value, not row.is_commit),
    )


def comparable(rows: Sequence[Experiment], metric: str) -> list[Experiment]:
    """The rows that have the metric, at the usual number of items."""
    apart = measured_at_another_n(rows, metric)
    return [row for row in measured_by(rows, metric) if row not in apart]


def measured_at_another_n(rows: Sequence[Experiment], metric: str) -> list[Experiment]:
    """The rows whose n differs from that of most rows, for metrics that compare sets.

    A Fréchet distance falls as n grows (Chong and Forsyth 2020), so one of 300 images would always
    be better than one of 100.
    """
    known = find(metric)
    if known is None or not known.of_sets:
        return []
    counted = [row for row in measured_by(rows, metric) if row.estimates[metric].n]
    counts = Counter(row.estimates[metric].n for row in counted)
    usual = max(counts, key=lambda n: (counts[n], n), default=0)
    return [row for row in counted if row.estimates[metric].n != usual]


def measured_by(rows: Sequence[Experiment], metric: str) -> list[Experiment]:
    """The rows with the metric, except the workspace, whose metrics may be older than its params."""
    return [row for row in rows if metric in row.estimates and not row.is_workspace]


def differing_params(rows: Sequence[Experiment]) -> list[str]:
    """The params that do not have the same value in all rows; rows without params do not count."""
    known = [row.params for row in rows if row.params]
    texts = [
        {name: json.dumps(params[name], sort_keys=True) for name in params} for params in known
    ]
    names = sorted({name for params in known for name in params})
    return [name for name in names if len({each.get(name) for each in texts}) > 1]


def shared_params(rows: Sequence[Experiment]) -> dict[str, tuple[Any, Any]]:
    """Params with one value in all experiments and another in their commits; both values by param."""
    experiments = [row for row in rows if row.baseline is not None and row.params]
    others = [row for row in rows if row.baseline is None and row.params]
    if len(experiments) < 2 or not others:
        return {}
    apart = {*differing_params(experiments), *differing_params(others)}
    return {
        name: (experiments[0].params.get(name), others[0].params.get(name))
        for name in differing_params(rows)
        if name not in apart
    }


def verdict(rows: Sequence[Experiment], metric: str, better: Direction) -> list[str]:
    """Which is best, and whether its intervals overlap those of the next best and of its baseline."""
    best, *others = ranked(rows, metric, better)
    value = best.estimates[metric].value
    same = [row.name for row in others if row.estimates[metric].value == value]
    others = others[len(same) :]
    lines = [f"Best by {metric} ({better} is better): {best.name}, {best.estimates[metric]}."]
    lines += [f"The same value: {', '.join(same)}."] if same else []
    lines += ["It is a commit: no experiment is better."] if best.is_commit else []
    for at, row in enumerate(others):
        roles = ["the next best"] if at == 0 else []
        roles += ["its baseline"] if row.is_commit and row.name == best.baseline else []
        if roles:
            against = f"Against {' and '.join(roles)}, {row.name}"
            lines.append(f"{against}, {compared(best, row, metric)}")
    apart = [f"{row.name}, {row.estimates[metric]}" for row in measured_at_another_n(rows, metric)]
    if apart:
        lines.append(f"Not ranked, as this metric depends on n: {shortened(apart, joint='; ')}.")
    return lines


def compared(best: Experiment, other: Experiment, metric: str) -> str:
    """The other's value, the difference, and whether the two intervals overlap."""
    ours, theirs = best.estimates[metric], other.estimates[metric]
    gap = f"{theirs}: the difference of {ours.value - theirs.value:+.3g}"
    if ours.interval is None or theirs.interval is None:
        bare = [row.name for row in (best, other) if row.estimates[metric].interval is None]
        return f"{gap} cannot be judged, as there is no interval of {' and '.join(bare)}."
    if ours.interval[1] < theirs.interval[0] or theirs.interval[1] < ours.interval[0]:
        return f"{gap} is beyond the intervals, which do not overlap."
    return f"{gap} is not beyond the intervals, which overlap."
