"""The languages whose texts this lane can prepare.

They are kept apart from the rules, so that a stage can refuse a language at its start, and does not
become stale when a rule changes.
"""

from typing import Annotated

from pydantic import AfterValidator

from likeness.common.errors import LikenessError

LANGUAGES = ("en", "es", "pt", "fr", "de", "it")


def check_language(language: str) -> None:
    """Raises `LikenessError` where there is no table for a language code (`en`, `pt`, `pt-BR`)."""
    if code(language) not in LANGUAGES:
        raise LikenessError(
            f"language {language!r}: no table of text rules; it must be one of "
            f"{', '.join(LANGUAGES)} (or add one to likeness.voice.tables)"
        )


def code(language: str) -> str:
    """The language without its region: `pt` of `pt-BR` and of `pt_BR`."""
    return language.lower().replace("_", "-").partition("-")[0]


# A language in params.yaml: `en-US` in one stage and `en` in another are the same one.
Language = Annotated[str, AfterValidator(code)]
