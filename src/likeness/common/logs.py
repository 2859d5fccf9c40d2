"""Logs as lines of JSON on stderr: those of the studio and its supervisor, and a stage's if asked for.

A line has `event`, `level`, `logger` and `timestamp`, the fields that it was logged with, those of its
process, and those that `bound` adds, such as the id of a request.
"""

import io
import json
import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from threading import RLock
from types import MappingProxyType, TracebackType
from typing import Any

# What every record has; the others are the fields of its line.
_USUAL = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_bound: ContextVar[Mapping[str, Any]] = ContextVar("_bound", default=MappingProxyType({}))


class Logger(logging.LoggerAdapter[logging.Logger]):
    """Takes fields as keywords: `log.info("model loaded", device="cpu")`."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        own = {name: kwargs.pop(name) for name in ("exc_info", "stacklevel") if name in kwargs}
        return msg, {**own, "extra": kwargs}


def logger(name: str) -> Logger:
    return Logger(logging.getLogger(name))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields to each line that this task or thread logs in the meantime."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def fields() -> dict[str, Any]:
    """Those that are bound here."""
    return dict(_bound.get())


class JsonFormatter(logging.Formatter):
    """A record as one line. `fields` are added to each."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        given = {name: value for name, value in vars(record).items() if name not in _USUAL}
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "event": record.getMessage(), "level": record.levelname.lower(), "logger": record.name,
            "timestamp": time, **self._fields, **_bound.get(), **given,
        }  # fmt: skip
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json(level: int = logging.INFO, **fields: Any) -> None:
    """Write all logs of this process to stderr as JSON, and whatever else Python writes there.

    Args:
        level: of the least important logs that are written.
        fields: of each line.
    """
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(JsonFormatter(**fields))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.stderr = Lines()
    sys.excepthook = _log_crash


class Lines(io.TextIOBase):
    """Stands for stderr: each line that is written is logged, and so is each state of a progress bar."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._log = logging.getLogger("stderr")
        self._log.setLevel(logging.INFO)  # whatever the level of libraries is
        self._rest, self._lock = "", RLock()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).replace("\r", "\n").split("\n")
            for line in filter(None, map(str.strip, lines)):
                level = logging.ERROR if line.startswith("error: ") else logging.INFO
                self._log.log(level, "%s", line)
        return len(text)


def _log_crash(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    said = f"{kind.__name__}: {error}"  # the last line of a traceback
    logging.getLogger("crash").critical("%s", said, exc_info=(kind, error, at))


def printed(line: str) -> str:
    """The event of a line of JSON, which is what was printed; any other line as it is."""
    try:
        return str(json.loads(line)["event"]) if line.startswith('{"event": ') else line
    except ValueError:  # it is still being written
        return line
