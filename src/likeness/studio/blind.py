"""/api/tests: blind tests. Nothing that is sent before a rater's last answer tells what an item is."""

import fcntl
import json
import os
import re
from pathlib import Path
from secrets import randbits, token_hex
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from likeness.common.io import write_json
from likeness.common.ratings import (
    CHOICES,
    Answer,
    BlindTest,
    Kind,
    Lane,
    judged,
    raters,
    read_answers,
    read_test,
    read_tests,
    whole_lines,
)
from likeness.common.tally import summarize
from likeness.studio import trials
from likeness.studio.api_page import example
from likeness.studio.files import address
from likeness.studio.generate import Asked
from likeness.studio.jobs import RATINGS
from likeness.studio.problems import Problem
from likeness.studio.state import state_of

router = APIRouter(prefix="/api/tests")

ID = re.compile(r"[0-9a-f]{16}")
SHOWN = "0123456789abcdef"  # the test of the page's examples
ROUNDS = 2000  # bootstrap resamples

RaterName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Rater = Annotated[RaterName, Query(description="a name or a pseudonym; it is kept in git")]
Side = Literal["a", "b"]


class Begin(Asked):
    kind: Kind
    lane: Lane
    n: Annotated[int, Field(ge=1, le=1000, description="number of items")]
    seed: Annotated[
        int | None, Field(ge=0, lt=2**32, description="of items and order; random without one")
    ] = None
    rater: Annotated[RaterName, Field(description="who takes it first")]


class Given(Asked):
    rater: RaterName
    answer: Annotated[str, Field(description="one of the trial's choices")]


@router.get("", openapi_extra=example("/api/tests"))
def list_tests(request: Request) -> dict[str, Any]:
    """The blind tests that were begun, and how many trials each rater has answered."""
    ratings = state_of(request).root / RATINGS
    return {
        "tests": [
            {
                "id": test.id,
                "kind": test.kind,
                "lane": test.lane,
                "n": len(test.items),
                "raters": [
                    {"rater": rater, "answered": len(read_answers(ratings / test.id, test, rater))}
                    for rater in raters(ratings / test.id)
                ],
            }
            for test in read_tests(ratings)
        ]
    }


@router.post(
    "",
    openapi_extra=example(
        "/api/tests", {"kind": "preference", "lane": "voice", "n": 2, "rater": "ann"}
    ),
)
def begin_test(body: Begin, request: Request) -> dict[str, Any]:
    """Begin a test; the answer is its first trial. Items, their MD5 and the seed are fixed from now on.

    Others take the same test by asking for its next trial under their own name.
    """
    root = state_of(request).root
    seed = randbits(32) if body.seed is None else body.seed
    test = trials.begin(root, token_hex(8), body.kind, body.lane, body.n, seed)
    write_json(root / RATINGS / test.id / "test.json", test.model_dump())
    return _next(root, test, body.rater)


@router.get("/{test}/next", openapi_extra=example(f"/api/tests/{SHOWN}/next?rater=ann"))
def show_next(test: str, rater: Rater, request: Request) -> dict[str, Any]:
    """The trial that a rater has to answer next, wherever they left off; null after the last one."""
    root = state_of(request).root
    return _next(root, _find(root, test), rater)


@router.get(
    "/{test}/trials/{number}/media/{side}",
    response_class=Response,
    responses={200: {"content": {"*/*": {}}}},
    openapi_extra=example(f"/api/tests/{SHOWN}/trials/1/media/a?rater=ann", save="a.wav"),
)
def play(test: str, number: int, side: Side, rater: Rater, request: Request) -> Response:
    """What a side of a trial plays or shows; a trial with one item has the side `a`.

    All sounds of a test have the same rate, the same loudness and the same silence around them, all
    images the same size; both are without metadata.
    """
    root = state_of(request).root
    found = _find(root, test)
    trial = _trial(found, rater, number)
    at = "ab".index(side)
    if at >= len(trial.sides):
        raise Problem(404, "not_found", f"{side}: this trial has one side, a", param="side")
    kind = "audio/wav" if found.lane == "voice" else "image/png"
    return Response(trials.media(root, found, trial, at), media_type=kind)


