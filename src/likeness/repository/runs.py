"""Runs experiments, each in a clone of its own, and repeats them until they are done or have failed.

After a run the experiment is fetched from its clone, and the clone is deleted. So a killed run leaves
nothing that disturbs the next one, and an experiment is done if and only if git has it. Neither `dvc
queue` nor `dvc exp run --temp` gives that: if the worker of a queue is killed, its task is shown as
running for ever, and after `dvc queue kill` as a success without an experiment (DVC 3.67); parallel runs
with --temp take each other's entries from one stash.
"""

import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from likeness.common.errors import LikenessError
from likeness.common.logs import printed
from likeness.repository.clones import Clone, clones, environment
from likeness.repository.dvc import flat
from likeness.repository.experiments import git, outdated_stages, read_file, read_lock

ERROR_LINE = re.compile(r"(error: |ERROR: |[\w.]*(Error|Exception)\b)")


@dataclass(frozen=True)
class Run:
    """An experiment that is to be run.

    Attributes:
        name: of the experiment; the same params of a lane give the same name.
        overrides: the arguments of -S.
        params: the params that the overrides give.
        targets: the stages to reproduce, with all that they depend on.
    """

    name: str
    overrides: tuple[str, ...]
    params: dict[str, Any]
    targets: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        """The command that a user would type."""
        sets = [word for override in self.overrides for word in ("-S", override)]
        return ["dvc", "exp", "run", "-n", self.name, *sets, *self.targets]


class Runner:
    """Runs experiments of the commit that is checked out. Its methods may be called from any thread.

    Attributes:
        root: the repository.
        folder: where clones and logs are.
        rev: the commit.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        jobs: int = 1,
        retries: int = 2,
        minutes: float | None = None,
    ) -> None:
        """`minutes`: a run that takes longer is ended and counts as failed."""
        self.root, self.folder, self.rev = root, folder, git(root, "rev-parse", "HEAD")
        self._retries, self._seconds = retries, minutes and minutes * 60
        self._stopped = threading.Event()
        self._lock = threading.Lock()  # DVC's own objects are not made for threads
        self._environment = environment(jobs)
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def log_of(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def recover(self) -> None:
        """Clean up after a killed search: end its processes and fetch what it had finished."""
        for clone in self._clones():
            clone.end()
            for name in clone.experiments():
                if not name.endswith("-shared"):
                    clone.fetch(name)
            clone.delete()

    def stop(self) -> None:
        """End all runs. None is started after that."""
        self._stopped.set()
        for clone in self._clones():
            clone.end()

    def run(self, run: Run, keep: bool = True) -> None:
        """Run an experiment; repeat it a few times if it is killed or crashes.

        Args:
            keep: fetch the experiment. Otherwise only its outputs stay, in DVC's cache.

        Raises:
            LikenessError: it failed; with the reason and the path of the log.
        """
        for attempt in range(1 + self._retries):
            if self._stopped.is_set():
                raise LikenessError(f"{run.name}: stopped")
            again = f" (try {attempt + 1})" if attempt else ""
            tqdm.write(f"{run.name}{again}: {shlex.join(run.command)}", file=sys.stderr)
            code = self._attempt(run, keep)
            if code == 0:
                return
            reason = reason_of(self.log_of(run.name), code)
            if code > 0 and reason.startswith("error: "):
                break  # an error that a stage found: another try would give the same
        log = self.log_of(run.name).relative_to(self.root)
        raise LikenessError(f"{run.name}: {reason} ({log})")

    def _attempt(self, run: Run, keep: bool) -> int:
        clone = Clone(self.root, self.folder / run.name, self.rev)
        try:
            with self._lock:
                clone.make(run.params)
            code = self._execute(run, clone)
            if code == 0 and keep:
                with self._lock:
                    clone.fetch(run.name)
            return code
        finally:
            clone.delete()  # a stage goes on running if `dvc` is killed

    def _execute(self, run: Run, clone: Clone) -> int:
        with self.log_of(run.name).open("w") as log:
            process = clone.start(run.command, log, self._environment)
            if self._stopped.is_set():
                process.kill()
            try:
                return process.wait(self._seconds)
            except subprocess.TimeoutExpired:
                log.write(f"\nerror: ended after {self._seconds} s\n")
                clone.end()
                return process.wait() or 1

    def _clones(self) -> Iterator[Clone]:
        return clones(self.root, self.folder, self.rev)


def reason_of(log: Path, code: int | None, after: int = 0) -> str:
    """The first line of a log that names an error; else how the process ended.

    Args:
        code: its exit code, if it is known.
        after: where the log of this run begins, in bytes.
    """
    text = log.read_bytes()[after:].decode("utf-8", errors="replace") if log.exists() else ""
    for line in map(printed, text.splitlines()):
        if ERROR_LINE.match(line.strip()):
            return line.strip()[:300]
    if code is None:
        return "killed, as it has left neither an experiment nor an error in its log"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def experiments(root: Path, rev: str) -> dict[str, str]:
    """The revisions of a commit's experiments by name; the commit itself is `HEAD`."""
    base = f"refs/exps/{rev[:2]}/{rev[2:]}/"
    lines = git(root, "for-each-ref", "--format=%(refname) %(objectname)", base).splitlines()
    return {"HEAD": rev} | {
        name.removeprefix(base): found for name, _, found in (line.partition(" ") for line in lines)
    }


def find_done(root: Path, rev: str, run: Run, stages: Sequence[str]) -> str | None:
    """The name of an experiment of the commit whose stages ran with the params of `run`."""
    for name, found in experiments(root, rev).items():
        params, lock = _contents(root, found)
        ran = lock.get("stages", {}).keys() - outdated_stages(lock, flat(params))
        if params == run.params and ran.issuperset(stages):
            return name
    return None


@cache
def _contents(root: Path, rev: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The params and the lock of a revision."""
    return yaml.safe_load(read_file(root, rev, "params.yaml") or b"{}"), read_lock(root, rev)
