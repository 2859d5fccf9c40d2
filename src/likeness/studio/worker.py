"""A process of its own for each kind of model: it loads one at a time, and answers batch by batch.

A batch goes through `map_items`, with the functions that the stages call. So its results are the same to
the byte as a stage's, and one that a stage or an earlier request asked for comes from the item store.
"""

import io
import json
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from functools import partial
from inspect import getfile
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from likeness.common.closure import code_digest
from likeness.common.errors import LikenessError
from likeness.common.items import map_items
from likeness.common.logs import log_as_json
from likeness.common.manifest import Rejection
from likeness.common.params import load_params
from likeness.common.runtime import Base, Runtime, start
from likeness.image.diffusion import resident_pipeline
from likeness.image.drawing import draw_with
from likeness.image.generate import ImageGenerate
from likeness.repository.dvc import open_cache_folder
from likeness.stage import SCHEMA
from likeness.voice.sampling import TOGETHER
from likeness.voice.speech import _reference_voice, own_speakers, resident_xtts, speak
from likeness.voice.xtts_files import read_adapter

Kind = Literal["speech", "images"]
# Of `speak` or `draw_with`, without those that the process knows itself.
Keywords = dict[str, Any]
Payload = dict[str, Any]

# A folder of references for each voice that was made in the studio. Their names have their content.
VOICES = Path(".dvc") / "likeness" / "studio" / "voices"
MOST_VOICES = 256  # whose latents are kept: 34 MB of XTTS-v2's


@dataclass(frozen=True)
class Made:
    """What was spoken or drawn."""

    record: dict[str, Any]
    data: bytes


@dataclass(frozen=True)
class Loaded:
    """Told once the first model is loaded: the device, and the own speakers of each base of speech."""

    device: str
    speakers: dict[str, list[str]] = field(default_factory=dict)


class WorkerDied(Exception):
    """The process ended before it answered."""


class Worker:
    """The process, seen from the server. Its methods block; one thread at a time may call them.

    Args:
        root: the DVC repository, whose params and item store it uses.
        first: the model to load first, as the keywords `base` and `adapter`.
        bases: of speech, whose speakers are wanted.
    """

    def __init__(self, kind: Kind, root: Path, first: Keywords, bases: Sequence[Path] = ()) -> None:
        self._setup = (kind, root, first, bases)
        self._process: Any = None
        self._pipe: Connection
        self._seen: dict[Path, object] = {}
        self._closed = False

    def alive(self) -> bool:
        return self._process is not None and bool(self._process.is_alive())

    def start(self) -> Loaded | str:
        """A new process in place of the old one; what it loaded, or in one line why it cannot."""
        self._kill()
        # A fork of this process, which has threads, can hang.
        context = get_context("forkserver")
        context.set_forkserver_preload(["likeness.studio.preload"])
        self._pipe, theirs = context.Pipe()
        # As a daemon it ends with the server. If the server is killed, it ends at the closed pipe.
        process = context.Process(target=_run, args=(theirs, *self._setup), daemon=True)
        try:
            process.start()
            self._process = process
            theirs.close()  # so that the end of the process closes the pipe
            self._seen = {}
            if self._closed:
                self._kill()
            told: Loaded | str = self._pipe.recv()
        except (EOFError, OSError):
            return "the process that loads the model was ended, most likely as memory ran out"
        return told

    def call(self, keywords: Keywords, payloads: Sequence[Payload]) -> list[Made | Rejection]:
        """The outcome of each payload. Raises `WorkerDied`, or `LikenessError` for a broken model."""
        if self._outdated(keywords):
            told = self.start()
            if isinstance(told, str):
                raise LikenessError(told)
            self._outdated(keywords)
        try:
            self._pipe.send((keywords, payloads))
            answer: list[Made | Rejection] | str = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerDied from error
        if isinstance(answer, str):
            raise LikenessError(answer)
        return answer

    def close(self) -> None:
        """End the process, whatever it does. May be called from any thread."""
        self._closed = True
        self._kill()

    def _kill(self) -> None:
        if self.alive():
            self._process.kill()

    def _outdated(self, keywords: Keywords) -> bool:
        """Whether files that the process may have loaded were replaced since it saw them first.

        It keeps models by their paths, but a result's key has their content: after a training, an old
        model's result would be kept under the new one's key.
        """
        now = {path: _state(path) for path in _paths(keywords)}
        old = {path for path, state in now.items() if self._seen.setdefault(path, state) != state}
        return bool(old)


