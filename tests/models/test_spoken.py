"""Training speech of xtts_mini: which voice reads what, and what is kept of a reading."""

from collections import Counter

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.voice.phonemes import phonemes
from models import spoken as module
from models.spoken import (
    CODE,
    INPUT_RATE,
    LEVEL,
    MARGIN,
    RATE,
    arrange,
    blends,
    corpus_of,
    read_one,
    script,
    spoken,
)
from models.teachers import WORDNET, Spoken
from models.texts import lines, measured
from tests.models.tiny import plain_sentences, write_wordnet


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """A folder of teachers with a WordNet only, some of whose examples are measured sentences."""
    known = [text.rstrip(".") for text in measured()["plain"][:10]]
    folder = tmp_path_factory.mktemp("teachers")
    write_wordnet(folder / WORDNET, [*plain_sentences()[:500], *known])
    return folder


@pytest.fixture
def said(monkeypatch):
    """Stand in for the teachers: `say` answers with what the test puts here, and keeps its calls."""

    class Said:
        answer = Spoken(np.zeros(0), RATE, np.zeros(0))

        def __init__(self):
            self.calls = []

        def __call__(self, letters, voice, folder):
            self.calls.append((letters, voice))
            return self.answer

    own = Said()
    monkeypatch.setattr(module, "say", own)
    return own


def tone(rate, before, during, after, loudness=0.3):
    """A tone of `during` seconds between silences."""
    wave = loudness * np.sin(2 * np.pi * 400 * np.arange(round(during * rate)) / rate)
    return np.pad(wave, (round(before * rate), round(after * rate))).astype(np.float32)


# --- who reads what -------------------------------------------------------------------------------


def test_the_sample_narrations_voice_teaches_nothing(real_mini):
    cfg = real_mini.speech
    assert len(set(cfg.voices)) == len(cfg.voices) >= 20
    assert not [voice for voice in (*cfg.voices, *blends(cfg)) if "am_michael" in voice]


def test_blends_are_distinct_pairs_that_repeat_by_seed(real_mini):
    cfg = real_mini.speech
    pairs = [blend.split("+") for blend in blends(cfg)]
    assert len(pairs) == cfg.blends
    assert len({frozenset(pair) for pair in pairs}) == cfg.blends
    assert all(len(set(pair)) == 2 and set(pair) <= set(cfg.voices) for pair in pairs)
    assert blends(cfg) == blends(cfg)
    assert blends(cfg) != blends(cfg.model_copy(update={"seed": cfg.seed + 1}))


def test_every_voice_is_in_about_as_many_blends(real_mini):
    counts = Counter(one for blend in blends(real_mini.speech) for one in blend.split("+"))
    assert set(counts) == set(real_mini.speech.voices)
    assert max(counts.values()) - min(counts.values()) <= 2


def test_kokoros_voices_read_in_turn_and_joe_the_rest(real_mini, teachers):
    cfg = real_mini.speech.model_copy(update={"drawn": 900, "lines": 400})
    pairs = script(cfg, teachers / WORDNET)
    counts = Counter(voice for _, voice in pairs)
    assert set(counts) == {*cfg.voices, *blends(cfg), "joe"}
    assert counts["joe"] == pytest.approx(400, abs=30)
    del counts["joe"]
    assert max(counts.values()) <= -(-400 // len(counts))
    assert sum(counts.values()) == pytest.approx(400, abs=30)


def test_more_lines_leave_those_before_as_they_are(real_mini, teachers):
    cfg = real_mini.speech.model_copy(update={"drawn": 300, "lines": 60})
    few, more = (
        script(own, teachers / WORDNET) for own in (cfg, cfg.model_copy(update={"lines": 150}))
    )
    assert more[: len(few)] == few
    assert len(more) > 2 * len(few)


def test_no_text_has_a_sentence_that_is_measured(real_mini, teachers):
    cfg = real_mini.speech.model_copy(update={"drawn": 600, "lines": 300})
    held = [text for own in measured().values() for text in own]
    drawn = lines(cfg.texts, 600, cfg.seed, teachers / WORDNET)
    assert [text for text in drawn if any(own in text for own in held)]
    kept = [text for text, _ in script(cfg, teachers / WORDNET)]
    assert not [text for text in kept if any(own in text for own in held)]
    assert sorted(kept) == sorted(text for text in drawn if text in set(kept))
    assert len(kept) > 500


# --- a reading ------------------------------------------------------------------------------------


def test_margins_are_trimmed_and_the_ends_move_with_the_speech(said):
    said.answer = Spoken(tone(RATE, 0.5, 0.8, 0.4), RATE, np.array([0.6, 0.9, 1.3, 1.7]))
    record, samples = read_one("A hat.", "af_sky", None)
    assert len(samples) / RATE == pytest.approx(0.8 + 2 * MARGIN, abs=0.002)
    moved = 0.5 - MARGIN
    assert record["ends"] == pytest.approx(
        [0.6 - moved, 0.9 - moved, 1.3 - moved, 1.7 - moved], abs=0.002
    )
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 500)
    assert loud[0] / RATE == pytest.approx(MARGIN, abs=0.002)
    assert loud[-1] / RATE == pytest.approx(MARGIN + 0.8, abs=0.002)


