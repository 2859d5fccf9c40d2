"""Which moment of one reading of a text is which moment of another, by dynamic time warping."""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray

CEPSTRA = 20  # of a frame, without the first
ENERGY = 3.0  # weight of a frame's mean level beside its cepstra
SPAN = 2  # frames before and after, between which a frame's change is taken
DIAGONAL = 2.0  # weight of a step in both readings at once (Sakoe, Chiba 1978)


@dataclass(frozen=True)
class Level:
    """The mean and the deviation (bands,) of a voice's log-mels."""

    mean: Array
    std: Array


def level(mels: Array) -> Level:
    """Of log-mels (bands, T)."""
    return Level(mels.mean(axis=1), mels.std(axis=1).clip(min=1e-3))


def features(mel: Array, voice: Level) -> Array:
    """What is compared of log-mels (bands, T), (T, 2 * CEPSTRA): mel cepstra, level, and their changes.

    Each band in deviations of its own voice, so that two voices with other spectra can be compared.
    """
    from scipy.fft import dct

    bands = (mel - voice.mean[:, None]) / voice.std[:, None]
    cepstra = dct(bands, axis=0, norm="ortho")[1:CEPSTRA]
    frames = np.concatenate([cepstra, ENERGY * bands.mean(axis=0, keepdims=True)])
    wide = np.pad(frames, ((0, 0), (SPAN, SPAN)), mode="edge")
    return np.concatenate([frames, wide[:, 2 * SPAN :] - wide[:, : -2 * SPAN]]).T


def align(said: Array, heard: Array) -> tuple[float, Array, Array]:
    """Stretch one reading to another, both as `features` (T, D) and (U, D).

    Returns:
        The mean distance along the path, per frame of both; for each frame of `said` the place (T,)
        in `heard`, which may lie between two frames; and the distance (T,) there.
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
    """The log-mels (bands, T) that stand at places (T,) of (bands, U)."""
    before = np.floor(places).astype(int)
    after = (before + 1).clip(max=mel.shape[1] - 1)
    share = (places - before).astype(mel.dtype)
    between: Array = mel[:, before] * (1 - share) + mel[:, after] * share
    return between
