"""The tables of all languages, by code."""

from dataclasses import replace
from typing import Any

from likeness.voice.tables.english import ENGLISH
from likeness.voice.tables.french import FRENCH
from likeness.voice.tables.german import GERMAN
from likeness.voice.tables.italian import ITALIAN
from likeness.voice.tables.language import Language
from likeness.voice.tables.portuguese import PORTUGUESE
from likeness.voice.tables.spanish import SPANISH


def _spelled_out(table: Language) -> Language:
    """The table with an entry for each of the spellings in a key, which `|` divides."""
    spelled: dict[str, Any] = {
        name: {one: value for key, value in getattr(table, name).items() for one in key.split("|")}
        for name in ("currencies", "magnitudes", "units")
    }
    return replace(table, **spelled)


TABLES = {
    "en": _spelled_out(ENGLISH),
    "es": _spelled_out(SPANISH),
    "pt": _spelled_out(PORTUGUESE),
    "fr": _spelled_out(FRENCH),
    "de": _spelled_out(GERMAN),
    "it": _spelled_out(ITALIAN),
}
# What ends in a point and yet ends no sentence, in any of the languages.
ABBREVIATIONS = frozenset(
    {
        *("st.", "d.", "r."),
        *(short.lower() for table in TABLES.values() for short in table.abbreviations),
    }
)
