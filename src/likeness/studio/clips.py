"""/api/clips: what voice_clips cut, to be listened to and corrected."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from likeness.repository.experiments import WORKSPACE
from likeness.studio import corrections
from likeness.studio.api_page import example
from likeness.studio.files import address, answer, find
from likeness.studio.generate import Asked
from likeness.studio.manifests import rows_of
from likeness.studio.problems import Problem
from likeness.studio.state import state_of
from likeness.voice.audio import encode, read
from likeness.voice.rows import Clip, Correction, Recording, RejectedClip, Verdict

router = APIRouter(prefix="/api")

CLIPS, RECORDINGS = "data/voice_clips", "data/voice_segment"
MOST_SECONDS = 120.0  # of a clip that is played; a rejected one can be of any length


class Decision(Asked):
    text: Annotated[
        str | None, Field(max_length=1000, description="what is spoken; null withdraws it")
    ] = None
    verdict: Annotated[
        Verdict | None, Field(description="whatever the rules say; null leaves it to them")
    ] = None


@router.get("/clips", openapi_extra=example("/api/clips?accepted=false&limit=5"))
def list_clips(
    request: Request,
    accepted: bool | None = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """The clips that voice_clips cut; of one set aside the reason, the measured value and the limit.

    `heard` is the text as it was recognised, and `correction` what is decided on the clip, which the
    next run of voice_clips applies. `url` has its audio.
    """
    root = state_of(request).root
    rows = sorted(_clips(root, accepted), key=lambda row: row.id)
    decided = corrections.read(root)
    page = rows[offset : offset + limit]
    return {
        "total": len(rows),
        "clips": [_shown(row, corrections.of(row, decided)) for row in page],
    }


@router.post("/clips/{id}", openapi_extra=example("/api/clips/04_care-0026", {"verdict": "keep"}))
def correct_clip(id: str, body: Decision, request: Request) -> dict[str, Any]:
    """Correct a clip's text, keep it or set it aside; answers with the clip and its `correction`.

    What is null is withdrawn, and what is absent stays as it is. It is written to
    data/corrections.jsonl, which the next run of voice_clips reads: commit that file.
    """
    given = body.model_dump(exclude_unset=True)
    if not given:
        raise Problem(400, "nothing_given", "give a text or a verdict")
    if given.get("text") is not None:
        given["text"] = " ".join(given["text"].split())
        if not given["text"]:
            line = "text is blank; set the clip aside by its verdict, or give null to withdraw"
            raise Problem(400, "blank", line, param="text")
    root = state_of(request).root
    row = _find(root, id)
    if isinstance(row, RejectedClip) and row.reason == "error":
        raise Problem(409, "not_possible", f"{id}: could not be cut or measured: {row.value}")
    return _shown(row, corrections.change(root, row, given))


@router.get(
    "/clips/{id}/audio",
    response_class=Response,
    responses={200: {"content": {"audio/wav": {}}}, 206: {"content": {"audio/wav": {}}}},
    openapi_extra=example("/api/clips/04_care-0026/audio", save="clip.wav"),
)
def play_clip(id: str, request: Request) -> Response:
    """What was cut as a clip, kept or not, out of its recording; two minutes at most."""
    root = state_of(request).root
    row = _find(root, id)
    recordings = rows_of(root / RECORDINGS / "manifest.jsonl", Recording)
    recording = next((one for one in recordings if one.id == row.recording), None)
    if not _has_audio(row) or recording is None or row.start >= recording.seconds:
        raise Problem(404, "not_found", f"{id}: its audio is not in {RECORDINGS}")
    audio = find(root, WORKSPACE, f"{RECORDINGS}/{recording.file_name}")
    samples, rate = read(audio, row.start, min(row.end, row.start + MOST_SECONDS))
    return answer(encode(samples, rate, "WAV"), "audio/wav", request)


def _clips(root: Path, accepted: bool | None = None) -> list[Clip | RejectedClip]:
    rows: list[Clip | RejectedClip] = []
    if accepted is not False:
        rows += rows_of(root / CLIPS / "manifest.jsonl", Clip)
    if accepted is not True:
        rows += rows_of(root / CLIPS / "rejected.jsonl", RejectedClip)
    return rows


def _find(root: Path, id: str) -> Clip | RejectedClip:
    for row in _clips(root):
        if row.id == id:
            return row
    raise Problem(404, "not_found", f"{id}: no such clip; GET /api/clips lists them")


def _has_audio(row: Clip | RejectedClip) -> bool:
    """Not if it is a whole recording that could not be cut."""
    return row.id != row.recording


def _shown(row: Clip | RejectedClip, correction: Correction | None) -> dict[str, Any]:
    if isinstance(row, Clip):
        values = row.model_dump(exclude={"file_name", "words"})
        values |= {"accepted": True, "url": address(f"{CLIPS}/{row.file_name}")}
    else:
        url = f"/api/clips/{quote(row.id)}/audio" if _has_audio(row) else None
        values = row.model_dump(exclude={"threshold"})
        values |= {"accepted": False, "limit": row.threshold, "url": url}
    decided = correction and correction.model_dump(include={"text", "verdict"})
    return {**values, "correction": decided}
