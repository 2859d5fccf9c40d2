"""/api: what the stages have made in the workspace, as lists."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from likeness.common.io import digest_of, read_json
from likeness.common.manifest import Rejection
from likeness.image.rows import PreparedImage, SyntheticImage
from likeness.repository.experiments import (
    WORKSPACE,
    Experiment,
    differing_params,
    git,
    read_experiments,
    read_file,
    with_estimates,
)
from likeness.studio.api_page import example
from likeness.studio.curves import curves_of_commit, curves_of_folder
from likeness.studio.files import REVISION, address
from likeness.studio.jobs import uncommitted_files
from likeness.studio.manifests import rows_of
from likeness.studio.models import IMAGE_TRAIN, VOICE_TRAIN
from likeness.studio.problems import Problem
from likeness.studio.state import State, state_of
from likeness.studio.worker import Kind
from likeness.voice.rows import Utterance

router = APIRouter(prefix="/api")

_listing = Lock()  # of experiments, which is not to be done twice at a time

Lane = Literal["voice", "image"]
FOLDERS: dict[Lane, str] = {"voice": VOICE_TRAIN, "image": IMAGE_TRAIN}
KINDS: dict[Lane, Kind] = {"voice": "speech", "image": "images"}
UNITS: dict[Lane, str] = {"voice": "epoch", "image": "step"}  # what evaluations are named by
Attribute = Literal["baseColour", "gender", "season", "usage", "year"]
IMAGES: dict[str, tuple[str, type[PreparedImage] | type[SyntheticImage]]] = {
    "real": ("image_prepare", PreparedImage),
    "synthetic": ("image_generate", SyntheticImage),
}
DATASETS: dict[str, type[Utterance] | type[PreparedImage]] = {
    "voice_dataset": Utterance,
    "image_prepare": PreparedImage,
}


@router.get("/checkpoints", openapi_extra=example("/api/checkpoints"))
def list_checkpoints(request: Request) -> dict[str, Any]:
    """Each evaluation of the two trainings: its epoch or step, its figures, and whether it is best.

    `model` is the name for `/v1` of what was evaluated, or null if its adapter was not kept; `bytes` is
    the size of the adapter. `n` counts what the figures were measured on.
    """
    state = state_of(request)
    return {"checkpoints": [row for lane in FOLDERS for row in _checkpoints(state, lane)]}


@router.get("/checkpoints/{id}", openapi_extra=example("/api/checkpoints/voice-020"))
def show_checkpoint(id: str, request: Request) -> dict[str, Any]:
    """A checkpoint with its samples; in a lane, a number has the same sentence and seed in all."""
    state = state_of(request)
    for lane in FOLDERS:
        for row in _checkpoints(state, lane):
            if row["id"] == id:
                samples = [one for one in _samples(state.root, lane) if one["checkpoint"] == id]
                return {**row, "samples": samples}
    raise Problem(404, "not_found", f"{id}: no such checkpoint; GET /api/checkpoints lists them")


@router.get("/samples", openapi_extra=example("/api/samples?lane=voice"))
def list_samples(request: Request, lane: Lane | None = None) -> dict[str, Any]:
    """What was spoken and drawn at each evaluation of the trainings."""
    root = state_of(request).root
    lanes = [lane] if lane else [*FOLDERS]
    return {"samples": [row for each in lanes for row in _samples(root, each)]}


@router.get("/datasets", openapi_extra=example("/api/datasets"))
def list_datasets(request: Request) -> dict[str, Any]:
    """The datasets: rows of each split, seconds of speech, and what was set aside by its reason."""
    root = state_of(request).root
    return {
        "datasets": [
            _dataset(root, name, row)
            for name, row in DATASETS.items()
            if (root / "data" / name / "manifest.jsonl").is_file()
        ]
    }


@router.get("/experiments", openapi_extra=example("/api/experiments"))
def list_experiments(request: Request) -> dict[str, Any]:
    """The workspace, its commit and its experiments: metrics, 95 % intervals where there are some, and
    the params that are not all equal.
    """
    root = state_of(request).root
    with _listing:
        rows = _experiments(root, _version(root))
    differing = differing_params(rows)
    return {
        "experiments": [
            {
                "id": row.rev,
                "name": row.name,
                "baseline": row.baseline,
                "state": row.state,
                "params": {name: row.params.get(name) for name in differing},
                "metrics": row.metrics,
                "intervals": {
                    name: {"low": one.interval[0], "high": one.interval[1], "n": one.n}
                    for name, one in row.estimates.items()
                    if one.interval
                },
            }
            for row in rows
        ]
    }


@router.get("/experiments/{rev}/curves", openapi_extra=example("/api/experiments/workspace/curves"))
def show_curves(rev: str, request: Request) -> dict[str, Any]:
    """What the trainings of the workspace, or of a commit, have measured: by stage and figure, a list
    of steps and values.
    """
    root = state_of(request).root
    if rev == WORKSPACE:
        return {"curves": curves_of_folder(root)}
    if not REVISION.fullmatch(rev) or read_file(root, rev, "dvc.yaml") is None:
        raise Problem(404, "not_found", f"{rev}: no such commit; GET /api/experiments lists them")
    return {"curves": curves_of_commit(root, rev)}


@router.get("/images", openapi_extra=example("/api/images?kind=real&attribute=gender&limit=5"))
def list_images(
    request: Request,
    kind: Literal["real", "synthetic"] = "real",
    attribute: Attribute = "baseColour",
    value: str | None = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """The images of image_prepare or image_generate: how many have each value of an attribute, and
    those that have one value of it. `row` is the line of the manifest, with prompt and seed; the seed
    is text, since JavaScript's numbers do not hold all of its digits.
    """
    name, cls = IMAGES[kind]
    path = state_of(request).root / "data" / name / "manifest.jsonl"
    rows = rows_of(path, cls) if path.is_file() else []
    chosen = [row for row in rows if value is None or getattr(row, attribute) == value]
    return {
        "total": len(chosen),
        "counts": dict(Counter(getattr(row, attribute) for row in rows).most_common()),
        "images": [
            {"url": address(f"data/{name}/{row.file_name}"), "row": _row(row)}
            for row in chosen[offset : offset + limit]
        ],
    }


def _row(row: PreparedImage | SyntheticImage) -> dict[str, Any]:
    values = row.model_dump()
    return {**values, "seed": str(row.seed)} if isinstance(row, SyntheticImage) else values


@lru_cache(maxsize=1)
def _experiments(root: Path, version: str) -> list[Experiment]:
    """All experiments with their intervals; DVC takes seconds to list them."""
    return [with_estimates(root, row, [*row.metrics]) for row in read_experiments(root)]


def _version(root: Path) -> str:
    """A key of all that the list of experiments is made of: git's refs, the files that differ from the
    commit, and DVC's own notes of what runs.
    """
    paths = [root / name for name in uncommitted_files(root)]
    paths += (root / ".dvc/tmp/exps/run").rglob("*.run")
    stats = [(path, path.stat()) for path in paths if path.is_file()]
    changed = [f"{path} {stat.st_mtime_ns} {stat.st_size}" for path, stat in sorted(stats)]
    return digest_of([git(root, "rev-parse", "HEAD"), git(root, "for-each-ref"), *changed])


def _checkpoints(state: State, lane: Lane) -> Iterator[dict[str, Any]]:
    folder, unit = state.root / FOLDERS[lane], UNITS[lane]
    if not (folder / "training.json").is_file():
        return
    training = read_json(folder / "training.json")
    models = state.models.all(KINDS[lane])
    tuned = f"{training['base']}+{folder.name}"
    for row in training.get("evaluations", []):
        best = row[unit] == training[f"best_{unit}"]
        kept = tuned if best else f"{tuned}@{row['name']}"
        # Untrained, an adapter changes nothing.
        model = models.get(name := kept if row[unit] or best else training["base"])
        yield {
            "id": f"{lane}-{row['name']}",
            "lane": lane,
            unit: row[unit],
            "best": best,
            "model": name if model else None,
            "bytes": model.adapter.stat().st_size if model and model.adapter else None,
            "metrics": row["figures"],
            "n": {key: training[key] for key in ("val_n", "val_sentences") if key in training},
        }


def _samples(root: Path, lane: Lane) -> Iterator[dict[str, Any]]:
    folder = root / FOLDERS[lane] / "samples"
    # By checkpoint, what its sentences are and were heard as.
    sentences = {path.stem: read_json(path) for path in folder.glob("*.json")}
    for path in sorted(folder.glob("*.wav" if lane == "voice" else "*.png")):
        # Of `<epoch>-<number>.wav` or `<step>.png`.
        checkpoint, _, number = path.stem.partition("-")
        yield {
            "id": f"{lane}-{path.stem}",
            "lane": lane,
            "checkpoint": f"{lane}-{checkpoint}",
            "number": int(number or 0),
            "url": address(path.relative_to(root).as_posix()),
            **(sentences[checkpoint][int(number)] if checkpoint in sentences else {}),
        }


def _dataset(root: Path, name: str, row: type[Utterance] | type[PreparedImage]) -> dict[str, Any]:
    folder = root / "data" / name
    rows = rows_of(folder / "manifest.jsonl", row)
    rejected = rows_of(folder / "rejected.jsonl", Rejection)
    found: dict[str, Any] = {
        "id": name,
        "rows": len(rows),
        "splits": dict(Counter(each.split for each in rows)),
        "rejected": dict(Counter(each.reason for each in rejected)),
        "url": address(f"data/{name}/manifest.jsonl"),
    }
    spoken = [each.seconds for each in rows if isinstance(each, Utterance)]
    if spoken:
        found["seconds"] = round(sum(spoken), 2)
    return found
