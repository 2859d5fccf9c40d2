"""The narration: the same bytes from the same seed, flaws where they are said to be, broken files."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from likeness.common.io import digest, read_jsonl
from likeness.common.params import load_params
from models import sample_voice
from models.narration import narrate
from models.sample_voice import Voices, fetch_voices, record, spoil, to_level, write_sample
from models.settings import ROOT, SCHEMA, Planted, Recording, SampleVoice
from models.speech import Speech
from tests.conftest import absent, runtime

SAMPLE = ROOT / "data" / "raw" / "sample_voice"
RATE = 22050


class Beeper:
    """A narrator who says every word as a tone of a quarter of a second."""

    rate = RATE

    def say(self, sentence):
        words = [(number / 4 + 0.05, number / 4 + 0.25) for number in range(len(sentence.written))]
        time = np.arange(round(RATE * (len(words) / 4 + 0.1))) / RATE
        return Speech(np.sin(2000 * time).astype(np.float32), words)


class Buzzer:
    rate = RATE

    def say(self, text):
        return np.sign(np.sin(np.arange(len(text) * 1000) / 9)).astype(np.float32)


VOICES = Voices(Beeper(), Buzzer())


@pytest.fixture
def cfg():
    return load_params(ROOT / "models" / "params.yaml", SCHEMA, SampleVoice)


def recording(**changes):
    values = {"file": "01_a.flac", "rate": RATE, "channels": 1, "sentences": 4}
    return Recording.model_validate({**values, "loudness": -24.0, "planted": [], **changes})


def short(cfg, *recordings):
    return cfg.model_copy(update={"recordings": list(recordings)})


def test_times_are_those_of_the_sound(cfg):
    script = narrate(4, 3, 9)
    samples, rows = record(cfg, recording(), script, VOICES)
    assert [row["text"] for row in rows] == [sentence.text for sentence in script]
    for row in rows:
        assert [word for word, _, _ in row["words"]] == row["text"].split()
        inside = samples[round(row["start"] * RATE) : round(row["end"] * RATE), 0]
        assert 20 * np.log10(np.sqrt(np.mean(inside**2))) == pytest.approx(-24, abs=0.5)
    pauses = [after["start"] - before["end"] for before, after in itertools.pairwise(rows)]
    assert min(pauses) > cfg.pauses[0]
    assert max(pauses) < cfg.pauses[1] + 0.2


@pytest.mark.parametrize(
    ("flaw", "level"),
    [
        ("noise", 6.0),
        ("music", 6.0),
        ("clipped", 12.0),
        ("near_silence", -40.0),
        ("telephone", 0.0),
    ],
)
def test_a_flaw_touches_its_sentences_alone(cfg, flaw, level):
    script = narrate(4, 3, 9)
    planted = [Planted(flaw=flaw, sentences=[2, 3], level=level)]
    clean, _ = record(cfg, recording(), script, VOICES)
    spoiled, rows = record(cfg, recording(planted=planted), script, VOICES)
    assert [row["flaw"] for row in rows] == ["", flaw, flaw, ""]
    changed = np.abs(clean - spoiled)[:, 0] > 0.01
    first, last = np.flatnonzero(changed)[[0, -1]] / RATE
    assert rows[1]["start"] - 0.3 < first < rows[1]["end"]
    assert rows[2]["start"] < last < rows[2]["end"] + 0.3


def test_noise_has_the_level_that_is_asked_for():
    speech = np.sin(np.arange(5 * RATE) / 10) * to_level(np.sin(np.arange(RATE) / 10), -20)
    planted = Planted(flaw="noise", sentences=[1, 1], level=10.0)
    loud = spoil(speech, planted, -20, RATE, np.random.default_rng(0)) - speech
    middle = loud[RATE:-RATE]
    assert 20 * np.log10(np.sqrt(np.mean(middle**2))) == pytest.approx(-30, abs=0.5)


def test_a_telephone_carries_a_narrow_band():
    noise = np.random.default_rng(0).standard_normal(4 * RATE) * 0.1
    line = np.abs(np.fft.rfft(sample_voice.telephone(noise, RATE)))
    at = np.fft.rfftfreq(4 * RATE, 1 / RATE)
    inside = line[(at > 500) & (at < 3000)].mean()
    assert line[(at > 4100)].mean() < 0.01 * inside
    assert line[(at < 150)].mean() < 0.05 * inside


def test_the_second_speaker_is_another_voice(cfg):
    planted = [Planted(flaw="second_speaker", sentences=[2, 2], level=0.0)]
    _, rows = record(cfg, recording(planted=planted), narrate(4, 3, 9), VOICES)
    assert [len(row["words"]) > 0 for row in rows] == [True, False, True, True]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(cfg, tmp_path):
    some = short(
        cfg,
        recording(planted=[Planted(flaw="noise", sentences=[1, 1], level=6.0)]),
        recording(file="02_b.mp3", rate=44100),
        recording(file="03_c.wav", rate=44100, channels=2, sentences=1),
        recording(file="04_d.g722", rate=16000, sentences=1),
    )
    for name in ("one", "two"):
        write_sample(some, VOICES, tmp_path / name, runtime(tmp_path / "cache"))
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    write_sample(
        some.model_copy(update={"seed": 12}),
        VOICES,
        tmp_path / "three",
        runtime(tmp_path / "cache"),
    )
    assert digest(tmp_path / "one") != digest(tmp_path / "three")


def seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    return sum(frame.samples for frame in frames) / frames[0].sample_rate


@pytest.fixture
def sample():
    if not (SAMPLE / "script.jsonl").is_file():
        absent("data/raw/sample_voice is not here; `make repro` fetches it")
    return SAMPLE, read_jsonl(SAMPLE / "script.jsonl")


def test_the_sample_is_what_its_script_says(sample, cfg):
    folder, rows = sample
    assert [row["id"] for row in rows] == sorted({row["id"] for row in rows})
    assert {row["file"] for row in rows} | {"script.jsonl"} == {p.name for p in folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15e6
    total = 0.0
    for one in cfg.recordings:
        own = [row for row in rows if row["file"] == one.file]
        length = seconds(folder / one.file)
        total += length
        assert len(own) == one.sentences
        assert length - 1.2 < own[-1]["end"] < length
        times = [t for row in own for t in (row["start"], row["end"])]
        assert times == sorted(times)
    assert 660 < total < 780
    assert max(row["end"] - row["start"] for row in rows) > 12
    info = soundfile.info(folder / "03_new.wav")
    assert (info.samplerate, info.channels) == (44100, 2)


def test_the_broken_files_are_broken_in_their_ways(sample):
    folder, rows = sample
    broken = {
        row["file"]: row["flaw"] for row in rows if row["flaw"].startswith("broken:")
    }  # fmt: skip
    assert broken == {
        "empty.mp3": "broken:empty_file",
        "notes.wav": "broken:not_audio",
        "tones.flac": "broken:no_speech",
        "truncated.mp3": "broken:truncated",
    }
    assert (folder / "empty.mp3").stat().st_size == 0
    assert (folder / "notes.wav").read_text().startswith("Script")
    with av.open(str(folder / "truncated.mp3")) as container:
        claimed = float(container.duration / av.time_base)
    assert seconds(folder / "truncated.mp3") < 0.5 * claimed


@pytest.mark.network
@pytest.mark.slow
def test_the_voice_repeats_itself_after_a_new_start(cfg, tmp_path):
    one = short(cfg, recording(sentences=2), recording(file="02_b.mp3", sentences=1))
    for name in ("one", "two"):
        voices = fetch_voices(cfg, tmp_path / "packages")
        write_sample(one, voices, tmp_path / name, runtime(tmp_path / "cache"))
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
