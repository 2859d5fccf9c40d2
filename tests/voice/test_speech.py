"""Settings that are the base's, and texts that a tokenizer takes."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import write_json
from likeness.voice.speech import SETTINGS, check_folder, check_text, read_settings

OWN = {"temperature": 0.75, "top_k": 50, "top_p": 0.85, "repetition_penalty": 5}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_json(tmp_path / "config.json", {**OWN, "languages": ["en", "es"], "length_penalty": 1.0})
    return tmp_path / "config.json"


def test_settings_are_the_base_s_unless_given(config: Path) -> None:
    nothing = dict.fromkeys(SETTINGS)
    assert read_settings(config, nothing) == OWN
    assert read_settings(config, {**nothing, "temperature": 0.2})["temperature"] == 0.2
    found = read_settings(config, nothing)
    assert isinstance(found["repetition_penalty"], float), "transformers refuses 5"
    assert isinstance(found["top_k"], int)


def test_a_config_without_a_setting_is_one_line(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"temperature": 0.75})
    with pytest.raises(LikenessError, match=r"no top_k; set voice_synthesize\.top_k"):
        read_settings(tmp_path / "config.json", dict.fromkeys(SETTINGS))


def test_a_folder_that_is_no_xtts_names_what_is_missing(config: Path) -> None:
    with pytest.raises(LikenessError, match=r"\(model.pth, vocab.json missing\)"):
        check_folder(config.parent, config, "en")
    for name in ("model.pth", "vocab.json"):
        (config.parent / name).touch()
    check_folder(config.parent, config, "en")
    with pytest.raises(LikenessError, match="speaks en, es"):
        check_folder(config.parent, config, "pt")


@pytest.mark.parametrize(
    ("text", "reason", "threshold"),
    [
        ("A hat.", None, None),
        (" …! ", "empty", None),
        ("a" * 251, "too_long", 250),
        ("b" * 200, "too_long", 402),  # few characters, many tokens
        ("a" * 250, None, None),
    ],
)
def test_texts_that_cannot_be_said(text: str, reason: str | None, threshold: int | None) -> None:
    def encode(text: str, lang: str) -> list[int]:
        return [0] * (len(text) + 202 * text.startswith("b"))

    model = SimpleNamespace(
        tokenizer=SimpleNamespace(char_limits={"en": 250}, encode=encode),
        args=SimpleNamespace(gpt_max_text_tokens=402),
    )
    found = check_text(model, text, "en")
    assert (found and found.reason) == reason
    assert (found and found.threshold) == threshold
