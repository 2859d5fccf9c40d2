"""The narrator: words where they sound, silence cut off; eSpeak NG's one voice at a time."""

import subprocess
import sys

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.voice.phonemes import phonemes
from models.narration import Sentence
from models.speech import MARGIN, RATE, Espeak, Narrator, timed
from models.teachers import Spoken
from tests.conftest import ROOT, library_env

SENTENCE = Sentence(["A", "$5", "hat,", "blue."], ["a", "five dollars", "hat,", "blue."])
SOUNDS = [(0.4, 0.5), (0.5, 1.2), (1.2, 1.5), (1.9, 2.3)]  # seconds at which the words sound


def tone(seconds):
    """Faint noise, and a tone wherever a word sounds."""
    time = np.arange(round(seconds * RATE)) / RATE
    samples = 1e-3 * np.random.default_rng(0).uniform(-1, 1, len(time))
    for start, end in SOUNDS:
        inside = (time >= start) & (time < end)
        samples[inside] += np.sin(4000 * time[inside])
    return samples.astype(np.float32)


class FakeKokoro:
    """Speaks the tone; the phonemes of a word end with it, and before a mark later."""

    def say(self, letters, voice, speed):
        self.asked = letters, voice, speed
        ends = np.zeros(len(letters))
        for word, end in (("ɐ", 0.5), ("dˈɑːlɚz", 1.2), ("hˈæt", 1.8), ("blˈuː", 2.6)):
            ends[letters.index(word) + len(word) - 1] = end
        return Spoken(tone(3.0), RATE, ends)


def test_words_are_where_they_sound():
    kokoro = FakeKokoro()
    speech = Narrator(kokoro, "am_michael", 1.1).say(SENTENCE)
    assert kokoro.asked == ("ɐ fˈaɪv dˈɑːlɚz hˈæt, blˈuː.", "am_michael", 1.1)
    wanted = np.array(SOUNDS) - SOUNDS[0][0] + MARGIN
    assert np.array(speech.words) == pytest.approx(wanted, abs=0.002)
    assert len(speech.samples) / RATE == pytest.approx(1.9 + 2 * MARGIN, abs=0.002)
    first = np.flatnonzero(np.abs(speech.samples) > 0.1)[0] / RATE
    assert first == pytest.approx(speech.words[0][0], abs=0.002)


def test_a_silent_word_is_one_line():
    with pytest.raises(LikenessError, match=r"^speech: no sound from 1\.60 to 1\.80 s"):
        timed(tone(3.0), np.array([0.5, 1.2, 1.6, 1.8, 2.5]))


def test_the_second_speaker_leaves_the_voice_of_the_phonemes_alone():
    text = "the hot water of the other bath"
    before = phonemes(text)
    second = Espeak("en-gb-x-rp+f3")
    assert phonemes(text) == before
    samples = second.say(text)
    assert phonemes(text) == before
    assert 1 < len(samples) / second.rate < 4
    assert 0.1 < np.abs(samples).max() <= 1
    assert not np.array_equal(samples, Espeak("en-us").say(text))


@pytest.mark.slow
def test_the_second_speaker_repeats_itself_after_a_new_start():
    """Each process starts with another seed, as eSpeak NG's own start takes one from the clock."""
    code = (
        "import hashlib; from models.speech import Espeak; second = Espeak('en-gb-x-rp+f3');"
        "second._library.espeak_ng_SetRandSeed({}); said = second.say('the hot water');"
        "print(hashlib.sha256(said.tobytes()).hexdigest())"
    )
    one, two = (
        subprocess.run(
            [sys.executable, "-c", code.format(seed)],
            env=library_env(), cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout
        for seed in (1, 2)
    )  # fmt: skip
    assert len(one.strip()) == 64
    assert one == two


def test_an_unknown_voice_is_one_line():
    with pytest.raises(LikenessError, match=r"^espeak-ng has no voice 'xx-none'"):
        Espeak("xx-none")
