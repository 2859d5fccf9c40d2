"""PyTorch's archives: read as tensors and nothing else, and written to the same bytes each time."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

from likeness.common.errors import LikenessError
from likeness.common.io import atomic_path


def read_archive(path: Path, device: str = "cpu") -> Any:
    """What `torch.save` wrote; on the device `meta` the shapes alone, and no weight is read.

    Raises:
        LikenessError: the file is cut short, is no archive, or holds more than tensors.
    """
    import torch

    try:
        return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path):
            raise LikenessError(
                f"{path}: holds more than weights; delete the folder, and likeness fetch brings the "
                "published one without its pickled config"
            ) from error
        raise _broken(path, error) from error
    except Exception as error:  # pickle's, zip's and torch's have no common base
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> LikenessError:
    why, _, _ = " ".join(str(error).split()).partition(". ")  # PyTorch goes on for a page
    return LikenessError(f"{path}: not an archive of PyTorch's ({why}); fetch the base again")


def write_archive(path: Path, value: Any, *, like: Path) -> None:
    """`torch.save` to the same bytes each time, compressed as the archive `like` is or not at all."""
    import torch

    packed = zipfile.ZipFile(like).infolist()[0].compress_type
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:  # given a path, torch writes the path's name too
            torch.save(value, file)
        if packed != zipfile.ZIP_STORED:
            with atomic_path(temporary) as smaller:
                _repack(temporary, smaller, packed)


def _repack(source: Path, target: Path, packed: int) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            # A new ZipInfo has no time of writing.
            new.writestr(zipfile.ZipInfo(name), old.read(name), packed, compresslevel=6)
