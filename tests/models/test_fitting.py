"""The training loop: a killed run ends with the weights of an uninterrupted one."""

import numpy as np
import pytest
import torch

from likeness.common.runtime import Runtime
from models.fitting import fit, schedule, to_pixels


class Killed(Exception):
    pass


def run(folder, die_at=None):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    calls = []

    def loss(rng):
        calls.append(1)
        if len(calls) == die_at:
            raise Killed
        return model(torch.from_numpy(rng.normal(size=(8, 4))).float()).square().mean()

    rt = Runtime(seed=0, device="cpu", workers=1, cache=folder)
    fit(
        "test", {"model": model}, loss, steps=12, lr=0.1, decay=0.0, seed=3, scratch=folder,
        save_seconds=0, rt=rt,
    )  # fmt: skip
    return model, len(calls)


def test_resumed_training_equals_uninterrupted(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, _ = run(tmp_path / "a")
    with pytest.raises(Killed):
        run(tmp_path / "b", die_at=8)
    resumed, steps = run(tmp_path / "b")
    assert steps == 5
    assert torch.equal(whole.weight, resumed.weight)


def test_schedule_warms_up_and_falls():
    rates = [schedule(step, 1000) for step in range(1000)]
    assert rates[0] < 0.05
    assert max(rates) <= 1
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_pixels_are_channels_first_in_minus_one_to_one():
    photos = np.zeros((2, 3, 5, 3), np.uint8)
    photos[..., 1] = 255
    pixels = to_pixels(photos)
    assert pixels.shape == (2, 3, 3, 5)
    assert pixels[:, 0].unique().tolist() == [-1]
    assert pixels[:, 1].unique().tolist() == [1]
