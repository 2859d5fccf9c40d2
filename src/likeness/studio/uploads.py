"""/api/uploads and /api/inputs: a person's own recordings or catalogue, as an input that DVC tracks.

A file is sent on its own and kept apart under an id until it is named: then its folder appears under
data/raw/ as a whole, and `dvc add` tracks it. No path comes from outside, and nothing is overwritten.
"""

import asyncio
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from likeness.repository.dvc import run_dvc
from likeness.studio.api_page import example
from likeness.studio.generate import Asked
from likeness.studio.problems import Problem
from likeness.studio.state import state_of

router = APIRouter(prefix="/api")

FOLDER = Path(".dvc") / "likeness" / "studio" / "uploads"
MOST_BYTES = 8 << 30  # of one file
MOST_UNPACKED = 64 << 30  # bytes of an archive's files together
MOST_FILES = 500_000  # in an archive
FREE = 1 << 30  # bytes that stay free on the disk
NAME = re.compile(r"\w[\w.-]{0,63}")
PHOTO = re.compile(r"images/[^/]+\.(jpe?g|png|webp)", re.IGNORECASE)


class NewInput(Asked):
    name: Annotated[str, Field(description="of its folder under data/raw/, which must be new")]
    uploads: Annotated[
        list[str], Field(min_length=1, max_length=10_000, description="ids of uploaded files")
    ]


@router.post(
    "/uploads",
    status_code=201,
    max_body_size=MOST_BYTES,
    openapi_extra=example("/api/uploads?file=interview.wav", send="interview.wav"),
)
async def upload(
    request: Request,
    file: Annotated[
        str, Query(max_length=200, description="its name, for people and by its ending")
    ],
) -> dict[str, Any]:
    """Send a file as the body of the request: a recording, or a catalogue as a ZIP archive with
    `styles.csv` and `images/`. The answer has its id.
    """
    root = state_of(request).root
    identity, name = token_hex(16), _plain(file)
    folder = root / FOLDER / identity
    folder.mkdir(parents=True)
    try:
        with (folder / name).open("wb") as out:
            async for chunk in request.stream():
                if shutil.disk_usage(folder).free < FREE + len(chunk):
                    raise Problem(507, "disk_full", "the disk is full; delete what is not needed")
                out.write(chunk)
        return {"id": identity, "file": name, **await asyncio.to_thread(check, folder / name)}
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@router.post(
    "/inputs",
    status_code=201,
    openapi_extra=example("/api/inputs", {"name": "my_voice", "uploads": ["0" * 32]}),
)
def make_input(body: NewInput, request: Request) -> dict[str, Any]:
    """Put uploaded files into a new folder under data/raw/ and track it by DVC.

    `param` says which param takes the name; `commit` lists the files that git should have then.
    """
    root = state_of(request).root
    target = root / "data" / "raw" / body.name
    if not NAME.fullmatch(body.name):
        raise Problem(400, "wrong_name", f"{body.name}: letters, digits, . _ and - make a name",
                      param="name")  # fmt: skip
    taken = Problem(
        409, "name_taken", f"{body.name}: data/raw/ has this name; choose another", param="name"
    )
    if target.exists() or target.with_name(f"{body.name}.dvc").exists():
        raise taken
    files = [uploaded(root, identity) for identity in dict.fromkeys(body.uploads)]
    archives = [file for file in files if zipfile.is_zipfile(file)]
    if archives and len(files) > 1:
        raise Problem(400, "mixed", "a catalogue is one archive alone", param="uploads")
    with appearing(root, target, taken) as made:
        if archives:
            unpack(archives[0], made)
        else:
            _gather(files, made)
    path = f"data/raw/{body.name}"
    run_dvc(root, "add", path)
    forget(files)
    return {
        "name": body.name,
        "param": "inputs.catalog" if archives else "inputs.recordings",
        "files": sum(1 for each in target.rglob("*") if each.is_file()),
        "command": f"dvc add {path}",
        "commit": [f"{path}.dvc", "data/raw/.gitignore"],
    }


