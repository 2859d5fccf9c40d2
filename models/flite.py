"""Speech from CMU Flite, called through its C library, with the time at which each word ends.

The Debian package's command-line program does not report these times, so the library is called.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.errors import LikenessError

# Path in Flite's utterance structure from a written word to the end time of its last segment.
WORD_END = b"daughtern.R:SylStructure.daughtern.daughtern.R:Segment.end"


class _Wave(ctypes.Structure):
    """Flite's C structure `cst_wave`."""

    _fields_ = (
        ("type", ctypes.c_char_p),
        ("rate", ctypes.c_int),
        ("count", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _Voice(ctypes.Structure):
    """The first fields of Flite's C structure `cst_voice`; the rest is not used."""

    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


def say(text: str, voice: str, speed: float, folder: Path) -> tuple[np.ndarray, int, np.ndarray]:
    """Synthesize a text.

    Args:
        text: words separated by spaces; numbers must be written as words.
        voice: "awb", "rms" or "slt".
        speed: relative to the voice's default; 2 is twice as fast.
        folder: the unpacked packages `flite` and `libflite1`.

    Returns:
        Samples (N,) in -1..1, sample rate in Hz, and the end of each written word (W,) in seconds.

    Raises:
        LikenessError: there is no such voice.
    """
    flite, speaker = _library(folder), _voice(voice, folder)
    flite.feat_set_float(speaker.contents.features, b"duration_stretch", 1 / speed)
    utterance = flite.flite_synth_text(text.encode(), speaker)
    wave = flite.utt_wave(utterance).contents
    samples = np.ctypeslib.as_array(wave.samples, (wave.count,)).astype(float) / 32768
    ends = []
    word = flite.relation_head(flite.utt_relation(utterance, b"Token"))
    while word:
        ends.append(flite.ffeature_float(word, WORD_END))
        word = flite.item_next(word)
    rate = wave.rate
    flite.delete_utterance(utterance)
    return samples, rate, np.array(ends)


@cache
def _library(folder: Path) -> Any:
    """The library; loaded globally, because the voices resolve their symbols against it."""
    flite = ctypes.CDLL(str(_path("flite", folder)), ctypes.RTLD_GLOBAL)
    for part in ("flite_usenglish", "flite_cmulex"):
        ctypes.CDLL(str(_path(part, folder)), ctypes.RTLD_GLOBAL)
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
        ("feat_set_float", None, [pointer, text, ctypes.c_float]),
        ("flite_synth_text", pointer, [text, ctypes.POINTER(_Voice)]),
        ("utt_wave", ctypes.POINTER(_Wave), [pointer]),
        ("utt_relation", pointer, [pointer, text]),
        ("relation_head", pointer, [pointer]),
        ("item_next", pointer, [pointer]),
        ("ffeature_float", ctypes.c_float, [pointer, text]),
        ("delete_utterance", None, [pointer]),
    ):
        function = getattr(flite, name)
        function.restype, function.argtypes = result, arguments
    flite.flite_init()
    return flite


@cache
def _voice(name: str, folder: Path) -> Any:
    register = getattr(
        ctypes.CDLL(str(_path(f"flite_cmu_us_{name}", folder))), f"register_cmu_us_{name}"
    )
    register.restype, register.argtypes = ctypes.POINTER(_Voice), [ctypes.c_char_p]
    return register(None)


def _path(name: str, folder: Path) -> Path:
    found = sorted((folder / "usr/lib").glob(f"*/lib{name}.so.1"))
    if not found:
        raise LikenessError(f"flite: no lib{name}.so.1; voices are awb, rms and slt")
    return found[0]
