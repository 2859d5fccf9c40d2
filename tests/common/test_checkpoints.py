"""A checkpoint is whole or absent."""

from pathlib import Path

import pytest
import torch

from likeness.common.checkpoints import Checkpoints


def test_a_state_comes_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "scratch")
    assert checkpoints.load() is None
    checkpoints.save({"step": 1, "weights": torch.arange(3)})
    checkpoints.save({"step": 2, "weights": torch.arange(3)})
    state = checkpoints.load()
    assert state is not None
    assert state["step"] == 2
    assert torch.equal(state["weights"], torch.arange(3))
    checkpoints.clear()
    checkpoints.clear()
    assert checkpoints.load() is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_no_state(tmp_path: Path, share: float) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"step": 1, "weights": torch.arange(1000)})
    data = checkpoints.path.read_bytes()
    checkpoints.path.write_bytes(data[: int(len(data) * share)])
    assert checkpoints.load() is None


@pytest.mark.parametrize("data", [b"text", b"\x80\x04garbage", b"PK\x03\x04" + bytes(100)])
def test_a_file_of_something_else_is_no_state(tmp_path: Path, data: bytes) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.path.write_bytes(data)
    assert checkpoints.load() is None


def test_a_failed_save_leaves_the_old_state(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"step": 1})
    with pytest.raises(Exception, match="pickle"):
        checkpoints.save({"step": lambda: None})
    assert checkpoints.load() == {"step": 1}
    assert list(tmp_path.iterdir()) == [checkpoints.path]
