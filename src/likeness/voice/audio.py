"""Samples in the one form that the lane works on: mono, at a rate, in files of 16 bits."""

import io
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
    import soundfile

    soundfile.write(
        buffer := io.BytesIO(), to_16_bits(samples), rate, format=form, subtype="PCM_16"
    )
    return buffer.getvalue()


def to_16_bits(samples: Array) -> Array:
    """(N,) int16 of floats; what is over full scale is cut."""
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)


def read(source: Path | bytes, start: float = 0.0, end: float | None = None) -> tuple[Array, int]:
    """(N,) float32 samples and the rate of a file that `encode` wrote, or of a part in seconds."""
    import soundfile

    with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
        first = round(start * file.samplerate)
        last = file.frames if end is None else min(file.frames, round(end * file.samplerate))
        file.seek(first)
        return file.read(last - first, dtype="float32"), file.samplerate
