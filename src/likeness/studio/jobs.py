"""A queue of experiments that survives what started it.

Each job is one `dvc exp run` in a clone of the repository: of the commit that was checked out when it
was submitted, with the params that this commit and its overrides give, and with what people had decided
in the studio by then. The workspace is never touched, and may be edited at once. The result is an
experiment with the name of the job. A process of its own runs the queue and ends when it is empty; if it
is killed, what runs goes on, and the next command starts another.
"""

import argparse
import fcntl
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, Literal

import yaml

from likeness.common.errors import LikenessError, shortened
from likeness.common.io import read_json, write_bytes, write_json
from likeness.common.logs import printed
from likeness.repository.clones import Clone, Process
from likeness.repository.dvc import compose, run_dvc
from likeness.repository.experiments import git, read_file, read_lock
from likeness.repository.runs import Run, experiments, reason_of
from likeness.studio.corrections import FILE as CORRECTIONS
from likeness.studio.locks import exclusive

FOLDER = Path(".dvc") / "likeness" / "studio" / "jobs"
RATINGS = "data/ratings"  # of blind tests
# What people decide in the studio, and the inputs that they send to it. A run has these files as they
# were when it was submitted, committed or not, and its experiment holds them.
CARRIED = re.compile(rf"{re.escape(CORRECTIONS)}|{RATINGS}/.+|data/raw/([^/]+\.dvc|\.gitignore)")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
BAR = re.compile(r"(?P<title>[^|]+): +\d+%\|.*\| *(?P<done>\d+)/(?P<total>\d+) \[")  # of tqdm
CHUNK = 1 << 20  # bytes of a log that are read at once
FOLLOW_SECONDS = 0.3

State = Literal["queued", "running", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Status:
    """How a job is. `reason` says why it failed."""

    state: State
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}" if self.reason else self.state


@dataclass(frozen=True)
class Progress:
    """The last progress bar of a log: a stage, what it counts, and how many of them are done."""

    stage: str
    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Job:
    """A job as its folder has it: `job.json`, `log`, `carried/`, and `exit` when it has ended.

    Attributes:
        folder: its name is the id of the job, and the name of the experiment.
        command: what a user would type for the same run.
        overrides: the arguments of -S.
        targets: the stages to reproduce, with all that they depend on; none are all stages.
        params: what the commit and the overrides give.
        commit: that the run starts from.
        uncommitted: files that were changed when it was submitted, which are not part of the run.
        carried: files of `CARRIED` that were changed when it was submitted, which are part of the run.
        unfrozen: frozen stages that have an override, and so should run.
        submitted: the time, in UTC.
        process: of the run, once it was started.
        log_begins: where the log of this run begins, after those of earlier tries.
    """

    folder: Path
    command: str
    overrides: Sequence[str]
    targets: Sequence[str]
    params: dict[str, Any] = field(repr=False)
    commit: str
    uncommitted: Sequence[str]
    submitted: str
    process: Process | None = None
    log_begins: int = 0
    carried: Sequence[str] = ()
    unfrozen: Sequence[str] = ()

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def root(self) -> Path:
        return self.folder.parents[len(FOLDER.parts)]

    @property
    def run(self) -> Run:
        return Run(self.id, tuple(self.overrides), self.params, tuple(self.targets))

    @property
    def clone(self) -> Clone:
        return Clone(self.root, self.folder / "clone", self.commit)

    @property
    def changed(self) -> dict[str, Path]:
        """The copy of each file that it carries, by its path in the repository."""
        return {name: self.folder / "carried" / name for name in self.carried}

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def exit(self) -> Path:
        return self.folder / "exit"

    def write(self) -> None:
        values = asdict(self)
        del values["folder"]
        write_json(self.folder / "job.json", values)


# --- read -----------------------------------------------------------------------------------------


def find_job(root: Path, identity: str) -> Job:
    """Raises `LikenessError` if there is no such job."""
    folder = root / FOLDER / identity
    if not NAME.fullmatch(identity) or not (folder / "job.json").is_file():
        raise LikenessError(f"{identity}: no such job; `likeness jobs` lists them")
    values = read_json(folder / "job.json")
    process = values.pop("process")
    return Job(folder, **values, process=process and Process(**process))


def list_jobs(root: Path) -> list[Job]:
    """All jobs: first those that have begun, by the time of their submission, then the queue.

    If something waits or runs and nothing is there to attend to it, that is started.
    """
    with locked(root):
        attend(root)
        jobs = jobs_of(root)
        waiting = _queue(root, jobs)
    ids = {job.id for job in waiting}
    begun = sorted((job for job in jobs if job.id not in ids), key=lambda job: job.submitted)
    return [*begun, *waiting]


