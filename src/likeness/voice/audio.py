"""Samples in the one form that the lane works on: mono, at a rate, in files of 16 bits."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

Array = np.ndarray

SILENT = 1e-3  # peak, of full scale, up to which nothing is heard


def resample(samples: Array, source: int, target: int) -> Array:
    """(N,) samples at `source` Hz as float32 at `target` Hz."""
    import soxr

    return np.asarray(soxr.resample(samples.astype(np.float32), source, target))


def encode(samples: Array, rate: int, form: Literal["FLAC", "WAV"]) -> bytes:
    """A 16-bit mono file of (N,) float samples; the same bytes for the same samples."""
    writer = Writer(rate, form)
    writer.add(samples)
    return writer.close()


class Writer:
    """A 16-bit mono file of float samples that come block by block."""

    def __init__(self, rate: int, form: Literal["FLAC", "WAV"]) -> None:
        import soundfile

        self.buffer = io.BytesIO()
        self.file = soundfile.SoundFile(self.buffer, "w", rate, 1, "PCM_16", format=form)

    def add(self, samples: Array) -> None:
        levels = np.clip(np.round(samples * 32768.0), -32768, 32767)
        self.file.write(levels.astype(np.int16))

    def close(self) -> bytes:
        self.file.close()
        return self.buffer.getvalue()


def read(source: Path | bytes, start: float = 0.0, end: float | None = None) -> tuple[Array, int]:
    """(N,) float32 samples and the rate of a file that `encode` wrote, or of a part in seconds."""
    import soundfile

    with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
        first = round(start * file.samplerate)
        last = file.frames if end is None else min(file.frames, round(end * file.samplerate))
        file.seek(first)
        return file.read(last - first, dtype="float32"), file.samplerate


def blocks(path: Path, rate: int, seconds: float = 60.0) -> Iterator[Array]:
    """The samples of a file that `encode` wrote, resampled to `rate` Hz, so many seconds at a time."""
    import soundfile
    import soxr

    with soundfile.SoundFile(path) as file:
        resampler = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32")
        size = round(seconds * file.samplerate)
        while len(samples := file.read(size, dtype="float32")):
            yield samples if rate == file.samplerate else resampler.resample_chunk(samples)
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def length(path: Path) -> tuple[float, int]:
    """Seconds and rate of a file that `encode` wrote."""
    import soundfile

    found = soundfile.info(path)
    return found.frames / found.samplerate, found.samplerate
