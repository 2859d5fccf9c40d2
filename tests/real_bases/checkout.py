"""A copy of the repository in which a lane's stages run as DVC runs them, on stand-ins for real bases."""

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from likeness.common.io import read_json, write_text
from likeness.repository.dvc import compose
from tests.conftest import ROOT
from tests.test_contract import filled, outputs

COPIED = (
    "src",
    "stages",
    "conf",
    ".dvc",
    "dvc.yaml",
    "models/dnsmos",
    "data/voice_download",
    "data/corrections.jsonl",
)
IGNORED = shutil.ignore_patterns("__pycache__", "cache", "tmp")


class Measured(NamedTuple):
    """Seconds that something took, and the most memory that its process had, in GiB."""

    seconds: float
    memory: float


class Checkout:
    """The copy.

    Attributes:
        folder: its root.
        measured: what has run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.measured: dict[str, Measured] = {}
        for name in COPIED:
            source = ROOT / name
            assert source.exists(), f"{name} is not here; `make test-real-bases` brings it"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=IGNORED)
            else:
                shutil.copy(source, folder / name)

    def build(self, name: str) -> dict[str, int]:
        """Put the stand-in of a real base into `models/`; returns its files' published sizes."""
        module = ("-m", "tests.real_bases.build", name, str(self.folder / "models" / name))
        printed = self.call(f"build {name}", module, ROOT)
        sizes: dict[str, int] = json.loads(printed.splitlines()[-1])
        return sizes

    def run(self, stage: str, options: Sequence[str], what: str = "") -> None:
        """Run a stage's command of dvc.yaml.

        Args:
            stage: its name.
            options: what its params are composed with, as after `dvc exp run -S`.
            what: the name of the measurement, if not the stage's.
        """
        params = compose(self.folder, options)
        write_text(self.folder / "params.yaml", yaml.safe_dump(params))
        pipeline = filled(yaml.safe_load((self.folder / "dvc.yaml").read_text()), params)
        for output in outputs(pipeline["stages"][stage]):  # as DVC does
            shutil.rmtree(self.folder / output, ignore_errors=True)
        python, *arguments = shlex.split(pipeline["stages"][stage]["cmd"])
        assert python == "python"
        self.call(what or stage, arguments)

    def metrics(self, stage: str) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / "metrics" / f"{stage}.json")
        return found

    def call(self, what: str, arguments: Sequence[str], folder: Path | None = None) -> str:
        """Run Python in a process of its own, measure it, and return what it prints."""
        folder = folder or self.folder
        started, peak = time.monotonic(), 0.0
        log = self.folder / f"{what}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(folder / "src")},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            while process.poll() is None:
                peak = max(peak, resident_peak(process.pid))
                time.sleep(0.2)
        self.measured[what] = Measured(time.monotonic() - started, peak)
        printed = log.read_text()
        assert process.returncode == 0, f"{what}:\n{printed[-5000:]}"
        return printed


def resident_peak(pid: int) -> float:
    """The most memory that a process has had, in GiB; 0 once it has ended.

    The `ru_maxrss` that `os.wait4` gives is no less than what the process that started it once had.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 2**20 if found else 0.0


@dataclass
class Lane:
    """The stages of one lane in a checkout that has the bases they need.

    Attributes:
        sizes: bytes of each base's files as published, by base.
        after: what is done with the checkout once a stage has run.
    """

    checkout: Checkout
    sizes: Mapping[str, Mapping[str, int]]
    stages: Sequence[str]
    options: Sequence[str]
    after: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)

    def reach(self, stage: str) -> Path:
        """Run all stages up to this one that have not run yet; returns the checkout's root.

        One that failed does not run again: what comes after it says what it misses.
        """
        for name in self.stages[: self.stages.index(stage) + 1]:
            if name not in self.begun:
                self.begun.append(name)
                self.checkout.run(name, self.options)
                self.after.get(name, lambda _: None)(self.checkout.folder)
        return self.checkout.folder


@contextmanager
def stand_ins(checkout: Checkout, names: Sequence[str]) -> Iterator[dict[str, dict[str, int]]]:
    """Bases in `models/` for as long as the block lasts; yields the sizes of their files by name."""
    try:
        yield {name: checkout.build(name) for name in names}
    finally:
        for name in names:
            shutil.rmtree(checkout.folder / "models" / name, ignore_errors=True)


def not_finite(metrics: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name, value in metrics.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
