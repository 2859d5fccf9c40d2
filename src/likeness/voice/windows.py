"""The windows of a recording that Whisper transcribes, as files at its sample rate."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.result import Result
from likeness.voice.audio import encode
from likeness.voice.streams import blocks

Array = np.ndarray


def cut_windows(payloads: Sequence[dict[str, Any]], *, rate: int) -> list[Result]:
    """A file at `rate` Hz for each window, with the window's pieces joined in order of time."""
    results: list[Result] = []
    for payload in payloads:
        windows = payload["windows"]
        pieces = _pieces(payload["audio"], rate, [span for window in windows for span in window])
        files = {
            f"{at:05d}.flac": encode(
                np.concatenate(list(islice(pieces, len(window)))), rate, "FLAC"
            )
            for at, window in enumerate(windows)
        }
        results.append(Result({"windows": len(files)}, files))
    return results


def _pieces(audio: Path, rate: int, spans: Sequence[tuple[float, float]]) -> Iterator[Array]:
    """The samples of each span, in seconds, of a recording that is never all in memory."""
    parts = blocks(audio, rate)
    kept, first = np.empty(0, np.float32), 0
    for start, end in ((round(start * rate), round(end * rate)) for start, end in spans):
        while first + len(kept) < end and (part := next(parts, None)) is not None:
            kept = np.concatenate([kept, part])
        kept, first = kept[start - first :], start
        yield kept[: end - start]
