"""Speaker embeddings: unit vectors whose cosine is high if the same person speaks in two clips.

An encoder is a folder under `models/` whose `config.json` names its kind:

- `"encoder": "ge2e"`: Resemblyzer's network (Wan et al. 2018), 256 values. The package also removes
  silence first; the clips of this lane have little.
- `"architectures": ["WavLMForXVector"]`: WavLM by transformers (Chen et al. 2021), 512 values.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.errors import LikenessError, one_line
from likeness.common.io import read_json
from likeness.common.result import Result
from likeness.voice.audio import read, resample

if TYPE_CHECKING:
    import torch

Array = np.ndarray

COVERED = 0.75  # share of the last window that must not be padding, unless it is the only one
WAVLM_RATE, WAVLM_WINDOW, WAVLM_STEP = 16000, 48000, 24000  # Hz, samples, samples


@dataclass(frozen=True)
class Encoder:
    """A speaker encoder.

    Attributes:
        rate: sample rate of its input, Hz.
        window: samples that one vector is computed from.
        step: samples from the start of a window to that of the next.
        loudness: root mean square that quieter clips are amplified to.
        run: maps (N,) samples and the first samples of W windows to (W, D) vectors.
    """

    rate: int
    window: int
    step: int
    loudness: float
    run: "Callable[[torch.Tensor, list[int]], torch.Tensor]"


def embed_batch(paths: Sequence[Path], *, encoder: Path, device: str) -> list[Result]:
    """One `Result` per file, whose `vector.f32` holds the vector."""
    vectors = [embed(*read(path), encoder, device) for path in paths]
    return [Result({}, {"vector.f32": vector.tobytes()}) for vector in vectors]


def embed(samples: Array, rate: int, encoder: Path, device: str = "cpu") -> Array:
    """The (D,) unit vector of one mono clip: the normalised mean over its windows."""
    mean = embed_windows(samples, rate, encoder, device).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def embed_windows(samples: Array, rate: int, encoder: Path, device: str = "cpu") -> Array:
    """(W, D) unit vectors of a clip's windows; GE2E has windows of 1.6 s, 1.3 per second.

    Args:
        samples: (N,) mono in -1..1; a clip shorter than a window is padded with silence.
        rate: of the samples, Hz.
        encoder: the encoder's folder, such as `models/speaker_encoder`.
        device: torch's.

    Raises:
        LikenessError: the clip is empty or silent, or the folder holds no encoder.
    """
    import torch

    network = load_encoder(encoder, device)
    if not np.any(samples):
        raise LikenessError("speaker: the clip is silent; it needs speech")
    wave = resample(samples, rate, network.rate)
    wave *= max(1.0, network.loudness / math.sqrt(np.mean(wave**2)))
    starts = window_starts(len(wave), network.window, network.step)
    wave = np.pad(wave, (0, max(0, starts[-1] + network.window - len(wave))))
    with torch.inference_mode():
        vectors = network.run(torch.from_numpy(wave).to(device), starts)
    return np.asarray(torch.nn.functional.normalize(vectors).float().cpu())


def window_starts(count: int, window: int, step: int) -> list[int]:
    """First samples of the windows over `count` samples; the last one may need padding."""
    starts = list(range(0, max(1, count - window + step + 1), step))
    covered = (count - starts[-1]) / window
    return starts[:-1] if covered < COVERED and len(starts) > 1 else starts


@cache
def load_encoder(folder: Path, device: str) -> Encoder:
    """The encoder in a folder that passes `speaker.check_encoder`."""
    config = read_json(folder / "config.json")
    return _ge2e(folder, config, device) if is_ge2e(config) else _wavlm(folder, device)


def is_ge2e(config: Mapping[str, Any]) -> bool:
    return bool(config.get("encoder") == "ge2e")


def _ge2e(folder: Path, config: dict[str, Any], device: str) -> Encoder:
    import torch
    from safetensors.torch import load_file

    size, hop = config["size"], config["hop"]
    lstm = torch.nn.LSTM(config["mels"], size, config["layers"], batch_first=True)
    network = torch.nn.ModuleDict({"lstm": lstm, "linear": torch.nn.Linear(size, size)})
    state = load_file(folder / config["weights"])
    filters = state.pop("filters").to(device)
    network.load_state_dict(state)
    network.to(device).eval().requires_grad_(False)

    def run(wave: "torch.Tensor", starts: list[int]) -> "torch.Tensor":
        frames = mel_frames(wave, filters, config["fft"], hop)
        windows = [frames[at // hop : at // hop + config["window"]] for at in starts]
        _, (hidden, _) = network["lstm"](torch.stack(windows))
        found: torch.Tensor = network["linear"](hidden[-1]).relu()
        return found

    loudness = 10 ** (config["loudness"] / 20)
    return Encoder(config["rate"], config["window"] * hop, config["step"] * hop, loudness, run)


def mel_frames(wave: "torch.Tensor", filters: "torch.Tensor", fft: int, hop: int) -> "torch.Tensor":
    """(T, M) mel energies of a wave (N,), not their logarithm: what GE2E was trained on."""
    import torch

    window = torch.hann_window(fft, device=wave.device)
    spectrum = torch.stft(
        wave, fft, hop, window=window, center=True, pad_mode="constant", return_complex=True
    )
    return spectrum.abs().square().T @ filters


def _wavlm(folder: Path, device: str) -> Encoder:
    from transformers import AutoFeatureExtractor, WavLMForXVector

    try:
        network = WavLMForXVector.from_pretrained(folder, local_files_only=True)
        extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise LikenessError(f"{folder}: cannot be loaded as WavLM ({one_line(error)})") from error
    network.to(device).eval().requires_grad_(False)

    def run(wave: "torch.Tensor", starts: list[int]) -> "torch.Tensor":
        windows = [wave[at : at + WAVLM_WINDOW].cpu().numpy() for at in starts]
        inputs = extractor(windows, sampling_rate=WAVLM_RATE, return_tensors="pt")
        found: torch.Tensor = network(inputs["input_values"].to(device)).embeddings
        return found

    return Encoder(WAVLM_RATE, WAVLM_WINDOW, WAVLM_STEP, 0.0, run)
