"""Fingerprints by which copies of a recording are found in any format (Haitsma and Kalker 2002).

Each frame of a spectrogram gives 32 bits: whether the difference between two neighbouring bands grows
or falls to the next frame. A lossy codec, another loudness or another rate flip few bits; two different
recordings of one sentence agree in only half of them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from likeness.common.result import Result
from likeness.voice.streams import blocks

Array = np.ndarray

RATE = 5512  # Hz; the bands end at 2000
FRAME = 2048  # samples, 0.37 s
HOP = 138  # samples, 0.025 s: small, so that frames of two copies nearly coincide
BANDS = np.geomspace(300, 2000, 34)  # Hz
RARE = 64  # a pattern of bits that occurs more often, such as silence's, is ignored
VOTES = 4  # equal frames at one offset from which on two recordings are compared
STRETCH = 128  # frames that are compared together, 3.2 s
ERRORS = 0.35  # share of the bits that may differ in a stretch of a copy


def print_recordings(paths: Sequence[Path]) -> list[Result]:
    """`prints.u32` of each recording that `encode` wrote: (N,) little-endian, one each `HOP`."""
    return [Result({}, {"prints.u32": _print(path).astype("<u4").tobytes()}) for path in paths]


def _print(path: Path) -> Array:
    edges = np.round(BANDS * FRAME / RATE).astype(int)
    window = np.hanning(FRAME).astype(np.float32)
    waiting, before = np.empty(0, np.float32), np.zeros((1, len(edges) - 2))
    bits = [np.empty((0, 32), bool)]
    for samples in blocks(path, RATE):
        waiting = np.concatenate([waiting, samples])
        count = max(0, (len(waiting) - FRAME) // HOP + 1)
        if not count:
            continue
        frames = np.lib.stride_tricks.sliding_window_view(waiting, FRAME)[::HOP][:count]
        power = np.square(np.abs(np.fft.rfft(frames * window, axis=1)))
        slopes = -np.diff(np.add.reduceat(power, edges, axis=1)[:, :-1])
        bits.append(np.diff(np.concatenate([before, slopes]), axis=0) > 0)
        waiting, before = waiting[count * HOP :], slopes[-1:]
    return np.packbits(np.concatenate(bits), axis=1).view(">u4").ravel()


def shared_frames(prints: Mapping[str, Array]) -> dict[tuple[str, str], int]:
    """How many frames two recordings share at their best offset, for each pair that shares any."""
    names = list(prints)
    values = np.concatenate([np.empty(0, np.uint32), *prints.values()])
    owner = np.repeat(np.arange(len(names)), [len(one) for one in prints.values()])
    place = np.concatenate([np.empty(0, int), *(np.arange(len(one)) for one in prints.values())])
    order = np.argsort(values, kind="stable")
    values, owner, place = values[order], owner[order], place[order]
    rare = np.ones(len(values), bool)
    if len(values) > RARE:
        common = np.flatnonzero(values[RARE:] == values[:-RARE])
        rare = ~np.isin(values, values[common])
    values, owner, place = values[rare], owner[rare], place[rare]
    votes: Counter[tuple[int, int, int]] = Counter()
    for ahead in range(1, RARE):
        at = np.flatnonzero(values[ahead:] == values[:-ahead])
        at = at[owner[at] < owner[at + ahead]]
        offsets = place[at + ahead] - place[at]
        votes.update(zip(owner[at].tolist(), owner[at + ahead].tolist(), offsets.tolist()))
    shared: dict[tuple[str, str], int] = {}
    for (first, second, offset), count in votes.items():
        if count >= VOTES:
            pair = names[first], names[second]
            agreeing = _agreeing(prints[pair[0]], prints[pair[1]], offset)
            shared[pair] = max(agreeing, shared.get(pair, 0))
    return shared


def _agreeing(left: Array, right: Array, offset: int) -> int:
    """Frames in stretches with few bit errors, frame n of `left` against n + `offset` of `right`."""
    left, right = left[max(0, -offset) :], right[max(0, offset) :]
    n = min(len(left), len(right))
    wrong = np.unpackbits((left[:n] ^ right[:n]).view(np.uint8)).reshape(n, 32).mean(axis=1)
    starts = range(0, n, STRETCH)
    return sum(
        len(stretch) for at in starts if (stretch := wrong[at : at + STRETCH]).mean() < ERRORS
    )
