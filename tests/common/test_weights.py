"""Files of weights that are whole and of known shapes, and one line for those that are cut off."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from likeness.common.weights import check_pickled, read_shapes


@pytest.fixture
def tensors(tmp_path: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    weights = {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.float16)}
    save_file(weights, path, metadata={"format": "pt"})
    return path


def pickled(zipped: bool) -> bytes:
    import torch

    data = io.BytesIO()
    torch.save({"a": torch.zeros(20)}, data, _use_new_zipfile_serialization=zipped)
    return data.getvalue()


def complaint(check: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(LikenessError) as caught:
        check(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "models/dvc.yaml" in text
    assert "\n" not in text
    return text


def test_shapes_are_read_from_the_header(tensors: Path) -> None:
    assert read_shapes(tensors) == {"a": (2, 3), "b": (4,)}


def test_safetensors_that_are_cut_off_anywhere_are_one_line(tensors: Path) -> None:
    data = tensors.read_bytes()
    for end in range(len(data)):
        tensors.write_bytes(data[:end])
        said = complaint(read_shapes, tensors)
    assert f"{len(data) - 1} bytes of {len(data)}" in said


@pytest.mark.parametrize(
    "data", [b"version https://git-lfs.github.com/spec/v1", b"\x02" + b"\0" * 7 + b"{]"]
)
def test_what_is_no_safetensors_is_one_line(tensors: Path, data: bytes) -> None:
    tensors.write_bytes(data)
    assert "not safetensors" in complaint(read_shapes, tensors)


@pytest.mark.parametrize("check", [read_shapes, check_pickled])
def test_a_missing_file_is_one_line(check: Callable[[Path], object], tmp_path: Path) -> None:
    assert "no such file" in complaint(check, tmp_path / "model.bin")


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_is_known(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(pickled(zipped))
    check_pickled(path)


@pytest.mark.parametrize("data", [pickled(True)[:-100], b"version https://git-lfs", b""])
def test_what_torch_does_not_save_is_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    assert "not weights by torch.save, or cut off" in complaint(check_pickled, path)
