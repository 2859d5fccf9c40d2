"""How much of a text repeats itself, as a recogniser's output does when it falls into a loop."""

import re
import zlib
from collections import Counter

REPEATS = 3  # an n-gram that occurs this often counts as repeated
LENGTHS = range(2, 6)  # of n-grams, in words


def repeated_share(text: str) -> float:
    """Share of words, 0 to 1, in the n-grams (2 to 5 words) that occur three times or more."""
    words = re.findall(r"\w+", text.lower())
    most = 0.0
    for size in LENGTHS:
        grams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
        counts = Counter(grams)
        covered = {
            at + offset
            for at, gram in enumerate(grams)
            if counts[gram] >= REPEATS
            for offset in range(size)
        }
        most = max(most, len(covered) / max(1, len(words)))
    return most


def compression_ratio(text: str) -> float:
    """Bytes divided by compressed bytes, as Whisper computes it: high for a loop."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))
