"""One training loop for the mini models: resumable, with warm-up and a cosine."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.checkpoints import Checkpoints
from likeness.common.runtime import Runtime

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
) -> float:
    """Train the first of `models` by AdamW; go on where an earlier run was killed.

    Args:
        name: for the log.
        models: what a checkpoint holds; the first one is trained, the others follow it (an EMA).
        loss: the loss of one batch; everything random in it comes from its generator.
        steps: optimiser steps in all.
        lr: peak learning rate.
        decay: weight decay.
        seed: of the steps' generators.
        scratch: folder of the checkpoint.
        save_seconds: time between checkpoints.
        rt: for progress.
        after: called after each step, for what follows the weights.

    Returns:
        Seconds that the training took, over all its runs.
    """
    import torch

    parameters = list(next(iter(models.values())).parameters())
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=decay)
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
        # Everything random in a step follows from its number, so a resumed run repeats nothing.
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


def schedule(step: int, steps: int) -> float:
    """Warm-up, then a cosine to a hundredth of the peak."""
    return min(1, (step + 1) / WARMUP) * (0.505 + 0.495 * math.cos(math.pi * step / steps))


def to_pixels(photos: np.ndarray) -> "torch.Tensor":
    """(N, H, W, 3) uint8 to (N, 3, H, W) in -1..1."""
    import torch

    return torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 127.5 - 1
