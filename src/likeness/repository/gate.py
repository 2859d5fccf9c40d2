"""Whether the reproduced metrics are as good as a revision's, and dvc.lock is up to date.

Each difference is one line, which begins with its kind:

  stale     dvc.lock was made with other code, params or inputs of a stage: fails
  differs   the same code, params and inputs gave another value: fails
  worse     after a change a number is worse by more than its tolerance: fails
  improved  a number is better by more than its tolerance
  changed   a value without a better direction is another one, or a key came or went

Another processor sums floats in another order, and a training amplifies that. So a figure of
reports/<stage>/intervals.json may move by its interval's width, or by 0.02; any other number by 15 %,
or by 2 if it is a whole number. Tolerances that hold in place of these are:
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import yaml

from likeness.common.errors import LikenessError, shortened
from likeness.common.io import write_text
from likeness.repository.dvc import ABSENT, flat, stale_stages
from likeness.repository.experiments import WORKSPACE, git, read_file
from likeness.repository.guard import LOADER
from likeness.repository.metrics import direction, exceptions, tolerance

FAILS = ("stale", "differs", "worse")
LOCKS = ("dvc.lock", "models/dvc.lock")
ENVIRONMENT = "requirements.lock"
REASONS = 4  # at most so many are in the line of a stale stage


@dataclass(frozen=True)
class Difference:
    kind: str  # one of the words that the module's docstring explains
    name: str  # a stage, a metrics file, or `<stage>.<key>`
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {self.text}"

    @property
    def fails(self) -> bool:
        return self.kind in FAILS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{exceptions()}\n\ninf: it may be anything."
    parser.add_argument("--base", default="HEAD", metavar="REV", help="what to compare with (HEAD)")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the findings there too"
    )


def main(args: argparse.Namespace, root: Path) -> int:
    print("is dvc.lock up to date", file=sys.stderr)
    commit = resolve(root, args.base)
    same = recipe(root, commit) == recipe(root, WORKSPACE)
    names = metrics_files(root, commit)
    found = stale(root) + [one for name in names for one in compare_file(root, commit, name, same)]
    found.sort(key=lambda one: not one.fails)
    against = commit[:7] if commit.startswith(args.base) else f"{args.base} ({commit[:7]})"
    verdict = summary(against, found, same, len(names))
    print(*found, verdict, sep="\n")
    if args.markdown:
        write_text(args.markdown, markdown(verdict, found))
    return int(any(one.fails for one in found))


def summary(against: str, found: Sequence[Difference], same: bool, files: int) -> str:
    """One line: green or red, the number of differences by kind, the revision, and what to do."""
    kinds = dict.fromkeys(one.kind for one in found)
    counts = [f"{sum(one.kind == kind for one in found)} {kind}" for kind in kinds]
    color = "red" if any(one.fails for one in found) else "green"
    line = (
        f"{color}: {', '.join(counts) or 'no difference'}; {files} metrics files against {against}"
    )
    if "stale" in kinds:
        todo = "run `dvc repro`, then commit dvc.lock, metrics, plots and reports"
        return f"{line}; {todo}"
    return f"{line}, made by {'the same' if same else 'other'} code, params and inputs"


def markdown(verdict: str, found: Iterable[Difference]) -> str:
    """The verdict and a table of the differences, for a pull request."""
    rows = [
        f"| {f'**{one.kind}**' if one.fails else one.kind} | `{one.name}` | {text} |\n"
        for one in found
        for text in [one.text.replace("|", "\\|")]
    ]
    table = "".join(["\n| | what | how |\n| --- | --- | --- |\n", *rows]) if rows else ""
    return f"{verdict}\n{table}"


# --- metrics --------------------------------------------------------------------------------------


def compare_file(root: Path, commit: str, name: str, same: bool) -> list[Difference]:
    """The differences in one metrics file. `same`: code, params and inputs are the same."""
    path = f"metrics/{name}.json"
    old, new = (read_values(root, rev, path) for rev in (commit, WORKSPACE))
    if old is None or new is None:
        there = "only in the workspace" if old is None else "not in the workspace"
        return [Difference("differs" if same else "changed", path, there)]
    intervals = read_values(root, commit, f"reports/{name}/intervals.json", nested=True) or {}
    found = [
        judge(f"{name}.{key}", old.get(key), new.get(key), intervals.get(key), same=same)
        for key in (old | new)
    ]
    return [one for one in found if one]


def judge(
    name: str, old: Any, new: Any, interval: Mapping[str, float] | None, *, same: bool
) -> Difference | None:
    """The difference of one metric; None if it is within its tolerance.

    Args:
        old: the value at the revision, None if it has none; `new` is that of the workspace.
        interval: `low` and `high` at the revision.
        same: code, params and inputs are the same, so the value may not get better either.
    """
    if old == new:
        return None
    kind = "differs" if same else "changed"
    if not (isinstance(old, int | float) and isinstance(new, int | float)):
        values = [ABSENT if value is None else str(value) for value in (old, new)]
        return Difference(kind, name, " → ".join(values))
    limit = tolerance(name, old, interval)
    if abs(old - new) <= limit:
        return None
    better = direction(name)
    text = f"{old:.6g} → {new:.6g}, tolerance {limit:.4g}"
    if better:
        text += f", {better} is better"
        if (new < old) if better == "lower" else (new > old):
            kind = "improved"
        elif not same:
            kind = "worse"
    return Difference(kind, name, text)


# --- revisions ------------------------------------------------------------------------------------


def resolve(root: Path, rev: str) -> str:
    """The commit of a revision. Raises `LikenessError` if this clone has no such revision."""
    try:
        return git(root, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
    except LikenessError as error:
        raise LikenessError(
            f"{rev}: no such revision in this clone; git fetch it, with its history"
        ) from error


def metrics_files(root: Path, commit: str) -> list[str]:
    """The names that metrics files have at the commit or in the workspace, without `.json`."""
    listed = git(root, "ls-tree", "--name-only", commit, "metrics/").splitlines()
    paths = [*map(Path, listed), *root.glob("metrics/*.json")]
    names = sorted({path.stem for path in paths if path.suffix == ".json"})
    if not names:
        raise LikenessError(f"metrics/: no file, neither here nor at {commit[:7]}; run `dvc repro`")
    return names


def read_values(root: Path, rev: str, path: str, nested: bool = False) -> dict[str, Any] | None:
    """A JSON file's values, by dotted key unless `nested`; None if the revision has no such file."""
    content = read_file(root, rev, path)
    if content is None:
        return None
    try:
        values = json.loads(content)
    except ValueError as error:
        raise LikenessError(f"{path} at {rev}: not JSON ({error})") from error
    return values if nested else flat(values)


