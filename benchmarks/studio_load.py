"""What a studio on this machine can carry: speech one by one, together, near its capacity and beyond,
and the same beside a training.

Studios are started with empty item stores, with the base that `inputs.tts` names and its speakers, and
asked by Locust: the first by one client, the second by many, which tells the capacity, the third at the
rates that follow from that. Then image_train runs in a clone of the repository, and the last three loads
are repeated beside it, at the rates that follow from the capacity there. The sentences are those that the
base is measured on (models/xtts_sentences.yaml). Each request has a seed of its own, so none is known
before, but for the load with one text. In the load with new voices each request makes one: a recording of
six seconds that no other has is sent, made a voice, and heard in a sentence; its latency is that of the
three together. Latencies are those of the client; memory is that of the processes of the studio, at the
start of a load and at most.

    python benchmarks/studio_load.py [--seconds 300] [--clients 16] [--wait 4] [--cloned 5]

Loads at a share of the capacity take --seconds, and the others a minute at most: 28 minutes in all. Needs
the bases and data/image_prepare (`make repro`), and the studio's packages (`make studio`).
"""

# Locust replaces parts of the standard library, so it is imported before all else.
import locust  # isort: skip
import argparse
import hashlib
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import gevent
import numpy as np
import psutil
import requests
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from likeness.common.params import load_params  # noqa: E402
from likeness.stage import SCHEMA, Inputs  # noqa: E402
from likeness.voice.audio import encode, read  # noqa: E402
from models.texts import measured  # noqa: E402

STARTED = re.compile(r"Likeness studio: (\S+)/#token=\S+\ntoken: (\S+)\n")
RECORDING_SECONDS = 6  # of which a new voice is made
MOST_SECONDS = 60  # of a load that is no share of the capacity
WARM_SECONDS = 10  # of a load before others, so that a studio knows its speed
SHARES = (0.8, 3.0)  # of the capacity
PACE_SECONDS = 10  # between two requests of a client, where the rate is given
COLUMNS = (
    "load", "asked/s", "answered/s", "speech s/s", "n", "p50 s", "p95 s",
    "429", "slowest 429 s", "failed", "MiB",
)  # fmt: skip


class Answer(NamedTuple):
    """To a request by its number; `speech` is the length of the audio in seconds."""

    number: int
    status: int
    seconds: float
    speech: float
    digest: bytes


class Studio(NamedTuple):
    url: str
    headers: dict[str, str]
    process: psutil.Process

    def ask(self, path: str) -> Any:
        return requests.get(f"{self.url}{path}", headers=self.headers, timeout=60)

    def post(self, path: str, **more: Any) -> Any:
        return requests.post(f"{self.url}{path}", headers=self.headers, timeout=180, **more)

    def mebibytes(self) -> float:
        processes = [self.process, *self.process.children(recursive=True)]
        return sum(one.memory_info().rss for one in processes) / 2**20


@contextmanager
def studio(base: Path, wait: float) -> Iterator[Studio]:
    """A studio of one base whose item store is empty."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for link in ("params.yaml", "dvc.yaml", base.relative_to(ROOT).as_posix()):
            (root / link).parent.mkdir(exist_ok=True)
            (root / link).symlink_to(ROOT / link)
        subprocess.run(
            [sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=root, check=True
        )
        start = "from likeness.cli import entry; entry()"
        with (
            (root / "log").open("w") as log,
            subprocess.Popen(
                [sys.executable, "-c", start, "studio", "--port", "0", "--wait", str(wait)],
                cwd=root, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            ) as process,
        ):  # fmt: skip
            try:
                assert process.stdout
                found = STARTED.fullmatch("".join(process.stdout.readline() for _ in range(2)))
                if not found:
                    sys.exit(f"the studio did not start: {(root / 'log').read_text()}")
                headers = {"Authorization": f"Bearer {found[2]}"}
                one = Studio(found[1], headers, psutil.Process(process.pid))
                while one.ask("/health/ready").status_code != 200:
                    time.sleep(0.2)
                yield one
            finally:
                process.terminate()


@contextmanager
def training(base: Path) -> Iterator[None]:
    """image_train in a clone of the repository, where it finds no checkpoint, until the end."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, root], check=True)
        for link in ("data/image_prepare", base.relative_to(ROOT).as_posix()):
            (root / link).symlink_to(ROOT / link)
        command = [
            "stages.image_train", "--dataset", "data/image_prepare",
            "--base", base.relative_to(ROOT), "--out-dir", "data/image_train",
            "--plots-dir", "plots/image_train", "--timings-dir", "timings/image_train",
            "--metrics", "metrics/image_train.json",
        ]  # fmt: skip
        log = root / "log"
        with (
            log.open("w") as printed,
            subprocess.Popen(
                [sys.executable, "-m", *command], cwd=root, stdout=printed, stderr=printed
            ) as process,
        ):
            try:
                while process.poll() is None and "image_train: steps:" not in log.read_text():
                    time.sleep(0.5)
                yield
                if process.poll() is not None:
                    sys.exit(f"the training ended before the loads did: {log.read_text()[-500:]}")
            finally:
                process.kill()


