"""/api/files: what the stages of a revision wrote, and nothing else."""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from likeness.repository.dvc import cached_file, dvc_cache
from likeness.repository.experiments import WORKSPACE, read_file
from likeness.studio.api_page import example
from likeness.studio.problems import Problem
from likeness.studio.state import state_of

router = APIRouter(prefix="/api")

FOLDERS = ("data/", "metrics/", "plots/", "reports/")
REVISION = re.compile(rf"{WORKSPACE}|[0-9a-f]{{7,40}}")
CHUNK = 1 << 18
PLAIN = "text/plain; charset=utf-8"
# What a browser shows without running anything in it. All else is saved.
MEDIA = {
    "csv": PLAIN, "flac": "audio/flac", "jpg": "image/jpeg", "json": "application/json",
    "jsonl": PLAIN, "md": PLAIN, "png": "image/png", "tsv": PLAIN, "txt": PLAIN, "wav": "audio/wav",
    "yaml": PLAIN,
}  # fmt: skip


class Out(NamedTuple):
    """An output of a stage as dvc.lock has it."""

    path: str
    md5: str


@router.get(
    "/files/{rev}/{path:path}",
    response_class=Response,
    responses={200: {"content": {"*/*": {}}}, 206: {"content": {"*/*": {}}}},
    openapi_extra=example(
        "/api/files/workspace/data/voice_train/samples/020-0.wav", save="sample.wav"
    ),
)
def read(rev: str, path: str, request: Request) -> Response:
    """A file that a stage wrote, in the workspace or at a commit; one `Range` of bytes is answered.

    `rev` is `workspace` or the hash of a commit, as `/api/experiments` lists them. Other lists name
    their files by whole addresses. A file of another commit must be in this machine's cache.
    """
    found = find(state_of(request).root, rev, path)
    media = MEDIA.get(path.rpartition(".")[2].lower(), "application/octet-stream")
    return answer(found, media, request)


def answer(found: Path | bytes, media: str, request: Request) -> Response:
    """All of a file, or the `Range` of it that is asked for; a browser saves what it cannot show."""
    headers = {"Accept-Ranges": "bytes"}
    if media == "application/octet-stream":
        headers["Content-Disposition"] = "attachment"
    size = len(found) if isinstance(found, bytes) else found.stat().st_size
    first, last = _range(request.headers.get("range", ""), size)
    whole = (first, last) == (0, size - 1)
    if not whole:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last - first + 1)
    return StreamingResponse(
        _pieces(found, first, last), 200 if whole else 206, headers, media_type=media
    )


def find(root: Path, rev: str, path: str) -> Path | bytes:
    """A file, or its bytes. Raises `Problem` for all that no stage of the revision wrote."""
    absent = Problem(404, "not_found", "no such file among what the stages wrote at this revision")
    parts = path.split("/")
    plain = not {"", ".", ".."} & set(parts) and "\\" not in path and "\0" not in path
    if not plain or not REVISION.fullmatch(rev) or not path.startswith(FOLDERS):
        raise absent
    outs = _outs(read_file(root, rev, "dvc.lock") or b"")
    out = next((out for out in outs if f"{path}/".startswith(f"{out.path}/")), None)
    if out is None:
        raise absent
    try:
        if rev == WORKSPACE:
            found: Path | bytes | None = _in_workspace(root, out.path, path)
        else:
            inside = path[len(out.path) + 1 :]
            found = cached_file(root, out.md5, inside) or read_file(root, rev, path)
    except (OSError, RuntimeError):  # a name that is too long, or links in a circle
        raise absent from None
    if found is None:
        raise absent
    return found


def _in_workspace(root: Path, out: str, path: str) -> Path | None:
    """The file if it lies in its output, where that is a folder of ours, or is a link to DVC's cache."""
    file, home = (root / path).resolve(), (root / out).resolve()
    ours = file.is_relative_to(home) and home.is_relative_to(root.resolve())
    cached = file.is_relative_to(dvc_cache(root).resolve())
    return file if (ours or cached) and file.is_file() else None


@lru_cache(maxsize=32)
def _outs(lock: bytes) -> list[Out]:
    stages = (yaml.load(lock, yaml.CSafeLoader) or {}).get("stages", {})
    return [
        Out(out["path"], out.get("md5", ""))
        for stage in stages.values()
        for out in stage.get("outs", [])
    ]


def _range(asked: str, size: int) -> tuple[int, int]:
    """The first and last byte that a `Range` asks for; all bytes for none, or for several parts."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", asked.strip())
    if match is None or match.groups() == ("", ""):
        return 0, size - 1
    start, end = match.groups()
    first = int(start) if start else max(0, size - int(end))
    last = min(size - 1, int(end)) if start and end else size - 1
    if first >= size or last < first:
        raise Problem(
            416,
            "range",
            f"bytes 0 to {size - 1} are there",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return first, last


def _pieces(found: Path | bytes, first: int, last: int) -> Iterator[bytes]:
    if isinstance(found, bytes):
        yield found[first : last + 1]
        return
    with found.open("rb") as file:
        file.seek(first)
        left = last + 1 - first
        while left > 0 and (data := file.read(min(CHUNK, left))):
            left -= len(data)
            yield data


def address(path: str, rev: str = WORKSPACE) -> str:
    """Where a file is read, for the answers of other routes."""
    return f"/api/files/{rev}/{path}"
