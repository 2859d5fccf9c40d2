"""Whether files of weights are complete, and the shapes in them, without reading the weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.common.archives import read_archive
from likeness.common.errors import AGAIN, LikenessError

if TYPE_CHECKING:
    import torch

Shapes = dict[str, tuple[int, ...]]


def read_shapes(path: Path) -> Shapes:
    """The shape of each tensor of a safetensors file, by name.

    Raises:
        LikenessError: it is no safetensors file, or is cut off.
    """
    try:
        with path.open("rb") as file:
            begin = 8 + int.from_bytes(file.read(8), "little")
            if begin > path.stat().st_size:
                raise ValueError("cut off")
            header = json.loads(file.read(begin - 8))
        header.pop("__metadata__", None)
        end = max((one["data_offsets"][1] for one in header.values()), default=0)
        shapes = {name: tuple(one["shape"]) for name, one in header.items()}
    except FileNotFoundError as error:
        raise LikenessError(f"{path}: no such file; {AGAIN}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LikenessError(f"{path}: not safetensors, or cut off; {AGAIN}") from error
    if (found := path.stat().st_size) != begin + end:
        raise LikenessError(f"{path}: {found} bytes of {begin + end}; {AGAIN}")
    return shapes


def read_folder_shapes(folder: Path) -> Shapes:
    """The shapes of all tensors of a folder, which libraries split over files as they like.

    Raises:
        LikenessError: there are no weights, or a file is incomplete.
    """
    found = sorted(folder.glob("*.safetensors"))
    if found:
        return {name: shape for path in found for name, shape in read_shapes(path).items()}
    stored = sorted(folder.glob("*pytorch_model*.bin"))  # other files by torch.save lie beside them
    if not stored:
        raise LikenessError(
            f"{folder}: no weights (*.safetensors, *pytorch_model*.bin) here; {AGAIN}"
        )
    tensors = {name: one for path in stored for name, one in read_archive(path, "meta").items()}
    return shapes_of(tensors)


def shapes_of(tensors: "Mapping[str, torch.Tensor]") -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def check_shapes(
    where: Path,
    found: Shapes,
    wanted: Mapping[str, tuple[int | None, ...]],
    source: str = "config.json",
) -> None:
    """Raise `LikenessError` at the first tensor that is missing or has another shape than is wanted.

    Args:
        where: file or folder that the weights were found in.
        found: names may stand below others, as `text_model.` does in front of a text encoder's.
        wanted: by name; None stands for any length.
        source: what asks for these shapes.
    """
    for name, sizes in wanted.items():
        other = next((one for one in found if one.endswith(f".{name}")), name)
        shape = found.get(name, found.get(other))
        fits = shape is not None and len(shape) == len(sizes)
        if not fits or any(size not in (None, length) for size, length in zip(sizes, shape or ())):
            asked = ", ".join("any" if size is None else str(size) for size in sizes)
            seen = "missing" if shape is None else list(shape)
            raise LikenessError(
                f"{where}: {name} is {seen}, where {source} asks for [{asked}]; {AGAIN}"
            )
