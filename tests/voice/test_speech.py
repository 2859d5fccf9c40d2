"""Texts that a tokenizer takes."""

from types import SimpleNamespace
from typing import Any

import pytest

from likeness.common.result import Rejected
from likeness.voice.speech import check_text


def model() -> Any:
    """A tokenizer that makes a token of each letter, and 202 more of a text that begins with b.

    It cleans a text of the letter q. Letters beyond ASCII, and q, are the unknown token 1.
    """

    def encode(text: str) -> SimpleNamespace:
        return SimpleNamespace(ids=[int(not one.isascii() or one == "q") for one in text])

    return SimpleNamespace(
        tokenizer=SimpleNamespace(
            char_limits={"en": 250},
            preprocess_text=lambda text, lang: text.replace("q", "k"),
            encode=lambda text, lang: encode(text).ids + [0] * 202 * text.startswith("b"),
            tokenizer=SimpleNamespace(token_to_id={"[UNK]": 1}.get, encode=encode),
        ),
        args=SimpleNamespace(gpt_max_text_tokens=402),
    )


@pytest.mark.parametrize(
    ("text", "reason", "value", "threshold"),
    [
        (" …! ", "empty", " …! ", None),
        ("a" * 251, "too_long", "251 characters", 250),
        ("b" * 200, "too_long", "402 tokens", 402),
        ("A hat, их, Их — 5 €", "unknown_letters", "их", None),
    ],
)
def test_texts_that_cannot_be_said(
    text: str, reason: str, value: str, threshold: int | None
) -> None:
    with pytest.raises(Rejected) as caught:
        check_text(model(), text, "en")
    found = caught.value
    assert (found.reason, found.value, found.threshold) == (reason, value, threshold)


@pytest.mark.parametrize("text", ["A hat.", "A hat — 5 €", "Q", "a" * 250, "b" * 199])
def test_other_texts_can_be_said(text: str) -> None:
    check_text(model(), text, "en")
