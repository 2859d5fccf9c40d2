"""Text as phonemes, for a base that reads phonemes (`"text": "phonemes"` in its `config.json`).

The phonemes are those of eSpeak NG, in the International Phonetic Alphabet with marks of stress; its
library and its data come with the package espeakng-loader. Punctuation stays, as it is spoken too.
"""

import ctypes
import re
from functools import cache

from likeness.common.errors import LikenessError

VOICE = "en-us"
SYNCHRONOUS, UTF8, IPA = 2, 1, 2  # eSpeak NG's constants; SYNCHRONOUS opens no sound card
MARKS = ",.!?"
PAUSES = str.maketrans(";:", ",,", chr(34) + "()")
UNSAID = dict.fromkeys(map(ord, "\u200d\u0329"))  # a joiner, and the mark of a syllabic consonant


def phonemes(text: str) -> str:
    """The phonemes of an English text: a space between words, and marks of `MARKS` after them.

    Some short words are joined ("of the" is one group), as they are in fluent speech.
    """
    said = ""
    for part in re.split(rf"([{MARKS}]+)", text.lower().translate(PAUSES)):
        if part and part[0] in MARKS:
            said += part[0] if said else ""
        elif words := part.strip(" -'"):
            said += (" " if said else "") + _clause(words)
    return said


def _clause(text: str) -> str:
    rest = ctypes.pointer(ctypes.c_char_p(text.encode()))
    found = []
    while rest.contents.value:  # eSpeak NG stops at what it takes for the end of a clause
        part = _espeak().espeak_TextToPhonemes(rest, UTF8, IPA)
        found += part.decode().translate(UNSAID).split()
        if not part:
            break
    return " ".join(found)


@cache
def _espeak() -> ctypes.CDLL:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    if library.espeak_SetVoiceByName(VOICE.encode()):
        raise LikenessError(f"espeakng-loader has no voice {VOICE}; install it again")
    return library
