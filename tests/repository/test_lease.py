"""GPU leases: real processes on made-up devices."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from likeness.repository.lease import lease, visible_devices

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import os, sys, time
from pathlib import Path
from likeness.repository import lease
lease.POLL_SECONDS = 0.05
lease.lease(Path(sys.argv[1]), lambda line: print(line, flush=True))
lease.lease(Path(sys.argv[1]), print)
print("has", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
time.sleep(60)
"""
LISTED = """GPU 0: NVIDIA A (UUID: GPU-aaaa-1)
GPU 1: NVIDIA B (UUID: GPU-bbbb-2)
"""
SPLIT = """GPU 0: NVIDIA A (UUID: GPU-aaaa-1)
  MIG 1g.10gb     Device  0: (UUID: MIG-cccc-3)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that comes first in PATH; `nvidia-smi` says what is written there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install(folder, LISTED)
    return folder


def install(machine: Path, listed: str) -> None:
    script = machine / "nvidia-smi"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{listed}END\n")
    script.chmod(0o755)


class Job:
    """A process that takes a GPU and keeps it."""

    def __init__(self, cache: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(cache)],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def test_each_job_has_a_gpu_of_its_own_and_the_next_one_waits(
    machine: Path, tmp_path: Path
) -> None:
    jobs = [Job(tmp_path / "cache") for _ in range(2)]
    try:
        assert {job.says() for job in jobs} == {"has GPU-aaaa-1", "has GPU-bbbb-2"}
        jobs.append(Job(tmp_path / "cache"))
        assert "waiting" in jobs[2].says()
        time.sleep(0.3)
        assert jobs[2].process.poll() is None
        jobs[0].kill()
        freed = jobs[2].says()
        assert freed.startswith("got GPU-")
        assert jobs[2].says() == freed.replace("got", "has")
    finally:
        for job in jobs:
            job.kill()


def test_only_visible_gpus_are_taken(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    job = Job(tmp_path)
    try:
        assert job.says() == "has GPU-bbbb-2"
    finally:
        job.kill()


@pytest.mark.parametrize(
    ("asked", "devices"),
    [
        (None, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ("1,0", ["GPU-bbbb-2", "GPU-aaaa-1"]),
        ("0,7,1", ["GPU-aaaa-1"]),
        ("GPU-bbbb-2", ["GPU-bbbb-2"]),
        ("", []),
        ("-1", []),
    ],
)
def test_devices_that_are_visible(
    asked: str | None, devices: list[str], machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if asked is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
    assert visible_devices() == devices


def test_parts_of_a_split_gpu_are_devices(machine: Path) -> None:
    install(machine, SPLIT)
    assert visible_devices() == ["MIG-cccc-3"]


def test_nothing_happens_without_a_gpu(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    lease(tmp_path / "cache", print)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert not (tmp_path / "cache").exists()


def test_indices_are_devices_where_nothing_lists_them(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert visible_devices() == ["0", "1"]
