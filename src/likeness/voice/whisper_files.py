"""Checks of a Whisper folder as CTranslate2's converter writes it, and of the languages it knows.

Only the headers of the weights are read.
"""

import struct
from pathlib import Path
from typing import Any

from likeness.common.errors import AGAIN, LikenessError
from likeness.common.io import read_json

FILES = ("config.json", "model.bin", "tokenizer.json")
VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
BANDS = 80  # mel bands of the spectrum, unless preprocessor_config.json says otherwise


def check_model(asr: Path, language: str, key: str) -> None:
    """Raise `LikenessError` unless `asr` is a Whisper that knows the language.

    Checked first, as faster-whisper with an English-only model silently transcribes as English.

    Args:
        key: the key of params.yaml that holds the language.
    """
    check_asr(asr)
    english_only = not read_json(asr / "config.json").get("lang_ids", True)
    added = read_json(asr / "tokenizer.json").get("added_tokens", [])
    known = {token["content"] for token in added}
    if language not in ("auto", "en") and (english_only or f"<|{language}|>" not in known):
        what = "English only" if english_only else "no such language"
        raise LikenessError(
            f"params.yaml: {key}: {language}: {asr} knows {what}; name another "
            "language, or a multilingual model in inputs.asr"
        )


def check_asr(asr: Path) -> None:
    """Raise `LikenessError` unless a folder holds a complete Whisper that CTranslate2's converter wrote.

    faster-whisper itself would download a missing tokenizer from a hub, and without
    preprocessor_config.json would give a model a spectrum that it was not trained on.
    """
    missing = [name for name in FILES if not (asr / name).is_file()]
    if not any((asr / name).is_file() for name in VOCABULARIES):
        missing.append(" or ".join(VOCABULARIES))
    if missing:
        raise LikenessError(
            f"{asr}: not a faster-whisper model ({', '.join(missing)} missing); inputs.asr names a "
            "folder under models/ that CTranslate2's converter wrote, with its tokenizer.json"
        )
    try:
        shapes = _shapes(asr / "model.bin")
        heard, known = shapes["encoder/conv1/weight"][1], shapes["decoder/embeddings/weight"][0]
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise LikenessError(
            f"{asr}: model.bin is not a Whisper of CTranslate2, or is incomplete; set inputs.asr to "
            f"another folder under models/, or {AGAIN}"
        ) from error
    bands, words = _bands(asr), _words(asr)
    if (bands, words) != (heard, known):
        raise LikenessError(
            f"{asr}: model.bin has {heard} mel bands and {known} tokens, the files beside it say "
            f"{bands} and {words} (preprocessor_config.json, vocabulary); take all files of one model"
        )


def _bands(asr: Path) -> int:
    path = asr / "preprocessor_config.json"
    return int(read_json(path).get("feature_size", BANDS)) if path.is_file() else BANDS


def _words(asr: Path) -> int:
    path = next(asr / name for name in VOCABULARIES if (asr / name).is_file())
    if path.suffix == ".json":
        return len(read_json(path))
    return len(path.read_text(encoding="utf-8").rstrip("\n").split("\n"))


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in a `model.bin`, from the header before each.

    Raises:
        ValueError, struct.error: the file is of another kind, or ends too early.
    """
    with path.open("rb") as file:

        def take(form: str) -> tuple[Any, ...]:
            return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))

        def text() -> str:
            (taken,) = take(f"{take('H')[0]}s")
            return bytes(taken).rstrip(b"\0").decode()

        take("I")  # version of the format
        if text() != "WhisperSpec":
            raise ValueError("another kind of model")
        _, count = take("II")
        shapes: dict[str, tuple[int, ...]] = {}
        for _ in range(count):
            name = text()
            shapes[name] = take(f"{take('B')[0]}I")
            _, size = take("BI")
            file.seek(size, 1)
        for _ in range(take("I")[0]):  # aliases; they end the file
            text(), text()
    return shapes
