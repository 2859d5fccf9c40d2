"""The level of a recording over time, and the pauses in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

Array = np.ndarray

HOP = 0.01  # seconds between frames
WINDOW = 0.03  # seconds of a frame
FLOOR = -70.0  # dB of full scale; every lower level is raised to it
NEIGHBOURHOOD = 4.0  # seconds before and after a frame from which its noise and speech levels come
QUIET = 0.3  # a frame below this share of the way from noise to speech level (dB) is a pause


@dataclass(frozen=True)
class Pause:
    """A stretch without speech, and where in it to cut; seconds in the recording."""

    start: float
    end: float
    cut: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


def frame_levels(samples: Array, rate: int) -> Array:
    """Level of each frame in dB of full scale, not below `FLOOR`; frame i is centred at i * `HOP`."""
    return levels_of([samples], rate)


def levels_of(parts: Iterable[Array], rate: int) -> Array:
    """`frame_levels` of a recording whose samples come part by part and are never held whole."""
    half = round(WINDOW * rate / 2)
    levels, number = [np.empty(0)], 0
    kept, first = np.zeros(half), 0  # padded on both ends; `first` is the index of what is kept
    for part in chain(parts, [np.zeros(half)]):
        kept = np.concatenate([kept, part])
        total = np.concatenate([[0.0], np.cumsum(np.square(kept, dtype=np.float64))])
        # A fixed number of samples per frame drifts: 220 in place of 220.5 is 8 s off in an hour.
        ready = range(number, int((first + len(kept)) / (HOP * rate)) + 1)
        at = (np.array(ready, int) * (HOP * rate)).astype(int) - first
        at = at[at + 2 * half < len(kept)]
        power = (total[at + 2 * half] - total[at]) / (2 * half)
        levels.append(10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10))))
        number += len(at)
        done = max(0, int(number * HOP * rate) - first)
        kept, first = kept[done:], first + min(done, len(kept))
    return np.concatenate(levels)


def find_pauses(levels: Array, min_pause: float) -> list[Pause]:
    """Stretches of at least `min_pause` seconds that are quiet compared with their surroundings.

    The limit between quiet and loud follows the noise (5th percentile of the neighbourhood) and the
    speech (90th), so that a pause is found in a noisy recording as well.
    """
    if not len(levels):
        return []
    noise, speech = _neighbourhood(levels)
    quiet = levels < noise + QUIET * (speech - noise)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    return [
        Pause(first * HOP, after * HOP, quietest(levels, first, after) * HOP)
        for first, after in edges.reshape(-1, 2).tolist()
        if (after - first) * HOP >= min_pause
    ]


def _neighbourhood(levels: Array) -> tuple[Array, Array]:
    """Noise and speech level (N,) around each frame: measured once a second and interpolated."""
    half, step = round(NEIGHBOURHOOD / HOP), round(1 / HOP)
    centres = np.arange(0, len(levels), step)
    around = [np.percentile(levels[max(0, at - half) : at + half], [5, 90]) for at in centres]
    low, high = np.array(around).T
    frames = np.arange(len(levels))
    return np.interp(frames, centres, low), np.interp(frames, centres, high)


def quietest(levels: Array, first: int, after: int) -> int:
    """The frame to cut at: the quietest 50 ms of a pause's middle half, nearest to its middle."""
    smooth = np.convolve(np.pad(levels[first:after], 2, "edge"), np.full(5, 0.2), "valid")
    frames = np.arange(first, after)
    off = np.abs(frames - (first + after - 1) / 2)
    inside = off <= (after - first) / 4
    # Differences below half a decibel do not count: only a real noise moves the cut off the middle.
    low = inside & (smooth <= smooth[inside].min() + 0.5)
    return int(frames[low][off[low].argmin()])


def speech_level(levels: Array) -> float:
    """Mean level in dB of the louder half of the frames (N,): the speech, without its pauses."""
    power = 10 ** (levels / 10)
    return float(10 * np.log10(power[power >= np.median(power)].mean()))
