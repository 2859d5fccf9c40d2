"""Manifests are sorted, unique and checked, with the line and id of what is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from likeness.common.errors import LikenessError
from likeness.common.manifest import (
    Rejection,
    Row,
    check_rejected_share,
    count_reasons,
    read_manifest,
    told_reasons,
    write_manifest,
    write_rejected,
)


class Clip(Row):
    file_name: str
    seconds: float


def rows(*ids: str) -> list[Clip]:
    return [Clip(id=name, file_name=f"{name}.png", seconds=1.0) for name in ids]


def test_rows_are_written_sorted_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, rows("b", "a", "c"))
    assert read_manifest(path, Clip) == rows("a", "b", "c")


def test_a_repeated_id_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match="a: id must be unique"):
        write_manifest(tmp_path / "manifest.jsonl", rows("a", "b", "a"))
    assert not (tmp_path / "manifest.jsonl").exists()


GOOD = '{"id": "a", "file_name": "a.png", "seconds": 1.0}\n'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": "b", "file_name": "b.png"}', ":2: b: seconds: Field required"),
        ('{"id": "b", "file_name": "b.png", "seconds": "1"}', ":2: b: seconds: .*got '1'"),
        ('{"id": "b", "file_name": "b", "seconds": 1.0, "x": 2}', ":2: b: x: .*got 2"),
        ('{"id": "a", "file_name": "a.png", "seconds": 1.0}', ":2: a: id must be unique"),
        ('{"id": "A", "file_name": "a.png", "seconds": 1.0}', ":2: A: ids must be sorted"),
        ("[1]", r":2: \?: "),
    ],
)
def test_a_bad_row_is_named_by_line_and_id(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(GOOD + line + "\n")
    with pytest.raises(LikenessError, match=says) as caught:
        read_manifest(path, Clip)
    assert str(caught.value).startswith(str(path))


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        rows("a")[0].seconds = 2.0


def test_reasons_are_counted_by_name() -> None:
    rejected = [Rejection(id=str(at), reason=reason) for at, reason in enumerate("bab")]
    assert count_reasons(rejected) == {"a": 1, "b": 2}
    assert told_reasons(rejected) == "a 1, b 2"


def test_every_reason_of_a_stage_is_counted(tmp_path: Path) -> None:
    counts = write_rejected(tmp_path, [Rejection(id="x", reason="b")], ("a", "b"))
    assert counts == {"rejected_a": 0, "rejected_b": 1}
    assert [row.id for row in read_manifest(tmp_path / "rejected.jsonl", Rejection)] == ["x"]


def test_a_stage_fails_only_past_the_share() -> None:
    rejected = [Rejection(id=str(at), reason="blank", value=0.01) for at in range(3)]
    check_rejected_share("data/x", rejected, 10, 0.3)
    check_rejected_share("data/x", [], 0, 0.0)
    with pytest.raises(LikenessError, match=r"data/x: 3 of 10 .*max_rejected_share 0\.2 .*blank 3"):
        check_rejected_share("data/x", rejected, 10, 0.2)
