"""Gauges that are read whenever Prometheus asks: jobs, the loss of running trainings, memory of GPUs."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from likeness.repository.lease import visible_devices
from likeness.studio.curves import curves_of_job
from likeness.studio.jobs import State, jobs_of, state

LANES = ("voice", "image")


class Jobs(Collector):
    """The jobs of a repository: how many are in each state, and the loss of the trainings that run."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def collect(self) -> Iterator[Metric]:
        known = sorted(jobs_of(self._root), key=lambda job: job.submitted)
        jobs = [(job, state(job).state) for job in known]
        tally = Counter(now for _, now in jobs)
        family = GaugeMetricFamily("jobs", "Jobs by their state", labels=["state"])
        for name in get_args(State):
            family.add_metric([name], tally[name])
        yield family
        losses = GaugeMetricFamily(
            "training_loss", "The last loss of a training in a running job", labels=["lane"]
        )
        running = [curves_of_job(job) for job, now in jobs if now == "running"]
        latest = {  # of several jobs, that of the one that was submitted last
            lane: rows[-1][1]
            for curves in running
            for lane in LANES
            if (rows := curves.get(f"{lane}_train", {}).get("train/loss"))
        }
        for lane, loss in latest.items():
            losses.add_metric([lane], loss)
        yield losses


class Gpus(Collector):
    """The memory of the GPUs that this process may use; nothing where there are none."""

    def __init__(self) -> None:
        self._visible = set(visible_devices())

    def collect(self) -> Iterator[Metric]:
        used, total = (
            GaugeMetricFamily(f"gpu_memory_{name}_bytes", text, labels=["gpu"])
            for name, text in (
                ("used", "Memory of a GPU in use, by all processes"),
                ("total", "Memory of a GPU"),
            )
        )
        for gpu, uuid, *mib in _gpus() if self._visible else ():
            if uuid in self._visible:
                for family, amount in zip((used, total), mib, strict=True):
                    family.add_metric([gpu], int(amount) * 2**20)
        yield from (used, total)


def _gpus() -> list[list[str]]:
    """Number, UUID, and MiB used and in all, of each GPU."""
    query = "--query-gpu=index,uuid,memory.used,memory.total"
    try:
        told = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(", ") for line in told.stdout.splitlines()]
    return [row for row in rows if len(row) == 4 and all(one.isdigit() for one in row[2:])]
