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
from likeness.repository.clones import Process, environment
from likeness.studio.jobs import (
    Job,
    Status,
    ending,
    find_job,
    locked,
    queue,
    record,
    state,
    unsettled,
    workers,
)

POLL_SECONDS = 0.2


def main(argv: Sequence[str]) -> None:
    """`argv`: the repository, and the number of the open file whose lock says that this one is there."""
    root, held = Path(argv[0]), int(argv[1])
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
        begun = [job for job in unsettled(self.root) if job.process]
        running = [job for job in begun if not self._settle(job)]
        free = workers(self.root) - len(running)
        for job in queue(self.root)[: max(0, free)]:
            self._start(job)

    def _settle(self, job: Job) -> bool:
        """Whether a job has ended; how is recorded, its experiment is fetched and its clone deleted."""
        assert job.process
        if job.process.is_alive():
            return False
        child = self._children.pop(job.process.pid, None)
        with locked(self.root):
            if job.exit.exists() or find_job(self.root, job.id) != job:
                return True  # stopped, or queued again
            job.clone.end()  # a stage goes on running if `dvc` is killed
            try:
                if job.id in job.clone.experiments():
                    job.clone.fetch(job.id)
                status = ending(job, child.wait() if child else None)
            except Exception as error:
                status = _failed(error)
            job.clone.delete()
            record(job, status)
        return True

    def _start(self, job: Job) -> None:
        problem: Exception | None = None
        try:
            job.clone.make(job.params)
        except Exception as error:
            problem = error
        with locked(self.root):
            if state(job).state != "queued":  # stopped while its clone was made
                job.clone.delete()
            elif problem:
                job.clone.delete()
                record(job, _failed(problem))
            else:
                with job.log.open("ab") as log:
                    child = job.clone.start(job.run.command, log, environment(workers(self.root)))
                self._children[child.pid] = child
                replace(job, process=Process.of(child.pid)).write()


def _failed(error: Exception) -> Status:
    """Whatever is wrong with one job, the others go on."""
    return Status("failed", one_line(error))


if __name__ == "__main__":
    run(main)
