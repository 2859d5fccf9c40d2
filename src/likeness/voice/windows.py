"""What Whisper hears of a recording: stretches of it as files at its rate."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from likeness.common.result import Result
from likeness.voice.audio import encode, read, resample

Array = np.ndarray


def cut_windows(payloads: Sequence[dict[str, Any]], *, rate: int) -> list[Result]:
    """A file at `rate` Hz for each window: its pieces, one after the other."""
    results: list[Result] = []
    for payload in payloads:
        heard = resample(*read(payload["audio"]), rate)
        files = {
            f"{at:05d}.flac": encode(_join(heard, rate, window), rate, "FLAC")
            for at, window in enumerate(payload["windows"])
        }
        results.append(Result({"windows": len(files)}, files))
    return results


def _join(samples: Array, rate: int, spans: Sequence[tuple[float, float]]) -> Array:
    return np.concatenate([samples[round(s * rate) : round(e * rate)] for s, e in spans])
