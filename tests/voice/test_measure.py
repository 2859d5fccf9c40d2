"""What is heard in real clips, and how they sound."""

from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.result import Result
from likeness.common.runtime import Runtime
from likeness.voice import measure, mos
from likeness.voice.audio import encode, read
from likeness.voice.measure import hear_files, rate_files
from likeness.voice.wer import Hearing, read_script, word_errors
from tests.conftest import runtime
from tests.voice.sounds import babble, silence, write

HEARING = Hearing(language="en", compute_type="default", beam_size=5, normalizer="english")


def hear(clips: dict[str, Path], whisper: Path, rt: Runtime) -> dict[str, str]:
    return hear_files(clips, HEARING, asr=whisper, rt=rt)


@pytest.mark.slow
def test_sentences_of_the_narration_are_heard(
    whisper: Path, narration: Path, tmp_path: Path
) -> None:
    clean = [row for row in read_script(narration / "script.jsonl") if not row.flaw]
    rows = [row for row in clean if row.file.endswith(".flac")][:3]
    clips = {}
    for at, row in enumerate(rows):
        samples, rate = read(narration / row.file, row.start, row.end)
        clips[str(at)] = write(tmp_path / f"{at}.wav", encode(samples, rate, "WAV"))
    clips["silence"] = write(tmp_path / "s.wav", encode(silence(2.0), 22050, "WAV"))
    heard = hear(clips, whisper, runtime(tmp_path / "cache", workers=1))
    assert list(heard) == list(clips)
    found = [word_errors(row.text, heard[str(at)], "english") for at, row in enumerate(rows)]
    assert sum(one.errors for one in found) <= 0.2 * sum(one.words for one in found)
    assert len(heard["silence"].split()) < 5
    alone = hear({"1": clips["1"]}, whisper, runtime(tmp_path / "other"))
    assert alone["1"] == heard["1"], "company changes nothing"


def test_what_is_heard_as_a_loop_is_nothing(
    tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listen(payloads: list[Any], **_: Any) -> list[Result]:
        ratios = [9.5 if "loop" in payload["language"] else 1.2 for payload in payloads]
        words = [["and", 0.0, 0.1, 0.9]]
        return [Result({"words": words, "compression_ratio": one}) for one in ratios]

    monkeypatch.setattr(measure, "transcribe_clips", listen)
    clip = write(tmp_path / "a.wav", encode(babble(1.0), 22050, "WAV"))
    found = {
        language: hear_files(
            {"a": clip}, HEARING.model_copy(update={"language": language}), asr=tmp_path, rt=rt
        )
        for language in ("en", "loop")
    }
    assert found == {"en": {"a": "and"}, "loop": {"a": ""}}


@pytest.mark.slow
def test_scores_are_those_of_the_clips(dnsmos: Path, tmp_path: Path, rt: Runtime) -> None:
    voice, quiet = babble(3.0), silence(3.0)
    clips = {
        "voice": write(tmp_path / "v.wav", encode(voice, 22050, "WAV")),
        "quiet": write(tmp_path / "q.wav", encode(quiet, 22050, "WAV")),
    }
    found = rate_files(clips, mos=dnsmos, rt=rt)
    assert found["voice"] != found["quiet"]
    assert all(1 <= score <= 5 for score in found.values())


def test_a_clip_that_cannot_be_measured_is_one_line(
    tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> list[Result]:
        raise RuntimeError("no")

    monkeypatch.setattr(mos, "predict_mos", fail)
    path = write(tmp_path / "v.wav", encode(babble(1.0), 22050, "WAV"))
    with pytest.raises(LikenessError, match=r"v\.wav: cannot be measured \(RuntimeError: no\)"):
        rate_files({"v": path}, mos=tmp_path, rt=rt)
