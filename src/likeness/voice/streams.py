"""Long recordings in the lane's own form, written and read in blocks and never all in memory."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from likeness.voice.audio import to_16_bits

Array = np.ndarray


class FlacWriter:
    """Writes float samples block by block as 16-bit mono FLAC, with the same bytes as `encode`."""

    def __init__(self, rate: int) -> None:
        import soundfile

        self.buffer = io.BytesIO()
        self.file = soundfile.SoundFile(self.buffer, "w", rate, 1, "PCM_16", format="FLAC")

    def add(self, samples: Array) -> None:
        self.file.write(to_16_bits(samples))

    def close(self) -> bytes:
        self.file.close()
        return self.buffer.getvalue()


def blocks(path: Path, rate: int, seconds: float = 60.0) -> Iterator[Array]:
    """The samples of a file that `encode` wrote, resampled to `rate` Hz, in blocks of `seconds`."""
    import soundfile
    import soxr

    with soundfile.SoundFile(path) as file:
        resampler = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32")
        size = round(seconds * file.samplerate)
        while len(samples := file.read(size, dtype="float32")):
            yield samples if rate == file.samplerate else resampler.resample_chunk(samples)
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def length(path: Path) -> tuple[float, int]:
    """Seconds and sample rate (Hz) of a file that `encode` wrote."""
    import soundfile

    found = soundfile.info(path)
    return found.frames / found.samplerate, found.samplerate
