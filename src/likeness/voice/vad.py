"""A recording brought to the lane's loudness, and the speech in it (voice activity detection).

A recording is decoded twice, first to measure it and then to write it, and is never all in memory:
three hours are a gigabyte of samples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from likeness.common.result import Rejected, Result
from likeness.voice.audio import read
from likeness.voice.decode import Decoding, Source, examine
from likeness.voice.streams import FlacWriter

Array = np.ndarray
Span = tuple[float, float]

VAD_RATE = 16000  # Hz, the input of Silero's model
CHUNK = 600 * VAD_RATE  # samples that it gets at a time
QUIET = 0.2  # seconds over which the quietest spot for a cut is measured


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
) -> list[Result]:
    """`audio.flac`, facts about the original, and the regions of speech, for each file.

    Raises:
        Rejected: a file cannot be used.
    """
    outcomes: list[Result] = []
    for payload in payloads:
        source = examine(payload["path"], sample_rate)
        if source.seconds < min_recording_seconds:
            raise Rejected("too_short", round(source.seconds, 3), min_recording_seconds)
        if source.loudness == -np.inf:  # digital silence, or below the meter's gate
            raise Rejected("no_speech", 0.0, min_speech_seconds)
        gain_db = min(loudness - source.loudness, peak - 20 * float(np.log10(source.peak)))  # dB
        audio, spans = _write(
            payload["path"],
            sample_rate,
            source,
            gain_db,
            SpeechDetector(vad_threshold, min_speech_seconds, min_silence_seconds),
        )
        if not spans:
            raise Rejected("no_speech", 0.0, min_speech_seconds)
        record = {
            "container": source.container,
            "codec": source.codec,
            "source_rate": source.source_rate,
            "source_channels": source.source_channels,
            "other_tracks": source.other_tracks,
            "seconds": round(source.seconds, 3),
            "loudness": round(source.loudness, 2),
            "gain_db": round(gain_db, 2),
            "regions": [
                [round(start, 3), round(end, 3)]
                for span in spans
                for start, end in split_long(span, audio, max_seconds)
            ],
        }
        outcomes.append(Result(record, {"audio.flac": audio}))
    return outcomes


def _write(
    path: Any, rate: int, source: Source, gain_db: float, listener: "SpeechDetector"
) -> tuple[bytes, list[Span]]:
    """The FLAC of a recording after a gain, and its stretches of speech in seconds."""
    import soxr

    writer = FlacWriter(rate)
    heard = soxr.ResampleStream(rate, VAD_RATE, 1, dtype="float32")
    for block in Decoding(path, rate, source.channel):
        samples = block * np.float32(10 ** (gain_db / 20))
        writer.add(samples)
        listener.add(heard.resample_chunk(samples))
    listener.add(heard.resample_chunk(np.empty(0, np.float32), last=True))
    return writer.close(), listener.close()


class SpeechDetector:
    """Finds speech with Silero VAD in samples at `VAD_RATE` that are added block by block.

    Args:
        threshold: probability of speech, 0 to 1, from which a stretch begins; it ends 0.15 lower.
        min_speech_seconds: shorter stretches are dropped.
        min_silence_seconds: shorter silences do not end a stretch.
    """

    def __init__(
        self, threshold: float, min_speech_seconds: float, min_silence_seconds: float
    ) -> None:
        from faster_whisper.vad import VadOptions

        self.options = VadOptions(
            threshold=threshold,
            min_speech_duration_ms=round(1000 * min_speech_seconds),
            min_silence_duration_ms=round(1000 * min_silence_seconds),
            speech_pad_ms=0,
        )
        self.first = 0  # samples before those in `waiting`
        self.waiting: list[Array] = []
        self.spans: list[Span] = []

    def add(self, samples: Array) -> None:
        self.waiting.append(samples)
        if sum(map(len, self.waiting)) >= CHUNK:
            self._listen(last=False)

    def close(self) -> list[Span]:
        self._listen(last=True)
        return self.spans

    def _listen(self, *, last: bool) -> None:
        from faster_whisper.vad import get_speech_timestamps

        samples = np.concatenate(self.waiting)
        found = get_speech_timestamps(samples, self.options)
        heard = len(samples)
        if not last and found and found[-1]["start"] > len(samples) / 2:
            # The last stretch may continue, so it is passed on with half of the silence before it.
            before = found[-2]["end"] if len(found) > 1 else 0
            heard = (before + found[-1]["start"]) // 2
            found = found[:-1]
        for span in found:
            edges = ((self.first + span[edge]) / VAD_RATE for edge in ("start", "end"))
            self.spans.append((next(edges), next(edges)))
        self.first += heard
        self.waiting = [samples[heard:]]


def split_long(span: Span, audio: bytes, max_seconds: float) -> list[Span]:
    """`span` of an audio file, cut at its quietest spots until no part is longer than `max_seconds`.

    Such long speech without a pause is rare, and a cut does the least harm in its quietest fifth of
    a second. The spot is sought in the middle half, so that no part becomes too short.
    """
    start, end = span
    if end - start <= max_seconds:
        return [span]
    quarter = (end - start) / 4
    middle, rate = read(audio, start + quarter, end - quarter)
    width = round(QUIET * rate)
    energy = np.cumsum(np.square(middle.astype(np.float64)))
    quietest = int(np.argmin(energy[width:] - energy[:-width]))
    cut = (round((start + quarter) * rate) + quietest + width / 2) / rate
    return [
        *split_long((start, cut), audio, max_seconds),
        *split_long((cut, end), audio, max_seconds),
    ]
