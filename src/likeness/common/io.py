"""Files are written completely or not at all: to a temporary file beside them, then `os.replace`."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from likeness.common.errors import LikenessError

T = TypeVar("T")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary beside `path` that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{token_hex(8)}{path.suffix}")
    temporary.touch(exist_ok=False)
    mode = temporary.stat().st_mode  # what the umask gives; safetensors writes files of mode 600
    try:
        yield temporary
        temporary.chmod(mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    return _parsed(path, json.loads)


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    # Not splitlines(): it also splits at separators that JSON strings may hold.
    return _parsed(path, lambda text: [json.loads(line) for line in text.split("\n") if line])


def _parsed(path: Path, parse: Callable[[str], T]) -> T:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LikenessError(f"{path}: no such file; run the stage that writes it") from error
    except ValueError as error:
        raise LikenessError(f"{path}: not JSON ({error})") from error


def link(source: Path, destination: Path) -> None:
    """Hard-link `source` to `destination`, or copy where the file system cannot link."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, destination)
    except FileExistsError:
        raise
    except OSError:
        write_bytes(destination, source.read_bytes())


def digest_of(parts: Iterable[object]) -> str:
    """A key of values by their texts."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's relative names and contents."""
    if path.is_dir():
        total = hashlib.sha256()
        for child in sorted(child for child in path.rglob("*") if child.is_file()):
            total.update(f"{child.relative_to(path).as_posix()}\0{digest(child)}\0".encode())
        return total.hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise LikenessError(f"{path}: no such file or folder") from error
