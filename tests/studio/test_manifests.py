"""Lists of thousands of rows are read once, and sent in parts."""

import os
from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.manifest import Row, read_manifest, write_manifest
from likeness.studio import manifests
from tests.studio.conftest import ask, write_workspace
from tests.studio.large import IMAGES, KEPT, REJECTED, write_large

MOST_BYTES = 50_000  # of one list as a page asks for it


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read from now on."""
    paths: list[Path] = []

    def read(path: Path, row: type[Row]) -> Any:
        paths.append(path)
        return read_manifest(path, row)

    monkeypatch.setattr(manifests, "read_manifest", read)
    return paths


def test_a_file_is_read_again_when_it_is_another_one(tmp_path: Path, reads: list[Path]) -> None:
    path = tmp_path / "manifest.jsonl"
    with pytest.raises(LikenessError, match="no such file"):
        manifests.rows_of(path, Row)
    write_manifest(path, [Row(id="a")])
    assert [row.id for row in manifests.rows_of(path, Row)] == ["a"]
    assert [row.id for row in manifests.rows_of(path, Row)] == ["a"]
    before = path.stat()
    write_manifest(path, [Row(id="b")])  # another file of the same size, and of the same time
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [row.id for row in manifests.rows_of(path, Row)] == ["b"]
    assert len(reads) == 3


@pytest.mark.slow
def test_thousands_of_rows_are_read_once_and_sent_in_parts(
    tmp_path: Path, reads: list[Path]
) -> None:
    root = write_workspace(tmp_path / "repository")
    write_large(root)
    client = ask(root)
    for _ in range(2):
        for path, total in (
            ("/api/clips?limit=25", KEPT + REJECTED),
            ("/api/clips?limit=25&accepted=false", REJECTED),
            ("/api/images?kind=real&limit=12", IMAGES),
            ("/api/images?kind=synthetic&limit=12", IMAGES),
            ("/api/datasets", None),
        ):
            answer = client.get(path)
            assert answer.json().get("total") == total, path
            assert len(answer.content) < MOST_BYTES, path
    assert len(reads) == len({*reads}) >= 5
