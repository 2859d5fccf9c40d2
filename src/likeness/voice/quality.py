"""Measurements of a clip: of its samples, and of the speaker in its windows."""

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

SILENT = 35.0  # dB; a frame this far below the recording's speech level is silence
PART = 2.0  # seconds of the parts of a clip that are measured separately
PAUSE_SHARE = 0.1  # share of a part's frames, the quietest, that give its noise level
PEAK = 0.001  # share of samples that are above the peak level
NEAR_PEAK = 0.8  # share of the peak level from which a sample counts as near the peak
FRAME = 0.023  # seconds of a spectrum
LOUD_SHARE = 0.05  # share of the spectra in which a frequency must be audible
HEARD = 40.0  # dB; a frequency further below the loudest one is not audible


def measure_clips(
    payloads: Sequence[Mapping[str, Any]], *, speaker: Path, mos: Path
) -> list[Result]:
    """Measurements of each clip; `speaker.f32` is the unit mean of its windows' embeddings.

    A payload has `audio` and `level`, its recording's speech level in dB of full scale.
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
    means of the quietest tenth and of the louder half, less the noise in that half. Up to 20 dB it
    is within 1.5 dB of the true ratio for added white noise. Above that it is a lower bound: in
    speech without pauses the quietest frames hold speech too.
    """
    return min(_snr(part, rate) for part in _parts(samples, rate))


def _snr(samples: Array, rate: int) -> float:
    levels = frame_levels(samples, rate)
    power = np.sort(10 ** (levels / 10))
    noise = power[: max(1, round(PAUSE_SHARE * len(power)))].mean()
    speech = 10 ** (speech_level(levels) / 10)
    return float(10 * np.log10(max(speech - noise, 1e-9) / noise))


def _parts(samples: Array, rate: int) -> list[Array]:
    """Overlapping parts of `PART` seconds, so that a flaw in half of a clip is not averaged away."""
    size = round(PART * rate)
    starts = [*range(0, len(samples) - size, size // 2), max(0, len(samples) - size)]
    return [samples[at : at + size] for at in starts]


def silence_ratio(samples: Array, rate: int, level: float) -> float:
    """Share of the clip, 0 to 1, that is `SILENT` dB below `level`, its recording's speech level."""
    return float((frame_levels(samples, rate) < level - SILENT).mean())


def clipped_share(samples: Array, rate: int) -> float:
    """Share of samples, 0 to 1, that are near the peak level, in the clip's most clipped part.

    Clean speech is near its peak 1 % of the time; clipped by 6 dB, it is there 4 % or more. Looking
    for flat tops fails once a clipped recording was scaled, resampled or compressed.
    """
    return max(_near_peak(part) for part in _parts(samples, rate))


def _near_peak(samples: Array) -> float:
    loud = np.abs(samples)
    peak = np.quantile(loud, 1 - PEAK)
    return float((loud >= NEAR_PEAK * peak).mean()) if peak > 0 else 0.0


def bandwidth_hz(samples: Array, rate: int) -> float:
    """The highest audible frequency of speech: 3.4 kHz for a telephone, whatever the sample rate.

    Only sibilants reach beyond that, so each frequency is judged by the loudest twentieth of its
    frames.
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
