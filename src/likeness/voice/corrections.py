"""What people have decided on clips: read from a file that git tracks, and applied to those clips."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from likeness.common.errors import LikenessError
from likeness.common.manifest import read_manifest
from likeness.voice.candidates import Candidate
from likeness.voice.repetition import compression_ratio
from likeness.voice.rows import Correction, RejectedClip, cut_of
from likeness.voice.rules import SET_ASIDE


class Corrected(NamedTuple):
    """Candidates after the corrections.

    Attributes:
        candidates: those that are not set aside, with their corrected texts.
        kept: ids of the candidates that no rule may reject.
        set_aside: a rejection for each of the others.
        unmatched: corrections of clips that are not among the candidates.
    """

    candidates: list[Candidate]
    kept: set[str]
    set_aside: list[RejectedClip]
    unmatched: list[Correction]


def read_corrections(path: Path) -> list[Correction]:
    """The rows of a file of corrections, sorted by id; none if there is no file.

    Raises:
        LikenessError: `path:line`, and what is wrong there.
    """
    if not path.exists():
        return []
    # People and git's merges write into this file, so a line may be no JSON at all.
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            try:
                json.loads(line)
            except ValueError as error:
                raise LikenessError(
                    f"{path}:{number}: not JSON (got {line.strip()[:40]!r}); mend or delete the line"
                ) from error
    try:
        return read_manifest(path, Correction)
    except LikenessError as error:
        raise LikenessError(f"{error}; mend or delete the line") from error


def correct(candidates: Sequence[Candidate], corrections: Sequence[Correction]) -> Corrected:
    """Apply each correction to the candidate of the same id, cut and recognised text."""
    known = {cut_of(row): row for row in corrections}
    left: list[Candidate] = []
    kept: set[str] = set()
    set_aside: list[RejectedClip] = []
    for candidate in candidates:
        row = known.pop(cut_of(candidate), None)
        if row and row.text is not None:
            candidate = _with_text(candidate, row.text)
        if row and row.verdict == "keep":
            kept.add(candidate.id)
        if row and row.verdict == "set_aside":
            set_aside.append(candidate.rejected(SET_ASIDE, None))
        else:
            left.append(candidate)
    return Corrected(left, kept, set_aside, list(known.values()))


def _with_text(candidate: Candidate, text: str) -> Candidate:
    """The ratio is of the new text alone: that of the recogniser's window is of what it heard."""
    return replace(candidate, text=text, compression_ratio=round(compression_ratio(text), 3))
