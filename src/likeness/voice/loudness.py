"""How loud a recording is, measured while it is decoded (ITU-R BS.1770)."""

from typing import Any

import numpy as np

Array = np.ndarray

BLOCK = 0.4  # seconds of the standard's gating blocks, which overlap by three quarters


class LoudnessMeter:
    """Integrated loudness of samples that are added block by block, with pyloudnorm's filters."""

    def __init__(self, rate: int) -> None:
        import pyloudnorm

        self.rate, self.count = rate, 0
        filters = pyloudnorm.Meter(rate)._filters.values()
        self.filters = [(one.b, one.a, one.passband_gain) for one in filters]
        self.states = [np.zeros(2) for _ in self.filters]
        self.kept = np.empty(0, np.float32)  # filtered samples from `count - len(kept)` on
        self.powers: list[float] = []  # mean squares of the gating blocks

    def add(self, samples: Array) -> None:
        from scipy.signal import lfilter

        if not len(samples):  # `lfilter` returns an undefined state for these
            return
        for at, (b, a, gain) in enumerate(self.filters):
            samples, self.states[at] = lfilter(b, a, samples, zi=self.states[at])
            samples = (gain * samples).astype(np.float32)
        self.kept = np.concatenate([self.kept, samples])
        self.count += len(samples)
        while int(BLOCK * (len(self.powers) / 4 + 1) * self.rate) <= self.count:
            self._measure()

    def _measure(self) -> None:
        number, first = len(self.powers), self.count - len(self.kept)
        lower, upper = (int(BLOCK * (number / 4 + more) * self.rate) for more in (0, 1))
        squares = np.square(self.kept[lower - first : upper - first])
        self.powers.append(float(1 / (BLOCK * self.rate) * np.sum(squares)))
        self.kept = self.kept[lower - first :]

    def integrated(self) -> float:
        """LUFS; -inf for silence and for less than 0.4 s."""
        if self.count < BLOCK * self.rate:
            return float("-inf")
        # Like pyloudnorm, measure a last block of which more than half is there.
        while len(self.powers) < round((self.count / self.rate - BLOCK) / (BLOCK / 4)) + 1:
            self._measure()
        powers = np.array(self.powers)
        loud = powers[_loudness(powers) >= -70]
        if not len(loud):
            return float("-inf")
        gate = _loudness(loud.mean()) - 10
        return float(_loudness(loud[_loudness(loud) > gate].mean()))


def _loudness(powers: Any) -> Any:
    with np.errstate(divide="ignore"):
        return -0.691 + 10 * np.log10(powers)
