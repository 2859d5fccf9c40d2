"""A recording brought to one loudness, and where in it somebody speaks (voice activity detection)."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from likeness.common.result import Rejected, Result
from likeness.voice.audio import encode, resample
from likeness.voice.decode import UnreadableAudio, decode

Array = np.ndarray
Span = tuple[float, float]

VAD_RATE = 16000  # Hz, what Silero's model hears
QUIET = 0.2  # seconds of the quiet spot at which a long stretch is cut


def segment_recordings(
    payloads: Sequence[dict[str, Any]],
    *,
    sample_rate: int,
    min_recording_seconds: float,
    loudness: float,
    peak: float,
    vad_threshold: float,
    min_speech_seconds: float,
    min_silence_seconds: float,
    max_seconds: float,
) -> list[Result | Rejected]:
    """`audio.flac`, what it was, and the regions of speech in it, for each file."""
    outcomes: list[Result | Rejected] = []
    for payload in payloads:
        try:
            decoded = decode(payload["path"], sample_rate)
        except UnreadableAudio as error:
            outcomes.append(Rejected(error.reason, error.value))
            continue
        seconds = len(decoded.samples) / sample_rate
        if seconds < min_recording_seconds:
            outcomes.append(Rejected("too_short", round(seconds, 3), min_recording_seconds))
            continue
        level = integrated_loudness(decoded.samples, sample_rate)
        if level == -np.inf:  # digital silence, or below the meter's gate
            outcomes.append(Rejected("no_speech", 0.0, min_speech_seconds))
            continue
        gain_db = min(loudness - level, peak - decibels(np.abs(decoded.samples).max()))
        samples = decoded.samples * 10 ** (gain_db / 20)
        spans = speech_regions(
            resample(samples, sample_rate, VAD_RATE),
            threshold=vad_threshold,
            min_speech_seconds=min_speech_seconds,
            min_silence_seconds=min_silence_seconds,
        )
        if not spans:
            outcomes.append(Rejected("no_speech", 0.0, min_speech_seconds))
            continue
        audio = encode(samples, sample_rate, "FLAC")
        record = {
            "container": decoded.container,
            "codec": decoded.codec,
            "source_rate": decoded.source_rate,
            "source_channels": decoded.source_channels,
            "seconds": round(seconds, 3),
            "loudness": round(level, 2),
            "gain_db": round(gain_db, 2),
            "sha256": sha256(audio).hexdigest(),
            "regions": [
                [round(start, 3), round(end, 3)]
                for span in spans
                for start, end in split_long(span, samples, sample_rate, max_seconds)
            ],
        }
        outcomes.append(Result(record, {"audio.flac": audio}))
    return outcomes


def integrated_loudness(samples: Array, rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4); -inf for silence and for less than 0.4 s."""
    import pyloudnorm

    meter = pyloudnorm.Meter(rate)
    if len(samples) < meter.block_size * rate:
        return float("-inf")
    return float(meter.integrated_loudness(samples))


def decibels(amplitude: float) -> float:
    """Level of an amplitude above 0 in dB of full scale."""
    return 20 * float(np.log10(amplitude))


def speech_regions(
    samples: Array,
    *,
    threshold: float,
    min_speech_seconds: float,
    min_silence_seconds: float,
) -> list[Span]:
    """Stretches of speech in (N,) samples at `VAD_RATE`, by Silero VAD.

    Args:
        threshold: probability of speech, 0 to 1, from which a stretch begins; it ends 0.15 lower.
        min_speech_seconds: shorter stretches are dropped.
        min_silence_seconds: shorter silences do not end a stretch.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        threshold=threshold,
        min_speech_duration_ms=round(1000 * min_speech_seconds),
        min_silence_duration_ms=round(1000 * min_silence_seconds),
        speech_pad_ms=0,
    )
    found = get_speech_timestamps(samples, options)
    return [(span["start"] / VAD_RATE, span["end"] / VAD_RATE) for span in found]


def split_long(span: Span, samples: Array, rate: int, max_seconds: float) -> list[Span]:
    """`span`, cut at its quietest spots until no part is longer than `max_seconds`.

    Speech without a pause is rare, and its quietest fifth of a second is where a cut does least
    harm. The spot is looked for in the middle half, so that the parts stay of use.
    """
    start, end = span
    if end - start <= max_seconds:
        return [span]
    quarter = (end - start) / 4
    first = round((start + quarter) * rate)
    middle = samples[first : round((end - quarter) * rate)].astype(np.float64)
    width = round(QUIET * rate)
    energy = np.cumsum(np.square(middle))
    quietest = int(np.argmin(energy[width:] - energy[:-width]))
    cut = (first + quietest + width / 2) / rate
    return [
        *split_long((start, cut), samples, rate, max_seconds),
        *split_long((cut, end), samples, rate, max_seconds),
    ]
