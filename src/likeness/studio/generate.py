"""/v1: speech and images in the shapes of OpenAI's API, so that its clients work with the studio."""

import asyncio
import base64
import io
import time
from secrets import randbits
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from likeness.common.bases import describe
from likeness.common.manifest import Rejection
from likeness.studio.api_page import example
from likeness.studio.models import set_aside, side_of
from likeness.studio.problems import Problem
from likeness.studio.state import state_of
from likeness.studio.worker import Made
from likeness.voice.audio import read, to_16_bits

router = APIRouter(prefix="/v1")

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Form = Literal["mp3", "opus", "flac", "wav"]
MEDIA = {"mp3": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav"}


class Asked(BaseModel):
    """A request's body. An unknown key is refused, as nothing may be left out in silence."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        """JSON can hold halves of letters, which no file and no answer can."""
        if isinstance(value, str):
            value.encode()  # raises a ValueError
        return value


class Speech(Asked):
    model: Annotated[str, Field(description="a name that `GET /v1/models` lists with speech")]
    input: Annotated[str, Field(min_length=1, max_length=4096, description="one or two sentences")]
    voice: Annotated[str, Field(description="a voice that `GET /v1/audio/voices` lists")]
    response_format: Annotated[Form, Field(description="24 kHz, mono")] = "mp3"
    seed: Annotated[Seed | None, Field(description="below 2^63; the same gives the same audio")] = (
        None
    )


class Images(Asked):
    model: Annotated[str, Field(description="a name that `GET /v1/models` lists with images")]
    prompt: Annotated[str, Field(min_length=1, max_length=1000)]
    n: Annotated[int | None, Field(ge=1, le=10, description="how many; 1 if absent")] = None
    size: Annotated[str, Field(description="`auto`, or the size of the base's images")] = "auto"
    response_format: Literal["b64_json"] = "b64_json"
    seed: Annotated[
        Seed | None, Field(description="below 2^63; of the first image, the next have the next")
    ] = None
    seeds: Annotated[
        list[Seed] | None,
        Field(min_length=1, max_length=10, description="one for each image, in place of `seed`"),
    ] = None
    negative_prompt: Annotated[str | None, Field(max_length=1000)] = None
    steps: Annotated[int | None, Field(ge=1, le=100)] = None
    guidance: Annotated[float | None, Field(ge=0, le=50, description="up to 1 there is none")] = (
        None
    )


@router.get("/models", openapi_extra=example("/v1/models"))
def list_models(request: Request) -> dict[str, Any]:
    """The bases, and those with a trained adapter; `kind` says whether they make speech or images."""
    models = state_of(request).models
    found = [
        {
            "id": name,
            "object": "model",
            "created": int(model.base.stat().st_mtime),
            "owned_by": "likeness",
            "kind": kind,
        }
        for kind in models.bases
        for name, model in models.all(kind).items()
    ]
    return {"object": "list", "data": found}


SPEECH = {
    "model": "xtts_mini", "input": "The black shoes are light.", "voice": "voice",
    "response_format": "wav", "seed": 7,
}  # fmt: skip


@router.post(
    "/audio/speech",
    response_class=Response,
    responses={200: {"content": {media: {} for media in MEDIA.values()}}},
    openapi_extra=example("/v1/audio/speech", SPEECH, save="speech.wav"),
)
async def speak(body: Speech, request: Request) -> Response:
    """A text as audio. Its seed and its length are in `X-Likeness-Seed` and `X-Likeness-Seconds`."""
    state = state_of(request)
    seed = randbits(63) if body.seed is None else body.seed

    def prepare() -> tuple[dict[str, Any], str]:
        model = state.models.find("speech", body.model)
        speakers = state.speakers(model.base.name)
        return state.models.speech(model, body.input, body.voice, speakers)

    keywords, text = await asyncio.to_thread(prepare)
    speaker = "" if keywords["references"] else body.voice
    payload = {"text": text, "seed": seed, "speaker": speaker}
    (outcome,) = await state.engine("speech").ask(keywords, [payload])
    made = _made(outcome, "input")
    audio = await asyncio.to_thread(convert, made.data, body.response_format)
    told = {"X-Likeness-Seed": str(seed), "X-Likeness-Seconds": str(made.record["seconds"])}
    return Response(audio, media_type=MEDIA[body.response_format], headers=told)


IMAGES = {
    "model": "sd_mini", "prompt": "A product photo of black casual shoes", "seeds": [7, 8],
    "response_format": "b64_json", "steps": 4,
}  # fmt: skip


@router.post("/images/generations", openapi_extra=example("/v1/images/generations", IMAGES))
async def draw(body: Images, request: Request) -> dict[str, Any]:
    """Images of a prompt as PNG, one for each seed; `record` says what it was made by."""
    state = state_of(request)
    seeds = _seeds(body)
    model = await asyncio.to_thread(state.models.find, "images", body.model)
    changes = body.model_dump(include={"negative_prompt", "steps", "guidance"})
    keywords = await asyncio.to_thread(state.models.image, model, changes)
    size = "{0}x{0}".format(await asyncio.to_thread(side_of, model.base))
    if body.size not in ("auto", size):
        raise Problem(
            400, "wrong_size", f"{body.size}: {model.base.name} draws {size} only", param="size"
        )
    payloads = [{"prompt": body.prompt, "seed": seed} for seed in seeds]
    engine = state.engine("images")
    outcomes = await engine.ask(keywords, payloads)
    source = await asyncio.to_thread(describe, model.base)
    shown = {name: value for name, value in keywords.items() if name not in ("base", "adapter")}
    return {
        "created": int(time.time()),
        "data": [
            {
                "b64_json": base64.b64encode(_made(outcome, "prompt").data).decode(),
                "record": {
                    "model": body.model,
                    **source,
                    **payload,
                    **shown,
                    "device": engine.loaded and engine.loaded.device,
                },
            }
            for payload, outcome in zip(payloads, outcomes, strict=True)
        ],
    }


def _seeds(body: Images) -> list[int]:
    if body.seeds is not None:
        if body.seed is not None or body.n not in (None, len(body.seeds)):
            raise Problem(
                400, "seeds", "give either seeds, one for each image, or seed", param="seeds"
            )
        return body.seeds
    if body.seed is None:
        return [randbits(63) for _ in range(body.n or 1)]
    return [(body.seed + at) % 2**63 for at in range(body.n or 1)]


def _made(outcome: Made | Rejection, param: str) -> Made:
    """Raises `Problem` for what was set aside."""
    if isinstance(outcome, Made):
        return outcome
    if outcome.reason == "error":
        raise Problem(500, "error", f"the model failed: {outcome.value}")
    raise set_aside(outcome.reason, outcome.value, outcome.threshold, param)


def convert(wave: bytes, form: Form) -> bytes:
    """A WAV file of `speak` in another format; the same bytes for the same audio."""
    if form == "wav":
        return wave
    samples, rate = read(wave)
    buffer, whole = io.BytesIO(), to_16_bits(samples)
    if form == "opus":
        import av

        # Not by soundfile, whose Ogg streams get a random number.
        with av.open(buffer, "w", format="ogg", options={"fflags": "+bitexact"}) as file:
            stream = file.add_stream("libopus", rate=rate, layout="mono")
            frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
            frame.sample_rate = rate
            file.mux([*stream.encode(frame), *stream.encode(None)])
    else:
        import soundfile

        soundfile.write(buffer, whole, rate, format=form.upper())
    return buffer.getvalue()
