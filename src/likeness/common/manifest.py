"""Manifests: one checked JSON line per item beside its media, sorted by unique id.

The contract follows lhotse's manifests (a class per row), with errors in place of asserts.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from likeness.common.errors import LikenessError
from likeness.common.io import read_jsonl, write_jsonl

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", bound="Row")


class Row(BaseModel):
    """One item. Subclasses add fields; `file_name`, where there is one, is relative to the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    id: str


class Rejection(Row):
    """An item that was set aside: the reason, the measured value and the limit that it exceeds."""

    reason: str
    value: Any = None
    threshold: Any = None


def write_manifest(path: Path, rows: Iterable[R]) -> None:
    """Write rows sorted by id. Raises `LikenessError` on a repeated id."""
    ordered = sorted(rows, key=lambda row: row.id)
    _check_unique(path, [row.id for row in ordered])
    write_jsonl(path, (row.model_dump() for row in ordered))


def checked(model: type[M], value: Any, where: str) -> M:
    """`value` as an instance of `model`. Raises `LikenessError`, which begins with `where`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        detail = error.errors()[0]
        key = ".".join(map(str, detail["loc"]))
        raise LikenessError(f"{where}: {key}: {detail['msg']} (got {detail['input']!r})") from error


def read_manifest(path: Path, row: type[R]) -> list[R]:
    """The checked rows of a manifest.

    Args:
        path: a `manifest.jsonl`.
        row: the class of its rows.

    Raises:
        LikenessError: `path:line: id: rule (got X)`, the first problem found.
    """
    rows: list[R] = []
    for number, value in enumerate(read_jsonl(path), start=1):
        where = f"{path}:{number}: {value.get('id', '?') if isinstance(value, dict) else '?'}"
        rows.append(checked(row, value, where))
    _check_unique(path, [value.id for value in rows])
    return rows


def _check_unique(path: Path, ids: list[str]) -> None:
    for line, (before, current) in enumerate(pairwise(ids), start=2):
        if before == current:
            raise LikenessError(f"{path}:{line}: {current}: id must be unique (got it twice)")
        if before > current:
            raise LikenessError(
                f"{path}:{line}: {current}: ids must be sorted (got it after {before})"
            )


def count_reasons(rejected: Iterable[Rejection]) -> dict[str, int]:
    """How many items each reason set aside, by name."""
    counts: dict[str, int] = {}
    for rejection in rejected:
        counts[rejection.reason] = counts.get(rejection.reason, 0) + 1
    return dict(sorted(counts.items()))


def told_reasons(rejected: Iterable[Rejection]) -> str:
    """The counts as text: `blank 3, copy 1`."""
    return ", ".join(f"{reason} {n}" for reason, n in count_reasons(rejected).items())


def write_rejected(
    out_dir: Path, rejected: Sequence[Rejection], reasons: Sequence[str]
) -> dict[str, float]:
    """Write `rejected.jsonl`; returns the metric `rejected_<reason>` of each of a stage's reasons."""
    write_manifest(out_dir / "rejected.jsonl", rejected)
    counts = count_reasons(rejected)
    return {f"rejected_{reason}": counts.get(reason, 0) for reason in reasons}


def check_rejected_share(
    what: str,
    rejected: Sequence[Rejection],
    total: int,
    limit: float,
    advice: str = "mend the input or raise the limit",
) -> None:
    """Stop a stage that sets so many items aside that its input as a whole must be wrong.

    Raises:
        LikenessError: when more than `limit` (0 to 1) of `total` items were set aside.
    """
    if total and len(rejected) > limit * total:
        first = rejected[0]
        raise LikenessError(
            f"{what}: {len(rejected)} of {total} items rejected, more than max_rejected_share "
            f"{limit:g} ({told_reasons(rejected)}; first {first.id}: {first.reason} "
            f"{first.value!r}); {advice}"
        )