def _paths(keywords: Keywords) -> list[Path]:
    """The files whose content can change."""
    values = [*keywords.values(), *keywords.get("references", ())]
    paths = [value for value in values if isinstance(value, Path)]
    return [path for path in paths if not path.match(f"{VOICES}/*/*")]


def _state(path: Path) -> object:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [file.stat() for file in files if file.exists()]
    return [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]


# --- in the process -------------------------------------------------------------------------------


def pin_code() -> None:
    """The code that was imported, and not one that is edited later, stands behind the results."""
    for function in (speak, draw_with):
        code_digest(Path(getfile(function)))


def _run(pipe: Connection, kind: Kind, root: Path, first: Keywords, bases: Sequence[Path]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the server's, which ends this process
    log_as_json(logging.WARNING, engine=kind)

    def tell(error: LikenessError) -> None:
        pipe.send(str(error).replace(f"{root}/", ""))

    pin_code()
    try:
        params = root / "params.yaml"
        rt = start(load_params(params, SCHEMA, Base), open_cache_folder(root))
        batch = load_params(params, SCHEMA, ImageGenerate).batch
        adapter = first["adapter"]
        # A training that runs in the workspace may have deleted it, as DVC does first.
        if adapter and not adapter.exists():
            adapter = None
        if kind == "speech":
            if adapter:
                read_adapter(adapter, first["base"])  # loading does not check it
            resident_xtts(first["base"], rt.device, adapter=adapter)
        else:
            folder = adapter and adapter.parent
            resident_pipeline(first["base"], rt.device, rt.precision(), folder)
        pipe.send(Loaded(rt.device, {base.name: list(own_speakers(base)) for base in bases}))
    except LikenessError as error:
        tell(error)
        return
    answer = partial(_say, rt=rt) if kind == "speech" else partial(_draw, rt=rt, batch=batch)
    while True:
        try:
            keywords, payloads = pipe.recv()
        except EOFError:
            os._exit(0)  # the server is gone; to unload a model's libraries would take seconds
        try:
            pipe.send(answer(keywords, payloads))
        except LikenessError as error:
            tell(error)


def _say(keywords: Keywords, payloads: Sequence[Payload], *, rt: Runtime) -> list[Made | Rejection]:
    """Batches of voice_synthesize's size. Raises `LikenessError` if the voice is gone."""
    for path in keywords["references"]:
        if not path.is_file():
            raise LikenessError(f"{path}: no such file any more; ask for another voice")
    if _reference_voice.cache_info().currsize > MOST_VOICES:
        _reference_voice.cache_clear()
    function = partial(speak, device=rt.device, **keywords)
    return _answers(function, payloads, "audio.wav", what="voice_speak", rt=rt, batch=TOGETHER)


def _draw(
    keywords: Keywords, payloads: Sequence[Payload], *, rt: Runtime, batch: int
) -> list[Made | Rejection]:
    """Batches of image_generate's size: on a GPU, an image's last bits depend on it."""
    function = partial(draw_with, device=rt.device, precision=rt.precision(), **keywords)
    return _answers(function, payloads, "image.png", what="image_draw", rt=rt, batch=batch)


def _answers(
    function: Callable[..., Any], payloads: Sequence[Payload], file: str, **how: Any
) -> list[Made | Rejection]:
    names = [json.dumps(payload, sort_keys=True) for payload in payloads]
    items = dict(zip(names, payloads, strict=True))  # equal ones are computed once
    with redirect_stderr(io.StringIO()):  # the progress bar is for a terminal
        stored, rejected = map_items(function, items, **how)
    found: dict[str, Made | Rejection] = {row.id: row for row in rejected}
    for name, item in stored.items():
        found[name] = Made(item.record, item.read(file))
    return [found[name] for name in names]
