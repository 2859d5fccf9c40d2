"""Which files are recordings, and ids that differ whatever the names are."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from likeness.common.manifest import write_manifest
from likeness.voice.listing import list_recordings
from tests.voice.sounds import write


def listed(folder: Path) -> tuple[dict[str, str], Counter[str]]:
    """Ids by path, and what else is there."""
    write_manifest(folder.parent / "downloads" / "manifest.jsonl", [])
    found, beside = list_recordings(folder, folder.parent / "downloads")
    return {path.relative_to(folder).as_posix(): name for name, path in found.items()}, beside


def test_names_make_ids_that_differ(tmp_path: Path) -> None:
    for name in ("a.wav", "a.mp3", "b/a.wav", "Sessão 1 (final).wav", "b.wav", "script.jsonl"):
        write(tmp_path / "in" / name, b"x")
    found, beside = listed(tmp_path / "in")
    assert found["b.wav"] == "b"
    assert found["b/a.wav"] == "b_a"
    assert found["Sessão 1 (final).wav"] == "Sessão_1_final"
    assert found["a.wav"].startswith("a-")
    assert found["a.mp3"].startswith("a-")
    assert (len(found), beside) == (5, Counter())


def test_names_that_differ_in_case_alone_have_ids_that_differ_in_more(tmp_path: Path) -> None:
    for name in ("Talk.wav", "talk.wav"):
        write(tmp_path / "in" / name, b"x")
    found, _ = listed(tmp_path / "in")
    assert len({name.casefold() for name in found.values()}) == 2


def test_macos_s_accents_are_letters(tmp_path: Path) -> None:
    write(tmp_path / "in" / unicodedata.normalize("NFD", "Sessão.wav"), b"x")
    assert list(listed(tmp_path / "in")[0].values()) == ["Sessão"]


@pytest.mark.parametrize(
    "name", ["A" * 246, "日本語のとても長い題名の動画" * 5, "é" * 120, "aula " * 49]
)
def test_long_names_make_short_ids(tmp_path: Path, name: str) -> None:
    for ending in ("1.wav", "2.wav"):
        write(tmp_path / "in" / (name + ending), b"x")
        write(tmp_path / "in" / ("folder " * 30).strip() / (name + ending), b"x")
    found, _ = listed(tmp_path / "in")
    assert len(set(found.values())) == 4
    assert max(len(one.encode()) for one in found.values()) <= 107


def test_hidden_files_are_none_and_sidecars_are_counted(tmp_path: Path) -> None:
    for name in ("a.wav", "._a.wav", ".DS_Store", ".git/b.wav", "__MACOSX/._a.wav", "script.jsonl"):
        write(tmp_path / "in" / name, b"x")
    for name in ("a.TXT", "b.txt", "a.srt", "cover.JPG", "list.m3u8", "more/script.jsonl"):
        write(tmp_path / "in" / name, b"x")
    found, beside = listed(tmp_path / "in")
    assert list(found) == ["a.wav"]
    assert beside == {".txt": 2, ".srt": 1, ".jpg": 1, ".m3u8": 1, ".jsonl": 1}


def one_line(folder: Path) -> str:
    with pytest.raises(LikenessError) as caught:
        listed(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_of_sidecars_says_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.txt", b"x")
    write(tmp_path / "in" / ".hidden.wav", b"x")
    assert "no recordings (only 1 .txt); put audio files there" in one_line(tmp_path / "in")


def test_a_linked_folder_is_one_line_and_a_linked_file_is_a_recording(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.wav", b"x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.wav").symlink_to(tmp_path / "elsewhere" / "a.wav")
    assert list(listed(tmp_path / "in")[0]) == ["b.wav"]
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    assert "in/more: a link to a folder, which DVC does not track" in one_line(tmp_path / "in")


def test_a_name_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/aula\xe7.wav")).write_bytes(b"x")
    assert r"the name b'aula\xe7.wav' is not UTF-8" in one_line(tmp_path / "in")
