"""The queue: what is sent together, how much may wait, and what a worker's end does to it.

The worker is a stand-in, so that a test can hold it; tests/studio/test_server.py has real ones.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from tests.conftest import needs_studio


class Held:
    """Answers each batch with its payloads, but only while `free` is set."""

    def __init__(self, told: Any = None) -> None:
        self.free = threading.Event()
        self.free.set()
        self.batches: list[tuple[str, list[str]]] = []
        self.starts = 0
        self.running = False
        self.told = told
        self.fails: Exception | None = None

    def alive(self) -> bool:
        return self.running

    def start(self) -> Any:
        from likeness.studio.worker import Loaded

        self.starts += 1
        self.running = self.told is None
        return self.told or Loaded("cpu")

    def call(self, keywords: dict[str, Any], payloads: list[dict[str, Any]]) -> list[str]:
        names = [payload["name"] for payload in payloads]
        self.batches.append((keywords["model"], names))
        assert self.free.wait(10)
        if self.fails:
            self.running = isinstance(self.fails, LikenessError)
            failure, self.fails = self.fails, None
            raise failure
        return [f"{keywords['model']} {name}" for name in names]

    def close(self) -> None:
        self.running = False
        self.free.set()


def running(
    test: Callable[[Any, Held], Coroutine[Any, Any, None]],
    held: Held | None = None,
    limit: int = 20,
    longest: float = 60,
) -> None:
    """Run a test with an engine before a held worker."""
    needs_studio()
    from likeness.studio.engine import Engine

    async def run() -> None:
        worker: Any = held or Held()
        engine = Engine("speech", worker, limit, longest)
        engine.start()
        try:
            await asyncio.wait_for(test(engine, worker), 20)
        finally:
            await engine.stop()

    asyncio.run(run())


async def ask(engine: Any, model: str, *names: str) -> Any:
    return await engine.ask({"model": model}, [{"name": name} for name in names])


async def busy(engine: Any, held: Held) -> "asyncio.Task[Any]":
    """A request that the worker has in hand until `held.free` is set."""
    held.free.clear()
    before = len(held.batches)
    task = asyncio.create_task(ask(engine, "first", "0"))
    while len(held.batches) == before:
        await asyncio.sleep(0.01)
    return task


def test_requests_alike_go_together_and_each_gets_its_own_answer() -> None:
    async def test(engine: Any, held: Held) -> None:
        first = await busy(engine, held)
        asked = [
            asyncio.create_task(ask(engine, model, name))
            for model, name in (("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"))
        ]
        await asyncio.sleep(0)
        held.free.set()
        assert await first == ["first 0"]
        assert await asyncio.gather(*asked) == [["a 1"], ["b 2"], ["a 3"], ["a 4"]]
        assert held.batches[1:] == [("a", ["1", "3", "4"]), ("b", ["2"])]

    running(test)


def test_sixteen_go_together_at_most() -> None:
    async def test(engine: Any, held: Held) -> None:
        names = [str(at) for at in range(20)]
        assert await ask(engine, "a", *names) == [f"a {name}" for name in names]
        assert [len(batch) for _, batch in held.batches] == [16, 4]

    running(test)


def test_a_single_request_waits_for_others_for_fifty_milliseconds() -> None:
    async def test(engine: Any, held: Held) -> None:
        await ask(engine, "a", "0")  # the worker is started
        loop = asyncio.get_running_loop()
        started = loop.time()
        await ask(engine, "a", "1")
        assert 0.045 < loop.time() - started < 0.5
        started = loop.time()
        await ask(engine, "a", *map(str, range(16)))
        assert loop.time() - started < 0.04

    running(test)


def test_what_does_not_fit_the_queue_is_refused_as_a_whole() -> None:
    async def test(engine: Any, held: Held) -> None:
        from likeness.studio.problems import Problem

        first = await busy(engine, held)
        waiting = asyncio.create_task(ask(engine, "a", *"12345678"))
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="8 of at most 10 are waiting") as caught:
            await ask(engine, "a", "9", "10", "11")
        assert caught.value.status == 429
        assert int((caught.value.headers or {})["Retry-After"]) >= 1
        assert engine.queue_length() == 8
        held.free.set()
        await asyncio.gather(first, waiting)
        assert engine.queue_length() == 0

    running(test, limit=10)


def test_what_would_take_too_long_is_refused_at_once() -> None:
    async def test(engine: Any, held: Held) -> None:
        from likeness.studio.problems import Problem

        assert await ask(engine, "a", *"abc")  # longer than the limit, but nothing else was here
        first = await busy(engine, held)
        with pytest.raises(
            Problem, match=r"an answer would take [34] s, and 2 s is the limit"
        ) as caught:
            await ask(engine, "a", *"0123456789")
        assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
        waiting = asyncio.create_task(
            ask(engine, "a", *"1234")
        )  # four rows of a quarter of a second
        held.free.set()
        await asyncio.gather(first, waiting)
        # By now it is known that they take an eighth of one.
        first = await busy(engine, held)
        waiting = asyncio.create_task(ask(engine, "a", *"0123456789"))
        held.free.set()
        await asyncio.gather(first, waiting)

    running(test, longest=2)


def test_while_a_batch_is_overdue_the_same_again_is_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(engine: Any, held: Held) -> None:
        from likeness.studio import engine as module
        from likeness.studio.problems import Problem

        first = await busy(engine, held)
        now = module.monotonic()
        for later, expected in ((0.0, 21), (1.0, 20), (31.0, 50)):
            monkeypatch.setattr(module, "monotonic", lambda later=later: now + later)
            with pytest.raises(Problem, match=f"would take {expected} s, and 10 s is the limit"):
                await ask(engine, "a", *map(str, range(20)))
        held.free.set()
        assert await first == ["first 0"]

    running(test, longest=10, limit=1000)


def test_who_leaves_takes_nothing_from_the_others() -> None:
    async def test(engine: Any, held: Held) -> None:
        first = await busy(engine, held)
        left, stays = (asyncio.create_task(ask(engine, "a", name)) for name in "12")
        await asyncio.sleep(0)
        first.cancel()
        left.cancel()
        await asyncio.sleep(0)
        held.free.set()
        assert await stays == ["a 2"]

    running(test)


def test_a_worker_that_dies_costs_its_batch_and_is_started_again() -> None:
    async def test(engine: Any, held: Held) -> None:
        from likeness.studio.problems import Problem
        from likeness.studio.worker import WorkerDied

        first = await busy(engine, held)
        later = asyncio.create_task(ask(engine, "a", "1"))
        await asyncio.sleep(0)
        held.fails = WorkerDied()
        held.free.set()
        with pytest.raises(Problem, match="ask again") as caught:
            await first
        assert caught.value.status == 503
        assert await later == ["a 1"]
        assert held.starts == 2

    running(test)


def test_a_broken_model_is_told_in_its_own_words() -> None:
    async def test(engine: Any, held: Held) -> None:
        from likeness.studio.problems import Problem

        held.fails = LikenessError("models/x: broken")
        with pytest.raises(Problem, match=r"^models/x: broken$"):
            await ask(engine, "a", "1")
        assert await ask(engine, "a", "2") == ["a 2"]
        assert held.starts == 1

    running(test)


def test_a_model_that_cannot_be_loaded_makes_it_not_ready() -> None:
    async def test(engine: Any, held: Held) -> None:
        from likeness.studio.problems import Problem

        for _ in range(2):
            with pytest.raises(Problem, match="no such base"):
                await ask(engine, "a", "1")
        assert not engine.is_ready()
        assert held.starts == 1

    running(test, Held("no such base"))


def test_what_waits_when_it_stops_is_told_so() -> None:
    async def test(engine: Any, held: Held) -> None:
        from likeness.studio.problems import Problem

        tasks = [await busy(engine, held), asyncio.create_task(ask(engine, "a", "1"))]
        await asyncio.sleep(0)
        await engine.stop()
        for task in tasks:
            with pytest.raises(Problem, match="stopping"):
                await task
        with pytest.raises(Problem, match="stopping"):
            await ask(engine, "a", "2")

    running(test)