def test_speech_that_starts_at_once_keeps_its_ends(said):
    said.answer = Spoken(tone(RATE, 0.01, 0.5, 0.0), RATE, np.array([0.2, 0.51]))
    record, samples = read_one("A hat.", "af_sky", None)
    assert record["ends"] == pytest.approx([0.2, 0.51])
    assert len(samples) / RATE == pytest.approx(0.51, abs=0.002)


def test_a_reading_at_another_rate_lasts_as_long(said):
    said.answer = Spoken(tone(22050, 0.5, 0.8, 0.4), 22050, np.array([0.9, 1.3]))
    record, samples = read_one("A hat.", "joe", None)
    assert len(samples) / RATE == pytest.approx(0.8 + 2 * MARGIN, abs=0.005)
    assert record["ends"] == pytest.approx([0.9 - 0.5 + MARGIN, 1.3 - 0.5 + MARGIN], abs=0.005)


@pytest.mark.parametrize("loudness", [0.01, 0.9])
def test_every_reading_is_as_loud(said, loudness):
    said.answer = Spoken(tone(RATE, 0.2, 0.8, 0.2, loudness), RATE, np.array([1.0]))
    _, samples = read_one("A hat.", "af_sky", None)
    assert samples.dtype == np.int16
    root = np.sqrt(np.mean((samples / 32767.0) ** 2))
    assert root == pytest.approx(LEVEL, rel=0.01)


def test_a_reading_knows_its_phonemes_and_its_voice(said):
    said.answer = Spoken(tone(RATE, 0.2, 0.8, 0.2), RATE, np.array([1.0]))
    record, _ = read_one("A red hat.", "af_sky+am_adam", None)
    assert said.calls == [(phonemes("A red hat."), "af_sky+am_adam")]
    assert (record["text"], record["voice"]) == (phonemes("A red hat."), "af_sky+am_adam")


# --- the corpus -----------------------------------------------------------------------------------


def test_an_utterance_has_whole_codes_at_both_rates():
    inputs, waves = arrange(np.full(30000, 100, np.int16))
    assert len(inputs) % CODE == 0
    assert len(waves) == round(len(inputs) * RATE / INPUT_RATE)
    assert waves[29999] == 100
    assert not waves[30000:].any()
    last = round(30000 * INPUT_RATE / RATE)
    assert inputs[last - 50] == pytest.approx(100, abs=2)
    assert len(inputs) - last < CODE
    assert not inputs[last + 1 :].any()


def test_a_corpus_knows_voices_by_name_and_keeps_the_order():
    names = ["b", "a", "b", "c"]
    records = [{"text": f"t{at}", "voice": v, "ends": [0.1, 0.2]} for at, v in enumerate(names)]
    made = corpus_of(records, [np.full(3000 + at, at, np.int16) for at in range(4)])
    assert [made.names[number] for number in made.voices] == names
    assert len(made.names) == 3
    assert made.texts == ["t0", "t1", "t2", "t3"]
    assert [int(wave[1000]) for wave in made.waves] == [0, 1, 2, 3]


def test_the_corpus_is_the_script_read_once(real_mini, teachers, said, monkeypatch, rt):
    monkeypatch.setattr(module, "fetch_teachers", lambda *_: teachers)
    cfg = real_mini.speech.model_copy(update={"drawn": 40, "lines": 12})
    said.answer = Spoken(tone(RATE, 0.1, 0.5, 0.1), RATE, np.array([0.3, 0.6]))
    made = spoken(cfg, rt)
    pairs = script(cfg, teachers / WORDNET)
    assert made.texts == [phonemes(text) for text, _ in pairs]
    assert [made.names[number] for number in made.voices] == [voice for _, voice in pairs]
    assert {len(wave) for wave in made.waves} == {len(made.waves[0])}
    count = len(said.calls)
    assert spoken(cfg, rt).texts == made.texts
    assert len(said.calls) == count


def test_a_text_that_cannot_be_read_stops_the_stage(real_mini, teachers, monkeypatch, rt):
    monkeypatch.setattr(module, "fetch_teachers", lambda *_: teachers)
    monkeypatch.setattr(module, "say", lambda *_: 1 / 0)
    with pytest.raises(LikenessError, match="spoken: 000000: ZeroDivisionError"):
        spoken(real_mini.speech.model_copy(update={"drawn": 4, "lines": 2}), rt)


def test_more_blends_than_pairs_and_more_lines_than_drawn_are_refused(real_mini, teachers):
    few = real_mini.speech.model_copy(update={"voices": ["a", "b", "c"], "blends": 4})
    with pytest.raises(LikenessError, match="blends: found 4, but 3 voices make 3 pairs"):
        blends(few)
    short = real_mini.speech.model_copy(update={"drawn": 100, "lines": 51})
    with pytest.raises(LikenessError, match=r"lines: found 51, more than half of drawn \(100\)"):
        script(short, teachers / WORDNET)
