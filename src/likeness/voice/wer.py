"""Word and character errors against a reference text, and their rate with a confidence interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from likeness.common.estimates import Estimate, ratio
from likeness.common.io import read_jsonl
from likeness.common.manifest import checked
from likeness.common.params import Section
from likeness.voice.languages import Language

Normalizer = Literal["english", "basic"]


class Hearing(Section):
    """How clips are transcribed, with the same keys in every stage that counts word errors."""

    language: Language
    beam_size: Annotated[int, Field(ge=1, le=20)]
    compute_type: Literal["default", "int8", "int8_float16", "float16", "bfloat16", "float32"]
    normalizer: Normalizer


class Sentence(BaseModel):
    """A row of `script.jsonl`: what is said in a recording, and when; further keys are ignored.

    Attributes:
        file: the recording's path under the folder of recordings.
        start, end: in seconds.
        flaw: empty for a clean sentence, else the name of what is wrong with its audio.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)
    file: str
    start: float
    end: float
    text: str
    flaw: str = ""


@dataclass(frozen=True)
class WordErrors:
    """Substituted, deleted and inserted words (`errors`), and the number of words in the reference."""

    errors: int
    words: int


def read_script(path: Path) -> list[Sentence]:
    """The rows of a `script.jsonl`. Raises `LikenessError` on the first invalid one."""
    return [
        checked(Sentence, value, f"{path}:{number}")
        for number, value in enumerate(read_jsonl(path), start=1)
    ]


def word_errors(reference: str, hypothesis: str, normalizer: Normalizer) -> WordErrors:
    """Errors of a hypothesis after both texts were normalized.

    Args:
        normalizer: Whisper's own, from the package whisper-normalizer: `english` (numbers,
            contractions, British spelling) or `basic` (case and punctuation, any language).
    """
    return WordErrors(*_errors("words", reference, hypothesis, normalizer))


def character_errors(reference: str, hypothesis: str, normalizer: Normalizer) -> tuple[int, int]:
    """Errors of a hypothesis in characters, and the characters of the reference, both normalized."""
    return _errors("characters", reference, hypothesis, normalizer)


def _errors(
    unit: Literal["words", "characters"], reference: str, hypothesis: str, normalizer: Normalizer
) -> tuple[int, int]:
    import jiwer

    clean = _normalizer(normalizer)
    wanted, found = clean(reference).strip(), clean(hypothesis).strip()
    if not wanted:
        return len(found.split() if unit == "words" else found), 0
    counts = getattr(jiwer, f"process_{unit}")(wanted, found)
    errors = counts.substitutions + counts.deletions + counts.insertions
    return errors, counts.hits + counts.substitutions + counts.deletions


def pooled_rate(found: Sequence[WordErrors], rounds: int, seed: int) -> Estimate:
    """All errors divided by all words, with a bootstrap interval over the sentences in `found`."""
    return ratio(np.array([(one.errors, one.words) for one in found]), rounds, seed)


@cache
def _normalizer(name: Normalizer) -> Any:
    if name == "english":
        from whisper_normalizer.english import EnglishTextNormalizer

        return EnglishTextNormalizer()
    from whisper_normalizer.basic import BasicTextNormalizer

    return BasicTextNormalizer()