def recipe(root: Path, rev: str) -> tuple[Any, ...]:
    """All that determines the metrics: the environment, and each stage's command, params and sources.

    They are read from the locks. Outputs of stages are left out, as their bytes depend on the machine.
    """
    stages: dict[str, tuple[str, Any]] = {}
    for lock in LOCKS:
        folder = dirname(lock)
        locked, defined = (
            (yaml.load(read_file(root, rev, path) or b"", LOADER) or {}).get("stages", {})
            for path in (lock, lock.replace(".lock", ".yaml"))
        )
        for name, stage in locked.items():
            working = defined.get(name, {}).get("wdir", ".")  # paths in the lock are from there
            stages[join(folder, name)] = (join(folder, working), stage)
    made = {path for folder, stage in stages.values() for path in _hashes(folder, stage, "outs")}
    steps = {
        name: (
            stage["cmd"],
            stage.get("params"),
            {k: v for k, v in _hashes(folder, stage, "deps").items() if k not in made},
        )
        for name, (folder, stage) in stages.items()
    }
    return read_file(root, rev, ENVIRONMENT), steps


def _hashes(folder: str, stage: Mapping[str, Any], kind: str) -> dict[str, str | None]:
    """By path from the root, the hashes of a stage's `deps` or `outs`; the stage runs in a folder."""
    return {normpath(join(folder, each["path"])): each.get("md5") for each in stage.get(kind, [])}


# --- the lock -------------------------------------------------------------------------------------


def stale(root: Path) -> list[Difference]:
    """The stages whose entry in dvc.lock is not true, and why."""
    return [
        Difference("stale", stage, shortened(reasons, REASONS, "; "))
        for stage, reasons in stale_stages(root).items()
    ]
