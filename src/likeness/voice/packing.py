"""PyTorch archives whose bytes depend on nothing but their content."""

import zipfile
from pathlib import Path
from typing import Any

from likeness.common.io import atomic_path


def write_archive(path: Path, value: Any, *, like: Path) -> None:
    """`torch.save` with reproducible bytes, compressed by the method of the archive `like`."""
    import torch

    packed = zipfile.ZipFile(like).infolist()[0].compress_type
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:  # given a path, torch would store its name as well
            torch.save(value, file)
        if packed != zipfile.ZIP_STORED:
            with atomic_path(temporary) as smaller:
                _repack(temporary, smaller, packed)


def _repack(source: Path, target: Path, packed: int) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            # A new ZipInfo has a constant time stamp.
            new.writestr(zipfile.ZipInfo(name), old.read(name), packed, compresslevel=6)
