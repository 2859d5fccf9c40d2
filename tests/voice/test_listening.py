"""What a few spoken sentences are worth: word errors pooled, silence heard as nothing."""

from pathlib import Path

import numpy as np
import pytest

from likeness.common.runtime import Runtime
from likeness.voice import listening
from likeness.voice.audio import encode, read
from likeness.voice.listening import Listener
from likeness.voice.speaker_encoder import embed
from likeness.voice.train import VoiceTrain
from tests.conftest import section
from tests.voice.sounds import babble, write

RATE = 24000


def listener(speaker: Path, centroid: np.ndarray, rt: Runtime) -> Listener:
    return Listener(section(VoiceTrain), Path("asr"), speaker, centroid, rt)


def test_errors_are_pooled_and_similarity_is_to_the_voice(
    tiny_speaker: Path, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [
        write(tmp_path / f"{seed}.wav", encode(babble(1.0, RATE, seed=seed), RATE, "WAV"))
        for seed in (0, 1)
    ]
    said = {"0.wav": "the red hat", "1.wav": "a belt"}
    monkeypatch.setattr(listening, "hear_files", lambda *_, **__: said)
    one, other = (embed(*read(path), tiny_speaker) for path in clips)
    wer, similarity, transcripts = listener(tiny_speaker, one, rt).listen(
        clips, ["The red hat is warm.", "A belt."]
    )
    assert wer == pytest.approx(2 / 7)
    assert transcripts == ["the red hat", "a belt"]
    assert similarity == pytest.approx((1 + other @ one) / 2, abs=1e-6)


def test_nobody_speaks_in_silence(tiny_speaker: Path, tmp_path: Path, rt: Runtime) -> None:
    clips = [
        write(tmp_path / f"{count}.wav", encode(np.zeros(count), RATE, "WAV"))
        for count in (0, RATE)
    ]
    vector = embed(babble(1.0, RATE), RATE, tiny_speaker)
    heard = listener(tiny_speaker, vector, rt).listen(clips, ["A red hat.", "A belt."])
    assert heard == (1.0, 0.0, ["", ""])
