"""What a few spoken sentences are worth: word errors pooled, silence heard as nothing."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from likeness.voice import listening
from likeness.voice.audio import read
from likeness.voice.listening import Judge, hear
from likeness.voice.speaker_encoder import embed
from likeness.voice.wer import read_script, word_errors
from tests.voice.sounds import babble

RATE = 24000


def judge(speaker: Path, centroid: np.ndarray) -> Judge:
    return Judge(Path("asr"), "en", "english", speaker, centroid, "cpu")


def test_errors_are_pooled_and_similarity_is_to_the_voice(
    tiny_speaker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waves = [babble(1.0, RATE, seed=seed) for seed in (0, 1)]
    heard = iter(["the red hat", "a belt"])
    monkeypatch.setattr(listening, "hear", lambda *_: next(heard))
    centroid = embed(waves[0], RATE, tiny_speaker)
    wer, similarity = judge(tiny_speaker, centroid).listen(
        waves, RATE, ["The red hat is warm.", "A belt."]
    )
    assert wer == pytest.approx(2 / 7)
    expected = (1 + embed(waves[1], RATE, tiny_speaker) @ centroid) / 2
    assert similarity == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("wave", [np.zeros(RATE), np.full(RATE, np.nan), np.zeros(0)])
def test_nobody_speaks_in_silence(tiny_speaker: Path, wave: np.ndarray) -> None:
    vector = embed(babble(1.0, RATE), RATE, tiny_speaker)
    assert judge(tiny_speaker, vector).listen([wave], RATE, ["A red hat."]) == (1.0, 0.0)


def test_a_sentence_is_understood(whisper: Path, narration: Path) -> None:
    clean = [
        row for row in read_script(narration / "script.jsonl")
        if not row.flaw and 3 < row.end - row.start < 9 and row.file.endswith(("wav", "flac"))
    ][:1]  # fmt: skip
    if not clean:
        pytest.skip("no clean sentence in a plain file")
    samples, rate = read(narration / clean[0].file, clean[0].start, clean[0].end)
    text = hear(samples, rate, whisper, "en", "cpu")
    found = word_errors(clean[0].text, text, "english")
    assert found.errors <= 0.3 * found.words


def test_what_is_heard_as_a_loop_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        SimpleNamespace(text=" A red hat.", compression_ratio=0.7),
        SimpleNamespace(text=" and and and and", compression_ratio=9.5),
    ]
    model = SimpleNamespace(transcribe=lambda *_, **__: (found, None))
    monkeypatch.setattr(listening, "load_whisper", lambda *_: model)
    assert hear(babble(1.0, RATE), RATE, Path("asr"), "en", "cpu") == "A red hat."
