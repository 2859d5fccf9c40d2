"""A transcribed word, and whether a sentence or clause ends with it."""

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict

SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
CLAUSE_ENDS = (",", ";", ":", "—", "–")
CLOSING = "\"'”’»)]"


class Word(BaseModel):
    """A transcribed word with its punctuation; times are seconds in the recording."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    word: str
    start: float
    end: float
    probability: float


def ends_sentence(word: str, abbreviations: Collection[str]) -> bool:
    """Whether a sentence ends with this word, as far as its punctuation tells.

    Args:
        abbreviations: in lower case; their full stop does not end a sentence.
    """
    bare = word.strip().rstrip(CLOSING)
    initial = len(bare) == 2 and bare[0].isupper()
    return bare.endswith(SENTENCE_ENDS) and bare.lower() not in abbreviations and not initial


def ends_clause(word: str) -> bool:
    return word.strip().rstrip(CLOSING).endswith((*CLAUSE_ENDS, *SENTENCE_ENDS))
