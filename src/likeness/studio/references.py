"""The speech in a person's recording, to speak in their voice."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.result import Rejected
from likeness.voice.audio import read
from likeness.voice.vad import segment_recordings

Array = np.ndarray


def find_speech(file: Path, given: dict[str, Any]) -> list[Array] | Rejected:
    """The stretches of speech (N,) in a recording, each with half of the shortest pause around it; or
    why voice_segment would set it aside.

    Args:
        given: the keywords of `segment_recordings`; the samples are at its `sample_rate`.
    """
    try:
        # None is cut as too long: at the cut, what is around it would be heard twice.
        (found,) = segment_recordings([{"path": file}], **{**given, "max_seconds": math.inf})
    except Rejected as rejected:
        return rejected
    samples, rate = read(found.files["audio.flac"])
    around = given["min_silence_seconds"] / 2
    return [
        samples[max(0, round((start - around) * rate)) : round((end + around) * rate)]
        for start, end in found.record["regions"]
    ]