def load(
    at: Studio,
    body: Callable[[int], Any],
    numbers: Iterator[int],
    seconds: float,
    clients: int = 0,
    rate: float = 0,
) -> tuple[list[Answer], float, tuple[float, float]]:
    """The answers, how long it took, and the memory at its start and at most.

    Args:
        body: of a request by its number; what it asks before counts towards the latency.
        clients: that ask one request after another; or else
        rate: of requests a second, however long the answers take.
    """  # fmt: skip
    answers: list[Answer] = []

    class Client(FastHttpUser):
        host = at.url
        network_timeout = connection_timeout = 180.0
        wait_time = locust.constant_pacing(PACE_SECONDS) if rate else locust.constant(0)

        @locust.task
        def speak(self) -> None:
            number, began = next(numbers), time.perf_counter()
            with self.client.post(
                "/v1/audio/speech", json=body(number), headers=at.headers, catch_response=True
            ) as answer:
                took = time.perf_counter() - began
                speech = float(answer.headers.get("X-Likeness-Seconds", 0)) if answer.headers else 0
                digest = hashlib.sha256(answer.content or b"").digest()
                answers.append(Answer(number, answer.status_code, took, speech, digest))
                answer.success()  # the statuses are counted here

    environment = Environment(user_classes=[Client], stop_timeout=180)
    runner = environment.create_local_runner()
    first = highest = at.mebibytes()
    began = time.perf_counter()
    runner.start(clients or math.ceil(rate * PACE_SECONDS), spawn_rate=rate or clients)
    while time.perf_counter() < began + seconds:
        gevent.sleep(0.5)
        highest = max(highest, at.mebibytes())
    runner.quit()  # waits for what is asked already
    return answers, time.perf_counter() - began, (first, highest)


def row(name: str, asked: str, found: tuple[list[Answer], float, tuple[float, float]]) -> list[str]:
    answers, took, (first, highest) = found
    good = [one for one in answers if one.status == 200]
    refused = [one.seconds for one in answers if one.status == 429]
    latencies = [one.seconds for one in good] or [math.nan]
    p50, p95 = np.percentile(latencies, [50, 95])
    return [
        name, asked, f"{len(good) / took:.2f}", f"{sum(one.speech for one in good) / took:.2f}",
        str(len(answers)), f"{p50:.2f}", f"{p95:.2f}", str(len(refused)),
        f"{max(refused):.3f}" if refused else "", str(len(answers) - len(good) - len(refused)),
        f"{first:.0f} to {highest:.0f}",
    ]  # fmt: skip


def cloning(one: Studio, body: Callable[[int], Any]) -> Callable[[int], Any]:
    """`body` in a new voice for each number; its recording is cut anew out of what the base has said."""
    asked = [body(0) | {"seed": seed} for seed in range(10)]
    said = [read(one.post("/v1/audio/speech", json=each).content) for each in asked]
    speech, rate = np.concatenate([samples for samples, _ in said]), said[0][1]
    length = RECORDING_SECONDS * rate

    def cloned(number: int) -> Any:
        start = 997 * number % (len(speech) - length)  # in samples; another one for each
        recording = encode(speech[start : start + length], rate, "WAV")
        sent = one.post("/api/uploads", params={"file": "voice.wav"}, data=recording).json()
        name = f"voice-{number}"
        # If either fails, the sentence does: there is no such voice.
        one.post("/v1/audio/voices", json={"name": name, "uploads": [sent.get("id", "")]})
        return body(number) | {"voice": name}

    return cloned


