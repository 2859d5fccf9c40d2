"""What `torch.save` wrote, read as tensors and nothing else."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

from likeness.common.errors import AGAIN, LikenessError, one_line


def read_archive(path: Path, device: str = "cpu") -> Any:
    """What `torch.save` wrote; on the device `meta` the shapes alone, and no weight is read.

    Raises:
        LikenessError: there is no file, or it is cut short, is no archive, or holds more than tensors.
    """
    import torch

    if not path.is_file():
        raise LikenessError(f"{path}: no such file; {AGAIN}")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # pickle's, zip's and torch's have no common base
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise LikenessError(
                f"{path}: holds more than weights; delete the folder, and likeness fetch brings the "
                "published one without its pickled config"
            ) from error
        why, _, _ = one_line(error).partition(". ")  # PyTorch goes on for a page
        raise LikenessError(f"{path}: not an archive of PyTorch's ({why}); {AGAIN}") from error
