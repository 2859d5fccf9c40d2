"""Events of crashes: what is sent to a server that takes them, and what never is."""

import gzip
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import write_text
from likeness.studio.jobs import FOLDER
from tests.conftest import ROOT, absent, library_env
from tests.repository.servers import free_port, running

BUGSINK = "bugsink==2.6.2"
SECRET = "what was asked"


class Receiver(HTTPServer):
    """Takes envelopes as Sentry does. It has the events, and all bytes that came."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.seen = b""
        super().__init__(("127.0.0.1", 0), Envelopes)
        self.dsn = f"http://{'a' * 32}@127.0.0.1:{self.server_port}/1"


class Envelopes(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "br":
            import brotli  # type: ignore[import-untyped]

            data = brotli.decompress(data)
        elif self.headers["Content-Encoding"] == "gzip":
            data = gzip.decompress(data)
        self.server.seen += str(self.headers).encode() + data
        _, *items = data.split(b"\n")
        kinds, values = items[::2], items[1::2]
        for kind, value in zip(kinds, values, strict=False):
            if json.loads(kind)["type"] == "event":
                self.server.events.append(json.loads(value))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def watched(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Crashes of this process are reported; when it ends, all events are sent."""
    import sentry_sdk

    from likeness.studio.crashes import watch_crashes

    monkeypatch.setenv("SENTRY_DSN", dsn)
    watch_crashes()
    try:
        yield
        sentry_sdk.flush(10)
    finally:
        sentry_sdk.init()


def test_a_crash_of_a_route_is_one_event_and_a_mistake_is_none(
    made: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(receiver.dsn, monkeypatch):
        answer, keys = fail_in_every_way(made, monkeypatch)
    (event,) = receiver.events
    (error,) = event["exception"]["values"]
    last = error["stacktrace"]["frames"][-1]
    assert (error["type"], last["function"]) == ("RuntimeError", "crash")
    assert last["filename"] == "test_crashes.py"
    assert event["tags"] == {"request_id": answer.headers["x-request-id"]}
    secrets = (SECRET, keys.token, keys.session, keys.cookie, str(made), str(ROOT))
    for secret in (*secrets, os.uname().nodename):
        assert secret.encode() not in receiver.seen, secret


def fail_in_every_way(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The answer to a request whose route crashes, and the keys; those before are users' mistakes."""
    from likeness.studio.models import Models
    from likeness.studio.problems import Problem
    from tests.studio.conftest import ask

    client = ask(root, raise_server_exceptions=False)
    client.cookies.set(client.keys.cookie, client.keys.session)
    failure: Exception = LikenessError(f"{root}/params.yaml: wrong")

    def crash(models: Any, kind: str, name: str) -> None:
        local = f"{client.keys.token} {name}"
        assert local
        raise failure

    def speak(**changes: Any) -> Any:
        body = {"model": SECRET, "input": SECRET, "voice": SECRET, **changes}
        return client.post(f"/v1/audio/speech?q={SECRET}", json=body)

    monkeypatch.setattr(Models, "find", crash)
    assert speak().status_code == 409
    failure = Problem(503, "not_ready", "later")
    assert speak().status_code == 503
    assert speak(speed=2).status_code == 400
    assert client.post("/nowhere").status_code == 404
    failure = RuntimeError(f"{root}: {SECRET}")
    answer = speak()
    assert answer.status_code == 500
    assert SECRET not in answer.text
    return answer, client.keys


def test_a_crash_of_the_supervisor_is_one_event(receiver: Receiver, tmp_path: Path) -> None:
    write_text(tmp_path / FOLDER / "workers", "many")
    write_text(tmp_path / FOLDER / "queue", "")
    done = supervise(tmp_path, receiver.dsn)
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (line["level"], line["logger"]) == ("critical", "crash")
    assert "ValueError" in line["exception"]
    (event,) = receiver.events
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert str(tmp_path).encode() not in receiver.seen


def supervise(root: Path, dsn: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "likeness.studio.supervisor", str(root), "0"],
        env={**library_env(), "SENTRY_DSN": dsn}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_dsn_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = supervise(tmp_path, "http://nothing")
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["event"].startswith("error: SENTRY_DSN: ")


@pytest.mark.slow
def test_without_a_dsn_nothing_of_it_is_loaded(made: Path) -> None:
    code = """
import sys
from likeness.studio.app import guarded
from likeness.studio.crashes import crash, watch_crashes
watch_crashes()
crash(RuntimeError())
assert not [name for name in sys.modules if name.startswith("sentry")]
"""
    given = {name: value for name, value in library_env().items() if name != "SENTRY_DSN"}
    subprocess.run([sys.executable, "-c", code], env=given, check=True)


# --- a real server --------------------------------------------------------------------------------

SETTINGS = """
from bugsink.settings.default import *
from bugsink.settings.default import DATABASES
SECRET_KEY = "a" * 60
ALLOWED_HOSTS = ["*"]
for name in DATABASES:
    DATABASES[name]["NAME"] = f"FOLDER/{name}.sqlite3"
SNAPPEA = {"TASK_ALWAYS_EAGER": True, "NUM_WORKERS": 1, "PID_FILE": None}
BUGSINK = {"BASE_URL": "ADDRESS", "INGEST_STORE_BASE_DIR": "FOLDER/ingestion", "PHONEHOME": False}
"""
PROJECT = """
from projects.models import Project
print(Project.objects.create(name="studio").dsn)
"""
EVENTS = """
import json
from events.models import Event
print(json.dumps([event.get_parsed_data() for event in Event.objects.all()]))
"""


class Bugsink:
    """One of its own environment, with one project, on SQLite. `run` is one of its commands."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        url = f"http://127.0.0.1:{self.port}"
        text = SETTINGS.replace("FOLDER", str(folder)).replace("ADDRESS", url)
        (folder / "bugsink_conf.py").write_text(text)
        for database in ("default", "snappea"):
            self.run("migrate", "--noinput", "--database", database)
        self.dsn = self.run("shell", "-v", "0", "-c", PROJECT)

    def command(self, *words: str) -> list[str]:
        start = "from bugsink.scripts.manage import main; main()"
        python = str(self._folder / "venv/bin/python")
        return ["env", f"PYTHONPATH={self._folder}", python, "-c", start, *words]

    def run(self, *words: str) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def events(self) -> list[Any]:
        return list(json.loads(self.run("shell", "-v", "0", "-c", EVENTS)))


@pytest.mark.network
@pytest.mark.slow
def test_a_real_bugsink_has_one_event_of_a_crash(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    install = [tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet", BUGSINK]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        absent(f"{BUGSINK} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    bugsink = Bugsink(tmp_path)
    serve = bugsink.command("runserver", "--noreload", f"127.0.0.1:{bugsink.port}")
    with running(serve, bugsink.port, tmp_path / "log"), watched(bugsink.dsn, monkeypatch):
        answer, keys = fail_in_every_way(made, monkeypatch)
    (event,) = bugsink.events()
    assert event["exception"]["values"][0]["type"] == "RuntimeError"
    assert event["tags"]["request_id"] == answer.headers["x-request-id"]
    for secret in (SECRET, keys.token, keys.session, str(made)):
        assert secret not in json.dumps(event)
