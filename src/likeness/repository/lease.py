"""Give each GPU of this machine to one job at a time.

DVC runs experiments in parallel and does not know of GPUs. So each job locks a file for the device that
it takes, in the cache folder that all copies of the repository share, and sees only that device. The
kernel releases the lock when the process ends, however it ends.
"""

import fcntl
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 2.0
_held: list[int] = []  # open files: a lock lives as long as its file is open


def lease(cache: Path, log: Callable[[str], None]) -> None:
    """Take a free GPU for the rest of this process, and wait for one if all are taken.

    Sets CUDA_VISIBLE_DEVICES, so it must be called before CUDA is initialised. It does nothing without
    a GPU, and from the second call on.

    Args:
        cache: the folder that jobs share (`likeness.repository.dvc.cache_folder`).
        log: called with a line when the job has to wait, and with one when it goes on.
    """
    devices = visible_devices()
    if not devices or _held:
        return
    folder = cache / "leases"
    folder.mkdir(parents=True, exist_ok=True)
    waited = False
    while (device := next((each for each in devices if _lock(folder / each)), None)) is None:
        if not waited:
            log(f"all GPUs are taken ({', '.join(devices)}); waiting for one")
        waited = True
        time.sleep(POLL_SECONDS)
    if waited:
        log(f"got {device}")
    os.environ["CUDA_VISIBLE_DEVICES"] = device


def visible_devices() -> list[str]:
    """The devices that CUDA would see here, by UUID if `nvidia-smi` lists them.

    An index in CUDA_VISIBLE_DEVICES counts in the order of `nvidia-smi`, which is that of the PCI bus.
    """
    installed = _installed()
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked is None:
        return installed
    devices = []
    for name in filter(None, (part.strip() for part in asked.split(","))):
        if name.lstrip("-").isdigit() and not 0 <= int(name) < len(installed or [*range(64)]):
            break  # CUDA ignores this device and all after it
        devices.append(installed[int(name)] if name.isdigit() and installed else name)
    return devices


def _installed() -> list[str]:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = re.findall(r"UUID: ((?:GPU|MIG)-[\w-]+)", listed.stdout)
    # If a GPU is split by MIG, CUDA sees its parts instead.
    return [name for name in found if name.startswith("MIG")] or found


def _lock(path: Path) -> bool:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    _held.append(file)
    return True
