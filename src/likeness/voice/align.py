"""Matches the frames of two readings of the same text, by dynamic time warping."""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray

CEPSTRA = 20  # features of a frame: 19 cepstra (all but the first) and its mean level
ENERGY = 3.0  # weight of a frame's mean level beside its cepstra
SPAN = 2  # a frame's change is the difference between this many frames after and before it
DIAGONAL = 2.0  # weight of a step that advances both readings (Sakoe and Chiba 1978)


@dataclass(frozen=True)
class Level:
    """Mean and standard deviation, both (bands,), of a voice's log-mels."""

    mean: Array
    std: Array


def level(mels: Array) -> Level:
    """The `Level` of log-mels (bands, T)."""
    return Level(mels.mean(axis=1), mels.std(axis=1).clip(min=1e-3))


def features(mel: Array, voice: Level) -> Array:
    """Features (T, 2 * CEPSTRA) of log-mels (bands, T): mel cepstra, mean level, and their changes.

    Each band is standardised for its voice, so that voices with different spectra can be compared.
    """
    from scipy.fft import dct

    bands = (mel - voice.mean[:, None]) / voice.std[:, None]
    cepstra = dct(bands, axis=0, norm="ortho")[1:CEPSTRA]
    frames = np.concatenate([cepstra, ENERGY * bands.mean(axis=0, keepdims=True)])
    wide = np.pad(frames, ((0, 0), (SPAN, SPAN)), mode="edge")
    return np.concatenate([frames, wide[:, 2 * SPAN :] - wide[:, : -2 * SPAN]]).T


def align(said: Array, heard: Array) -> tuple[float, Array, Array]:
    """Align two readings, given as `features` (T, D) and (U, D).

    Returns:
        The distance along the path divided by T + U; for each frame of `said` its position (T,) in
        frames of `heard`, which may be fractional; and the distance (T,) at that position.
    """
    from librosa.sequence import dtw
    from scipy.spatial.distance import cdist

    distances = cdist(said, heard)
    total, path = dtw(C=distances, weights_mul=np.array([DIAGONAL, 1.0, 1.0]))
    visits = np.bincount(path[:, 0], minlength=len(said))
    places = np.bincount(path[:, 0], weights=path[:, 1], minlength=len(said)) / visits
    near = distances[np.arange(len(said)), np.rint(places).astype(int)]
    return float(total[-1, -1]) / (len(said) + len(heard)), places, near


def stretched(mel: Array, places: Array) -> Array:
    """Log-mels (bands, U) interpolated at fractional frame positions (T,), as (bands, T)."""
    before = np.floor(places).astype(int)
    after = (before + 1).clip(max=mel.shape[1] - 1)
    share = (places - before).astype(mel.dtype)
    between: Array = mel[:, before] * (1 - share) + mel[:, after] * share
    return between
