"""The studio as a process: real models, real sockets, and processes that are killed."""

import base64
import fcntl
import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from likeness.common.items import map_items
from likeness.common.result import Result
from likeness.image.diffusion import draw_images, resident_pipeline
from likeness.repository.dvc import cache_folder
from likeness.stage import SCHEMA
from likeness.studio import jobs
from likeness.voice.audio import encode
from likeness.voice.speech import resident_xtts, speak
from likeness.voice.xtts_files import read_settings
from tests.conftest import runtime, section
from tests.studio.conftest import Server, events, serve
from tests.voice.sounds import babble

pytestmark = pytest.mark.slow

SPEAKERS = ("af_heart", "am_adam", "bf_emma", "bm_lewis")
ARTICLES = ("shoes", "boots", "sandals", "shirts", "coats")
COLOURS = ("black", "brown", "white", "red", "blue", "green", "grey", "pink")
KINDS = ("light", "warm", "soft", "new", "heavy")
# Text, voice and seed; no two have one in common but the voice.
SPOKEN = [
    (f"The {colour} {article} are {kind}.", SPEAKERS[at % len(SPEAKERS)], 100 + at)
    for at, (kind, article, colour) in enumerate(product(KINDS, ARTICLES, COLOURS))
]


def openai(server: Server) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=f"{server.url}/v1", api_key=server.token, max_retries=0, timeout=120)


def until(true: Callable[[], bool], seconds: float) -> float:
    """How long it took until something was true."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started


def ended(processes: list[psutil.Process]) -> bool:
    """A process whose parent has not asked how it ended is still listed, as a zombie."""
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


# --- the official client --------------------------------------------------------------------------


def test_the_client_lists_models(server: Server) -> None:
    models = [model.id for model in openai(server).models.list()]
    speech, images = "xtts_mini+voice_train", "sd_mini+image_train"
    assert models == [
        "xtts_mini", speech, f"{speech}@010", "sd_mini", images, f"{images}@000006",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "start"), [("wav", b"RIFF"), ("flac", b"fLaC"), ("mp3", b"\xff"), ("opus", b"OggS")]
)
def test_the_client_speaks(server: Server, form: Any, start: bytes) -> None:
    import soundfile

    def ask() -> bytes:
        return bytes(
            openai(server)
            .audio.speech.create(
                model="xtts_mini",
                voice="af_heart",
                input="The shoes are light.",
                response_format=form,
                extra_body={"seed": 5},
            )
            .content
        )

    audio = ask()
    assert audio.startswith(start)
    samples, _ = soundfile.read(io.BytesIO(audio))
    assert 0.5 < len(samples) / 24000 < 5
    time.sleep(0.3)
    assert ask() == audio


def test_the_client_draws(server: Server) -> None:
    answer = openai(server).images.generate(
        model="sd_mini+image_train", prompt="Black shoes", n=2, size="128x128",
        response_format="b64_json", extra_body={"seed": 3, "steps": 2, "negative_prompt": "red"},
    )  # fmt: skip
    images = [Image.open(io.BytesIO(base64.b64decode(each.b64_json))) for each in answer.data]
    assert [image.size for image in images] == [(128, 128)] * 2
    assert images[0].tobytes() != images[1].tobytes()
    record = answer.data[1].record
    assert (record["seed"], record["steps"], record["negative_prompt"]) == (4, 2, "red")
    assert (record["model"], record["base_license"]) == ("sd_mini+image_train", "apache-2.0")


@pytest.mark.parametrize(
    ("changes", "code", "param", "value", "limit"),
    [
        ({"input": "shoes " * 60}, "too_long", "input", "359 characters", 250),
        ({"input": "Их."}, "unknown_letters", "input", "их", None),
        ({"input": "♥"}, "unknown_symbols", "input", "♥", None),
        ({"voice": "nobody"}, "unknown_voice", "voice", None, None),
        ({"response_format": "aac"}, "literal_error", "response_format", None, None),
        ({"speed": 2.0}, "extra_forbidden", "speed", None, None),
    ],
)
def test_what_cannot_be_said_is_a_400(
    server: Server, changes: Any, code: str, param: str, value: Any, limit: Any
) -> None:
    from openai import BadRequestError

    body = {"model": "xtts_mini", "voice": "af_heart", "input": "Hm.", **changes}
    with pytest.raises(BadRequestError) as caught:
        openai(server).audio.speech.create(**body)
    error: Any = caught.value.body
    assert (error["code"], error["param"]) == (code, param)
    assert (error.get("value"), error.get("limit")) == (value, limit)
    assert "\n" not in error["message"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"size": "64x64"}, "wrong_size"),
        ({"extra_body": {"seeds": [1, 2], "seed": 1}}, "seeds"),
        ({"n": 3, "extra_body": {"seeds": [1, 2]}}, "seeds"),
        ({"n": 11}, "less_than_equal"),
    ],
)
def test_images_that_cannot_be_drawn(server: Server, changes: Any, code: str) -> None:
    from openai import BadRequestError

    with pytest.raises(BadRequestError) as caught:
        openai(server).images.generate(model="sd_mini", prompt="Shoes", **changes)
    assert caught.value.code == code


def test_an_unknown_model_and_a_wrong_token_are_the_client_s_errors(server: Server) -> None:
    from openai import AuthenticationError, NotFoundError

    with pytest.raises(NotFoundError, match="GET /v1/models lists xtts_mini"):
        openai(server).audio.speech.create(model="../x", voice="v", input="Hm.")
    with pytest.raises(AuthenticationError):
        openai(server._replace(token="wrong")).models.list()


def test_every_example_of_the_page_is_answered(server: Server, repository: Path) -> None:
    from likeness.studio.api_page import KEY, routes
    from likeness.studio.app import TOKEN, make_app

    recording = encode(babble(6.0, 24000), 24000, "WAV")
    with server.client() as client, no_supervisor(repository):
        for method, path, route in routes(make_app().openapi()):
            shown = route[KEY]
            body, content = shown.get("body"), None
            if body == {"token": TOKEN}:
                body = {"token": server.token}
            if "voice" in (body or {}):  # the model does not come to an end in this dataset's voice
                body = {**body, "voice": "af_heart"}
            if "uploads" in (body or {}):
                sent = client.post("/api/uploads?file=a.wav", content=recording)
                body = {**body, "uploads": [sent.json()["id"]]}
            if "send" in shown:
                content = recording
            answer = client.request(method, shown["path"], json=body, content=content)
            # There is nothing to apply of a job that waits.
            fine = (409,) if path.endswith("/apply") else (200, 201)
            assert answer.status_code in fine, (path, answer.text)
        jobs.stop(repository, "rank-8")  # it is queued again, and should not run


@contextmanager
def no_supervisor(root: Path) -> Iterator[None]:
    """Jobs stay in the queue, since a supervisor seems to be there."""
    (root / jobs.FOLDER).mkdir(parents=True, exist_ok=True)
    with (root / jobs.FOLDER / "supervisor").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


# --- in parallel as alone -------------------------------------------------------------------------


@pytest.fixture
def spoken(request: pytest.FixtureRequest) -> list[tuple[str, str, int]]:
    """As many of `SPOKEN` as the option --parallel says."""
    count = request.config.getoption("--parallel")
    assert 1 < count <= len(SPOKEN)
    return SPOKEN[:count]


@pytest.fixture
def roomy(
    spoken: list[Any], repository: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A server in whose queue they all have room."""
    if len(spoken) <= 16:
        yield request.getfixturevalue("server")
        return
    with serve(
        repository, tmp_path / "log", "--queue", f"{len(spoken)}", "--wait", "3600"
    ) as server:
        server.wait()
        yield server


