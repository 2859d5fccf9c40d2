"""A correction changes the clip that it was made for, and no other."""

from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.manifest import write_manifest
from likeness.voice.candidates import Candidate
from likeness.voice.corrections import correct, read_corrections
from likeness.voice.rows import Correction
from likeness.voice.words import Word

HEARD = "Wash it at forty degrees."


def cut(number: int) -> dict[str, Any]:
    """What a candidate has in common with the correction that is made for it."""
    return {
        "id": f"a-{number:04d}",
        "recording": "a",
        "start": 10.0 * number,
        "end": 10.0 * number + 2.5,
        "heard": HEARD,
    }


def candidate(number: int, **changes: Any) -> Candidate:
    values: dict[str, Any] = {
        **cut(number),
        "text": HEARD,
        "words": [Word(word=word, start=0.0, end=0.1, probability=0.5) for word in HEARD.split()],
        "language": "en",
        "language_probability": 1.0,
        "compression_ratio": 2.9,
        "level": -25.0,
        "audio": Path("audio.flac"),
        **changes,
    }
    return Candidate(**values)


def correction(number: int, **changes: Any) -> Correction:
    return Correction(**{**cut(number), **changes})


def test_texts_and_verdicts_reach_their_clips_alone() -> None:
    candidates = [candidate(number) for number in range(4)]
    found = correct(
        candidates,
        [
            correction(1, text="Wash it at thirty degrees."),
            correction(2, verdict="keep", text="Wash."),
            correction(3, verdict="set_aside"),
        ],
    )
    assert found.candidates[0] == candidates[0]
    texts = [one.text for one in found.candidates]
    assert texts == [HEARD, "Wash it at thirty degrees.", "Wash."]
    assert all(one.heard == HEARD for one in found.candidates)
    assert found.kept == {"a-0002"}
    (row,) = found.set_aside
    assert (row.id, row.reason, row.value, row.threshold) == ("a-0003", "set_aside", None, None)
    assert found.unmatched == []
    # The ratio of the window that was decoded says nothing of a text that a person has written.
    assert found.candidates[1].compression_ratio < 1.5


@pytest.mark.parametrize(
    "other",
    [{"id": "a-0002"}, {"recording": "b"}, {"start": 9.99}, {"end": 12.51}, {"heard": "Wash it."}],
)
def test_a_correction_of_another_cut_or_another_text_is_unmatched(other: dict[str, Any]) -> None:
    row = correction(1, verdict="set_aside", **other)
    found = correct([candidate(1)], [row])
    assert found.candidates == [candidate(1)]
    assert (found.set_aside, found.unmatched) == ([], [row])


def test_rows_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "corrections.jsonl"
    assert read_corrections(path) == []
    path.touch()
    assert read_corrections(path) == []
    rows = [correction(1, text="Água,\u2028quente."), correction(2, verdict="keep")]
    write_manifest(path, rows)
    assert read_corrections(path) == rows


ROW = '{"id": "ID", "recording": "a", "start": 1.0, "end": 2.0, "heard": "Hm."MORE}\n'


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["<<<<<<< HEAD\n", ROW], r"1: not JSON \(got '<<<<<<< HEAD'\)"),
        ([ROW, "\n"], "2: not JSON"),
        ([ROW, "5\n"], r"2: \?: "),
        ([ROW, ROW.replace("MORE", "")], r"2: b: .*should have a text or a verdict"),
        ([ROW, ROW.replace("MORE", ', "text": " "')], r"2: b: .*should not be blank"),
        ([ROW, ROW.replace("MORE", ', "verdict": "drop"')], "2: b: verdict: .*got 'drop'"),
        ([ROW, ROW.replace("MORE", ', "note": "x"')], "2: b: note: "),
        ([ROW, ROW.replace("ID", "a")], "2: a: id must be unique"),
        ([ROW.replace("ID", "c"), ROW], "2: b: ids must be sorted"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, lines: list[str], says: str) -> None:
    path = tmp_path / "corrections.jsonl"
    ids = iter("ab")
    whole = [line.replace("MORE", ', "verdict": "keep"') for line in lines]
    path.write_text("".join(line.replace("ID", next(ids)) for line in whole))
    with pytest.raises(LikenessError, match=f"corrections.jsonl:{says}") as caught:
        read_corrections(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; mend or delete the line")
