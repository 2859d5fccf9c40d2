"""Manifests as the studio reads them: once for each version of a file, since to check thousands of
rows takes longer than a page may."""

from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from likeness.common.manifest import Row, read_manifest

R = TypeVar("R", bound=Row)


def rows_of(path: Path, row: type[R]) -> tuple[R, ...]:
    """As `read_manifest`, and with its errors."""
    version = path.stat() if path.exists() else None
    return _read(path, row, version and (version.st_ino, version.st_mtime_ns, version.st_size))


@lru_cache(maxsize=16)
def _read(path: Path, row: type[R], version: tuple[int, ...] | None) -> tuple[R, ...]:
    return tuple(read_manifest(path, row))
