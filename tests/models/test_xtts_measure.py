"""How xtts_mini is measured: who says what, whose errors are whose, and what is alike."""

import numpy as np
import pytest

from likeness.common.estimates import Estimate
from likeness.voice.wer import WordErrors
from models import xtts_measure, xtts_mini
from models.spoken import LEVEL, RATE
from models.xtts_measure import at_level, figure, measure
from models.xtts_mini import table

KINDS = {
    "short": ["A hat.", "A belt.", "A tie."],
    "long": ["A red hat.", "A red belt.", "A red tie."],
}
SENTENCES = [text for own in KINDS.values() for text in own]
SETTINGS = {"temperature": 0.3}


def test_a_figure_has_its_interval_and_its_number():
    found = figure("wer", Estimate(0.123456, 0.1, 0.15, 40))
    assert found == {"wer": 0.12346, "wer_low": 0.1, "wer_high": 0.15, "wer_n": 40}


@pytest.mark.parametrize("loudness", [0.001, 1.0, 30.0])
def test_every_wave_is_brought_to_the_same_level(loudness):
    wave = at_level(loudness * np.sin(np.arange(9000) / 20))
    assert np.sqrt(np.mean(wave**2)) == pytest.approx(LEVEL, rel=1e-3)
    assert wave.dtype == np.float32


def test_silence_stays_silence():
    assert not at_level(np.zeros(100)).any()


class Talk:
    """Stands in for the models: a wave's length says which sentence it is, its shape who speaks."""

    def __init__(self):
        self.said = []
        self.loudness = []

    def wave(self, who, text):
        shape = {"own": [1], "stock": [1, 1, 0], "teacher": [1, 0]}[who]
        number = next(at for at, one in enumerate(SENTENCES) if one == text)
        return np.resize(np.array(shape, np.float64) * 0.5, 6000 + number)

    @staticmethod
    def who(wave):
        return "own" if wave[1] and wave[2] else "stock" if wave[1] else "teacher"


@pytest.fixture
def quality(mini, tmp_path, rt, monkeypatch):
    """What `measure` finds: the model makes 1 error in 10 words, Coqui's classes 2, the teachers none."""
    talk = Talk()
    spelt = {f"/{text}/": text for text in SENTENCES}

    def say(model, text, *, language, voice, seed, settings):
        assert (language, settings) == ("en", SETTINGS)
        talk.said.append((model, text, voice, seed))
        return talk.wave(model, spelt.get(text, text))

    def read_one(text, voice, folder):
        assert folder == tmp_path / "teachers"
        talk.said.append(("teacher", text, voice, None))
        return {}, (talk.wave("teacher", text) * 32767).astype(np.int16)

    def hear(texts, waves, asr, rt):
        errors = {"own": 1, "stock": 2, "teacher": 0}
        return [WordErrors(errors[talk.who(wave)], 10) for wave in waves]

    def predict_mos(wave, rate, folder):
        talk.loudness.append(np.sqrt(np.mean(wave**2)))
        assert rate == RATE
        return 2.5 if talk.who(wave) == "own" else 3.5

    def embed(wave, rate, folder):
        """Half of it is the sentence's, and half its voice's."""
        number = len(wave) - 6000
        vector = np.zeros(8)
        vector[[number, 6 + number % 2]] = np.sqrt(0.5)
        return vector

    monkeypatch.setattr(xtts_measure, "measured", lambda: KINDS)
    monkeypatch.setattr(xtts_mini, "measured", lambda: KINDS)
    monkeypatch.setattr(xtts_measure, "phonemes", lambda text: f"/{text}/")
    monkeypatch.setattr(xtts_measure, "read_one", read_one)
    monkeypatch.setattr(xtts_measure, "hear", hear)
    monkeypatch.setattr(xtts_measure, "load_stock", lambda folder: "stock")
    monkeypatch.setattr("likeness.voice.xtts.load_xtts", lambda folder, device: "own")
    monkeypatch.setattr("likeness.voice.xtts.say", say)
    monkeypatch.setattr("likeness.voice.mos.predict_mos", predict_mos)
    monkeypatch.setattr("likeness.voice.speaker_encoder.embed", embed)
    monkeypatch.setattr(
        "likeness.voice.speech.own_speakers",
        lambda folder: {voice: f"<{voice}>" for voice in mini.speech.voices},
    )
    monkeypatch.setattr("likeness.voice.xtts_files.read_settings", lambda folder: SETTINGS)
    folders = [tmp_path / name for name in ("mini", "teachers", "whisper", "speaker", "mos")]
    return talk, measure(mini, *folders, rt)


def test_all_three_say_every_sentence_in_the_same_voices(mini, quality):
    talk, _ = quality
    one, other = mini.speech.voices
    said = {
        who: [turn[1:] for turn in talk.said if turn[0] == who]
        for who in ("own", "stock", "teacher")
    }
    assert [(text, voice) for text, voice, _ in said["teacher"]] == list(
        zip(SENTENCES, [one, other] * 3, strict=True)
    )
    # The model reads text, Coqui's classes its phonemes; in the model's own speakers of those names.
    own = list(zip(SENTENCES, [f"<{one}>", f"<{other}>"] * 3, strict=True))
    assert [(text, voice) for text, voice, _ in said["own"]] == own
    assert [(text, voice) for text, voice, _ in said["stock"]] == [(f"/{t}/", v) for t, v in own]
    # With equal seeds, but other ones for other sentences.
    seeds = [seed for *_, seed in said["own"]]
    assert [seed for *_, seed in said["stock"]] == seeds
    assert len(set(seeds)) == 6


def test_errors_are_those_of_the_side_and_of_the_kind(quality):
    _, found = quality
    for kind in KINDS:
        assert found[f"wer_{kind}"] == 0.1
        assert found[f"wer_{kind}_stock"] == 0.2
        assert found[f"wer_{kind}_teachers"] == 0
        assert found[f"wer_{kind}_n"] == 3
    assert (found["dnsmos"], found["dnsmos_teachers"], found["dnsmos_n"]) == (2.5, 3.5, 6)
    assert found["asr"] == "whisper"


def test_quality_is_judged_at_one_level(quality):
    talk, _ = quality
    assert len(talk.loudness) == 12
    assert talk.loudness == pytest.approx([LEVEL] * 12, rel=1e-3)


def test_likeness_is_to_other_sentences_of_the_voice(quality):
    _, found = quality
    # Were a sentence compared with itself too, it would be more than the half that voices share.
    assert found["similarity"] == pytest.approx(0.5)
    assert found["similarity_others"] == pytest.approx(0)
    assert found["similarity_n"] == found["similarity_others_n"] == 6


def test_the_cards_table_has_a_row_for_each_kind(quality):
    rows = table(quality[1]).splitlines()
    assert [[cell.strip() for cell in row.strip(" |").split("|")] for row in rows] == [
        [kind, "3", "10.0% (10.0% to 10.0%)", "20.0% (20.0% to 20.0%)", "0.0% (0.0% to 0.0%)"]
        for kind in KINDS
    ]
