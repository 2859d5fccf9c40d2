"""Word error rates: what counts as an error, and how sure a rate is."""

import zlib
from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from likeness.voice.wer import (
    WordErrors,
    character_errors,
    pooled_rate,
    read_script,
    word_errors,
)
from likeness.voice.whisper import understood


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors", "words"),
    [
        ("The red shoe.", "the red shoe", 0, 3),
        ("The red shoe.", "The blue shoe", 1, 3),
        ("The red shoe.", "The shoe", 1, 3),
        ("The red shoe.", "The very red shoe", 1, 3),
        ("It costs twenty-five dollars.", "It costs $25.", 0, 3),
        ("It's grey.", "It is gray.", 0, 3),
        ("The red shoe.", "", 3, 3),
        ("", "Thank you.", 2, 0),
        ("", "", 0, 0),
    ],
)
def test_english_errors_are_counted(
    reference: str, hypothesis: str, errors: int, words: int
) -> None:
    assert word_errors(reference, hypothesis, "english") == WordErrors(errors, words)


def test_basic_takes_only_case_and_punctuation_away() -> None:
    assert word_errors("Não, eu vou!", "não eu vou", "basic") == WordErrors(0, 3)
    assert word_errors("It's grey.", "It is gray.", "basic").errors > 0


def ratio(text: str) -> float:
    """As Whisper has it."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The leather raincoat keeps you warm on rainy days.", True),
        ("It comes in red, red and blue, and the red one costs as much as the blue one.", True),
        ("Wear it with gold and" + " and water to the" * 20, False),
    ],
)
def test_a_loop_is_not_understood(text: str, kept: bool) -> None:
    record = {"words": [[text]], "compression_ratio": ratio(text)}
    assert understood(record) == (text if kept else "")


def test_a_rate_is_pooled_not_averaged() -> None:
    rate = pooled_rate([WordErrors(1, 1), WordErrors(0, 9)], rounds=200, seed=1)
    assert rate.value == pytest.approx(0.1)
    assert rate.n == 2
    assert 0.0 <= rate.low <= rate.value <= rate.high <= 1.0


def test_more_sentences_make_the_interval_narrower() -> None:
    few = [WordErrors(at % 2, 5) for at in range(10)]
    narrow, wide = (pooled_rate(found, 500, 1) for found in (few * 20, few))
    assert narrow.value == wide.value
    assert narrow.high - narrow.low < (wide.high - wide.low) / 3
    assert pooled_rate(few, 500, 1) == wide


def test_a_script_is_read_and_further_keys_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text(
        '{"id": "1", "file": "a.wav", "start": 0.5, "end": 2, "text": "One.", "flaw": "noise"}\n'
        '{"file": "a.wav", "start": 2.5, "end": 3.0, "text": "Two."}\n'
    )
    first, second = read_script(path)
    assert (first.flaw, first.end, second.flaw) == ("noise", 2.0, "")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"file": "a.wav", "start": 0.5, "end": 2}', "script.jsonl:1: text: Field required"),
        ('{"file": "a", "start": "0", "end": 2, "text": ""}', "script.jsonl:1: start: .*got '0'"),
        ("text", "not JSON"),
    ],
)
def test_a_wrong_script_is_one_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(LikenessError, match=says) as caught:
        read_script(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "found"),
    [
        ("A red hat.", "a red hat", (0, 9)),
        ("A red hat.", "a bed hat", (1, 9)),
        ("A red hat.", "", (9, 9)),
        ("[noise]", "hat", (3, 0)),
    ],
)
def test_character_errors_are_counted(
    reference: str, hypothesis: str, found: tuple[int, int]
) -> None:
    assert character_errors(reference, hypothesis, "english") == found
