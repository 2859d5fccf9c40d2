"""/api/jobs: runs of the pipeline, put into the queue of `likeness jobs`, watched and stopped."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from likeness.common.errors import LikenessError
from likeness.studio import jobs
from likeness.studio.api_page import example
from likeness.studio.curves import curves_of_job
from likeness.studio.forms import Value, overrides
from likeness.studio.generate import Asked
from likeness.studio.problems import Problem
from likeness.studio.state import state_of

router = APIRouter(prefix="/api/jobs")


class Submission(Asked):
    targets: list[str] = Field([], max_length=40, description="stages of dvc.yaml; none are all")
    params: dict[str, Value] = Field({}, description="those that `GET /api/params` lists")
    name: Annotated[
        str | None, Field(description="of the job and of its experiment; made if absent")
    ] = None


class Place(Asked):
    place: Annotated[int, Field(ge=1, description="1 is the next one to run")]


@router.get("", openapi_extra=example("/api/jobs"))
def list_jobs(request: Request) -> dict[str, Any]:
    """All jobs: first those that have begun, by the time of their submission, then the queue."""
    return {"jobs": views(state_of(request).root)}


@router.post(
    "",
    status_code=201,
    openapi_extra=example(
        "/api/jobs",
        {"targets": ["voice_train"], "params": {"voice_train.rank": 8}, "name": "rank-8"},
    ),
)
def submit(body: Submission, request: Request) -> dict[str, Any]:
    """Put an experiment at the end of the queue. `uncommitted` lists files that are not part of it, and
    `carried` those that are although git does not have them yet.
    """
    root = state_of(request).root
    return view(jobs.submit(root, body.targets, overrides(root, body.params), body.name))


@router.get("/{id}", openapi_extra=example("/api/jobs/rank-8"))
def show(id: str, request: Request) -> dict[str, Any]:
    """A job: its state, its command, its last progress bar, and the size of its log."""
    return view(_find(state_of(request).root, id))


@router.get(
    "/{id}/log",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
    openapi_extra=example("/api/jobs/rank-8/log?after=0", save="log.txt"),
)
def read_log(id: str, request: Request, after: Annotated[int, Query(ge=0)] = 0) -> Response:
    """The bytes of a log from `after` on, a megabyte at most; the header X-Next says where to go on."""
    data, at = jobs.read_log(_find(state_of(request).root, id), after)
    return Response(data, media_type="text/plain; charset=utf-8", headers={"X-Next": str(at)})


@router.get("/{id}/curves", openapi_extra=example("/api/jobs/rank-8/curves"))
def show_curves(id: str, request: Request) -> dict[str, Any]:
    """What its trainings have measured so far: by stage and figure, a list of steps and values."""
    return {"curves": curves_of_job(_find(state_of(request).root, id))}


@router.post("/{id}/stop", openapi_extra=example("/api/jobs/rank-8/stop"))
def stop(id: str, request: Request) -> dict[str, Any]:
    """Take a job out of the queue, or end its run and no other."""
    job = _find(state_of(request).root, id)
    jobs.stop(job.root, job.id)
    return view(job)


@router.post("/{id}/resume", openapi_extra=example("/api/jobs/rank-8/resume"))
def resume(id: str, request: Request) -> dict[str, Any]:
    """Queue a job again that failed or was stopped; its stages go on from their checkpoints."""
    job = _find(state_of(request).root, id)
    jobs.resume(job.root, job.id)
    return view(jobs.find_job(job.root, job.id))


@router.post("/{id}/apply", openapi_extra=example("/api/jobs/rank-8/apply"))
def apply(id: str, request: Request) -> dict[str, Any]:
    """Bring the experiment of a job that is done into the workspace, as `dvc exp apply` does: params,
    data, adapters and figures. A file that git does not have is not overwritten.
    """
    job = _find(state_of(request).root, id)
    jobs.apply(job.root, job.id)
    return view(job)


@router.post("/{id}/move", openapi_extra=example("/api/jobs/rank-8/move", {"place": 1}))
def move(id: str, body: Place, request: Request) -> dict[str, Any]:
    """Give a job another place in the queue."""
    job = _find(state_of(request).root, id)
    jobs.move(job.root, job.id, body.place)
    return view(job)


def _find(root: Path, identity: str) -> jobs.Job:
    try:
        return jobs.find_job(root, identity)
    except LikenessError as error:
        raise Problem(
            404, "not_found", f"{error}".replace("`likeness jobs`", "GET /api/jobs")
        ) from None


def views(root: Path) -> list[dict[str, Any]]:
    return [view(job) for job in jobs.list_jobs(root)]


def view(job: jobs.Job) -> dict[str, Any]:
    """A job as the API and its events show it."""
    now = jobs.state(job)
    bar = jobs.progress(job) if now.state == "running" else None
    return {
        "id": job.id,
        "state": now.state,
        "reason": now.reason,
        "command": job.command,
        "targets": [*job.targets],
        "commit": job.commit,
        "uncommitted": [*job.uncommitted],
        "carried": [*job.carried],
        "submitted": job.submitted,
        "progress": bar and vars(bar),
        "log_bytes": job.log.stat().st_size if job.log.exists() else 0,
    }
