"""The training loop of the mini models: resumable, with warm-up and a cosine learning-rate schedule."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.checkpoints import Checkpoints
from likeness.common.runtime import Runtime
from models.muon import MuonAndAdamW

if TYPE_CHECKING:
    import torch

WARMUP = 50  # steps


def fit(
    name: str,
    models: Mapping[str, Any],
    loss: Callable[[np.random.Generator], "torch.Tensor"],
    *,
    steps: int,
    lr: float,
    decay: float,
    seed: int,
    scratch: Path,
    save_seconds: float,
    rt: Runtime,
    after: Callable[[], None] = lambda: None,
    muon_except: frozenset[str] | None = None,
) -> float:
    """Train the first of `models` with AdamW or Muon, resuming from the last checkpoint if there is one.

    Args:
        name: of the training, for the log.
        models: saved in each checkpoint. The first is trained; `after` updates the others (an EMA).
        loss: draws a batch with the generator it is given, and returns the scalar loss.
        steps: total number of optimiser steps.
        lr: peak learning rate.
        decay: weight decay.
        seed: seeds, with the step's number, the generator that `loss` is given.
        scratch: folder of the checkpoints.
        save_seconds: time between checkpoints, in seconds.
        rt: for the progress bar and the log.
        after: called after each step, for example to update an EMA or to clamp a weight.
        muon_except: modules whose weights Muon leaves to AdamW (see `MuonAndAdamW`); None is AdamW
            for all.

    Returns:
        Training time in seconds, summed over interrupted and resumed runs.
    """
    import torch

    trained = next(iter(models.values()))
    parameters = list(trained.parameters())
    optimizer: MuonAndAdamW | torch.optim.AdamW
    if muon_except is None:
        optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=decay)
    else:
        optimizer = MuonAndAdamW(trained, lr, decay, muon_except)
    checkpoints = Checkpoints(scratch)
    done, seconds = 0, 0.0
    if state := checkpoints.load():
        for key, model in models.items():
            model.load_state_dict(state[key])
        optimizer.load_state_dict(state["optimizer"])
        done, seconds = state["step"], state["seconds"]
    mean = 0.0
    saved = started = time.monotonic()
    for step in rt.progress(range(done, steps), name, total=steps - done):
        for group in optimizer.param_groups:
            group["lr"] = lr * schedule(step, steps)
        # Seeding each step by its number gives a resumed run the same batches as an unbroken one.
        value = loss(np.random.default_rng([seed, step]))
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        after()
        mean += (value.item() - mean) / min(step - done + 1, 100)
        if time.monotonic() - saved > save_seconds or step + 1 == steps:
            saved = time.monotonic()
            rt.log(f"{name}: step {step + 1} of {steps}, loss {mean:.4f}")
            states = {key: model.state_dict() for key, model in models.items()}
            state = {"optimizer": optimizer.state_dict(), "step": step + 1}
            checkpoints.save({**states, **state, "seconds": seconds + saved - started})
    return seconds + time.monotonic() - started


def follow(average: Any, trained: Any, decay: float) -> None:
    """Move the moving average of a model's weights (EMA) a step towards them."""
    import torch

    with torch.no_grad():
        for slow, fast in zip(average.parameters(), trained.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)


def schedule(step: int, steps: int) -> float:
    """Factor on the peak learning rate: linear warm-up, then cosine decay to 0.01."""
    return min(1, (step + 1) / WARMUP) * (0.505 + 0.495 * math.cos(math.pi * step / steps))


def to_pixels(photos: np.ndarray) -> "torch.Tensor":
    """Convert photos (N, H, W, 3) uint8 to a float tensor (N, 3, H, W) in -1..1."""
    import torch

    return torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 127.5 - 1
