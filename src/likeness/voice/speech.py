"""Sentences spoken by a base or a tuned model with Coqui's own inference, each with its own seed."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.resident import OneAtATime
from likeness.common.result import Rejected, Result
from likeness.voice.audio import SILENT, encode, read, resample
from likeness.voice.codes import RATE
from likeness.voice.xtts import Voice, load_xtts, read_speakers, say, voice_of

if TYPE_CHECKING:
    import torch

resident_xtts = OneAtATime(load_xtts)


def speak(
    payloads: Sequence[dict[str, Any]],
    *,
    base: Path,
    adapter: Path | None,
    references: Sequence[Path],
    language: str,
    settings: dict[str, float],
    device: str,
) -> list[Result | Rejected]:
    """`audio.wav` and its length in seconds for each payload's `text`, sampled with its `seed`.

    A payload's `speaker` names one of the base's own; if empty, the voice is that of `references`.
    Reasons to set a sentence aside: `empty`, `too_long` (for the tokenizer, in characters or in
    tokens), `endless` (the model reached its limit without a stop token) and `silent`.

    Args:
        base: folder with XTTS-v2's files.
        adapter: file that voice_train wrote; None for the base alone.
        references: mono clips of the voice to speak in.
        settings: as `read_settings` gives them.
    """
    model = resident_xtts(base, device, adapter=adapter)
    results: list[Result | Rejected] = []
    for payload in payloads:
        if payload["speaker"]:
            voice = own_speakers(base)[payload["speaker"]]
        else:
            voice = _reference_voice(base, adapter, tuple(references), device)
        try:
            results.append(_speak_one(model, payload, voice, language, settings))
        except Rejected as rejected:
            results.append(rejected)
    return results


def _speak_one(
    model: Any, payload: dict[str, Any], voice: Voice, language: str, settings: dict[str, float]
) -> Result:
    """One sentence. Raises `Rejected` if it cannot be said."""
    text = payload["text"]
    check_text(model, text, language)
    generate = model.gpt.generate

    def stopping(**options: Any) -> "torch.Tensor":
        codes: torch.Tensor = generate(**options)
        if model.gpt.stop_audio_token not in codes[0].tolist():
            raise Rejected("endless", codes.shape[1], model.gpt.max_gen_mel_tokens)
        return codes

    model.gpt.generate = stopping  # `inference` does not report whether the model stopped by itself
    try:
        wave = say(
            model, text, language=language, voice=voice, seed=payload["seed"], settings=settings
        )
    finally:
        del model.gpt.generate
    peak = float(np.abs(wave).max()) if np.isfinite(wave).all() else 0.0
    if peak <= SILENT:
        raise Rejected("silent", round(peak, 6), SILENT)
    rate = model.config.audio.output_sample_rate
    seconds = round(len(wave) / rate, 4)
    return Result({"seconds": seconds}, {"audio.wav": encode(wave, rate, "WAV")})


def check_text(model: Any, text: str, language: str) -> None:
    """Raise `Rejected` if the model cannot say a text."""
    if not any(letter.isalnum() for letter in text):
        raise Rejected("empty", text)
    characters = model.tokenizer.char_limits.get(language, 250)  # the tokenizer's own default
    if len(text) > characters:
        raise Rejected("too_long", f"{len(text)} characters", characters)
    spoken, vocabulary = text.strip().lower(), model.tokenizer.tokenizer
    letters = set(filter(str.isalpha, model.tokenizer.preprocess_text(spoken, language)))
    unknown = vocabulary.token_to_id("[UNK]")
    if strange := {letter for letter in letters if unknown in vocabulary.encode(letter).ids}:
        raise Rejected("unknown_letters", "".join(sorted(strange)))
    tokens = len(model.tokenizer.encode(spoken, lang=language))
    if tokens >= model.args.gpt_max_text_tokens:
        raise Rejected("too_long", f"{tokens} tokens", model.args.gpt_max_text_tokens)


@cache
def own_speakers(base: Path) -> dict[str, Voice]:
    """`read_speakers`, cached."""
    return read_speakers(base)


@cache
def _reference_voice(
    base: Path, adapter: Path | None, references: tuple[Path, ...], device: str
) -> Voice:
    clips = [resample(*read(path), RATE) for path in references]
    return voice_of(resident_xtts(base, device, adapter=adapter), clips)