def test_parallel_speech_is_the_same_as_alone(
    roomy: Server, repository: Path, spoken: list[tuple[str, str, int]]
) -> None:
    """Alone: by `speak` in this process, which knows no item store.

    `pytest tests/studio/test_server.py -k parallel_speech --parallel 200` asks for 200 at a time.
    """

    def ask(one: tuple[str, str, int]) -> bytes:
        """The audio, or why there is none: this base does not come to an end of each text."""
        text, voice, seed = one
        body = {
            "model": "xtts_mini", "input": text, "voice": voice, "seed": seed,
            "response_format": "wav",
        }  # fmt: skip
        with roomy.client(timeout=3600) as client:
            answer = client.post("/v1/audio/speech", json=body)
        if answer.status_code == 400:
            return str(answer.json()["error"]["code"]).encode()
        assert answer.status_code == 200, answer.text
        return bytes(answer.content)

    with ThreadPoolExecutor(len(spoken)) as threads:
        together = list(threads.map(ask, spoken))
    base = repository / "models/xtts_mini"
    try:
        for (text, voice, seed), audio in zip(spoken, together, strict=True):
            (alone,) = speak(
                [{"text": text, "seed": seed, "speaker": voice}], base=base, adapter=None,
                references=[], language="en", settings=read_settings(base), device="cpu",
            )  # fmt: skip
            if isinstance(alone, Result):
                assert alone.files["audio.wav"] == audio
            else:
                assert alone.reason.encode() == audio
    finally:
        resident_xtts.release()
    heard = [audio for audio in together if audio.startswith(b"RIFF")]
    assert len(set(heard)) == len(heard) > 0.9 * len(spoken)
    print(f"{len(spoken)} at a time: {len(heard)} sentences, the same to the byte as alone")
    # They are kept under the keys that voice_synthesize would ask for.
    text, voice, seed = spoken[0]
    stage = partial(
        speak, base=base, adapter=None, references=[], language="en",
        settings=read_settings(base), device="cpu",
    )  # fmt: skip
    stored, _ = map_items(
        stage, {"": {"text": text, "seed": seed, "speaker": voice}}, what="voice_speak",
        rt=runtime(cache_folder(repository)),
    )  # fmt: skip
    assert stored[""].read("audio.wav") == together[0]
    assert not resident_xtts._held  # no model was loaded for it
    # Asked again, they come from the item store: faster than they could be spoken.
    started = time.monotonic()
    with ThreadPoolExecutor(len(spoken)) as threads:
        assert list(threads.map(ask, spoken)) == together
    assert time.monotonic() - started < len(spoken) / 6


