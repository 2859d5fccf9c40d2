"""What is measured on a clip: on its samples, and on the speaker of its windows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.result import Result
from likeness.voice.audio import read
from likeness.voice.levels import frame_levels, speech_level
from likeness.voice.mos import predict_mos
from likeness.voice.speaker_encoder import embed_windows

Array = np.ndarray

SILENT = 35.0  # dB below the recording's speech level, from which on a frame is silence
PART = 2.0  # seconds of a clip that are looked at together
PAUSE_SHARE = 0.1  # of a part's frames, the quietest, that are taken for its noise
PEAK = 0.001  # share of samples that are above the peak level
NEAR_PEAK = 0.8  # of the peak level, from which on a sample is at the top
FRAME = 0.023  # seconds of a spectrum
LOUD_SHARE = 0.05  # of the spectra, in which a frequency must be heard
HEARD = 40.0  # dB below the loudest frequency, down to which another one is heard


def measure_clips(
    payloads: Sequence[Mapping[str, Any]], *, speaker: Path, mos: Path
) -> list[Result]:
    """What a clip's samples show; `speaker.f32` is the unit mean of its windows' embeddings.

    A payload has `audio` and `level`, the dB of full scale of its recording's speech.
    """
    results = []
    for payload in payloads:
        samples, rate = read(payload["audio"])
        windows = embed_windows(samples, rate, speaker)
        mean = windows.mean(0)
        record = {
            "snr_db": round(snr_db(samples, rate), 2),
            "silence_ratio": round(silence_ratio(samples, rate, payload["level"]), 4),
            "clipped_share": round(clipped_share(samples, rate), 5),
            "bandwidth_hz": round(bandwidth_hz(samples, rate), 1),
            "speaker_spread": round(spread(windows), 4),
            "dnsmos": round(predict_mos(samples, rate, mos), 3),
        }
        vector = (mean / np.linalg.norm(mean)).astype(np.float32)
        results.append(Result(record, {"speaker.f32": vector.tobytes()}))
    return results


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


def spread(vectors: Array) -> float:
    """The largest cosine distance, 0 to 2, between any two rows of (N, D) unit vectors."""
    return max(0.0, 1 - float((vectors @ vectors.T).min()))