@router.post(
    "/{test}/trials/{number}",
    openapi_extra=example(f"/api/tests/{SHOWN}/trials/1", {"rater": "ann", "answer": "a"}),
)
def answer(test: str, number: int, body: Given, request: Request) -> dict[str, Any]:
    """Answer a trial, in order and once; the answer is the next trial."""
    root = state_of(request).root
    found = _find(root, test)
    trial = _trial(found, body.rater, number)
    if body.answer not in CHOICES[found.kind]:
        known = ", ".join(CHOICES[found.kind])
        line = f"{body.answer}: the choices are {known}"
        raise Problem(400, "wrong_answer", line, param="answer")
    given = Answer(trial=number, item=trial.item.id, sides=trial.sides, answer=body.answer)
    answered = _append(root / RATINGS / found.id / f"{body.rater}.jsonl", given)
    if answered is not None:
        line = f"{number}: {answered} trials are answered; an answer stays, and they go in order"
        raise Problem(409, "wrong_trial", line, param="number")
    return _next(root, found, body.rater)


@router.get("/{test}/result", openapi_extra=example(f"/api/tests/{SHOWN}/result?rater=ben"))
def show_result(test: str, rater: Rater, request: Request) -> dict[str, Any]:
    """What a rater has judged, and the figures of all who have finished. Until then it is a 409."""
    root = state_of(request).root
    found = _find(root, test)
    folder = root / RATINGS / found.id
    answers = {name: read_answers(folder, found, name) for name in raters(folder)}
    done = {name: each for name, each in answers.items() if len(each) == len(found.items)}
    if rater not in done:
        count = len(answers.get(rater, []))
        line = f"{rater}: {count} of {len(found.items)} trials answered; answer the others first"
        raise Problem(409, "unfinished", line, param="rater")
    every = [one for name, each in done.items() for one in judged(found, name, each)]
    summary = summarize(found.kind, every, ROUNDS, found.seed)
    return {
        **found.model_dump(exclude={"items"}),
        "n": len(found.items),
        "raters": [*done],
        "figures": summary.metrics(found.kind),
        "trials": [
            {
                "number": one.answer.trial,
                "item": one.item.id,
                "text": one.item.text,
                "answer": one.answer.answer,
                "sides": [
                    {"version": version, "url": address(f"data/{one.item.files[version].path}")}
                    for version in one.answer.sides
                ],
            }
            for one in judged(found, rater, done[rater])
        ],
    }


def _find(root: Path, id: str) -> BlindTest:
    folder = root / RATINGS / id
    if not ID.fullmatch(id) or not (folder / "test.json").is_file():
        raise Problem(404, "not_found", "no such test; GET /api/tests lists them")
    return read_test(folder)


def _trial(test: BlindTest, rater: str, number: int) -> trials.Trial:
    if not 1 <= number <= len(test.items):
        line = f"{number}: the test has trials 1 to {len(test.items)}"
        raise Problem(404, "not_found", line, param="number")
    return trials.order(test, rater)[number - 1]


def _next(root: Path, test: BlindTest, rater: str) -> dict[str, Any]:
    answered = len(read_answers(root / RATINGS / test.id, test, rater))
    shown = None
    if answered < len(test.items):
        number, trial = answered + 1, trials.order(test, rater)[answered]
        media = f"/api/tests/{test.id}/trials/{number}/media"
        shown = {
            "number": number,
            "text": trial.item.text,
            "sides": [
                {"side": side, "url": f"{media}/{side}?rater={rater}"}
                for side, _ in zip("ab", trial.sides, strict=False)
            ],
            "choices": [{"answer": key, "label": text} for key, text in CHOICES[test.kind].items()],
        }
    return {
        "test": test.id,
        "kind": test.kind,
        "lane": test.lane,
        "rater": rater,
        "n": len(test.items),
        "answered": answered,
        "trial": shown,
    }


def _append(path: Path, answer: Answer) -> int | None:
    """Add a line for the next trial, on disk when it returns; else how many there are already."""
    if answer.trial > 1 and not path.exists():
        return 0
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        lines = whole_lines(path)
        if answer.trial != len(lines) + 1:
            return len(lines)
        file.truncate(sum(len(line) + 1 for line in lines))
        file.write(json.dumps(answer.model_dump()).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return None
