"""What can be measured on a clip: by its samples, by its text, and by the speaker of its windows."""

import re
import zlib
from collections import Counter

import numpy as np

from likeness.voice.levels import frame_levels, speech_level

Array = np.ndarray

SILENT = 35.0  # dB below the recording's speech level, from which on a frame is silence
PART = 2.0  # seconds of a clip that are looked at together
PAUSE_SHARE = 0.1  # of a part's frames, the quietest, that are taken for its noise
PEAK = 0.001  # share of samples that are above the peak level
NEAR_PEAK = 0.8  # of the peak level, from which on a sample is at the top
FRAME = 0.023  # seconds of a spectrum
LOUD_SHARE = 0.05  # of the spectra, in which a frequency must be heard
HEARD = 40.0  # dB below the loudest frequency, down to which another one is heard
REPEATS = 3  # occurrences from which on an n-gram is repeated
LENGTHS = range(2, 6)  # words of an n-gram


def snr_db(samples: Array, rate: int) -> float:
    """Signal-to-noise ratio in dB of the clip's noisiest part: its louder half against its pauses.

    Frame energies of speech have two modes, pauses and speech, as in NIST's STNR; here they are the
    means of the quietest tenth and of the louder half, less the noise that lies under it. Up to
    20 dB it agrees with white noise that was added, to within 1.5 dB. Above that it is a lower
    bound, as speech without pauses has no frame without speech.
    """
    return min(_snr(part, rate) for part in _parts(samples, rate))


def _snr(samples: Array, rate: int) -> float:
    levels = frame_levels(samples, rate)
    power = np.sort(10 ** (levels / 10))
    noise = power[: max(1, round(PAUSE_SHARE * len(power)))].mean()
    speech = 10 ** (speech_level(levels) / 10)
    return float(10 * np.log10(max(speech - noise, 1e-9) / noise))


def _parts(samples: Array, rate: int) -> list[Array]:
    """Overlapping parts of `PART` seconds: what spoils half of a clip is not averaged away."""
    size = round(PART * rate)
    starts = [*range(0, len(samples) - size, size // 2), max(0, len(samples) - size)]
    return [samples[at : at + size] for at in starts]


def silence_ratio(samples: Array, rate: int, level: float) -> float:
    """Share of the clip, 0 to 1, that is `SILENT` below `level`, its recording's speech level."""
    return float((frame_levels(samples, rate) < level - SILENT).mean())


def clipped_share(samples: Array, rate: int) -> float:
    """Share of samples, 0 to 1, that are near the peak level, in the clip's most clipped part.

    Speech is seldom near its peak (1 % of the time); clipped by 6 dB, it is there 4 % and more.
    Looking for the flat tops themselves fails once a recording was scaled, resampled or compressed.
    """
    return max(_near_peak(part) for part in _parts(samples, rate))


def _near_peak(samples: Array) -> float:
    loud = np.abs(samples)
    peak = np.quantile(loud, 1 - PEAK)
    return float((loud >= NEAR_PEAK * peak).mean()) if peak > 0 else 0.0


def bandwidth_hz(samples: Array, rate: int) -> float:
    """The highest frequency that is heard in speech: a telephone's is 3.4 kHz at any sample rate.

    Speech is heard above that only in its hisses, so a frequency counts by the loudest twentieth of
    its moments.
    """
    size = round(FRAME * rate)
    frames = np.lib.stride_tricks.sliding_window_view(
        np.pad(samples, (0, max(0, size - len(samples)))), size
    )[:: size // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    loud = np.quantile(power, 1 - LOUD_SHARE, axis=0)
    smooth = np.convolve(loud, np.full(5, 0.2), "same")
    heard = np.flatnonzero(smooth >= smooth.max() * 10 ** (-HEARD / 10))
    return float(heard[-1] * rate / size)


def repeated_share(text: str) -> float:
    """Share of words, 0 to 1, in the n-grams (2 to 5 words) that occur three times and more."""
    words = re.findall(r"\w+", text.lower())
    most = 0.0
    for size in LENGTHS:
        grams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
        counts = Counter(grams)
        covered = {
            at + offset
            for at, gram in enumerate(grams)
            if counts[gram] >= REPEATS
            for offset in range(size)
        }
        most = max(most, len(covered) / max(1, len(words)))
    return most


def compression_ratio(text: str) -> float:
    """Bytes by bytes compressed, as Whisper computes it: a loop compresses well."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def spread(vectors: Array) -> float:
    """The largest cosine distance, 0 to 2, between any two rows of (N, D) unit vectors."""
    return max(0.0, 1 - float((vectors @ vectors.T).min()))


def centroid(vectors: Array) -> Array:
    """The unit (D,) centre of the nearer half of (N, D) unit vectors, so that a few others count not."""
    centre = vectors.mean(0)
    for _ in range(5):
        order = np.argsort(-(vectors @ centre), kind="stable")
        centre = vectors[order[: -(-len(vectors) // 2)]].mean(0)
    return np.asarray(centre / np.linalg.norm(centre))
