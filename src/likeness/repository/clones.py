"""A clone of the repository, in which one experiment runs, and the processes that run in it.

A clone has one commit checked out and shares the caches of the repository, so the workspace is never
touched. Its processes carry its path in their environment: they are found and ended whatever became of
the process that started them, and nothing else can be ended in their place.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from likeness.common.errors import LikenessError
from likeness.common.io import write_bytes
from likeness.repository.dvc import share_settings, untracked_inputs
from likeness.repository.experiments import git

CLONE_VARIABLE = "LIKENESS_SEARCH"  # in the environment of all that runs in a clone: its path


@dataclass(frozen=True)
class Clone:
    """A clone that is there or can be made.

    Attributes:
        root: the repository.
        path: of the clone, below the repository.
        rev: the commit that it has checked out.
    """

    root: Path
    path: Path
    rev: str

    def make(self, params: dict[str, Any], changed: Mapping[str, Path] | None = None) -> None:
        """Check the commit out. What is left of a run before is ended and deleted.

        Args:
            params: of the run, on which the paths of its inputs depend.
            changed: by path, a copy of each file that is not to be as in the commit; it is to be
                absent if its copy is.
        """
        self.delete()
        # A clone that goes on being made after its maker was killed is ended like a run.
        marked = os.environ | {CLONE_VARIABLE: str(self.path)}
        source = ("clone", "--quiet", "--no-checkout", str(self.root), str(self.path))
        git(self.root, *source, environment=marked)
        git(self.path, "checkout", "--quiet", "--detach", self.rev, environment=marked)
        for key in ("user.name", "user.email"):
            if found := git(self.root, "config", "--default", "", key):
                git(self.path, "config", key, found)
        for name, copy in (changed or {}).items():
            if copy.exists():
                write_bytes(self.path / name, copy.read_bytes())
            else:
                (self.path / name).unlink(missing_ok=True)
        share_settings(self.root, self.path)
        self._link_inputs(params)

    def start(
        self, command: Sequence[str], log: IO[Any], environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        """Start a command, such as `dvc exp run`, in the clone."""
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.path,
            env={**environment, CLONE_VARIABLE: str(self.path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # ^C reaches who has started it, and not the run itself
        )

    def experiments(self) -> list[str]:
        """The names of the experiments that the clone has finished; none if it is only half made."""
        # Named, as git would else take the .git of the repository above for one that is half made.
        folder = ("--git-dir", str(self.path / ".git"))
        try:
            found = git(self.root, *folder, "for-each-ref", "--format=%(refname)", self._refs)
        except LikenessError:
            return []
        return [ref.removeprefix(self._refs) for ref in found.splitlines()]

    def fetch(self, name: str) -> None:
        """Fetch a finished experiment into the repository."""
        ref = f"{self._refs}{name}"
        # In milliseconds: another git may write the same ref.
        wait = ("-c", "core.filesRefLockTimeout=10000")
        fetch = ("fetch", "--quiet", "--no-write-fetch-head", str(self.path), f"{ref}:{ref}")
        git(self.root, *wait, *fetch)

    def end(self) -> None:
        """Kill every process that runs in the clone, whatever its parent is."""
        import psutil  # type: ignore[import-untyped]

        for _ in range(100):  # while the list is read, one of them may start another
            killed = 0
            for process in psutil.process_iter():
                try:
                    if process.environ().get(CLONE_VARIABLE) == str(self.path):
                        process.kill()
                        killed += 1
                except (psutil.Error, OSError):
                    continue
            if not killed:
                return
            time.sleep(0.05)

    def delete(self) -> None:
        """End what runs in the clone, and delete it."""
        self.end()
        shutil.rmtree(self._half_deleted, ignore_errors=True)
        if self.path.exists():
            self.path.rename(self._half_deleted)
            shutil.rmtree(self._half_deleted, ignore_errors=True)

    def is_left(self) -> bool:
        """Whether the clone is there, or part of it."""
        return self.path.exists() or self._half_deleted.exists()

    @property
    def _half_deleted(self) -> Path:
        """Its name while it is being deleted, so that under its own name it is there or is not."""
        return self.path.with_name(f".{self.path.name}")

    @property
    def _refs(self) -> str:
        return f"refs/exps/{self.rev[:2]}/{self.rev[2:]}/"

    def _link_inputs(self, params: dict[str, Any]) -> None:
        """Link inputs that are in neither git nor DVC, such as a real base that was only downloaded."""
        path = self.path / "params.yaml"
        path.write_text(yaml.safe_dump(params), encoding="utf-8")  # dvc.yaml's paths depend on it
        inputs = untracked_inputs(self.path)
        git(self.path, "checkout", "--quiet", "params.yaml")
        for wanted in inputs:
            source = self.root / wanted.relative_to(self.path)
            if not wanted.exists() and source.exists():
                wanted.parent.mkdir(parents=True, exist_ok=True)
                wanted.symlink_to(source)


def clones(root: Path, folder: Path, rev: str) -> Iterator[Clone]:
    """The clones that lie in a folder."""
    return (Clone(root, path.parent, rev) for path in folder.glob("*/.git"))


def environment(runs: int) -> dict[str, str]:
    """The environment of a run of which there are so many at a time."""
    # Parallel runs share the cores, unless the user has set OMP_NUM_THREADS; logs are written at once.
    threads = str(max(1, (os.cpu_count() or 1) // runs))
    defaults = {"OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
    bin_folder = str(Path(sys.executable).parent)  # the stages' python, and dvc
    path = os.pathsep.join([bin_folder, os.environ.get("PATH", "")])
    return defaults | os.environ | {"PATH": path}


@dataclass(frozen=True)
class Process:
    """A process by its number and its start, since the system gives the number to others later.

    The start is counted from the boot of the machine, so that setting the clock does not change it.
    """

    pid: int
    start: int  # in ticks of the kernel's clock
    boot: str  # the id that the kernel gives each boot

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this number now, such as a child of which the exit code was not read."""
        return cls(pid, _stat(pid)[1], _boot())

    def is_alive(self) -> bool:
        """Not if it has ended, even if its parent has not read its exit code."""
        how, start = _stat(self.pid)
        return start == self.start and how not in "ZX" and self.is_of_this_boot()

    def is_of_this_boot(self) -> bool:
        return self.boot == _boot()


def _stat(pid: int) -> tuple[str, int]:
    """Of the process that has this number now, its state as one letter, and its start."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    fields = stat.rpartition(")")[2].split()  # what is before that, its name, may have blanks
    return fields[0], int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