def main(seconds: float, clients: int, wait: float, repeated: float, cloned: float) -> None:
    inputs = load_params(ROOT / "params.yaml", SCHEMA, Inputs)
    base = ROOT / "models" / inputs.tts
    texts = [text for of_a_kind in zip(*measured().values(), strict=False) for text in of_a_kind]
    short, warm = min(seconds, MOST_SECONDS), min(seconds, WARM_SECONDS)

    def body(number: int) -> dict[str, Any]:
        return {
            "model": base.name, "input": texts[number % len(texts)], "seed": number,
            "voice": voices[number % len(voices)], "response_format": "wav",
        }  # fmt: skip

    def together() -> tuple[list[Answer], float, tuple[float, float]]:
        with studio(base, wait=3600) as one:  # so that none is refused while it is measured
            return load(one, body, count(), short, clients=clients)

    def shares(one: Studio, capacity: float, beside: str = "") -> Iterator[list[str]]:
        load(one, body, numbers, warm, clients=clients)
        for share in SHARES:
            rate = share * capacity
            found = load(one, body, numbers, seconds, rate=rate)
            yield row(f"{share:.0%} of that{beside}", f"{rate:.2f}", found)

    numbers = count()
    with studio(base, wait) as one:
        (known,) = one.ask("/v1/audio/voices").json()["voices"]
        voices = known["voices"]
        alone = load(one, body, count(), short, clients=1)
    at_once = together()
    rows = [row("one by one", "", alone), row(f"{clients} clients", "", at_once)]
    capacity = float(rows[-1][2])
    with studio(base, wait) as one:
        rows += shares(one, capacity)
        load(one, lambda _: body(0), numbers, warm, clients=1)
        again = load(one, lambda _: body(0), numbers, short, rate=repeated)
        rows.append(row("one text again", f"{repeated:.2f}", again))
        found = load(one, cloning(one, body), numbers, short, rate=cloned)
        rows.append(row("a new voice each", f"{cloned:.2f}", found))
    with training(ROOT / "models" / inputs.diffusion):
        rows.append(row(f"{clients} clients beside a training", "", together()))
        with studio(base, wait) as one:
            rows += shares(one, float(rows[-1][2]), " beside it")
    good = [one for one in [*alone[0], *at_once[0]] if one.status == 200]
    mean = np.mean([one.speech for one in good])
    print(
        f"{base.name} on {os.cpu_count()} cores ({_processor()}){_gpus()}; {len(texts)} texts, on "
        f"average {mean:.1f} s of speech; {seconds:g} s for each share of the capacity and {short:g} s "
        f"for the others, --wait {wait:g}"
    )
    for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows):
        print(f"| {' | '.join(cells)} |")
    digests = {one.number: one.digest for one in alone[0] if one.status == 200}
    both = [one for one in at_once[0] if one.number in digests and one.status == 200]
    same = sum(one.digest == digests[one.number] for one in both)
    print(f"{same} of {len(both)} sentences have the same bytes alone and together")
    print(f"together {capacity / float(rows[0][2]):.2f} times as many as one by one")


def _gpus() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    return "".join(f", {line.partition(' (UUID')[0]}" for line in listed.splitlines())


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300, help="of a load at a share (300)")
    parser.add_argument("--clients", type=int, default=16, help="that ask at a time (16)")
    parser.add_argument("--wait", type=float, default=4, help="the studio's option (4)")
    parser.add_argument("--repeated", type=float, default=10, help="of one text, a second (10)")
    parser.add_argument("--cloned", type=float, default=5, help="new voices a second (5)")
    args = parser.parse_args()
    main(args.seconds, args.clients, args.wait, args.repeated, args.cloned)
