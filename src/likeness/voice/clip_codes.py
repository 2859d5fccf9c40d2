"""Encodes clips for XTTS training: the codes to predict, and the mel used for conditioning."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from likeness.common.errors import one_line
from likeness.common.result import Rejected, Result
from likeness.voice.audio import SILENT, read, resample
from likeness.voice.codes import CODE, FFT, RATE, load_dvae, log_mel

if TYPE_CHECKING:
    import torch

Array = np.ndarray

CODES = "codes.i16"


def encode_clips(paths: Sequence[Path], *, base: Path, device: str) -> list[Result | Rejected]:
    """`codes.i16` (C,) and `mel.f16` (80, FRAMES * C) of each mono clip, and its length in seconds."""
    return [_encode(path, base, device) for path in paths]


def _encode(path: Path, base: Path, device: str) -> Result | Rejected:
    import torch

    try:
        wave, seconds = read_clip(path)
    except Rejected as rejected:
        return rejected
    dvae, stats = load_dvae(base, device)
    batch = torch.from_numpy(wave)[None].to(device)
    with torch.inference_mode():
        # Coqui has two kinds of mel: one for the codes, and one with a longer FFT for references.
        codes = dvae.get_codebook_indices(log_mel(batch, FFT, stats))[0]
        mel = log_mel(batch, 2 * FFT, stats)[0]
    return Result(
        {"seconds": seconds},
        {
            **pack_codes(codes),
            "mel.f16": mel.cpu().numpy().astype(np.float16).tobytes(),
        },
    )


def read_clip(path: Path) -> tuple[Array, float]:
    """A mono clip at `RATE`, padded with silence to whole codes, and its length in seconds.

    Raises:
        Rejected: it cannot be read, is not mono, or is silent.
    """
    import soundfile

    try:
        samples, rate = read(path)
    except (OSError, soundfile.SoundFileError) as error:
        raise Rejected("unreadable", one_line(error)) from error
    if samples.ndim != 1:
        raise Rejected("unreadable", "not mono")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak <= SILENT:
        raise Rejected("silent", peak)
    wave = resample(samples, rate, RATE)
    return np.pad(wave, (0, -len(wave) % CODE)), round(len(samples) / rate, 4)


def pack_codes(codes: "torch.Tensor") -> dict[str, bytes]:
    """The file of a `Result` that holds codes (C,) as 16-bit integers."""
    return {CODES: codes.cpu().numpy().astype(np.int16).tobytes()}
