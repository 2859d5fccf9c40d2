"""Something like speech with known words: bursts of a buzz, with pauses where they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likeness.voice.words import Word

Array = np.ndarray

RATE = 22050
QUIET = 1e-3  # of the noise that is everywhere


@dataclass(frozen=True)
class Spoken:
    """Samples, and the words that are in them with their true times."""

    samples: Array
    words: list[Word]

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    def heard(self, drift: float, seed: int = 0) -> list[Word]:
        """The words with times that drift as a recogniser's do, by up to `drift` seconds."""
        rng = np.random.default_rng(seed)
        edges = np.array([[word.start, word.end] for word in self.words]).ravel()
        edges = np.maximum.accumulate(edges + rng.uniform(-drift, drift, edges.shape))
        edges = edges.clip(0, self.seconds).reshape(-1, 2)
        return [
            word.model_copy(update={"start": float(start), "end": float(end)})
            for word, (start, end) in zip(self.words, edges, strict=True)
        ]


def speak(script: str, *, rate: float = 0.06, pitch: float = 120.0, seed: int = 0) -> Spoken:
    """Words at `rate` seconds a letter; `_` is a tenth of a second of silence, as in "One. __ Two"."""
    rng = np.random.default_rng(seed)
    parts, words, at = [np.zeros(RATE // 10)], [], 0.1
    for token in script.split():
        if set(token) == {"_"}:
            parts.append(np.zeros(round(len(token) * 0.1 * RATE)))
        else:
            parts.append(_burst(max(0.12, rate * len(token)), pitch, rng))
            seconds = len(parts[-1]) / RATE
            words.append(Word(word=token, start=at, end=at + seconds, probability=0.9))
        at += len(parts[-1]) / RATE
    parts.append(np.zeros(RATE // 10))
    samples = np.concatenate(parts)
    return Spoken((samples + QUIET * rng.standard_normal(len(samples))).astype(np.float32), words)


def _burst(seconds: float, pitch: float, rng: np.random.Generator) -> Array:
    """Harmonics that rise and fall with five syllables a second."""
    time = np.arange(round(seconds * RATE)) / RATE
    tones = [np.exp(1j * rng.uniform(0, 6.28)) / k for k in range(1, 12)]
    buzz = np.polyval([*tones[::-1], 0], np.exp(2j * np.pi * pitch * time)).imag
    edge = np.minimum(1, np.minimum(time, seconds - time) / 0.02)
    syllables = 0.5 + 0.5 * np.cos(2 * np.pi * 5 * time)
    return np.asarray(0.15 * buzz * edge * syllables)


def sentences(count: int, seed: int = 0, longest: int = 30) -> str:
    """A script of sentences of 2 to `longest` words, with commas, and pauses of many lengths."""
    rng = np.random.default_rng(seed)
    names = ["a", "red", "shirt", "cotton", "sleeves", "of", "trousers", "two", "comfortable"]
    script: list[str] = []
    for _ in range(count):
        words = [str(word) for word in rng.choice(names, rng.integers(2, longest + 1))]
        for at in range(len(words) - 1):
            if rng.random() < 0.15:
                words[at] += ", " + "_" * int(rng.integers(2, 5))
        script += [*words[:-1], words[-1] + ".", "_" * int(rng.integers(3, 16))]
    return " ".join(script)


def joined(words: Sequence[Word]) -> str:
    return " ".join(word.word for word in words)
