"""Runs experiments, each in a clone of its own, and repeats them until they are done or have failed.

A clone has one commit checked out and shares the caches of the repository. After the run the experiment
is fetched from it, and the clone is deleted. So a search never touches the workspace, a killed run
leaves nothing that disturbs the next one, and an experiment is done if and only if git has it. Neither
`dvc queue` nor `dvc exp run --temp` gives that: if the worker of a queue is killed, its task is shown as
running for ever, and after `dvc queue kill` as a success without an experiment (DVC 3.67); parallel runs
with --temp take each other's entries from one stash.
"""

import os
import re
import shlex
import shutil
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
from likeness.repository.dvc import flat, share_settings, untracked_inputs
from likeness.repository.experiments import git, outdated_stages, read_file, read_lock

CLONE_VARIABLE = "LIKENESS_SEARCH"  # in the environment of all that runs in a clone: its path
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
        # Parallel runs share the cores, unless the user has set OMP_NUM_THREADS.
        threads = str(max(1, (os.cpu_count() or 1) // jobs))
        self._environment = {"OMP_NUM_THREADS": threads} | os.environ
        bin_folder = str(Path(sys.executable).parent)  # the stages' python, and dvc
        self._environment["PATH"] = os.pathsep.join([bin_folder, os.environ.get("PATH", "")])
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def log_of(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def recover(self) -> None:
        """Clean up after a killed search: end its processes and fetch what it had finished."""
        for clone in self._clones():
            end_processes(clone)
            for ref in git(clone, "for-each-ref", "--format=%(refname)", self._refs).splitlines():
                if not ref.endswith("-shared"):
                    self._fetch(clone, ref)
            shutil.rmtree(clone)

    def stop(self) -> None:
        """End all runs. None is started after that."""
        self._stopped.set()
        for clone in self._clones():
            end_processes(clone)

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
        clone = self.folder / run.name
        try:
            with self._lock:
                self._clone(clone, run.params)
            code = self._execute(run, clone)
            ref = f"{self._refs}{run.name}"
            if code == 0 and keep:
                self._fetch(clone, ref)
            return code
        finally:
            end_processes(clone)  # a stage goes on running if `dvc` is killed
            shutil.rmtree(clone, ignore_errors=True)

    def _execute(self, run: Run, clone: Path) -> int:
        with self.log_of(run.name).open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *run.command],
                cwd=clone,
                env=self._environment | {CLONE_VARIABLE: str(clone)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # ^C reaches the search, which ends its runs
            )
            if self._stopped.is_set():
                process.kill()
            try:
                return process.wait(self._seconds)
            except subprocess.TimeoutExpired:
                log.write(f"\nerror: ended after {self._seconds} s\n")
                end_processes(clone)
                return process.wait() or 1

    @property
    def _refs(self) -> str:
        return f"refs/exps/{self.rev[:2]}/{self.rev[2:]}/"

    def _clones(self) -> Iterator[Path]:
        return (path.parent for path in self.folder.glob("*/.git"))

    def _fetch(self, clone: Path, ref: str) -> None:
        with self._lock:
            git(self.root, "fetch", "--quiet", "--no-write-fetch-head", str(clone), f"{ref}:{ref}")

    def _clone(self, clone: Path, params: dict[str, Any]) -> None:
        shutil.rmtree(clone, ignore_errors=True)
        git(self.root, "clone", "--quiet", "--no-checkout", str(self.root), str(clone))
        git(clone, "checkout", "--quiet", "--detach", self.rev)
        for key in ("user.name", "user.email"):
            if found := git(self.root, "config", "--default", "", key):
                git(clone, "config", key, found)
        share_settings(self.root, clone)
        self._link_inputs(clone, params)

    def _link_inputs(self, clone: Path, params: dict[str, Any]) -> None:
        """Link inputs that are in neither git nor DVC, such as a real base that was only downloaded."""
        path = clone / "params.yaml"
        path.write_text(yaml.safe_dump(params), encoding="utf-8")  # dvc.yaml's paths depend on it
        inputs = untracked_inputs(clone)
        git(clone, "checkout", "--quiet", "params.yaml")
        for wanted in inputs:
            source = self.root / wanted.relative_to(clone)
            if not wanted.exists() and source.exists():
                wanted.parent.mkdir(parents=True, exist_ok=True)
                wanted.symlink_to(source)


def end_processes(clone: Path) -> None:
    """Kill every process that runs in a clone, whatever its parent is."""
    import psutil  # type: ignore[import-untyped]

    for process in psutil.process_iter():
        try:
            if process.environ().get(CLONE_VARIABLE) == str(clone):
                process.kill()
        except (psutil.Error, OSError):
            continue


def reason_of(log: Path, code: int) -> str:
    """The first line of a log that names an error; else how the process ended."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if ERROR_LINE.match(line.strip()):
            return line.strip()[:300]
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
