"""The item store: each item is computed once, however often the stage around it runs again.

DVC re-runs a whole stage when one file of its input changes. A stage that works item by item calls
`map_items`, which keeps each item's result under a key made of the item's content, the parameters
that the function receives and the code that it is made of. A key that is known is linked into
place; the others are computed. The store is only a cache: without it the same results are computed
again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from inspect import getfile
from multiprocessing import active_children, get_context
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from pydantic import BaseModel
from tqdm import tqdm

from likeness.common.closure import code_digest
from likeness.common.errors import LikenessError
from likeness.common.io import digest, link
from likeness.common.manifest import Rejection
from likeness.common.result import Rejected, Result
from likeness.common.runtime import Runtime

T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """An item's result in the store."""

    folder: Path
    record: dict[str, Any]

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def link(self, name: str, destination: Path) -> None:
        link(self.folder / name, destination)


Function = Callable[[Sequence[T]], Sequence[Result | Rejected]]
Job = tuple[Function[Any], list[Any], list[Path]]  # payloads, and where their results are kept


def map_items(
    function: Function[T],
    items: Mapping[str, T],
    *,
    what: str,
    rt: Runtime,
    batch: int = 1,
    workers: int = 0,
) -> tuple[dict[str, Stored], list[Rejection]]:
    """Apply `function` to every item that the store does not know yet.

    Args:
        function: a module's function, or a `functools.partial` of one with keyword arguments. It
            takes a batch of items and gives a `Result` or a `Rejected` for each, in order. Its
            keyword arguments are the parameters that the results depend on.
        items: id to payload. A `Path` in a payload or parameter stands for its content.
        what: name of the work, for the progress line; also the store's folder.
        batch: items per call.
        workers: processes; 0 computes in this one, as a model that is loaded once wants. Then a
            short batch is filled up with its last item and the surplus results are dropped: with
            another shape a model's kernels can differ in the last bit, and an item's result must
            not depend on what else was missing.

    Returns:
        The results by id in the order of `items`, and a rejection for every other id. A call that
        raises is repeated item by item, so that one bad item costs only itself; what still raises
        is a rejection with the reason `error`.

    Raises:
        LikenessError: a worker was killed.
    """
    store = rt.cache / "items" / what
    keys = {name: _key(function, payload) for name, payload in items.items()}
    missing = [name for name in items if not _complete(store / keys[name])]
    chunks = [missing[at : at + batch] for at in range(0, len(missing), batch)]
    failed: dict[str, Rejection] = {}
    title = f"{what}: {len(missing)} of {len(items)} to do"
    jobs = [
        (function, [items[name] for name in chunk], [store / keys[name] for name in chunk])
        for chunk in chunks
    ]
    with tqdm(total=len(missing), desc=title, dynamic_ncols=True) as bar:
        try:
            for chunk, errors in zip(chunks, _compute(jobs, workers, batch), strict=True):
                for name, error in zip(chunk, errors, strict=True):
                    if error:
                        failed[name] = Rejection(id=name, reason="error", value=error)
                bar.update(len(chunk))
        except BrokenProcessPool as broken:
            done = sum(_complete(store / keys[name]) for name in items)
            raise LikenessError(
                f"{what}: a worker process was killed, most likely because memory ran out; set "
                f"base.workers below {workers} and run again ({done} of {len(items)} items are done "
                "and kept)"
            ) from broken
    results: dict[str, Stored] = {}
    for name in items:
        if name not in failed:
            folder = store / keys[name]
            record = json.loads((folder / "record.json").read_text())
            if "rejected" in record:
                failed[name] = Rejection(id=name, **record["rejected"])
            else:
                results[name] = Stored(folder, record)
    return results, [failed[name] for name in items if name in failed]


def map_all(
    function: Function[T],
    items: Mapping[str, T],
    *,
    problem: str,
    what: str,
    rt: Runtime,
    batch: int = 1,
    workers: int = 0,
) -> dict[str, Stored]:
    """`map_items` for work of which no item may be missing.

    Args:
        problem: what to say of the first item that is rejected, as "cannot be drawn".

    Raises:
        LikenessError: an item was rejected.
    """
    found, rejected = map_items(function, items, what=what, rt=rt, batch=batch, workers=workers)
    for first in rejected[:1]:
        payload = items[first.id]
        name = payload if isinstance(payload, Path) else first.id
        raise LikenessError(f"{name}: {problem} ({first.value})")
    return found


