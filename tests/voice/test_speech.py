"""Settings that are the base's, and texts that a tokenizer takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import write_json
from likeness.common.result import Rejected
from likeness.voice.speech import SETTINGS, check_text, read_settings

OWN = {"temperature": 0.75, "top_k": 50, "top_p": 0.85, "repetition_penalty": 5}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_json(tmp_path / "config.json", {**OWN, "length_penalty": 1.0})
    return tmp_path / "config.json"


def test_settings_are_the_base_s_unless_given(config: Path) -> None:
    nothing: dict[str, float | None] = dict.fromkeys(SETTINGS)
    assert read_settings(config, nothing) == OWN
    assert read_settings(config, {**nothing, "temperature": 0.2})["temperature"] == 0.2
    found = read_settings(config, nothing)
    assert isinstance(found["repetition_penalty"], float), "transformers refuses 5"
    assert isinstance(found["top_k"], int)


def test_a_config_without_a_setting_is_one_line(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"temperature": 0.75})
    with pytest.raises(LikenessError, match=r"no top_k; set voice_synthesize\.top_k"):
        read_settings(tmp_path / "config.json", dict.fromkeys(SETTINGS))


def model() -> Any:
    """A tokenizer that makes a token of each letter, and 202 more of a text that begins with b."""

    def encode(text: str, lang: str) -> list[int]:
        return [0] * (len(text) + 202 * text.startswith("b"))

    return SimpleNamespace(
        tokenizer=SimpleNamespace(char_limits={"en": 250}, encode=encode),
        args=SimpleNamespace(gpt_max_text_tokens=402),
    )


@pytest.mark.parametrize(
    ("text", "reason", "value", "threshold"),
    [
        (" …! ", "empty", " …! ", None),
        ("a" * 251, "too_long", "251 characters", 250),
        ("b" * 200, "too_long", "402 tokens", 402),
    ],
)
def test_texts_that_cannot_be_said(
    text: str, reason: str, value: str, threshold: int | None
) -> None:
    with pytest.raises(Rejected) as caught:
        check_text(model(), text, "en")
    found = caught.value
    assert (found.reason, found.value, found.threshold) == (reason, value, threshold)


@pytest.mark.parametrize("text", ["A hat.", "a" * 250, "b" * 199])
def test_other_texts_can_be_said(text: str) -> None:
    check_text(model(), text, "en")
