"""Speech synthesis for the sample narration: Kokoro, with the times of its words, and eSpeak NG."""

import ctypes
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from likeness.common.errors import LikenessError
from likeness.voice.phonemes import VOICE, phonemes
from models.narration import Sentence
from models.teachers import RATE, Kokoro

UTF8, SYNCHRONOUS = 1, 2  # eSpeak NG's constants; SYNCHRONOUS opens no sound card
SEED = 0  # of eSpeak NG's noise, which otherwise depends on the clock
AUDIBLE = 0.02  # of the highest amplitude; breath is softer
MARGIN = 0.05  # seconds kept before and after a sentence
LONGEST_GROUP = 3  # words that eSpeak NG joins into one group, at most
STRESS = "ˈˌ"
MARKS = ",.:;?!"


@dataclass(frozen=True)
class Speech:
    """A spoken sentence: samples (N,) in -1..1, and each written word's start and end in seconds."""

    samples: np.ndarray
    words: list[tuple[float, float]]


class Espeak:
    """One of eSpeak NG's own voices, at `rate` Hz.

    Raises:
        LikenessError: there is no such voice.
    """

    def __init__(self, voice: str) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate = int(self._library.espeak_Initialize(SYNCHRONOUS, 0, data, 0))
        self._voice = voice
        self._choose(voice)
        self._choose(VOICE)

    def say(self, text: str) -> np.ndarray:
        """Synthesize a text: samples (N,) in -1..1."""
        pieces: list[np.ndarray] = []
        callback = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )

        def take(samples: Any, count: int, _: Any) -> int:
            if count > 0:
                pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0

        taker, data = callback(take), text.encode()
        self._choose(self._voice)
        self._library.espeak_ng_SetRandSeed(SEED)
        self._library.espeak_SetSynthCallback(taker)
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        self._choose(VOICE)  # `phonemes` uses the same library, which keeps one voice
        return np.concatenate(pieces).astype(np.float32) / 32768

    def _choose(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise LikenessError(f"espeak-ng has no voice {voice!r}; see its espeak-ng-data")


class Narrator:
    """A voice of Kokoro at `rate` Hz, which reads the same sentence in the same way each time."""

    rate = RATE

    def __init__(self, kokoro: Kokoro, voice: str, speed: float) -> None:
        self._kokoro, self._voice, self._speed = kokoro, voice, speed

    def say(self, sentence: Sentence) -> Speech:
        """Read a sentence, and cut off the silence before and after it, except for MARGIN."""
        letters, ends = spell(sentence, lambda text: phonemes(text).split())
        said = self._kokoro.say(letters, self._voice, self._speed)
        return timed(said.samples, said.ends[np.array(ends) - 1])


def timed(samples: np.ndarray, ends: np.ndarray) -> Speech:
    """Cut off the silence around speech, except for MARGIN, and find its words.

    Args:
        samples: (N,) at RATE.
        ends: when each of the words ends, in seconds. A pause after a word may count to it or to the
            next word: a word lasts from the first to the last audible sample of its part.

    Raises:
        LikenessError: a word is silent.
    """
    loud = np.flatnonzero(np.abs(samples) > AUDIBLE * np.abs(samples).max()) / RATE
    words = []
    for start, end in pairwise([0.0, *ends]):
        own = loud[(loud >= start) & (loud < end)]
        if not len(own):
            raise LikenessError(
                f"speech: no sound from {start:.2f} to {end:.2f} s, where a word is"
            )
        words.append((float(own[0]), float(own[-1])))
    first = max(words[0][0] - MARGIN, 0.0)
    cut = samples[round(first * RATE) : round((words[-1][1] + MARGIN) * RATE)]
    return Speech(cut, [(start - first, end - first) for start, end in words])


def spell(sentence: Sentence, phonemes_of: Callable[[str], list[str]]) -> tuple[str, list[int]]:
    """A sentence's phonemes, with spaces and punctuation, and where each written word ends in them.

    Args:
        sentence: what to say; each clause must end with a punctuation mark.
        phonemes_of: the groups of phonemes of a clause without punctuation: one per word, or one for
            a few words ("of the").
    """
    letters = ""
    ends: list[int] = []
    clause: list[list[str]] = []
    for token in sentence.spoken:
        clause.append(token.strip(MARKS).split())
        if token[-1] not in MARKS:
            continue
        sounds = iter(by_word([word for words in clause for word in words], phonemes_of))
        for words in clause:
            for _ in words:
                letters += (" " if letters else "") + next(sounds)
            ends.append(len(letters))
        letters += token[-1]
        clause = []
    return letters, ends


def by_word(words: list[str], phonemes_of: Callable[[str], list[str]]) -> list[str]:
    """The phonemes of each word, as it is pronounced within the clause.

    eSpeak NG joins some short words into one group ("of the"). The groups are aligned with the words
    by the words' phonemes in isolation, and a group is divided where its parts are most like those.

    Raises:
        LikenessError: the groups cannot be aligned with the words.
    """
    groups = phonemes_of(" ".join(words))
    alone = ["".join(phonemes_of(word)) for word in words]

    @cache
    def best(group: int, at: int) -> tuple[float, list[int]]:
        """The lowest alignment cost from `group` and word `at` on, and each group's word count."""
        if group == len(groups):
            return (0.0 if at == len(words) else math.inf), []
        found: tuple[float, list[int]] = (math.inf, [])
        for size in range(1, min(LONGEST_GROUP, len(words) - at) + 1):
            rest, sizes = best(group + 1, at + size)
            sound = "".join(alone[at : at + size])
            found = min(found, (rest + _unlike(groups[group], sound), [size, *sizes]))
        return found

    unlike, sizes = best(0, 0)
    if unlike == math.inf:
        raise LikenessError(f"speech: phonemes {groups} do not align with {' '.join(words)!r}")
    said: list[str] = []
    for group, size in zip(groups, sizes, strict=True):
        said += _divide(group, alone[len(said) : len(said) + size])
    return said


def _divide(group: str, sounds: list[str]) -> list[str]:
    """Divide a group into one part per word; `sounds` are the words' phonemes in isolation."""
    if len(sounds) == 1:
        return [group]
    first, rest = sounds[0], "".join(sounds[1:])
    cut = min(
        range(1, len(group)),
        key=lambda at: _unlike(group[:at], first) + _unlike(group[at:], rest),
    )
    return [group[:cut], *_divide(group[cut:], sounds[1:])]


def _unlike(one: str, other: str) -> float:
    """How far phonemes differ, from 0 to 1, with stress left aside."""
    return 1 - SequenceMatcher(None, _plain(one), _plain(other)).ratio()


def _plain(phonemes: str) -> str:
    return re.sub(f"[{STRESS}]", "", phonemes)
