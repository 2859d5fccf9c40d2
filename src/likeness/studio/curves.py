"""What the trainings of a run have measured, from the tables that DVCLive writes under plots/."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from likeness.repository.experiments import git, read_file
from likeness.repository.runs import experiments
from likeness.studio.jobs import Job

TABLE = re.compile(r"plots/(?P<stage>\w+)/plots/metrics/(?P<figure>[\w/]+)\.tsv")
Curves = dict[str, dict[str, list[tuple[int, float]]]]  # by stage and figure


def curves_of_job(job: Job) -> Curves:
    """What the trainings of a run have measured, while it runs and when its experiment is there."""
    if commit := experiments(job.root, job.commit).get(job.id):
        now = curves_of_commit(job.root, commit)
    else:
        now = curves_of_folder(job.clone.path)
    # Those of the commit were checked out with it, and measured by no run of this.
    before = curves_of_commit(job.root, job.commit)
    return {stage: curves for stage, curves in now.items() if curves != before.get(stage)}


def curves_of_folder(root: Path) -> Curves:
    """The curves in a workspace or a clone, as far as they have been written."""
    paths = root.glob("plots/*/plots/metrics/**/*.tsv")
    return _curves({path.relative_to(root).as_posix(): path.read_bytes() for path in paths})


@lru_cache(maxsize=64)
def curves_of_commit(root: Path, commit: str) -> Curves:
    """The curves of a commit or an experiment."""
    listed = git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", "plots").split("\0")
    paths = [path for path in listed if TABLE.fullmatch(path)]
    return _curves({path: read_file(root, commit, path) or b"" for path in paths})


def _curves(files: Mapping[str, bytes]) -> Curves:
    found: Curves = {}
    for path in sorted(files):
        if match := TABLE.fullmatch(path):
            figure, text = match["figure"], files[path].decode("utf-8")
            table = csv.DictReader(io.StringIO(text), delimiter="\t")
            found.setdefault(match["stage"], {})[figure] = _rows(table, figure.rpartition("/")[2])
    return found


def _rows(table: Iterable[Mapping[str, str]], column: str) -> list[tuple[int, float]]:
    """Steps and values; the last line may be half written."""
    rows = []
    for row in table:
        try:
            rows.append((int(row["step"]), float(row[column])))
        except (KeyError, TypeError, ValueError):
            continue
    return rows
