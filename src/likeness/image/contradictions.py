"""Whether a text says another colour, type, gender, season or usage of a product than its row does.

The words are the catalogue's own: the values of its columns. A text is read clause by clause, and the
longest value that stands at a word counts, so `navy blue` is not `blue`, and `casual shoes` are not a
casual usage. What is negated, and what a product is worn with, is not said of the product.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from likeness.image.rows import Product

# The columns that a text can contradict, and what a contradiction of each is called.
REASONS = {
    "baseColour": "colour",
    "articleType": "article_type",
    "gender": "gender",
    "season": "season",
    "usage": "usage",
}
BOTH = {"Men", "Women"}  # who says both says UNISEX
UNISEX = "Unisex"

# Other forms of the catalogue's words, and words that only look like them.
FORMS = {
    **{"man": "men", "woman": "women", "lady": "women", "gentleman": "men", "gentlemen": "men"},
    **{"gray": "grey", "autumn": "fall", "sporty": "sport", "goes": "go"},
    **{"falls": "falls", "springs": "springs"},
}
# Phrases with a word of a column that say nothing of it.
IDIOMS = (
    *("fall in love", "fall into", "fall off", "fall apart", "fall short"),
    *("spring in your step", "spring in every step", "spring back", "spring to"),
)
NEGATIONS = {"not", "no", "never", "without", "neither", "nor", "cannot"}
NEGATIONS |= {"unlike", "than", "instead", "non"}
DENIALS = {"not", "never"}
HARDLY = {"only", "just", "merely"}  # after "not": it is said after all, with more
BETWEEN = {"a", "an", "the", "for", "in"}  # between a denial and what it denies
# "Pair with", "goes well with", "matches": what follows is another product.
PAIRING = {"pair", "paired", "pairing", "match", "matched", "matching", "team", "teamed"}
PAIRING |= {"style", "styled", "wear", "worn", "wearing", "combine", "combined"}
PAIRING |= {"go", "look", "work"}
COMPANY = {"match", "complement"}
REACH = 4  # words between "pairs" and "with"
CLAUSE, SENTENCE = set(".,;:!?"), set(".;!?")

Words = tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A value that a text says of a product: `denied` if it says directly that it is not so."""

    column: str
    value: str
    denied: bool = False


@dataclass(frozen=True)
class Contradiction:
    """What a text says, and what the row says of the same column."""

    column: str
    said: str
    row: str


def words_of(text: str) -> Words:
    """The words and marks of a text in small letters, in the singular, without possessives.

    >>> words_of("Men's T-shirts, isn't it")
    ('men', 'tshirt', ',', 'is', 'not', 'it')
    """
    plain = re.sub(r"n't\b", " not", text.lower().replace("’", "'"))
    plain = re.sub(r"'s\b|'", "", plain)
    plain = re.sub(r"\bt[- ]shirt", "tshirt", plain)  # as the catalogue writes it; no kind of shirt
    return tuple(map(_word, re.findall(r"[^\W_]+|[.,;:!?]", plain)))


def _word(word: str) -> str:
    if word in FORMS:
        return FORMS[word]
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("shes", "ches", "xes", "sses")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    return FORMS.get(word, word)


class Vocabulary:
    """The values of a catalogue's columns, as words."""

    def __init__(self, products: Iterable[Product]) -> None:
        values = {
            (column, value)
            for product in products
            for column, value in product.attributes().items()
            if column in REASONS and value
        }
        self._meant: dict[Words, list[Claim]] = {words_of(idiom): [] for idiom in IDIOMS}
        for column, value in sorted(values):
            self._meant.setdefault(words_of(value), []).append(Claim(column, value))
        self._longest = max(map(len, self._meant))

    def claims(self, text: str) -> list[Claim]:
        """What a text says of its product."""
        said = list(self._claims(words_of(text)))
        genders = {one.value for one in said if one.column == "gender"}
        if genders >= BOTH:
            said = [one for one in said if one.column != "gender" or one.value not in BOTH]
            said.append(Claim("gender", UNISEX))
        return said

    def _claims(self, words: Words) -> Iterator[Claim]:
        negated = company = False
        at = 0
        while at < len(words):
            phrase = next(
                (
                    words[at : at + length]
                    for length in range(min(self._longest, len(words) - at), 0, -1)
                    if words[at : at + length] in self._meant
                ),
                None,
            )
            if phrase is None:
                word = words[at]
                before = words[max(at - REACH, 0) : at]
                if word in CLAUSE or word == "but":
                    negated = False
                elif word in NEGATIONS:
                    negated = not HARDLY & set(words[at + 1 : at + 2])
                if word in SENTENCE:
                    company = False
                elif word in COMPANY or (word == "with" and PAIRING & set(before)):
                    company = True
                at += 1
                continue
            if not company:
                denied = negated and self._is_denied(words[:at])
                for claim in self._meant[phrase]:
                    if denied or not negated:
                        yield Claim(claim.column, claim.value, denied)
            at += len(phrase)

    @staticmethod
    def _is_denied(before: Words) -> bool:
        """Whether a denial stands directly before, as in "not for men"."""
        return next((word in DENIALS for word in reversed(before) if word not in BETWEEN), False)

    def contradictions(self, text: str, row: Product) -> list[Contradiction]:
        """Where a text says another value than the row, or denies the row's own.

        No contradiction is a value whose words the row has itself (`blue` of `Navy Blue`, `casual` of
        `Casual Shoes`), nor one that has all words of the row's value (`navy blue` of `Blue`). Another
        article type is one only where it stands in the place of the row's own: a text names parts and
        company of a product too.
        """
        claims, words = self.claims(text), words_of(text)
        values = {column: value for column, value in row.attributes().items() if column in REASONS}
        own = {word for value in values.values() for word in words_of(value)}
        found = []
        for column in REASONS:
            value = values[column]
            if not value:
                continue
            mine = words_of(value)
            for claim in (one for one in claims if one.column == column):
                theirs = words_of(claim.value)
                if claim.denied:
                    if claim.value == value:
                        found.append(Contradiction(column, f"not {value}", value))
                elif not (own.issuperset(theirs) or set(theirs).issuperset(mine)):
                    replaces = theirs[-1] == mine[-1] or mine[-1] not in words
                    if column != "articleType" or replaces:
                        found.append(Contradiction(column, claim.value, value))
        return found

    def named(self, text: str, row: Product) -> tuple[int, int]:
        """How many of the row's attributes the text says, and how many the row has."""
        values = {(column, row.attributes()[column]) for column in REASONS}
        has = {pair for pair in values if pair[1]}
        said = {(one.column, one.value) for one in self.claims(text) if not one.denied}
        return len(has & said), len(has)
