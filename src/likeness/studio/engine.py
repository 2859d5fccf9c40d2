"""The queue before a worker: it bounds what waits, and sends what is alike together."""

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from likeness.common.errors import LikenessError
from likeness.common.manifest import Rejection
from likeness.studio.observe import log
from likeness.studio.problems import Problem
from likeness.studio.worker import Keywords, Loaded, Made, Payload, Worker, WorkerDied

ROWS = 16  # sent together at most
WAIT_SECONDS = 0.05  # how long a request waits for others at most while the worker is free
WATCH_SECONDS = 1.0  # how often an idle worker is looked at
STOPPING = "the studio is stopping"
BATCHES = 8  # that tell how long a row takes
RETRY_SECONDS = 30.0  # until a model that cannot be loaded is tried again


@dataclass(eq=False)  # each is itself alone
class Waiting:
    keywords: Keywords
    payload: Payload
    answer: "asyncio.Future[Made | Rejection]"
    since: float


class Engine:
    """Answers requests by one worker.

    Args:
        limit: sentences or images that may wait.
        longest: seconds after which an answer should come, by what batches took lately. What would take
            longer is refused at once, and what is accepted is answered.
    """

    def __init__(self, name: str, worker: Worker, limit: int, longest: float) -> None:
        self.name, self.worker, self._limit, self._longest = name, worker, limit, longest
        self.loaded: Loaded | None = None
        self.problem = ""  # why the model cannot be loaded, in one line
        self._waiting: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._in_hand, self._since = 0, 0.0  # rows that the worker has, and since when
        self._lately: deque[tuple[int, float]] = deque(maxlen=BATCHES)  # rows, and their seconds

    def queue_length(self) -> int:
        return len(self._waiting)

    def is_ready(self) -> bool:
        return self.loaded is not None and self.worker.alive()

    async def ask(self, keywords: Keywords, payloads: Sequence[Payload]) -> list[Made | Rejection]:
        """The outcome of each payload. Raises `Problem` if the queue is full or the worker fails."""
        if self.problem:
            raise Problem(503, "not_ready", self.problem)
        if self.queue_length() + len(payloads) > self._limit:
            raise self._busy(f"{self.queue_length()} of at most {self._limit} are waiting")
        wait, answered = self._wait(), self._wait(len(payloads))
        if (
            wait and answered > self._longest
        ):  # while nothing else is here, the longest text is taken
            raise self._busy(
                f"an answer would take {answered:.0f} s, and {self._longest:g} s is the limit"
            )
        loop = asyncio.get_running_loop()
        asked = [Waiting(keywords, each, loop.create_future(), loop.time()) for each in payloads]
        self._waiting.extend(asked)
        self._wake.set()
        return await asyncio.gather(*(one.answer for one in asked))

    def _wait(self, more: int = 0) -> float:
        """About how many seconds pass until all that is here is answered, and `more` rows besides."""
        rows = 1 + sum(rows for rows, _ in self._lately)
        each = (1 + sum(seconds for _, seconds in self._lately)) / rows  # at first a second
        # What is overdue will take as long again.
        left = abs(self._in_hand * each - (monotonic() - self._since)) if self._in_hand else 0.0
        return left + (self.queue_length() + more) * each

    def _busy(self, why: str) -> Problem:
        seconds = max(1, math.ceil(self._wait()))
        line = f"{why}; ask again in {seconds} s"
        return Problem(429, "queue_full", line, headers={"Retry-After": str(seconds)})

    def start(self) -> None:
        """Load the model and answer what is asked, until `stop`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the worker, whatever it does. What waits is answered with 503."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                if not self.worker.alive():
                    await self._start()
                elif self._waiting:
                    await self._answer(await self._batch())
                else:
                    await self._sleep(WATCH_SECONDS)
        finally:
            self.worker.close()
            self.problem = STOPPING
            self._fail(self._waiting, STOPPING)

    async def _start(self) -> None:
        self.loaded = None
        told = await asyncio.to_thread(self.worker.start)
        if isinstance(told, Loaded):
            self.loaded, self.problem = told, ""
            log.info("model loaded", engine=self.name, device=told.device)
            return
        self.problem = told
        log.error("model cannot be loaded", engine=self.name, problem=told)
        self._fail(self._waiting, told)
        self._waiting.clear()
        await asyncio.sleep(RETRY_SECONDS)

    async def _batch(self) -> list[Waiting]:
        """The first request and those alike, taken out of the queue."""
        until = self._waiting[0].since + WAIT_SECONDS
        while len(self._alike()) < ROWS:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await self._sleep(left)
        batch = self._alike()
        for one in batch:
            self._waiting.remove(one)
        return batch

    def _alike(self) -> list[Waiting]:
        first = self._waiting[0].keywords
        return [one for one in self._waiting if one.keywords == first][:ROWS]

    async def _answer(self, batch: list[Waiting]) -> None:
        self._in_hand, self._since = len(batch), monotonic()
        payloads = [one.payload for one in batch]
        try:
            outcomes = await asyncio.to_thread(self.worker.call, batch[0].keywords, payloads)
        except WorkerDied:
            log.error("worker died", engine=self.name, rows=len(batch))
            self._fail(
                batch, "the process with the model was ended, and is started again; ask again"
            )
        except LikenessError as error:
            self._fail(batch, str(error))
        except asyncio.CancelledError:
            self._fail(batch, STOPPING)
            raise
        else:
            self._lately.append((len(batch), monotonic() - self._since))
            for one, outcome in zip(batch, outcomes, strict=True):
                if not one.answer.done():  # its client may have gone
                    one.answer.set_result(outcome)
        finally:
            self._in_hand = 0

    def _fail(self, batch: Sequence[Waiting] | deque[Waiting], line: str) -> None:
        for one in batch:
            if not one.answer.done():
                one.answer.set_exception(Problem(503, "not_ready", line))

    async def _sleep(self, seconds: float) -> None:
        """Wait for a request, or for some seconds."""
        self._wake.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
