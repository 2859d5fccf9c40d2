"""/api/events: one WebSocket for each page, which says what has changed in the jobs.

An event has a number, `seq`, that only grows, also from one start of the studio to the next. A page
that was reloaded, or that lost its socket, asks for what came `after` the last one that it has seen.
If that is no longer kept, it gets the state of all jobs instead. A log is not sent: an event says how
long it is, and the page reads the bytes that it lacks, so that what it shows is the file.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

Event = dict[str, Any]
KEPT = 1000  # events
SECONDS = 0.5  # between two looks at the jobs

router = APIRouter()


class Feed:
    """The events of one server. It looks at the jobs only while a page listens.

    Args:
        look: returns all jobs as `/api/jobs` lists them; called in a thread.
    """

    def __init__(self, look: Callable[[], list[Event]]) -> None:
        self._look = look
        self._seq = time.time_ns() // 1_000_000  # above all numbers of earlier starts
        self._jobs: dict[str, Event] = {}
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._changed = asyncio.Condition()
        self._listeners = 0
        self._watch: asyncio.Task[None] | None = None

    async def events(self, after: int | None) -> AsyncIterator[Event]:
        """What came after an event, or the state of all jobs if that is not known; then what comes."""
        self._listeners += 1
        try:
            if self._watch is None or self._watch.done():
                await self._update()
                self._watch = asyncio.create_task(self._run())
            if after is None or not self._knows(after):
                after = self._seq
                yield {"type": "jobs", "seq": after, "jobs": [*self._jobs.values()]}
            while True:
                for event in [one for one in self._kept if one["seq"] > after]:
                    yield event
                    after = event["seq"]
                async with self._changed:
                    if self._seq == after:
                        await self._changed.wait()
        finally:
            self._listeners -= 1

    def _knows(self, after: int) -> bool:
        """Whether each event that came after this one is kept."""
        oldest = self._kept[0]["seq"] if self._kept else self._seq + 1
        return oldest - 1 <= after <= self._seq

    async def _run(self) -> None:
        while self._listeners:
            await asyncio.sleep(SECONDS)
            await self._update()

    async def _update(self) -> None:
        jobs = {job["id"]: job for job in await asyncio.to_thread(self._look)}
        events: list[Event] = [
            {"type": "job", "job": job} for name, job in jobs.items() if job != self._jobs.get(name)
        ]
        if [*jobs] != [*self._jobs]:
            events.append({"type": "order", "ids": [*jobs]})
        self._jobs = jobs
        async with self._changed:
            for event in events:
                self._seq += 1
                self._kept.append({**event, "seq": self._seq})
            self._changed.notify_all()


@router.websocket("/api/events")
async def listen(socket: WebSocket, after: int | None = None) -> None:
    """Events as JSON, until the page or the server closes the socket."""
    await socket.accept()
    feed: Feed = socket.app.state.feed

    async def send() -> None:
        async for event in feed.events(after):
            await socket.send_json(event)

    sending = asyncio.create_task(send())
    try:
        with suppress(WebSocketDisconnect):
            while True:  # a socket that is not read does not see that it was closed
                await socket.receive_text()
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await sending