def _compute(jobs: Sequence[Job], workers: int, batch: int) -> Iterator[list[str]]:
    """The errors of each job, in order."""
    if not workers or len(jobs) < 2:  # one is not worth the start of a process
        for job in jobs:
            yield _work(job, 0 if workers else batch)
        return
    # Spawned, not forked: a fork of a process that has run torch can hang.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"))
    try:
        for future in [pool.submit(_work, job, 0) for job in jobs]:
            yield future.result()
    except BaseException:
        for worker in active_children():  # what they have in hand is done again
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _work(job: Job, size: int) -> list[str]:
    """Compute and keep a job's results; an error for each payload, empty where there was none.

    A worker keeps its results itself, so that they never pass between processes: an hour of audio
    would be copied twice, and be lost with a worker that is killed.
    """
    function, payloads, folders = job
    errors = []
    for folder, outcome in zip(folders, _call(function, payloads, size), strict=True):
        if isinstance(outcome, Result | Rejected):
            _save(folder, outcome)
            errors.append("")
        else:
            errors.append(f"{type(outcome).__name__}: {outcome}")
    return errors


def _call(function: Function[T], payloads: Sequence[T], size: int) -> Sequence[Result | Exception]:
    """The function's outcomes for `payloads`, filled up to `size`; item by item where it raises."""
    filled = [*payloads, *[payloads[-1]] * (size - len(payloads))]
    try:
        outcomes = function(filled)
    except MemoryError:
        raise
    except Exception as error:
        if len(payloads) == 1:
            return [error]
        return [outcome for one in payloads for outcome in _call(function, [one], size)]
    if len(outcomes) != len(filled):
        raise RuntimeError(f"{function}: {len(outcomes)} results for {len(filled)} items")
    return outcomes[: len(payloads)]


def _complete(folder: Path) -> bool:
    return (folder / "record.json").is_file()


def _save(folder: Path, outcome: Result | Rejected) -> None:
    """Write beside and rename, so that a folder in the store is always whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile, whose folders no other user of the cache may read.
    temporary = folder.with_name(f".new-{token_hex(8)}")
    temporary.mkdir()
    try:
        if isinstance(outcome, Rejected):
            rejected = {
                "reason": outcome.reason,
                "value": outcome.value,
                "threshold": outcome.threshold,
            }
            record: dict[str, Any] = {"rejected": rejected}
        else:
            record = outcome.record
            for name, data in outcome.files.items():
                (temporary / name).write_bytes(data)
        (temporary / "record.json").write_text(json.dumps(record, ensure_ascii=False))
        try:
            os.rename(temporary, folder)
        except OSError:
            if not _complete(folder):  # as it is where another run of the same item was quicker
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _key(function: Function[T], payload: T) -> str:
    keywords: dict[str, Any] = {}
    inner: Any = function
    while isinstance(inner, partial):
        if inner.args:
            raise TypeError(f"{inner}: bind parameters by keyword, so that the key names them")
        keywords, inner = {**inner.keywords, **keywords}, inner.func
    parts = [
        f"{inner.__module__}.{inner.__qualname__}",
        code_digest(Path(getfile(inner))),
        keywords,
        payload,
    ]
    text = json.dumps([_describe(part) for part in parts], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()
    return f"{name[:2]}/{name[2:40]}"


def _describe(value: Any) -> Any:
    if isinstance(value, Path):
        return _content(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_describe(item) for item in value]
    return value


def _content(path: Path) -> str:
    if path.is_dir():
        newest = max((child.stat().st_mtime_ns for child in path.rglob("*")), default=0)
        return _folder_digest(path, newest)
    # A missing file is the function's to reject, not the key's to fail on.
    return digest(path) if path.is_file() else f"absent: {path.name}"


@cache
def _folder_digest(path: Path, _newest: int) -> str:
    return digest(path)
