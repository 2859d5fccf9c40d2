"""What a page is told: each change once, in order, also after it was away."""

import asyncio
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.studio.conftest import HOST, ask, serve


class Jobs:
    """Jobs that a test changes, in place of those of a repository."""

    def __init__(self) -> None:
        self.states = {"a": "running", "b": "queued"}

    def __call__(self) -> list[dict[str, Any]]:
        return [{"id": name, "state": state} for name, state in self.states.items()]


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def feed(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> Any:
    from likeness.studio import events

    monkeypatch.setattr(events, "SECONDS", 0.01)
    return events.Feed(jobs)


async def take(feed: Any, count: int, after: int | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async for event in feed.events(after):
        found.append(event)
        if len(found) == count:
            break
    return found


def test_a_page_gets_the_state_and_then_what_changes(feed: Any, jobs: Jobs) -> None:
    async def test() -> None:
        listening = asyncio.create_task(take(feed, 4))
        await asyncio.sleep(0.05)
        jobs.states["a"] = "done"
        await asyncio.sleep(0.05)
        jobs.states = {"a": "done", "c": "queued"}
        state, done, new, order = await asyncio.wait_for(listening, 5)
        assert [job["state"] for job in state["jobs"]] == ["running", "queued"]
        assert (done["type"], done["job"]) == ("job", {"id": "a", "state": "done"})
        assert (new["type"], new["job"]) == ("job", {"id": "c", "state": "queued"})
        assert (order["type"], order["ids"]) == ("order", ["a", "c"])
        numbers = [each["seq"] for each in (state, done, new, order)]
        assert numbers == [*range(numbers[0], numbers[0] + 4)]

    asyncio.run(test())


def test_a_page_that_comes_back_gets_what_it_has_missed(feed: Any, jobs: Jobs) -> None:
    async def test() -> None:
        (state,) = await take(feed, 1)
        other = asyncio.create_task(take(feed, 3))  # another page, for which the jobs are watched
        await asyncio.sleep(0.05)
        jobs.states["a"] = "failed"
        await asyncio.sleep(0.05)
        jobs.states["b"] = "running"
        await asyncio.wait_for(other, 5)
        missed = await asyncio.wait_for(take(feed, 2, state["seq"]), 5)
        assert [(one["job"]["id"], one["job"]["state"]) for one in missed] == [
            ("a", "failed"),
            ("b", "running"),
        ]

    asyncio.run(test())


@pytest.mark.parametrize("after", [0, 1 << 60])
def test_a_number_that_is_not_known_gives_the_state(feed: Any, after: int) -> None:
    """Of an earlier start whose events are gone, or of no event at all."""
    (event,) = asyncio.run(asyncio.wait_for(take(feed, 1, after), 5))
    assert event["type"] == "jobs"


def test_nothing_is_looked_at_while_nobody_listens(feed: Any, jobs: Jobs) -> None:
    looks = []
    feed._look = lambda: looks.append(1) or jobs()

    async def test() -> None:
        await take(feed, 1)
        await asyncio.sleep(0.05)
        seen = len(looks)
        await asyncio.sleep(0.1)
        assert len(looks) == seen

    asyncio.run(test())


def test_the_socket_tells_of_the_jobs(made: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((made / "params.yaml").read_text())
    client = ask(tmp_path)
    with client.websocket_connect("/api/events", headers={"Host": HOST}) as socket:
        assert socket.receive_json()["type"] == "jobs"


@pytest.mark.slow
def test_a_stop_takes_three_seconds_at_most_though_pages_listen(
    empty: Path, tmp_path: Path
) -> None:
    from websockets.sync.client import connect

    root = shutil.copytree(empty, tmp_path / "repository")  # without models, which take seconds
    shutil.copy(ROOT / "params.yaml", root)
    (root / "dvc.yaml").touch()
    with serve(root, tmp_path / "log") as server:
        address = server.url.replace("http", "ws") + "/api/events"
        headers = {"Authorization": f"Bearer {server.token}"}
        sockets = [connect(address, additional_headers=headers) for _ in range(5)]
        for socket in sockets:
            assert '"jobs"' in str(socket.recv(timeout=30))
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=10)
        assert time.monotonic() - started < 3
        for socket in sockets:
            socket.close()
