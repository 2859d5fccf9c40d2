"""Speech synthesis for the sample narration: Piper, with the times of its words, and eSpeak NG.

A Piper voice is a VITS (Kim et al. 2021) in one ONNX file, which turns phonemes into samples. The
phonemes come from eSpeak NG, whose library and data are in a wheel.
"""

import ctypes
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from models.narration import Sentence

UTF8, IPA, SYNCHRONOUS = 1, 2, 2  # eSpeak NG's constants; SYNCHRONOUS opens no sound card
FRAME = 256  # samples: the unit of Piper's durations
DURATIONS = b"/Ceil_output_0"  # the tensor that holds Piper's durations
LONGEST_GROUP = 3  # words that eSpeak NG joins into one group, at most
STRESS = "ˈˌ"
BEGIN, END, BLANK = 1, 2, 0  # Piper's special ids; a blank follows each phoneme


@dataclass(frozen=True)
class Speech:
    """A spoken sentence: samples (N,) in -1..1, and each written word's start and end in seconds."""

    samples: np.ndarray
    words: list[tuple[float, float]]


class Espeak:
    """eSpeak NG's library, loaded from the unpacked wheel `espeakng-loader`."""

    def __init__(self, folder: Path) -> None:
        package = folder / "espeakng_loader"
        self._library = ctypes.CDLL(str(package / "libespeak-ng.so"))
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        data = str(package / "espeak-ng-data").encode()
        self.rate = int(self._library.espeak_Initialize(SYNCHRONOUS, 0, data, 0))

    def phonemes(self, clause: str, voice: str) -> list[str]:
        """IPA of a clause without punctuation: a group per word, or one for a few words ("of the")."""
        self._choose(voice)
        rest = ctypes.pointer(ctypes.c_char_p(clause.encode()))
        return str(self._library.espeak_TextToPhonemes(rest, UTF8, IPA).decode()).split()

    def say(self, text: str, voice: str) -> np.ndarray:
        """Synthesize a text in one of eSpeak's own voices: samples (N,) in -1..1 at `rate` Hz."""
        self._choose(voice)
        pieces: list[np.ndarray] = []
        callback = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )

        def take(samples: Any, count: int, _: Any) -> int:
            if count > 0:
                pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0

        taker, data = callback(take), text.encode()
        self._library.espeak_SetSynthCallback(taker)
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(pieces).astype(np.float32) / 32768

    def _choose(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise LikenessError(f"espeak-ng has no voice {voice!r}; see its espeak-ng-data")


class Piper:
    """A Piper voice at `rate` Hz. Its noise depends on the seed and on all sentences said before."""

    def __init__(self, network: Path, config: Path, espeak: Espeak, seed: int) -> None:
        import onnxruntime

        settings = read_json(config)
        self.rate = int(settings["audio"]["sample_rate"])
        self._language = settings["espeak"]["voice"]
        self._ids = settings["phoneme_id_map"]
        inference = settings["inference"]
        scales = [inference[key] for key in ("noise_scale", "length_scale", "noise_w")]
        self._scales = np.array(scales, np.float32)
        self._espeak = espeak
        onnxruntime.set_seed(seed)  # of the network's noise; must be set before the session is made
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # so that sums are always added in the same order
        self._session = onnxruntime.InferenceSession(
            with_output(network.read_bytes(), DURATIONS),
            options,
            providers=["CPUExecutionProvider"],
        )

    def say(self, sentence: Sentence) -> Speech:
        phonemes, spans = spell(sentence, lambda text: self._espeak.phonemes(text, self._language))
        ids, edges = [BEGIN, BLANK], [2]
        for phoneme in phonemes:
            ids += [*self._ids[phoneme], BLANK]
            edges.append(len(ids))
        inputs = {
            "input": np.array([[*ids, END]]),
            "input_lengths": np.array([len(ids) + 1]),
            "scales": self._scales,
        }
        samples, durations = self._session.run(None, inputs)
        times = np.concatenate([[0], np.cumsum(durations)]) * FRAME / self.rate
        words = [(float(times[edges[a]]), float(times[edges[b]])) for a, b in spans]
        return Speech(samples.ravel(), words)


def spell(
    sentence: Sentence, phonemes_of: Callable[[str], list[str]]
) -> tuple[list[str], list[tuple[int, int]]]:
    """Piper's phonemes of a sentence, and the range (start, end) of each written word in them.

    Args:
        sentence: what to say; each clause must end with a punctuation mark.
        phonemes_of: the groups of phonemes of a clause, as `Espeak.phonemes` gives them.
    """
    letters: list[str] = []
    spans: list[tuple[int, int]] = []
    clause: list[list[str]] = []
    for token in sentence.spoken:
        clause.append(re.sub(r"[,.:;?!]", "", token).split())
        if token[-1] not in ",.:;?!":
            continue
        sounds = iter(by_word([word for words in clause for word in words], phonemes_of))
        for words in clause:
            start = len(letters)
            for _ in words:
                letters += [*unicodedata.normalize("NFD", next(sounds)), " "]
            spans.append((start, len(letters) - 1))
        letters[-1:] = [token[-1], " "] if token[-1] in ",:;" else [token[-1]]
        clause = []
    return letters, spans


def by_word(words: list[str], phonemes_of: Callable[[str], list[str]]) -> list[str]:
    """The phonemes of each word, as it is pronounced within the clause.

    eSpeak NG joins some short words into one group ("of the"). The groups are aligned with the words
    by the words' phonemes in isolation, and a group is split by the lengths of those.

    Raises:
        LikenessError: the groups cannot be aligned with the words.
    """
    groups = phonemes_of(" ".join(words))
    alone = [_plain("".join(phonemes_of(word))) for word in words]

    @cache
    def best(group: int, at: int) -> tuple[float, list[int]]:
        """The lowest alignment cost from `group` and word `at` on, and each group's word count."""
        if group == len(groups):
            return (0.0 if at == len(words) else math.inf), []
        found: tuple[float, list[int]] = (math.inf, [])
        for size in range(1, min(LONGEST_GROUP, len(words) - at) + 1):
            rest, sizes = best(group + 1, at + size)
            sound = "".join(alone[at : at + size])
            unlike = 1 - SequenceMatcher(None, _plain(groups[group]), sound).ratio()
            found = min(found, (rest + unlike, [size, *sizes]))
        return found

    unlike, sizes = best(0, 0)
    if unlike == math.inf:
        raise LikenessError(f"speech: phonemes {groups} do not align with {' '.join(words)!r}")
    said: list[str] = []
    for group, size in zip(groups, sizes, strict=True):
        for word in alone[len(said) : len(said) + size - 1]:
            said.append(group[: len(word)])
            group = group[len(word) :]
        said.append(group)
    return said


def _plain(phonemes: str) -> str:
    return re.sub(f"[{STRESS}]", "", phonemes)


def with_output(network: bytes, tensor: bytes) -> bytes:
    """Return the ONNX file `network` with `tensor`, the name of an inner tensor, as a further output.

    Concatenated protocol buffers are merged when read, so it is enough to append a model that has
    this output only: `ModelProto.graph` (7), `GraphProto.output` (12), `ValueInfoProto.name` (1).
    """
    if tensor not in network:
        raise LikenessError(f"speech: the voice has no tensor {tensor.decode()}; use another one")
    for field in (1, 12, 7):
        tensor = bytes([field << 3 | 2, len(tensor)]) + tensor
    return network + tensor
