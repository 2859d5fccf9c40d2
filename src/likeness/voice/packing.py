"""PyTorch's archives, written to the same bytes each time."""

import zipfile
from pathlib import Path
from typing import Any

from likeness.common.io import atomic_path


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