def test_parallel_images_are_the_same_as_alone(server: Server, repository: Path) -> None:
    prompts = [("Black shoes", 1), ("Red boots", 2), ("Black shoes", 3)]

    def ask(asked: tuple[str, int]) -> bytes:
        prompt, seed = asked
        body = {"model": "sd_mini", "prompt": prompt, "seed": seed, "steps": 3}
        with server.client() as client:
            answer = client.post("/v1/images/generations", json=body)
        return base64.b64decode(answer.json()["data"][0]["b64_json"])

    with ThreadPoolExecutor(len(prompts)) as threads:
        together = list(threads.map(ask, prompts))
    cfg = section(SCHEMA["image_generate"])
    own = {name: getattr(cfg, name) for name in ("sampler", "guidance", "negative_prompt")}
    try:
        for (prompt, seed), image in zip(prompts, together, strict=True):
            (alone,) = draw_images(
                [{"prompt": prompt, "seed": seed}], base=repository / "models/sd_mini",
                adapter=None, resolution=128, steps=3, device="cpu", precision="no", **own,
            )  # fmt: skip
            assert alone.files["image.png"] == image
    finally:
        resident_pipeline.release()


def test_each_kept_adapter_speaks_and_draws_as_it_does_alone(
    server: Server, repository: Path
) -> None:
    text, voice, seed = SPOKEN[0]
    trained = repository / "data/voice_train"
    adapters = {"": None, "+voice_train": "adapter", "+voice_train@010": "adapters/010"}
    base, spoken = repository / "models/xtts_mini", set()
    try:
        for name, file in adapters.items():
            body = {"model": f"xtts_mini{name}", "input": text, "voice": voice, "seed": seed}
            with server.client() as client:
                answer = client.post("/v1/audio/speech", json={**body, "response_format": "wav"})
            (alone,) = speak(
                [{"text": text, "seed": seed, "speaker": voice}], base=base,
                adapter=file and trained / f"{file}.safetensors",
                references=[], language="en", settings=read_settings(base), device="cpu",
            )  # fmt: skip
            assert isinstance(alone, Result)
            assert answer.content == alone.files["audio.wav"], name
            spoken.add(answer.content)
    finally:
        resident_xtts.release()
    drawn = set()
    for name in ("", "+image_train", "+image_train@000006"):
        body = {"model": f"sd_mini{name}", "prompt": "Boots", "seed": 4, "steps": 2}
        with server.client() as client:
            answer = client.post("/v1/images/generations", json=body)
        drawn.add(answer.json()["data"][0]["b64_json"])
    assert len(spoken) == len(drawn) == 3


# --- a full queue, and clients that leave ---------------------------------------------------------


def test_beyond_its_queue_it_answers_429_at_once(server: Server) -> None:
    def ask(seed: int) -> tuple[int, str, float]:
        body = {"model": "sd_mini", "prompt": "Shoes", "n": 10, "seed": 1000 * seed, "steps": 8}
        with server.client() as client:
            started = time.monotonic()
            answer = client.post("/v1/images/generations", json=body)
            retry = answer.headers.get("retry-after", "")
        return answer.status_code, retry, time.monotonic() - started

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(1, 9)))
    refused = [answer for answer in answers if answer[0] == 429]
    assert len(refused) >= 5
    assert {status for status, _, _ in answers} == {200, 429}
    assert all(int(retry) >= 1 and seconds < 1 for _, retry, seconds in refused)


