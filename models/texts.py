"""What xtts_mini's training voices read: plain English, the narration's grammar, and word salads.

A language model that reads templates only learns the templates. WordNet's example sentences are plain
English of some thirty thousand words, and salads (words in a random order) can be said by reading alone.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from models.narration import narrate
from models.settings import Texts

SENTENCES = Path(__file__).parent / "xtts_sentences.yaml"
PARTS = ("noun", "verb", "adj", "adv")
PLAIN = re.compile(r"[A-Za-z][A-Za-z' ,;:!?.-]*")


def lines(cfg: Texts, count: int, seed: int, wordnet: Path) -> list[str]:
    """`count` distinct texts of one to three sentences, none of which is held out for tests.

    Args:
        cfg: the shares of the kinds, and of texts of one, two and three sentences.
        count: number of texts.
        seed: of the choice.
        wordnet: folder of WordNet's database, `data.noun` and so on.
    """
    rng = np.random.default_rng(seed)
    kinds: dict[str, Iterator[str]] = {
        "catalogue": _in_turn(lambda: catalogue(2000, int(rng.integers(2**31)))),
        "plain": _in_turn(lambda: [plain[at] for at in rng.permutation(len(plain))]),
        "salad": _in_turn(lambda: [salad(rng, wordnet) for _ in range(1000)]),
    }
    plain = [text for text in examples(wordnet) if text not in held_out(wordnet)]
    found: dict[str, None] = {}
    while len(found) < count:
        size = int(rng.choice(3, p=cfg.sentences)) + 1
        chosen = rng.choice(list(cfg.shares), size=size, p=list(cfg.shares.values()))
        text = " ".join(next(kinds[kind]) for kind in chosen)
        if len(text) <= cfg.longest:
            found[text] = None
    return list(found)


def measured() -> dict[str, list[str]]:
    """The sentences that xtts_mini is measured on, by kind."""
    sentences: dict[str, list[str]] = yaml.safe_load(SENTENCES.read_text(encoding="utf-8"))
    return sentences


def _in_turn(more: Callable[[], list[str]]) -> Iterator[str]:
    while True:
        yield from more()


def catalogue(count: int, seed: int) -> list[str]:
    """Sentences of the narration's grammar, as they are spoken; all templates about equally often."""
    return [" ".join(own.spoken) for own in narrate(count, seed, long_every=60)]


@cache
def examples(wordnet: Path) -> list[str]:
    """WordNet's example sentences of at least three words, as sentences: sorted, without twins."""
    found = set()
    for part in PARTS:
        for line in (wordnet / f"data.{part}").read_text(encoding="latin-1").splitlines():
            for quoted in re.findall(r'"([^"]+)"', line.partition("|")[2]):
                text = " ".join(quoted.split()).strip(" ,;:")
                if PLAIN.fullmatch(text) and 3 <= len(text.split()) <= 24:
                    text = text[0].upper() + text[1:]
                    found.add(text if text[-1] in ".!?" else f"{text}.")
    return sorted(found)


@cache
def held_out(wordnet: Path) -> frozenset[str]:
    """One in a hundred of the examples, which no voice reads for training."""
    return frozenset(examples(wordnet)[::100])


@cache
def vocabulary(wordnet: Path) -> tuple[list[str], list[str]]:
    """The words of the narration's grammar, and those of WordNet's examples (as often as they occur)."""
    own = re.findall(r"[a-z]+", " ".join(catalogue(3000, 1)).lower())
    plain = [text for text in examples(wordnet) if text not in held_out(wordnet)]
    return sorted(set(own)), re.findall(r"[a-z]+", " ".join(plain).lower())


def salad(rng: np.random.Generator, wordnet: Path) -> str:
    """Four to twelve words in a random order, most of them of the narration's grammar."""
    own, plain = vocabulary(wordnet)
    words = [
        str(rng.choice(own)) if rng.random() < 0.7 else plain[int(rng.integers(len(plain)))]
        for _ in range(rng.integers(4, 13))
    ]
    commas = [word + ("," if rng.random() < 0.1 else "") for word in words[:-1]]
    text = " ".join([*commas, words[-1]])
    return text[0].upper() + text[1:] + str(rng.choice([".", ".", ".", "?", "!"]))