@contextmanager
def appearing(root: Path, target: Path, taken: Problem) -> Iterator[Path]:
    """A folder to fill, which has its name only when it is complete.

    Raises:
        Problem: `taken`: another request has used the name in the meantime.
    """
    made = root / FOLDER / f"new-{token_hex(16)}"
    made.mkdir(parents=True)
    try:
        yield made
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            made.rename(target)
        except OSError:
            if not target.exists():
                raise
            raise taken from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def forget(files: Iterable[Path]) -> None:
    """Delete uploads that were made into something."""
    for file in files:
        shutil.rmtree(file.parent, ignore_errors=True)


def _plain(name: str) -> str:
    """The last part of a file's name, without signs that a path or a shell reads."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w .()-]", "_", last).strip(" .")
    if not plain:
        raise Problem(400, "wrong_name", f"{name!r} is no name of a file", param="file")
    return plain


def uploaded(root: Path, identity: str) -> Path:
    """The file of an upload. Raises `Problem` if there is none of this id."""
    if re.fullmatch(r"[0-9a-f]{32}", identity):
        for path in (root / FOLDER / identity).glob("*"):
            return path
    raise Problem(404, "not_found", f"{identity}: no such upload; it may be in use already")


def _gather(files: Sequence[Path], folder: Path) -> None:
    for file in files:
        place, number = folder / file.name, 1
        while place.exists():
            number += 1
            place = folder / f"{file.stem}-{number}{file.suffix}"
        shutil.move(file, place)


def check(path: Path) -> dict[str, Any]:
    """What a file holds. Raises `Problem` for one that is neither audio nor a catalogue."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        return {"bytes": size, "photos": len(_members(path)) - 1}
    import av

    try:
        with av.open(str(path)) as opened:
            stream = opened.streams.audio[0]
            next(opened.decode(stream))
            length = opened.duration or 0
    except (av.FFmpegError, IndexError, StopIteration, ValueError, OSError):
        raise Problem(
            400, "not_audio", f"{path.name}: neither audio nor a ZIP archive; send another file",
            param="file",
        ) from None  # fmt: skip
    return {"bytes": size, "seconds": round(length / av.time_base, 2)}


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """The catalogue in an archive, by its path there; a folder around all of it is left out.

    Raises:
        Problem: there is none, or it would be too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Problem(400, "not_a_zip", f"{path.name}: {error}", param="file") from None
    tables = [one.filename for one in listed if PurePosixPath(one.filename).name == "styles.csv"]
    if len(tables) != 1:
        raise Problem(
            400, "no_catalogue", f"{path.name}: {len(tables)} files styles.csv; one is needed",
            param="file",
        )  # fmt: skip
    start = tables[0].removesuffix("styles.csv")
    inside = {one.filename.removeprefix(start): one for one in listed
              if one.filename.startswith(start)}  # fmt: skip
    found = {
        name: one for name, one in inside.items() if name == "styles.csv" or PHOTO.fullmatch(name)
    }
    if len(found) == 1:
        line = f"{path.name}: no photos; images/ beside styles.csv should have them as ID.jpg"
        raise Problem(400, "no_photos", line, param="file")
    if len(found) > MOST_FILES or sum(one.file_size for one in found.values()) > MOST_UNPACKED:
        raise Problem(400, "too_large", f"{path.name}: more than the studio unpacks; use dvc add",
                      param="file")  # fmt: skip
    return found


def unpack(path: Path, folder: Path) -> None:
    """Unpack the catalogue in an archive, and nothing else of it."""
    members = _members(path)
    if sum(one.file_size for one in members.values()) + FREE > shutil.disk_usage(folder).free:
        raise Problem(507, "disk_full", "the disk is too small for this catalogue")
    (folder / "images").mkdir()
    try:
        with zipfile.ZipFile(path) as archive:
            for name, member in members.items():
                # A member is read up to the size that its entry states, whatever it holds.
                with archive.open(member) as source, (folder / name).open("xb") as out:
                    shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise Problem(400, "not_a_zip", f"{path.name}: {error}", param="uploads") from None
