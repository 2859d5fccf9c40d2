"""Converts clips to the dataset's WAV format, and makes copies with other speed, noise and gain."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.result import Result
from likeness.voice.audio import encode, read, resample

Array = np.ndarray

NOISE_RANGE = 15.0  # dB, width of the range from which signal-to-noise ratios are drawn
PEAK = 0.99  # of full scale; a copy that exceeds it is scaled down


def convert_clips(paths: Sequence[Path], *, sample_rate: int) -> list[Result]:
    """`audio.wav` (16-bit mono) and its length in seconds for each clip."""
    return [_result(_at(path, sample_rate), sample_rate) for path in paths]


def augment_clips(
    payloads: Sequence[Mapping[str, Any]],
    *,
    sample_rate: int,
    speed: float,
    noise_db: float,
    gain_db: float,
) -> list[Result]:
    """As `convert_clips`, for a varied copy of each payload's `audio`, drawn with its `seed`."""
    results = []
    for payload in payloads:
        varied = augment(
            _at(payload["audio"], sample_rate),
            sample_rate,
            seed=payload["seed"],
            speed=speed,
            noise_db=noise_db,
            gain_db=gain_db,
        )
        results.append(_result(varied, sample_rate))
    return results


def _at(path: Path, sample_rate: int) -> Array:
    samples, rate = read(path)
    return samples if rate == sample_rate else resample(samples, rate, sample_rate)


def _result(samples: Array, rate: int) -> Result:
    seconds = round(len(samples) / rate, 4)
    return Result({"seconds": seconds}, {"audio.wav": encode(samples, rate, "WAV")})


def augment(
    samples: Array, rate: int, *, seed: int, speed: float, noise_db: float, gain_db: float
) -> Array:
    """A varied copy of (N,) samples; the same seed gives the same copy.

    Args:
        samples: from -1 to 1.
        rate: in Hz.
        seed: for all random draws.
        speed: tempo and pitch change together by up to this fraction, through resampling
            (Ko et al. 2015, "Audio augmentation for speech recognition").
        noise_db: white noise is added at this signal-to-noise ratio or one up to 15 dB higher.
        gain_db: the level changes by at most this much, up or down.
    """
    import soxr

    rng = np.random.default_rng(seed)
    factor = 1 + rng.uniform(-speed, speed)
    varied = soxr.resample(samples.astype(np.float64), rate * factor, rate)
    power = np.mean(varied**2) / 10 ** (rng.uniform(noise_db, noise_db + NOISE_RANGE) / 10)
    varied = varied + np.sqrt(power) * rng.standard_normal(len(varied))
    varied *= 10 ** (rng.uniform(-gain_db, gain_db) / 20)
    peak = np.abs(varied).max(initial=0.0)
    return np.asarray(varied * min(1.0, PEAK / max(peak, 1e-9)), np.float32)
