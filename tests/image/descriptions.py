"""Titles and descriptions of a folder's images, as image_describe is run by the tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from likeness.common.manifest import write_manifest
from likeness.common.runtime import Runtime
from likeness.image.describe import ImageDescribe, describe
from likeness.image.rows import SyntheticImage
from tests.conftest import photo, section


def write_generated(folder: Path, rows: Sequence[SyntheticImage]) -> None:
    """Images as image_generate writes them, of drawn photos."""
    for at, row in enumerate(rows):
        path = folder / row.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(at).save(path)
    write_manifest(folder / "manifest.jsonl", rows)


def run(folder: Path, rt: Runtime, writer: Path, out: str, **values: Any) -> Mapping[str, Any]:
    """Describe `generated` by `catalog`; whatever share is rejected, unless `values` say otherwise."""
    return describe(
        section(ImageDescribe, **{"max_rejected_share": 1.0, **values}),
        catalog=folder / "catalog",
        generated=folder / "generated",
        writer=writer,
        out_dir=folder / out / "data",
        plots_dir=folder / out / "plots",
        report=folder / out / "descriptions.md",
        intervals=folder / out / "intervals.json",
        rt=rt,
    )
