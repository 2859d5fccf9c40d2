"""/v1/audio/voices: the voices that speech is made in, and new ones from a person's own recordings.

A new voice is a folder of references: the first speech in the recordings, as voice_segment finds it. Each
is a file named by its content, so another voice of the same name has other files, and what the old one
has said never answers for it.
"""

import hashlib
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from pydantic import Field

from likeness.common.params import load_params
from likeness.stage import SCHEMA
from likeness.studio.api_page import example
from likeness.studio.generate import Asked
from likeness.studio.models import OWN_VOICE
from likeness.studio.problems import Problem
from likeness.studio.references import find_speech
from likeness.studio.state import State, state_of
from likeness.studio.uploads import NAME, appearing, check, forget, uploaded
from likeness.studio.worker import VOICES
from likeness.voice.audio import encode
from likeness.voice.segment import VoiceSegment

router = APIRouter(prefix="/v1/audio/voices")

Array = np.ndarray

SHORTEST = 3.0  # seconds of speech that tell a voice
LONGEST = 30.0  # seconds of speech that are used; XTTS-v2 hears no more (`gpt_cond_len`)
REFERENCE = 10.0  # seconds of one clip; XTTS's default of what it hears of one (`max_ref_len`)
RECORDING = 600.0  # seconds of a recording, all of which is decoded to measure its loudness


class NewVoice(Asked):
    name: Annotated[str, Field(description="of the voice, which must be new")]
    uploads: Annotated[
        list[str],
        Field(min_length=1, max_length=100, description="ids of uploaded recordings of one person"),
    ]


@router.get("", openapi_extra=example("/v1/audio/voices"))
def list_voices(request: Request) -> dict[str, Any]:
    """The voices of each model of speech: `voice` is the dataset's, then the base's own, then those
    that were made here, which `made` lists.
    """
    state = state_of(request)
    voices = {
        name: state.models.voices(state.speakers(model.base.name))
        for name, model in state.models.all("speech").items()
    }
    return {
        "voices": [{"model": model, "voices": names} for model, names in voices.items()],
        "made": state.models.made_voices(),
    }


@router.post(
    "",
    status_code=201,
    openapi_extra=example("/v1/audio/voices", {"name": "anna", "uploads": ["0" * 32]}),
)
def make_voice(body: NewVoice, request: Request) -> dict[str, Any]:
    """Make a voice of uploaded recordings, for every model of speech. Only of a person who has agreed.

    The first 30 seconds of speech in them are kept, and `seconds` says how much there was.
    """
    state = state_of(request)
    _check_name(state, body.name)
    files = [uploaded(state.root, identity) for identity in dict.fromkeys(body.uploads)]
    cfg = load_params(state.root / "params.yaml", SCHEMA, VoiceSegment)
    speech = _first_speech(files, cfg)
    clips = np.array_split(speech, math.ceil(len(speech) / (REFERENCE * cfg.sample_rate)))
    target = state.root / VOICES / body.name
    with appearing(state.root, target, _taken(body.name)) as made:
        for number, samples in enumerate(clips):
            audio = encode(samples, cfg.sample_rate, "FLAC")
            name = f"{number}-{hashlib.sha256(audio).hexdigest()}.flac"
            (made / name).write_bytes(audio)
    forget(files)
    return {
        "id": body.name,
        "object": "audio.voice",
        "name": body.name,
        "created_at": int(target.stat().st_mtime),
        "seconds": round(len(speech) / cfg.sample_rate, 2),
    }


@router.post("/{name}/delete", openapi_extra=example("/v1/audio/voices/anna/delete"))
def delete_voice(name: str, request: Request) -> dict[str, Any]:
    """Delete a voice that was made here. `likeness prune` deletes what it has said."""
    state = state_of(request)
    if name not in state.models.made_voices():
        raise Problem(404, "not_found", f"{name}: no voice that was made here", param="name")
    folder = state.root / VOICES / name
    gone = folder.with_name(f".{token_hex(8)}")  # so that it is gone at once
    folder.rename(gone)
    shutil.rmtree(gone)
    return {"id": name, "object": "audio.voice.deleted", "deleted": True}


def _check_name(state: State, name: str) -> None:
    if not NAME.fullmatch(name):
        raise Problem(400, "wrong_name", f"{name}: letters, digits, . _ and - make a name",
                      param="name")  # fmt: skip
    speakers = [each for base in state.models.bases["speech"] for each in state.speakers(base.name)]
    if name in (OWN_VOICE, *speakers, *state.models.made_voices()):
        raise _taken(name)


def _taken(name: str) -> Problem:
    return Problem(
        409, "name_taken", f"{name}: there is a voice of this name; choose another", param="name"
    )


def _first_speech(files: Sequence[Path], cfg: VoiceSegment) -> Array:
    """(N,) samples at `cfg.sample_rate`: up to `LONGEST` seconds of speech, without the long pauses.

    Raises:
        Problem: a recording cannot be used, or there is less than `SHORTEST` of speech in all.
    """
    given = cfg.model_dump(exclude={"max_rejected_share"})
    parts, count, most = [np.empty(0, np.float32)], 0, round(LONGEST * cfg.sample_rate)
    for file in files:
        if (length := check(file).get("seconds", 0.0)) > RECORDING:
            raise _refused(file.name, "too_long", length, RECORDING)
        if count < most:
            found = find_speech(file, given)
            if not isinstance(found, list):
                raise _refused(file.name, found.reason, found.value, found.threshold)
            parts += found
            count += sum(map(len, found))
    seconds = round(count / cfg.sample_rate, 2)
    if seconds < SHORTEST:
        raise _refused(", ".join(file.name for file in files), "too_short", seconds, SHORTEST)
    return np.concatenate(parts)[:most]


def _refused(name: str, reason: str, value: Any, limit: Any) -> Problem:
    bound = "" if limit is None else f", the limit is {limit}"
    line = f"{name}: {reason}, found {value}{bound}; send another recording"
    return Problem(400, reason, line, param="uploads", value=value, limit=limit)
