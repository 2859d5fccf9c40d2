"""Training speech of xtts_mini: texts, the voices that read them, and when each phoneme is said."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr

from likeness.common.errors import LikenessError
from likeness.common.items import map_items
from likeness.common.result import Result
from likeness.common.runtime import Runtime
from likeness.voice.phonemes import phonemes
from models.settings import Speech
from models.teachers import JOE, WORDNET, fetch_teachers, say
from models.texts import lines, measured

if TYPE_CHECKING:
    import torch

RATE = 24000  # Hz, of Kokoro's output and of XTTS's decoder
INPUT_RATE = 22050  # Hz, of the audio that XTTS's DVAE encodes
CODE = 1024  # samples at INPUT_RATE per code
MARGIN = 0.04  # seconds kept before and after the speech
LEVEL = 0.07  # root mean square of every utterance, of full scale


@dataclass(frozen=True)
class Corpus:
    """Utterances; every list has an entry for each.

    Attributes:
        texts: phonemes.
        voices: index of the voice in `names`, (N,).
        names: of the voices.
        ends: when each phoneme of the text ends, in seconds.
        inputs: 16-bit samples at INPUT_RATE: CODE for each code.
        waves: 16-bit samples at RATE, of the same duration.
    """

    texts: list[str]
    voices: np.ndarray
    names: list[str]
    ends: list[np.ndarray]
    inputs: list[np.ndarray]
    waves: list[np.ndarray]


def blends(cfg: Speech) -> list[str]:
    """Pairs of Kokoro's voices, none twice, and each voice about as often as the others."""
    if cfg.blends > (most := math.comb(len(cfg.voices), 2)):
        raise LikenessError(
            f"speech.blends: found {cfg.blends}, but {len(cfg.voices)} voices make {most} pairs"
        )
    rng = np.random.default_rng(cfg.seed)
    found: dict[str, None] = {}
    while len(found) < cfg.blends:
        order = rng.permutation(sorted(cfg.voices))
        pairs = zip(order[::2], order[1::2], strict=False)
        found |= {"+".join(sorted((str(one), str(other)))): None for one, other in pairs}
    return list(found)[: cfg.blends]


def script(cfg: Speech, wordnet: Path) -> list[tuple[str, str]]:
    """Texts with their voices: Kokoro's voices and blends in turn, and joe for every other text.

    Left out are the few texts that have a sentence which xtts_mini is measured on.
    """
    if 2 * cfg.lines > cfg.drawn:
        raise LikenessError(
            f"speech.lines: found {cfg.lines}, more than half of drawn ({cfg.drawn})"
        )
    held = [sentence for kind in measured().values() for sentence in kind]
    said = lines(cfg.texts, cfg.drawn, cfg.seed, wordnet)
    half = cfg.drawn // 2
    voices = [*cfg.voices, *blends(cfg)]
    pairs = [
        pair
        for number in range(cfg.lines)
        for pair in ((said[number], voices[number % len(voices)]), (said[half + number], JOE))
    ]
    return [(text, voice) for text, voice in pairs if not any(own in text for own in held)]


def spoken(cfg: Speech, rt: Runtime) -> Corpus:
    """Every text of the script, read. The item store keeps what was read before."""
    folder = fetch_teachers(cfg, rt)
    items = {f"{k:06d}": job for k, job in enumerate(script(cfg, folder / WORDNET))}
    results, rejected = map_items(
        partial(read, folder=folder), items, what="spoken", rt=rt, batch=8, workers=rt.workers
    )
    if rejected:
        raise LikenessError(f"spoken: {rejected[0].id}: {rejected[0].value}")
    return corpus_of(
        [result.record for result in results.values()],
        [np.load(io.BytesIO(result.read("speech.npy"))) for result in results.values()],
    )


def corpus_of(records: Sequence[dict[str, Any]], said: Sequence[np.ndarray]) -> Corpus:
    """The corpus of what `read` made: its records, and its samples at RATE."""
    names = list(dict.fromkeys(record["voice"] for record in records))
    pairs = [arrange(samples) for samples in said]
    return Corpus(
        [record["text"] for record in records],
        np.array([names.index(record["voice"]) for record in records]),
        names,
        [np.array(record["ends"]) for record in records],
        [one for one, _ in pairs],
        [other for _, other in pairs],
    )


def first(corpus: Corpus, count: int) -> Corpus:
    """The first `count` utterances of a corpus."""
    parts = {one.name: getattr(corpus, one.name) for one in fields(Corpus)}
    cut = {name: part if name == "names" else part[:count] for name, part in parts.items()}
    return Corpus(**cut)


def arrange(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples (N,) at INPUT_RATE and at RATE, from 16-bit ones at RATE; padded to whole codes."""
    inputs = soxr.resample(samples, RATE, INPUT_RATE)
    codes = -(-len(inputs) // CODE)
    length = round(codes * CODE * RATE / INPUT_RATE)
    padded = [np.zeros(codes * CODE, np.int16), np.zeros(length, np.int16)]
    for whole, part in zip(padded, (inputs, samples), strict=True):
        whole[: len(part)] = part[: len(whole)]
    return padded[0], padded[1]


def as_tensor(samples: np.ndarray) -> "torch.Tensor":
    """Convert 16-bit samples (N,) to a float tensor in -1..1."""
    import torch

    return torch.from_numpy(np.array(samples)).float() / 32768


def read(jobs: Sequence[tuple[str, str]], *, folder: Path) -> list[Result]:
    """`speech.npy` of each text and voice, and a record: `read_one` says what they are."""
    results = []
    for text, voice in jobs:
        record, samples = read_one(text, voice, folder)
        buffer = io.BytesIO()
        np.save(buffer, samples)
        results.append(Result(record, {"speech.npy": buffer.getvalue()}))
    return results


def read_one(text: str, voice: str, folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    """The text's phonemes and their ends, and 16-bit samples at RATE with equal loudness and margins."""
    letters = phonemes(text)
    own = say(letters, voice, folder)
    samples = soxr.resample(own.samples, own.rate, RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    margin = round(MARGIN * RATE)
    first = max(int(loud[0]) - margin, 0)
    samples = samples[first : loud[-1] + margin]
    samples = samples * (LEVEL / np.sqrt(np.mean(samples**2)))
    ends = np.round(own.ends - first / RATE, 3).tolist()
    record = {"text": letters, "voice": voice, "ends": ends}
    return record, (samples.clip(-1, 1) * 32767).astype(np.int16)
