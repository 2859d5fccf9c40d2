"""Who speaks: unit vectors of speech. Two clips' cosine is high where one person speaks in both.

An encoder is a folder under `models/` whose `config.json` names its kind:

- `"encoder": "ge2e"`: Resemblyzer's network (Wan et al. 2018), 256 values. The package also cuts
  silences out first; here clips are given that hold few.
- `"architectures": ["WavLMForXVector"]`: WavLM by transformers (Chen et al. 2021), 512 values.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.items import map_items
from likeness.common.result import Result
from likeness.common.runtime import Runtime
from likeness.common.weights import AGAIN, Shapes, read_folder_shapes, read_shapes
from likeness.voice.audio import resample

if TYPE_CHECKING:
    import torch

Array = np.ndarray

COVERED = 0.75  # of the last window must be speech and not padding, unless it is the only one
OTHER = f"set inputs.speaker to another folder under models/, or {AGAIN}"
WAVLM_RATE, WAVLM_WINDOW, WAVLM_STEP = 16000, 48000, 24000  # Hz, samples, samples


@dataclass(frozen=True)
class Encoder:
    """A speaker encoder.

    Attributes:
        rate: of its input, Hz.
        window: samples that a vector sees.
        step: samples from a window to the next one.
        loudness: root mean square to which quieter clips are raised.
        run: (N,) samples and the first samples of W windows in them to (W, D) vectors.
    """

    rate: int
    window: int
    step: int
    loudness: float
    run: "Callable[[torch.Tensor, list[int]], torch.Tensor]"


def embed_files(clips: Mapping[str, Path], *, encoder: Path, rt: Runtime) -> Array:
    """(N, D) unit vectors of mono audio files, in their order, through the item store.

    Raises:
        LikenessError: the encoder cannot be loaded, or a file cannot be read.
    """
    load_encoder(encoder, rt.device)
    function = partial(embed_batch, encoder=encoder, device=rt.device)
    found, rejected = map_items(function, clips, what="voice_speaker", rt=rt, batch=8)
    if rejected:
        first = rejected[0]
        raise LikenessError(f"{clips[first.id]}: no speaker vector: {first.value}")
    return np.stack([np.frombuffer(found[name].read("vector.f32"), np.float32) for name in clips])


def embed_batch(paths: Sequence[Path], *, encoder: Path, device: str) -> list[Result]:
    """One `Result` a file: `vector.f32` holds its vector."""
    import soundfile

    clips = [soundfile.read(path, dtype="float32") for path in paths]
    vectors = [embed(samples, rate, encoder, device) for samples, rate in clips]
    return [Result({}, {"vector.f32": vector.tobytes()}) for vector in vectors]


def embed(samples: Array, rate: int, encoder: Path, device: str = "cpu") -> Array:
    """The (D,) unit vector of one mono clip: the unit mean of its windows'."""
    mean = embed_windows(samples, rate, encoder, device).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def embed_windows(samples: Array, rate: int, encoder: Path, device: str = "cpu") -> Array:
    """(W, D) unit vectors of a clip's windows: for GE2E of 1.6 s, 1.3 of them a second.

    Args:
        samples: (N,) mono in -1..1; less than a window is padded with silence.
        rate: of the samples, Hz.
        encoder: the encoder's folder, such as `models/speaker_encoder`.
        device: where torch computes.

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
    """The encoder in a folder.

    Raises:
        LikenessError: there is none, or its weights cannot be read.
    """
    check_encoder(folder)
    config = read_json(folder / "config.json")
    return _ge2e(folder, config, device) if _is_ge2e(config) else _wavlm(folder, device)


def check_encoder(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds a whole encoder of the sizes that its config names.

    No weights are read.
    """
    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    if _is_ge2e(config):
        found, wanted = read_shapes(folder / config["weights"]), _ge2e_shapes(config)
    elif "WavLMForXVector" in config.get("architectures", ()):
        rate = read_json(folder / "preprocessor_config.json")["sampling_rate"]
        if rate != WAVLM_RATE:
            raise LikenessError(f"{folder}: for speech of {rate} Hz, not {WAVLM_RATE}; {OTHER}")
        found, wanted = read_folder_shapes(folder), _wavlm_shapes(config)
        if not found:  # pickled weights tell no shapes
            return
    else:
        kinds = "config.json names neither ge2e nor WavLMForXVector"
        raise LikenessError(f"{folder}: no speaker encoder here ({kinds}); {OTHER}")
    for name, shape in wanted.items():
        if found.get(name) != shape:
            raise LikenessError(
                f"{folder}: not the weights of its config.json ({name} should be {list(shape)}, "
                f"is {list(found.get(name, ())) or 'missing'}); {OTHER}"
            )


def _is_ge2e(config: Mapping[str, Any]) -> bool:
    return bool(config.get("encoder") == "ge2e")


def _ge2e_shapes(config: Mapping[str, Any]) -> Shapes:
    size, mels = config["size"], config["mels"]
    shapes: Shapes = {"filters": (config["fft"] // 2 + 1, mels)}
    for layer in range(config["layers"]):
        shapes[f"lstm.weight_ih_l{layer}"] = (4 * size, size if layer else mels)
        shapes[f"lstm.weight_hh_l{layer}"] = (4 * size, size)
        shapes[f"lstm.bias_ih_l{layer}"] = shapes[f"lstm.bias_hh_l{layer}"] = (4 * size,)
    return {**shapes, "linear.weight": (size, size), "linear.bias": (size,)}


def _wavlm_shapes(config: Mapping[str, Any]) -> Shapes:
    """Of the first and the last layer behind the transformer."""
    return {
        "projector.weight": (config["tdnn_dim"][0], config["hidden_size"]),
        "feature_extractor.weight": (config["xvector_output_dim"], 2 * config["tdnn_dim"][-1]),
    }


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
        return network["linear"](hidden[-1]).relu()

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
        why = " ".join(str(error).split())[:200]
        raise LikenessError(f"{folder}: cannot be loaded as WavLM ({why})") from error
    network.to(device).eval().requires_grad_(False)

    def run(wave: "torch.Tensor", starts: list[int]) -> "torch.Tensor":
        windows = [wave[at : at + WAVLM_WINDOW].cpu().numpy() for at in starts]
        inputs = extractor(windows, sampling_rate=WAVLM_RATE, return_tensors="pt")
        return network(inputs["input_values"].to(device)).embeddings

    return Encoder(WAVLM_RATE, WAVLM_WINDOW, WAVLM_STEP, 0.0, run)


def centroid_similarities(vectors: Array, own: list[int | None], real: Array) -> Array:
    """(M,) cosines of (M, D) unit vectors to the centroid of the (N, D) real ones.

    Args:
        own: for each vector the number of the real clip of its sentence, or None. That clip is left
            out of the centroid, so that a real clip is not its own reference, and synthetic and
            real clips of a sentence are compared with the very same voice.
    """
    total = real.sum(0)
    centroids = np.stack([total if at is None else total - real[at] for at in own])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return np.asarray((vectors * centroids).sum(1))