def queue(root: Path) -> list[Job]:
    """The jobs that wait, the next one first."""
    return _queue(root, jobs_of(root))


def _queue(root: Path, jobs: Sequence[Job]) -> list[Job]:
    """Those of all jobs that wait, in their order."""
    known = {job.id: job for job in jobs}
    ordered = [known[each] for each in _order(root) if each in known]
    return [job for job in ordered if job.process is None and not job.exit.exists()]


def unsettled(root: Path) -> list[Job]:
    """The jobs that wait, run, or have left something behind."""
    return [job for job in jobs_of(root) if not job.exit.exists() or job.clone.is_left()]


def jobs_of(root: Path) -> list[Job]:
    """All jobs, in no order."""
    return [find_job(root, path.parent.name) for path in (root / FOLDER).glob("*/job.json")]


def workers(root: Path) -> int:
    """How many jobs run at a time."""
    path = root / FOLDER / "workers"
    return int(path.read_text()) if path.exists() else 1


def state(job: Job) -> Status:
    """How a job is now, whether or not anything attends to it."""
    if recorded := _recorded(job):
        return recorded
    job = find_job(job.root, job.id)  # it may have been started since it was read
    if job.process is None:
        return Status("queued")
    if job.process.is_alive():
        return Status("running")
    return _recorded(job) or ending(job)


