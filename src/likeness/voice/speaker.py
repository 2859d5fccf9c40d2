"""Speaker vectors of files, kept in the item store; checks of an encoder; similarity of voices."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.errors import AGAIN, LikenessError
from likeness.common.io import read_json
from likeness.common.items import map_all
from likeness.common.runtime import Runtime
from likeness.common.weights import Shapes, check_shapes, read_folder_shapes, read_shapes
from likeness.voice.speaker_encoder import WAVLM_RATE, embed_batch, is_ge2e

Array = np.ndarray

OTHER = f"set inputs.speaker to another folder under models/, or {AGAIN}"


def embed_files(clips: Mapping[str, Path], *, encoder: Path, rt: Runtime) -> Array:
    """(N, D) unit vectors of mono audio files, in their order; they are kept in the item store.

    Raises:
        LikenessError: the encoder cannot be loaded, or a file cannot be read.
    """
    check_encoder(encoder)
    function = partial(embed_batch, encoder=encoder, device=rt.device)
    problem = "no speaker vector"
    found = map_all(function, clips, problem=problem, what="voice_speaker", rt=rt, batch=8)
    return np.stack([np.frombuffer(found[name].read("vector.f32"), np.float32) for name in clips])


def check_encoder(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds an encoder whose weights fit its config.json.

    Only the weights' shapes are read.
    """
    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    if is_ge2e(config):
        found, wanted = read_shapes(folder / config["weights"]), _ge2e_shapes(config)
    elif "WavLMForXVector" in config.get("architectures", ()):
        rate = read_json(folder / "preprocessor_config.json")["sampling_rate"]
        if rate != WAVLM_RATE:
            raise LikenessError(f"{folder}: for speech at {rate} Hz, not {WAVLM_RATE}; {OTHER}")
        found, wanted = read_folder_shapes(folder), _wavlm_shapes(config)
    else:
        kinds = "config.json names neither ge2e nor WavLMForXVector"
        raise LikenessError(f"{folder}: not a speaker encoder ({kinds}); {OTHER}")
    check_shapes(folder, found, wanted)


def _ge2e_shapes(config: Mapping[str, Any]) -> Shapes:
    size, mels = config["size"], config["mels"]
    shapes: Shapes = {"filters": (config["fft"] // 2 + 1, mels)}
    for layer in range(config["layers"]):
        shapes[f"lstm.weight_ih_l{layer}"] = (4 * size, size if layer else mels)
        shapes[f"lstm.weight_hh_l{layer}"] = (4 * size, size)
        shapes[f"lstm.bias_ih_l{layer}"] = shapes[f"lstm.bias_hh_l{layer}"] = (4 * size,)
    return {**shapes, "linear.weight": (size, size), "linear.bias": (size,)}


def _wavlm_shapes(config: Mapping[str, Any]) -> Shapes:
    """Shapes of the first and the last layer after the transformer."""
    return {
        "projector.weight": (config["tdnn_dim"][0], config["hidden_size"]),
        "feature_extractor.weight": (config["xvector_output_dim"], 2 * config["tdnn_dim"][-1]),
    }


def centroid_similarities(vectors: Array, own: list[int | None], real: Array) -> Array:
    """(M,) cosines of (M, D) unit vectors to the centroid of the (N, D) real ones.

    Args:
        own: for each vector the index of the real clip of its sentence, or None. That clip is left
            out of the centroid, so that a real clip is not compared with itself, and synthetic and
            real clips of a sentence are compared with the same centroid.
    """
    total = real.sum(0)
    centroids = np.stack([total if at is None else total - real[at] for at in own])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return np.asarray((vectors * centroids).sum(1))


def centroid(vectors: Array) -> Array:
    """Robust unit centroid (D,) of (N, D) unit vectors: the mean of the half that is nearest to it."""
    centre = vectors.mean(0)
    for _ in range(5):
        order = np.argsort(-(vectors @ centre), kind="stable")
        centre = vectors[order[: -(-len(vectors) // 2)]].mean(0)
    return np.asarray(centre / np.linalg.norm(centre))
