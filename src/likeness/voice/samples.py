"""Clips to listen to, small enough to be embedded in a page."""

import io
from pathlib import Path

import numpy as np

from likeness.voice.audio import read, resample

Array = np.ndarray

RATE = 24000  # Hz, XTTS's output
BIT_RATE = 32000  # bits per second of the MP3


def encode_mp3(path: Path) -> bytes:
    """A mono file as MP3, which every browser plays; the same samples give the same bytes."""
    import av

    samples = resample(*read(path), RATE).clip(-1, 1)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono")
        stream.bit_rate = BIT_RATE
        context = stream.codec_context
        context.open(strict=False)
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = RATE
        fitting = av.AudioResampler(
            format=context.format, layout="mono", rate=RATE, frame_size=context.frame_size
        )
        for part in [*fitting.resample(frame), *fitting.resample(None)]:
            part.pts = None
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return buffer.getvalue()
