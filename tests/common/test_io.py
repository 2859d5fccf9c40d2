"""Files are whole or unchanged, and what goes wrong is one line."""

import errno
import json
from pathlib import Path

import pytest

from likeness.common import cli, io
from likeness.common.errors import LikenessError


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.txt"
    io.write_text(path, "old")
    with pytest.raises(ZeroDivisionError), io.atomic_path(path) as temporary:
        temporary.write_text(str(1 / (temporary.write_text("half of the new") - 15)))
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with io.atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644


def test_json_lines_come_back(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "é ✓"}, {"id": "b", "text": "two\nlines\u2028three"}]
    io.write_jsonl(tmp_path / "rows.jsonl", rows)
    assert io.read_jsonl(tmp_path / "rows.jsonl") == rows


@pytest.mark.parametrize("read", [io.read_json, io.read_jsonl])
@pytest.mark.parametrize(("text", "says"), [(None, "no such file"), ("{oops", "not JSON")])
def test_an_unreadable_file_is_one_line_with_its_name(
    tmp_path: Path, read: object, text: str | None, says: str
) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LikenessError, match=says) as caught:
        read(path)  # type: ignore[operator]
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_digest_follows_names_and_contents_only(tmp_path: Path) -> None:
    for name in ("left", "right", "other"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a").write_text("1")
    assert io.digest(tmp_path / "left") == io.digest(tmp_path / "right")
    (tmp_path / "other" / "sub" / "a").rename(tmp_path / "other" / "sub" / "b")
    assert io.digest(tmp_path / "left") != io.digest(tmp_path / "other")
    (tmp_path / "right" / "sub" / "a").write_text("2")
    assert io.digest(tmp_path / "left") != io.digest(tmp_path / "right")


def test_a_link_survives_its_source(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    io.link(tmp_path / "a", tmp_path / "deep" / "b")
    (tmp_path / "a").unlink()
    assert (tmp_path / "deep" / "b").read_text() == "content"


def test_a_full_disk_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    # /dev/full gives the true error of a full disk to whoever writes to it.
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")

    def main(_: object) -> None:
        try:
            full.write_text("x")
        except OSError as error:
            error.filename = "data/out.json"
            raise

    with pytest.raises(SystemExit) as caught:
        cli.run(main)
    assert str(caught.value.code).startswith("error: data/out.json: the disk is full")
    assert "\n" not in str(caught.value.code)


def test_errors_of_the_user_are_one_line_and_others_keep_their_traceback() -> None:
    def wrong(_: object) -> None:
        raise LikenessError("a.csv: no rows")

    def broken(_: object) -> None:
        raise OSError(errno.EIO, "no")

    with pytest.raises(SystemExit) as caught:
        cli.run(wrong)
    assert (
        caught.value.code == "error: a.csv: no rows"
    )  # the interpreter prints it and exits with 1
    with pytest.raises(OSError, match="no"):
        cli.run(broken)


def test_paths_are_required_flags() -> None:
    parser = cli.path_parser("doc", "out_dir", "metrics")
    args = parser.parse_args(["--out-dir", "a", "--metrics", "b"])
    assert (args.out_dir, args.metrics) == (Path("a"), Path("b"))
    with pytest.raises(SystemExit):
        parser.parse_args(["--out-dir", "a"])


def test_json_is_written_for_people(tmp_path: Path) -> None:
    io.write_json(tmp_path / "a.json", {"name": "é", "value": 1})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"name": "é", "value": 1}
    assert text.endswith("}\n")
    assert "é" in text
