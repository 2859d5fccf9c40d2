"""Gauges of jobs, of trainings that run, and of GPUs."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from likeness.common.io import write_text
from likeness.repository.clones import Process
from likeness.repository.experiments import git
from likeness.studio import jobs
from likeness.studio.jobs import FOLDER, Status, find_job, record, state, stop, submit
from tests.repository.test_lease import LISTED
from tests.repository.test_lease import machine as machine
from tests.studio.test_jobs import is_in, let_end, outside, until
from tests.studio.test_jobs import repo as repo  # a fixture, as the next
from tests.studio.test_jobs import still as still

CURVE = "plots/image_train/plots/metrics/train/loss.tsv"
STAGE = """
import os, sys, time
from pathlib import Path
from likeness.common.tracking import Tracker
outside = Path(OUTSIDE)
while not (outside / "begin").exists():
    time.sleep(0.02)
tracker = Tracker(Path("plots/image_train"), Path("timings"), [], {})
for step, loss in enumerate((0.75, 0.5), 1):
    tracker.log(step, {"train/loss": loss})
print("of", os.environ["LIKENESS_JOB"], flush=True)
while not (outside / "end_8").exists():
    time.sleep(0.02)
tracker.end()
"""
PIPELINE = """
stages:
  train:
    cmd: python stage.py
    deps: [stage.py]
    params: [train]
    plots: [plots/image_train: {cache: false}]
"""


def values(collector: Any) -> dict[str, float]:
    """By the name of a metric and its only label."""
    return {
        f"{sample.name} {''.join(sample.labels.values())}": sample.value
        for family in collector.collect()
        for sample in family.samples
    }


@pytest.mark.slow
def test_jobs_are_counted_by_state(still: Path) -> None:
    from likeness.studio.gauges import Jobs

    none = {f"jobs {name}": 0 for name in ("queued", "running", "done", "failed", "stopped")}
    assert values(Jobs(still)) == none
    for name in "abcd":
        submit(still, name=name)
    stop(still, "a")
    record(find_job(still, "b"), Status("failed", "x"))
    replace(find_job(still, "c"), process=Process.of(os.getpid())).write()
    counts = {"jobs queued": 1, "jobs running": 1, "jobs failed": 1, "jobs stopped": 1}
    assert values(Jobs(still)) == none | counts


@pytest.mark.slow
def test_a_running_training_has_a_loss_and_logs_have_its_job(repo: Path) -> None:
    from likeness.studio.gauges import Jobs

    write_text(repo / "stage.py", STAGE.replace("OUTSIDE", repr(str(outside(repo)))))
    write_text(repo / "dvc.yaml", PIPELINE)
    write_text(repo / CURVE, "step\tloss\n1\t9.0\n")  # of the commit, from an earlier training
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "-m", "a training")
    job = submit(repo)
    until(is_in("running", job))
    until(lambda: (job.clone.path / CURVE).exists())
    assert "training_loss image" not in values(Jobs(repo))
    (outside(repo) / "begin").touch()
    seen = set()

    def has_last() -> bool:
        seen.add(values(Jobs(repo)).get("training_loss image"))
        return 0.5 in seen

    until(has_last)
    assert seen <= {None, 0.75, 0.5}
    let_end(repo, 8)
    until(is_in("done", job))
    assert values(Jobs(repo))["jobs done"] == 1
    assert "training_loss image" not in values(Jobs(repo))
    assert f"of {job.id}\n" in job.log.read_text()
    until(lambda: "job ended" in (repo / FOLDER / "supervisor.log").read_text())
    lines = [json.loads(line) for line in (repo / FOLDER / "supervisor.log").open()]
    assert [(line["event"], line["job_id"]) for line in lines] == [
        ("job started", job.id),
        ("job ended", job.id),
    ]
    assert (lines[1]["state"], lines[1]["level"]) == (state(job).state, "info")


def test_memory_is_that_of_the_gpus_that_may_be_used(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.studio.gauges import Gpus

    script = machine / "nvidia-smi"
    rows = "0, GPU-aaaa-1, 1024, 81559\n1, GPU-bbbb-2, 7, 81559\n2, GPU-c, [N/A], [N/A]\n"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = -L ]; then echo "{LISTED}"; else echo "{rows}"; fi\n'
    )
    both = values(Gpus())
    assert both["gpu_memory_used_bytes 0"] == 2**30
    assert both["gpu_memory_total_bytes 1"] == 81559 * 2**20
    assert len(both) == 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert values(Gpus()).keys() == {"gpu_memory_used_bytes 1", "gpu_memory_total_bytes 1"}
    gpus = Gpus()
    script.write_text("#!/bin/sh\nexit 9\n")
    assert values(gpus) == values(Gpus()) == {}


def test_a_bar_is_read_from_a_log_of_json(still: Path) -> None:
    job = submit(still)
    bar = "voice_train: steps:  40%|████▌     | 12/30 [00:01<00:02, 9.1it/s]"
    job.log.write_text(json.dumps({"event": bar, "level": "info"}) + '\n{"event": "half')
    assert jobs.progress(job) == jobs.Progress("voice_train", "steps", 12, 30)
