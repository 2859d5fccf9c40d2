"""What `likeness doctor` reads from this machine and this repository. Nothing is changed."""

import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from likeness.repository.dvc import DVC, first_error, read_config

Version = tuple[int, ...]

SECONDS = 15  # timeout of a program or a remote


# --- the environment and the machine --------------------------------------------------------------


def normal(name: str) -> str:
    """A package's name as installers normalise it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked_versions(lock: Path) -> dict[str, str]:
    """Versions by normalised name, from `name==version; marker` lines whose marker holds here."""
    lines = (line.partition("#")[0].strip() for line in lock.read_text().splitlines())
    pins = [Requirement(line) for line in lines if line]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    return {normal(pin.name): next(iter(pin.specifier)).version for pin in here}


def installed_versions() -> dict[str, str]:
    return {normal(one.name): one.version for one in metadata.distributions()}


@dataclass(frozen=True)
class Machine:
    """What torch sees.

    Attributes:
        devices: the available ones, best first.
        gpu_memory: bytes of each CUDA device.
        driver: whether NVIDIA's driver is installed.
    """

    devices: tuple[str, ...]
    gpu_memory: tuple[int, ...]
    driver: bool


def machine() -> Machine:
    import torch

    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    gpus = range(torch.cuda.device_count() if here["cuda"] else 0)
    return Machine(
        devices=(*(name for name, there in here.items() if there), "cpu"),
        gpu_memory=tuple(torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus),
        driver=shutil.which("nvidia-smi") is not None,
    )


def memory() -> int:
    """Bytes of RAM."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def folder_size(folder: Path) -> int:
    """Bytes of the files in a folder; 0 if it does not exist."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def program_version(name: str) -> Version | None:
    """The version of a program, None if it does not run. As yt-dlp does, it looks beside Python first."""
    scripts = sysconfig.get_path("scripts")
    path = shutil.which(name, path=scripts) or shutil.which(name)
    found = re.search(r"\d+(\.\d+)+", _output_of(path, "--version")) if path else None
    return tuple(map(int, found[0].split("."))) if found else None


def _output_of(*command: str, cwd: Path | None = None) -> str:
    """What a command prints; empty if it cannot be run or takes too long."""
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, encoding="utf-8", timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


# --- the repository -------------------------------------------------------------------------------


def ask_git(root: Path, *command: str) -> str:
    """What git prints; empty if it fails."""
    return _output_of("git", *command, cwd=root)


def cache_link(root: Path) -> str:
    """How DVC links files from its cache: the first of the configured kinds that works here.

    Empty if DVC cannot tell, as there is no cache yet.
    """
    kinds = read_config(root)["cache"].get("type") or ["reflink", "copy"]
    said = re.search(r"Cache types: ([a-z, ]*)$", _output_of(*DVC, "doctor", cwd=root), re.M)
    working = [*said[1].split(", "), "copy"] if said else []
    return next((kind for kind in kinds if kind in working), "")


def ask_remote(root: Path, name: str) -> str:
    """Why DVC cannot list a remote, in one line; empty if it can be listed."""
    command = [*DVC, "list-url", f"remote://{name}"]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, encoding="utf-8", timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {SECONDS} s"
    if not done.returncode:
        return ""
    reason = first_error(done.stderr) or f"dvc list-url ended with {done.returncode}"
    return reason.removeprefix("unexpected error - ")[:160]


def promised(pipeline: Path, remote: str) -> list[str]:
    """MD5s, from the lock beside a `dvc.yaml`, of the outputs that are kept in a remote."""
    import yaml

    path = pipeline.with_suffix(".lock")
    lock = yaml.safe_load(path.read_text())["stages"] if path.is_file() else {}
    found: list[str] = []
    for name, stage in yaml.safe_load(pipeline.read_text())["stages"].items():
        options = [
            pair for out in stage.get("outs", []) if isinstance(out, dict) for pair in out.items()
        ]
        kept = {path for path, how in options if how.get("remote") == remote}
        found += [out["md5"] for out in lock.get(name, {}).get("outs", []) if out["path"] in kept]
    return found