def test_a_client_that_leaves_is_no_problem(server: Server) -> None:
    import httpx

    body = {"model": "xtts_mini", "voice": "am_adam", "input": "The boots are heavy and warm."}
    before = len(events(server.log))
    with server.client() as client:
        for seed in range(3):
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/audio/speech", json={**body, "seed": seed}, timeout=0.05)
        assert client.post("/v1/audio/speech", json={**body, "seed": 9}).status_code == 200
    assert all(event["level"] == "info" for event in events(server.log)[before:])


# --- processes that end ---------------------------------------------------------------------------


def test_a_killed_worker_costs_what_it_had_in_hand(server: Server) -> None:
    body = {"model": "xtts_mini", "voice": "am_adam", "input": "The sandals are light and soft."}

    def ask() -> Any:
        with server.client() as client:
            return client.post("/v1/audio/speech", json=body)

    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask)
        time.sleep(0.25)  # the batcher has sent it, and it takes longer than this
        # The one of the images has nothing to do, and is started again before anybody asks it.
        killed = server.workers()
        for worker in killed:
            worker.kill()
        error = answer.result(timeout=20).json()["error"]
        assert (answer.result().status_code, error["code"]) == (503, "not_ready")
        assert error["message"].endswith("ask again")
        assert len(killed) == 2
        until(lambda: ended(killed), 10)
        time.sleep(1.5)
        server.wait()
        assert len(server.workers()) == 2
        assert ask().status_code == 200


def test_sigterm_ends_it_and_its_workers_within_three_seconds(
    repository: Path, tmp_path: Path
) -> None:
    body = {"model": "sd_mini", "prompt": "Shoes", "n": 10, "steps": 100}

    def ask() -> Any:
        with server.client() as client:
            return client.post("/v1/images/generations", json=body)

    with serve(repository, tmp_path / "log") as server, ThreadPoolExecutor(3) as threads:
        server.wait()
        asked = [threads.submit(ask) for _ in range(3)]
        time.sleep(1)
        workers = server.workers()
        assert len(workers) == 2
        server.process.send_signal(signal.SIGTERM)
        assert until(lambda: server.process.status() == psutil.STATUS_ZOMBIE, 5) < 3
        until(lambda: ended(workers), 2)
        assert {each.result().status_code for each in asked} == {503}
        assert "stopping" in asked[0].result().text


def test_a_model_that_is_replaced_is_loaded_again(server: Server, repository: Path) -> None:
    """Else an old model's image would be kept under the new one's key."""
    body = {"model": "sd_mini+image_train", "prompt": "Boots", "seed": 1, "steps": 2}
    file = repository / "data/image_train/pytorch_lora_weights.safetensors"
    before = file.read_bytes()

    def ask() -> str:
        with server.client() as client:
            answer = client.post("/v1/images/generations", json=body)
        return str(answer.json()["data"][0]["b64_json"])

    first = ask()
    try:
        _scale(file, 3.0)
        assert ask() != first
    finally:
        file.write_bytes(before)


def _scale(file: Path, factor: float) -> None:
    from safetensors.torch import load_file, save_file

    weights = {name: factor * tensor for name, tensor in load_file(file).items()}
    file.unlink()
    save_file(weights, file)


# --- what an operator sees ------------------------------------------------------------------------


def test_metrics_and_logs_have_the_requests(server: Server) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    with server.client() as client:
        for path in ("/api/checkpoints/voice-020", "/api/checkpoints/x", "/nowhere/at/all"):
            client.get(path)
        answer = client.get("/metrics")
    assert server.token not in server.log.read_text()
    samples = [
        sample
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]
    labels = {sample.labels.get("route") for sample in samples}
    assert "/api/checkpoints/{id}" in labels
    assert not {"/nowhere/at/all", "/api/checkpoints/x"} & labels
    named = {sample.name for sample in samples}
    assert {"tts_duration_seconds_bucket", "image_requests_total"} <= named
    queues = {s.labels["engine"]: s.value for s in samples if s.name == "engine_queue_length"}
    assert queues == {"speech": 0, "images": 0}
    line = next(
        event for event in events(server.log)
        if event.get("request_id") == answer.headers["x-request-id"]
    )  # fmt: skip
    assert (line["route"], line["status"], line["method"]) == ("/metrics", 200, "GET")


# --- the end --------------------------------------------------------------------------------------


def test_workers_do_not_outlive_a_killed_server(server: Server) -> None:
    """The last test of this file, as no other one can ask the server afterwards."""
    server.wait()
    workers = server.workers()
    assert len(workers) == 2
    os.kill(server.process.pid, signal.SIGKILL)
    until(lambda: ended(workers), 5)
