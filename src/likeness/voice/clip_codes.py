"""Encodes clips for XTTS training: the codes to predict, and the mel used for conditioning."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.archives import read_archive
from likeness.common.errors import AGAIN, LikenessError, one_line
from likeness.common.io import read_json
from likeness.common.result import Rejected, Result
from likeness.voice.audio import SILENT, read, resample
from likeness.voice.codes import CODE, FFT, RATE, build_dvae, log_mel

if TYPE_CHECKING:
    import torch

Array = np.ndarray


def encode_clips(paths: Sequence[Path], *, base: Path, device: str) -> list[Result | Rejected]:
    """`codes.i16` (C,) and `mel.f16` (80, FRAMES * C) of each mono clip, and its length in seconds."""
    return [_encode(path, base, device) for path in paths]


def _encode(path: Path, base: Path, device: str) -> Result | Rejected:
    import torch

    try:
        wave, seconds = _read(path)
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
            "codes.i16": codes.cpu().numpy().astype(np.int16).tobytes(),
            "mel.f16": mel.cpu().numpy().astype(np.float16).tobytes(),
        },
    )


def _read(path: Path) -> tuple[Array, float]:
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


@cache
def load_dvae(base: Path, device: str) -> tuple[Any, "torch.Tensor"]:
    """A base's DVAE, and the `stats` (80,) of `log_mel`.

    Coqui's trainer can load only one size of DVAE, so `models/xtts_nets.py: widen` pads a smaller
    one with zeros. The padding is dropped here: the output is the same and is computed faster.

    Raises:
        LikenessError: a file cannot be read, or lacks a part.
    """
    path = base / "dvae.pth"
    state = read_archive(path)
    codes = read_json(base / "config.json")["model_args"]["gpt_num_audio_tokens"] - 2
    try:
        dvae = build_dvae(codes, _used(state["encoder.0.0.weight"]), _used(state["codebook.embed"]))
        dvae.load_state_dict(
            {
                name: state[name][tuple(slice(size) for size in tensor.shape)]
                for name, tensor in dvae.state_dict().items()
            }
        )
    except KeyError as error:
        raise LikenessError(
            f"{path}: no {error.args[0]}; it must hold the encoder, the decoder and the codebook of "
            f"XTTS's DVAE; {AGAIN}"
        ) from error
    stats = read_archive(base / "mel_stats.pth")
    return dvae.eval().requires_grad_(False).to(device), stats.to(device)


def _used(weight: "torch.Tensor") -> int:
    """The number of rows up to and including the last one that is not all zeros."""
    return int(weight.flatten(1).any(dim=1).nonzero().max()) + 1
