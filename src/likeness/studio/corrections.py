"""The file of corrections, as the studio changes it: one writer at a time, and never half a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likeness.common.manifest import write_manifest
from likeness.studio.locks import exclusive
from likeness.voice.corrections import read_corrections
from likeness.voice.rows import Clip, Correction, RejectedClip, cut_of

FILE = "data/corrections.jsonl"  # in git, and a dependency of voice_clips in dvc.yaml
LOCK = Path(".dvc") / "likeness" / "studio" / "corrections.lock"


def read(root: Path) -> dict[str, Correction]:
    """The corrections of a repository by id. Raises `LikenessError` for a line that is wrong."""
    return {row.id: row for row in read_corrections(root / FILE)}


def of(clip: Clip | RejectedClip, rows: Mapping[str, Correction]) -> Correction | None:
    """The correction that was made for this clip, and not for an earlier one of the same id."""
    row = rows.get(clip.id)
    return row if row and cut_of(row) == cut_of(clip) else None


def change(root: Path, clip: Clip | RejectedClip, given: Mapping[str, Any]) -> Correction | None:
    """Change what is decided on a clip; returns that, or None if nothing is left.

    Args:
        given: a new `text`, `verdict` or both; None withdraws it.

    Raises:
        LikenessError: a line of the file is wrong.
    """
    with exclusive(root / LOCK):
        rows = read(root)
        old = of(clip, rows)
        values = {"text": old and old.text, "verdict": old and old.verdict, **given}
        if values["text"] == clip.heard:
            values["text"] = None
        rows.pop(clip.id, None)
        if values["text"] is not None or values["verdict"] is not None:
            rows[clip.id] = Correction(
                id=clip.id,
                recording=clip.recording,
                start=clip.start,
                end=clip.end,
                heard=clip.heard,
                **values,
            )
        write_manifest(root / FILE, rows.values())
        return rows.get(clip.id)
