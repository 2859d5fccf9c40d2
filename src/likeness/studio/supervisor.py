"""Run the jobs of the queue, and record how they end.

`likeness.studio.jobs` starts it in a session of its own, so it needs neither a terminal nor a server. It
keeps nothing in memory but the exit codes of its own children: after it was killed, another one takes up
what runs by what is on disk. It ends when no job waits or runs.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from likeness.common.cli import run
from likeness.common.errors import one_line
from likeness.common.logs import bound, log_as_json, logger
from likeness.repository.clones import Process, environment
from likeness.repository.dvc import run_dvc
from likeness.studio.crashes import crash, watch_crashes
from likeness.studio.jobs import (
    Job,
    Status,
    ending,
    find_job,
    locked,
    queue,
    record,
    unsettled,
    workers,
)

POLL_SECONDS = 0.2
log = logger("likeness.supervisor")


def main(argv: Sequence[str]) -> None:
    """`argv`: the repository, and the number of the open file whose lock says that this one is there."""
    log_as_json()
    watch_crashes()
    try:
        _run(Path(argv[0]), int(argv[1]))
    except Exception as error:
        crash(error)
        raise


def _run(root: Path, held: int) -> None:
    supervisor = Supervisor(root)
    while True:
        supervisor.step()
        with locked(root):
            if not unsettled(root):
                # Within the lock of the jobs, so that who submits the next one starts a supervisor.
                os.close(held)
                return
        time.sleep(POLL_SECONDS)


class Supervisor:
    """Looks after the jobs of a repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def step(self) -> None:
        """Record what has ended, and start what may start."""
        for child in self._children.values():
            child.poll()  # also of stopped jobs, so that no dead process stays in the system's table
        running = 0
        for job in unsettled(self.root):
            if job.exit.exists():
                job.clone.delete()
            elif job.process and job.process.is_alive():
                running += 1
            elif job.process:
                with bound(job_id=job.id):
                    self._settle(job, job.process)
        for job in queue(self.root)[: max(0, workers(self.root) - running)]:
            with bound(job_id=job.id):
                self._start(job)

    def _settle(self, job: Job, process: Process) -> None:
        """Record how a job has ended whose process is gone; its experiment is fetched before."""
        child = self._children.pop(process.pid, None)
        code = child.wait() if child else None
        job.clone.end()  # a stage goes on running if `dvc` is killed
        try:
            if job.id in job.clone.experiments():
                job.clone.fetch(job.id)
            status = ending(job, code)
        except Exception as error:
            status = _failed(error)
        with locked(self.root):
            if not job.exit.exists() and find_job(self.root, job.id) == job:
                _end(job, status)  # else it was stopped, or is queued again

    def _start(self, job: Job) -> None:
        problem: Exception | None = None
        try:
            job.clone.make(job.params, job.changed)
            if job.unfrozen:
                run_dvc(job.clone.path, "unfreeze", *job.unfrozen)
        except Exception as error:
            problem = error
        with locked(self.root):
            if job.exit.exists():  # stopped while its clone was made
                return
            if problem:
                _end(job, _failed(problem))
            else:
                job = find_job(self.root, job.id)
                given = environment(workers(self.root)) | {"LIKENESS_JOB": job.id}
                with job.log.open("ab") as printed:
                    child = job.clone.start(job.run.command, printed, given)
                self._children[child.pid] = child
                replace(job, process=Process.of(child.pid)).write()
                log.info("job started", pid=child.pid)


def _end(job: Job, status: Status) -> None:
    record(job, status)
    log.info("job ended", state=status.state, reason=status.reason)


def _failed(error: Exception) -> Status:
    """Whatever is wrong with one job, the others go on."""
    return Status("failed", one_line(error))


if __name__ == "__main__":
    run(main)