def _recorded(job: Job) -> Status | None:
    try:
        return Status(**json.loads(job.exit.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def ending(job: Job, code: int | None = None) -> Status:
    """How a job has ended whose process is gone; it runs as long as its experiment is not fetched."""
    if job.id in experiments(job.root, job.commit):
        return Status("done")
    if job.id in job.clone.experiments():
        return Status("running")
    if code is None and job.process and not job.process.is_of_this_boot():
        return Status("failed", "the machine was restarted")
    # DVC names files by where the clone was.
    reason = reason_of(job.log, code, job.log_begins).replace(f"{job.clone.path}/", "")
    return Status("failed", reason)


def read_log(job: Job, after: int = 0) -> tuple[bytes, int]:
    """The next bytes of a log after those that were read, and where to go on; at most a megabyte."""
    if not job.log.exists():
        return b"", 0
    with job.log.open("rb") as log:
        log.seek(max(0, after))
        data = log.read(CHUNK)
    return data, max(0, after) + len(data)


def progress(job: Job) -> Progress | None:
    """The last progress bar that a job has shown; None before the first."""
    size = job.log.stat().st_size if job.log.exists() else 0
    data, _ = read_log(job, max(job.log_begins, size - (1 << 14)))
    for line in reversed(re.split(r"[\r\n]+", data.decode("utf-8", errors="replace"))):
        if found := BAR.match(printed(line)):
            stage, _, what = found["title"].partition(": ")
            return Progress(stage, what, int(found["done"]), int(found["total"]))
    return None


# --- change ---------------------------------------------------------------------------------------


def submit(
    root: Path, targets: Sequence[str] = (), overrides: Sequence[str] = (), name: str | None = None
) -> Job:
    """Put a job at the end of the queue.

    Args:
        targets: stages of dvc.yaml; none are all.
        overrides: the arguments of -S.
        name: of the job and its experiment; by default a new one is made.

    Raises:
        LikenessError: a name that is taken, or a target or an override that the commit does not have.
    """
    commit = git(root, "rev-parse", "HEAD")
    name = name if name is not None else f"job-{token_hex(4)}"
    if not NAME.fullmatch(name):
        raise LikenessError(f"-n {name}: a name has letters, digits, - and _ only, 64 at most")
    stages = yaml.safe_load(read_file(root, commit, "dvc.yaml") or b"{}").get("stages", {})
    _check_targets(stages, commit, targets)
    sections = {override.partition(".")[0] for override in overrides}
    unfrozen = [stage for stage, one in stages.items() if one.get("frozen") and stage in sections]
    params = _params(root, commit, overrides)
    run = Run(name, tuple(overrides), params, tuple(targets))
    uncommitted = uncommitted_files(root)
    carried = [path for path in uncommitted if CARRIED.fullmatch(path)]
    commands = [["dvc", "unfreeze", *unfrozen]] if unfrozen else []
    job = Job(
        root / FOLDER / name,
        " && ".join(map(shlex.join, [*commands, run.command])),
        overrides=list(overrides),
        targets=list(targets),
        params=params,
        commit=commit,
        uncommitted=[path for path in uncommitted if path not in carried],
        submitted=datetime.now(UTC).isoformat(timespec="milliseconds"),
        carried=carried,
        unfrozen=unfrozen,
    )
    with locked(root):
        if job.folder.exists() or name in experiments(root, commit):
            raise LikenessError(f"{name}: a job or an experiment has this name; choose another")
        for path, copy in job.changed.items():
            if (root / path).exists():
                write_bytes(copy, (root / path).read_bytes())
        _reorder(root, [*_order(root), name])
        job.write()
        attend(root)
    return job


def stop(root: Path, identity: str) -> None:
    """Take a job out of the queue, or end its run and no other.

    Raises:
        LikenessError: it has ended.
    """
    with locked(root):
        job = find_job(root, identity)
        now = state(job)
        if now.state not in ("queued", "running"):
            raise LikenessError(f"{identity}: is {now.state} already; there is nothing to stop")
        if now.state == "running":
            job.clone.end()
        record(job, Status("stopped"))
        attend(root)


def resume(root: Path, identity: str) -> None:
    """Put a job that failed or was stopped at the end of the queue; its stages go on from checkpoints.

    Raises:
        LikenessError: it has not ended, or is done.
    """
    with locked(root):
        job = find_job(root, identity)
        now = state(job)
        if now.state not in ("failed", "stopped"):
            raise LikenessError(
                f"{identity}: is {now.state}; only a job that failed or was stopped can go on"
            )
        _reorder(root, [*(each for each in _order(root) if each != identity), identity])
        size = job.log.stat().st_size if job.log.exists() else 0
        replace(job, process=None, log_begins=size).write()
        job.exit.unlink(missing_ok=True)
        attend(root)


def apply(root: Path, identity: str) -> None:
    """Bring the experiment of a job into the workspace, as `dvc exp apply` does.

    Raises:
        LikenessError: the job is not done, its experiment was removed, or a file would be overwritten
            that git does not have.
    """
    job = find_job(root, identity)
    if (now := state(job)).state != "done":
        raise LikenessError(f"{identity}: is {now.state}; only what is done can be applied")
    found = experiments(root, job.commit).get(identity)
    if found is None:
        raise LikenessError(f"{identity}: its experiment was removed; submit the job again")
    for path in uncommitted_files(root):
        kept = read_file(root, found, path)
        if kept is not None and (root / path).is_file() and not _is_in_git(root, path):
            raise LikenessError(f"{path}: is changed, and would be overwritten; commit it first")
    try:
        run_dvc(root, "exp", "apply", found)
    except LikenessError as error:
        # For DVC that is a failure too if data is absent that this machine never had.
        made = _outputs(root, found) - _outputs(root, job.commit)
        if "Checkout failed" not in str(error) or not all(
            (root / path).exists() for path, _ in made
        ):
            raise


def _outputs(root: Path, rev: str) -> set[tuple[str, str]]:
    """What the lock of a revision has as outputs: the path and the MD5 of each."""
    stages = read_lock(root, rev)["stages"].values()
    return {(out["path"], out["md5"]) for stage in stages for out in stage.get("outs", [])}


def _is_in_git(root: Path, path: str) -> bool:
    """Whether git has a file's content, as that of a commit or an experiment."""
    blob = git(root, "hash-object", "--", path)
    try:
        git(root, "cat-file", "-e", blob)
    except LikenessError:
        return False
    return True


def move(root: Path, identity: str, place: int) -> None:
    """Give a job another place in the queue; the first is 1. Raises `LikenessError` if it isn't there."""
    with locked(root):
        others = [job.id for job in queue(root)]
        if identity not in others:
            now = state(find_job(root, identity))
            raise LikenessError(f"{identity}: is {now.state}; only a job that waits can be moved")
        if place < 1:
            raise LikenessError(f"{place}: no place in the queue; the first is 1")
        others.remove(identity)
        others.insert(place - 1, identity)
        _reorder(root, others)


def set_workers(root: Path, count: int) -> None:
    """How many jobs run at a time from now on."""
    if count < 1:
        raise LikenessError(f"--workers {count}: should be 1 or more")
    write_bytes(root / FOLDER / "workers", str(count).encode())


def record(job: Job, status: Status) -> None:
    """Record how a job has ended. The caller holds the lock."""
    write_json(job.exit, asdict(status))


def locked(root: Path) -> AbstractContextManager[None]:
    """Jobs are added, started, moved and ended by one process at a time."""
    return exclusive(root / FOLDER / "lock")


def attend(root: Path) -> None:
    """Start a supervisor if there is something for it to do and there is none. The caller holds the lock.

    A supervisor inherits a locked file, so the kernel says whether there is one, however it ends.
    """
    if not unsettled(root):
        return
    folder = root / FOLDER
    with (folder / "supervisor").open("w") as held, (folder / "supervisor.log").open("a") as log:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        program = [sys.executable, "-m", "likeness.studio.supervisor", str(root)]
        subprocess.Popen(
            [*program, str(held.fileno())],
            pass_fds=[held.fileno()],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _order(root: Path) -> list[str]:
    """The ids of the queue in its order, and perhaps of jobs that have begun since it was written."""
    path = root / FOLDER / "queue"
    return path.read_text().split() if path.exists() else []


def _reorder(root: Path, ids: Sequence[str]) -> None:
    write_bytes(root / FOLDER / "queue", "".join(f"{each}\n" for each in ids).encode())


def _check_targets(stages: Collection[str], commit: str, targets: Sequence[str]) -> None:
    for target in targets:
        if target not in stages:
            raise LikenessError(
                f"{target}: no such stage in dvc.yaml of {commit[:7]}; it has {', '.join(stages)}"
            )


def _params(root: Path, commit: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The params that a run of the commit composes, whatever the workspace has."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        tree = ("ls-tree", "-r", "-z", "--name-only", commit, "--")
        for path in git(root, *tree, ".dvc/config", "params.yaml", "conf").split("\0"):
            if path:
                write_bytes(folder / path, read_file(root, commit, path) or b"")
        if (root / ".dvc" / "config.local").exists():
            shutil.copy(root / ".dvc" / "config.local", folder / ".dvc")
        return compose(folder, overrides)


def uncommitted_files(root: Path) -> list[str]:
    """The files that differ from the commit, or that git does not know."""
    plain = ("-c", "core.quotePath=false")
    changed = git(root, *plain, "diff", "HEAD", "--name-only").splitlines()
    return changed + git(root, *plain, "ls-files", "--others", "--exclude-standard").splitlines()


# --- the command ----------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="all jobs, the queue last; the default")
    one = actions.add_parser("submit", help="put a run at the end of the queue; prints its id")
    one.add_argument("targets", nargs="*", metavar="STAGE", help="stages to reproduce (all)")
    one.add_argument("-S", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    one.add_argument("-n", dest="name", metavar="NAME", help="of the job and of its experiment")
    one.add_argument("--workers", type=int, metavar="N", help="jobs at a time from now on (1)")
    one = actions.add_parser("stop", help="take jobs out of the queue, or end their runs")
    one.add_argument("ids", nargs="+", metavar="ID")
    one = actions.add_parser("resume", help="queue jobs again that failed or were stopped")
    one.add_argument("ids", nargs="+", metavar="ID")
    one = actions.add_parser("log", help="what a job has printed")
    one.add_argument("id", metavar="ID")
    one.add_argument("--follow", action="store_true", help="go on until the job has ended")
    one = actions.add_parser("move", help="give a job another place in the queue")
    one.add_argument("id", metavar="ID")
    one.add_argument("place", type=int, metavar="PLACE", help="1 is the next one to run")


def main(args: argparse.Namespace, root: Path) -> int:
    """Returns 1 if a job whose log is followed has not ended as done."""
    if args.action == "submit":
        if args.workers is not None:
            set_workers(root, args.workers)
        job = submit(root, args.targets, args.sets, args.name)
        if job.uncommitted:
            left_out = f"not part of it, as not committed: {shortened(job.uncommitted)}"
            print(left_out, file=sys.stderr)
        if job.carried:
            print(f"part of it, though not committed: {shortened(job.carried)}", file=sys.stderr)
        print(job.id)
    elif args.action in ("stop", "resume"):
        for identity in args.ids:
            (stop if args.action == "stop" else resume)(root, identity)
    elif args.action == "move":
        move(root, args.id, args.place)
    elif args.action == "log":
        return _print_log(find_job(root, args.id), args.follow)
    else:
        for job in list_jobs(root):
            now = state(job)
            bar = progress(job) if now.state == "running" else None
            at = f" {bar.stage} {bar.done}/{bar.total}" if bar else ""
            print(f"{job.id}  {now}{at}  {job.command}")
    return 0


def _print_log(job: Job, follow: bool) -> int:
    """The log, as bytes: its progress bars are drawn anew in a terminal."""
    at, ended = 0, False
    while True:
        data, at = read_log(job, at)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        if data:
            continue
        if ended or not follow:
            break
        now = state(job)
        ended = now.state not in ("queued", "running")  # then what came in the meantime is read
        if not ended:
            time.sleep(FOLLOW_SECONDS)
    if follow and now.state != "done":
        print(f"{job.id}: {now}", file=sys.stderr)
        return 1
    return 0
