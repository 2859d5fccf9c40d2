"""Files of weights that are whole and of known shapes, and one line for those that are cut off."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from likeness.common.archives import read_archive
from likeness.common.errors import LikenessError
from likeness.common.weights import check_shapes, read_folder_shapes, read_shapes, shapes_of


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


@pytest.mark.parametrize("check", [read_shapes, read_archive])
def test_a_missing_file_is_one_line(check: Callable[[Path], object], tmp_path: Path) -> None:
    assert "no such file" in complaint(check, tmp_path / "model.bin")


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_is_known(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(pickled(zipped))
    assert shapes_of(read_archive(path, "meta")) == {"a": (20,)}


@pytest.mark.parametrize("data", [pickled(True)[:-100], b"version https://git-lfs", b""])
def test_what_torch_does_not_save_is_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    assert "not an archive of PyTorch's" in complaint(read_archive, path)


@pytest.mark.parametrize("cut", [0, 1])
def test_an_old_file_that_is_cut_off_is_one_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(pickled(False)[: -1 - 50 * cut])
    assert "not an archive of PyTorch's" in complaint(lambda it: read_archive(it, "meta"), path)


def test_a_folder_s_pickled_weights_have_shapes_and_what_lies_beside_them_does_not_count(
    tmp_path: Path,
) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(pickled(True))
    (tmp_path / "training_args.bin").write_bytes(b"pickled")
    assert read_folder_shapes(tmp_path) == {"a": (20,)}


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"a": (2, 3)}, ""),
        ({"a": (None, 3), "weight": (4,)}, ""),
        ({"a": (2, 4)}, "a is [2, 3], where config.json asks for [2, 4]"),
        ({"a": (2,)}, "a is [2, 3], where config.json asks for [2]"),
        ({"a": (None, 4)}, "a is [2, 3], where config.json asks for [any, 4]"),
        ({"eight": (4,)}, "eight is missing, where config.json asks for [4]"),
    ],
)
def test_shapes_are_compared_with_what_is_asked_for(
    tmp_path: Path, wanted: dict[str, tuple[int | None, ...]], says: str
) -> None:
    found = {"a": (2, 3), "text_model.weight": (4,)}
    if says:
        assert says in complaint(lambda path: check_shapes(path, found, wanted), tmp_path)
    else:
        check_shapes(tmp_path, found, wanted)
