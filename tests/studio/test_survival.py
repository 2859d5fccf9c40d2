"""`kill -9` of the server while a job runs and a page shows its log.

`pytest tests/studio/test_survival.py --kills 20` kills it twenty times.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import pytest

from likeness.studio.jobs import find_job
from tests.conftest import ROOT
from tests.studio.conftest import Server, serve
from tests.studio.test_jobs import commit_toy, processes, started, until
from tests.studio.test_pages import browser as browser  # a fixture
from tests.studio.test_pages import open_page

# Lines, and between them a progress bar that is drawn anew in its place, until it is told to end.
STAGE = """
import pathlib, time
step = 0
while not pathlib.Path("OUTSIDE/end").exists():
    print(f"step {step}")
    for done in range(1, 6):
        print(f"\\rcount: rows: {20 * done}%|#| {done}/5", end="", flush=True)
        time.sleep(0.01)
    print()
    step += 1
pathlib.Path("out.txt").write_text(str(step))
"""
PIPELINE = "stages: {count: {cmd: python stage.py, deps: [stage.py], outs: [out.txt]}}\n"
SECONDS = 3  # after its start, in which the server knows how the job is
TOLD = "The studio does not answer"


@pytest.fixture
def repo(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository with one stage and no base, so that its studio starts at once."""
    root = shutil.copytree(empty, tmp_path / "repository")
    (root / "stage.py").write_text(STAGE.replace("OUTSIDE", str(tmp_path)))
    (root / "dvc.yaml").write_text(PIPELINE)
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copytree(ROOT / "conf", root / "conf")
    shutil.copy(ROOT / ".dvc/config", root / ".dvc")
    commit_toy(root, monkeypatch)
    yield root
    for process in processes(root):
        process.kill()


def shown(log: bytes) -> list[str]:
    """The lines that a terminal shows: what follows a carriage return stands in place of the line."""
    return [line.rpartition("\r")[2] for line in log.decode().split("\n")]


@pytest.mark.slow
def test_a_job_and_its_page_outlive_the_server(
    repo: Path, browser: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    token = tmp_path / "token"
    token.write_text(token_hex(32))
    options = ("--token-file", str(token))
    context = browser.new_context()
    page = context.new_page()

    def log() -> list[str]:
        return list(page.text_content("pre").split("\n"))

    def start(*options: str) -> Any:
        return serve(repo, tmp_path / "log", *options)

    def goes_on(server: Server) -> float:
        """The seconds until the job's state is right; then the page shows more of its log."""
        since = time.monotonic()
        with server._replace(token=token.read_text()).client() as client:
            assert client.get("/api/jobs/mine").json()["state"] == "running"
        took = time.monotonic() - since
        assert run.is_alive()
        assert started(find_job(repo, "mine")) == run
        lines = len(log())
        until(lambda: len(log()) > lines, seconds=10)
        assert TOLD not in page.inner_text("header")
        return took

    with start(*options) as server:
        server = server._replace(token=token.read_text())
        with server.client() as client:
            answer = client.post("/api/jobs", json={"targets": ["count"], "name": "mine"})
            assert answer.status_code == 201, answer.text
        open_page(page, f"{server.url}/jobs?id=mine#token={server.token}")
        page.wait_for_selector("text=step 1")
        run = started(find_job(repo, "mine"))
    port = ("--port", str(urlsplit(server.url).port))
    times = []
    kills = request.config.getoption("--kills")
    for _ in range(kills - 1):
        page.wait_for_selector(f"text={TOLD}")
        with start(*options, *port) as server:
            times.append(goes_on(server))
    with start(*options, *port) as server:
        times.append(goes_on(server))
        (tmp_path / "end").touch()
        page.wait_for_selector("article[aria-label=mine] .state-done", timeout=60_000)
        wanted = shown(find_job(repo, "mine").log.read_bytes())
        until(lambda: len(log()) >= len(wanted), seconds=10)
        assert log() == wanted
    steps = [line for line in wanted if line.startswith("step ")]
    assert steps == [f"step {step}" for step in range(len(steps))]
    assert max(times) < SECONDS

    with start(*port):  # with a token that the page does not have
        page.wait_for_selector("text=The token that the studio printed")
    context.close()
    print(f"{kills} kills, {len(steps)} steps, state after {max(times):.2f} s at most")
