"""Device, threads, seeds and logging: decided here, once per stage."""

import hashlib
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field
from tqdm import tqdm

from likeness.common.errors import LikenessError
from likeness.common.params import Section
from likeness.common.precision import Precision

T = TypeVar("T")

VECTOR_FUNCTIONS = (
    *("abs", "acos", "asin", "atan", "cos", "erf", "erfc", "exp", "expm1", "log", "log10"),
    *("log1p", "log2", "sin", "sqrt", "tan", "tanh", "trunc"),
)


class Base(Section):
    """The params that every stage reads."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: Annotated[int, Field(ge=0)]
    workers: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Runtime:
    """Where and how a stage runs.

    Attributes:
        seed: the pipeline's seed; derive others from it with `seed_for`.
        device: `cpu`, `cuda` or `mps`.
        workers: processes for item-wise work.
        cache: folder beside DVC's cache for the item store and training scratch. It survives
            `dvc exp run --temp`, and deleting it changes no output.
        half: what a precision of `auto` means on this device.
        trackers: what gets a training's curves beside DVCLive; no result depends on it.
    """

    seed: int
    device: str
    workers: int
    cache: Path
    half: Precision = "no"
    trackers: Sequence[str] = ()

    def seed_for(self, *parts: object) -> int:
        """A seed in [0, 2**63) for one item, the same whatever its batch, worker or order."""
        text = "\0".join(map(str, (self.seed, *parts)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def log(self, message: str) -> None:
        tqdm.write(message, file=sys.stderr)

    def progress(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """`items`, with a progress bar on stderr."""
        yield from tqdm(items, desc=what, total=total, file=sys.stderr, dynamic_ncols=True)

    def precision(self, asked: Literal["auto"] | Precision = "auto") -> Precision:
        """The precision of a training: what `auto` means on this device, or what was asked for."""
        return self.half if asked == "auto" else asked

    def scratch(self, stage: str, key: str) -> Path:
        """A folder for checkpoints, which must outlive a killed run; `key` names all they depend on."""
        path = self.cache / "scratch" / stage / key
        path.mkdir(parents=True, exist_ok=True)
        return path


def start(base: Base, cache: Path, trackers: Sequence[str] = ()) -> Runtime:
    """Set up this process: warnings, logging, device, threads and seeds.

    Args:
        base: the `base` section of params.yaml.
        cache: the folder for the item store and scratch (`likeness.repository.dvc`).
        trackers: what gets a training's curves beside DVCLive (`likeness.common.tracking`).

    Raises:
        LikenessError: this machine does not have the device of `base.device`.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    workers = base.workers or os.cpu_count() or 1
    device = _start_torch(base)
    return Runtime(base.seed, device, workers, cache, half_of(device), trackers)


def half_of(device: str) -> Precision:
    """The half precision that a device supports natively: bf16, or fp16 on CUDA before Ampere."""
    import torch

    if device != "cuda":
        return "no"
    # Older GPUs emulate bf16, many times slower.
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _start_torch(base: Base) -> str:
    import random

    import numpy as np
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    device = base.device
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available[device]:
        here = ", ".join(name for name, there in available.items() if there)
        raise LikenessError(f"params.yaml: base.device: {device} is not available here; use {here}")
    if base.threads:
        torch.set_num_threads(base.threads)
    random.seed(base.seed)
    np.random.seed(base.seed)
    torch.manual_seed(base.seed)
    torch.backends.cudnn.benchmark = False
    # Sets what use_deterministic_algorithms(True, warn_only=True) does, without importing the compiler,
    # which takes longer than the rest of torch.
    torch.set_deterministic_debug_mode("warn")
    # Filling new memory with NaN finds reads of uninitialised memory, but costs a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    _choose_kernels()
    return device


def _choose_kernels() -> None:
    """Call each function that torch leaves to MKL's vector library once, by one thread.

    MKL chooses a function's kernel at its first call. Where two threads make that call together,
    one of them can run a kernel of about 12 bits (pytorch/pytorch#188792, MKL before 2025), and
    a run is no longer the same to the byte as the next.
    """
    import torch

    for kind in (torch.float32, torch.float64):
        one = torch.ones(1, dtype=kind)
        for name in VECTOR_FUNCTIONS:
            getattr(torch, name)(one)
