"""Sentences spoken by a base or a tuned model as Coqui's inference speaks, each with its own seed."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.resident import OneAtATime
from likeness.common.result import Rejected, Result
from likeness.voice.audio import SILENT, encode, read, resample
from likeness.voice.codes import RATE
from likeness.voice.sampling import Wanted, sample_codes
from likeness.voice.xtts import Voice, load_xtts, read_speakers, say, voice_of

if TYPE_CHECKING:
    import torch

Asked = tuple[str, int, str]  # text, seed and speaker
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

    The codes of all payloads are sampled together; an audio is the same to the byte as alone.

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
    voices = own_speakers(base)
    if references:
        voices = {**voices, "": _reference_voice(base, adapter, tuple(references), device)}
    wanted: dict[Asked, Wanted] = {}
    results: dict[Asked, Result | Rejected] = {}
    asked = [(one["text"], one["seed"], one["speaker"]) for one in payloads]
    for text, seed, speaker in dict.fromkeys(asked):  # a short batch repeats its last payload
        try:
            tokens = check_text(model, text, language)
            wanted[text, seed, speaker] = Wanted(tokens, voices[speaker].latents, seed)
        except Rejected as rejected:
            results[text, seed, speaker] = rejected
    sampled = sample_codes(model.gpt, list(wanted.values()), settings)
    for one, codes in zip(wanted, sampled, strict=True):
        try:
            results[one] = _speak_one(model, one, voices[one[2]], language, settings, codes)
        except Rejected as rejected:
            results[one] = rejected
    return [results[one] for one in asked]


def _speak_one(
    model: Any, asked: Asked, voice: Voice, language: str, settings: dict[str, float],
    known: "torch.Tensor | None",
) -> Result:  # fmt: skip
    """One sentence, of `known` codes (1, C) if there are any. Raises `Rejected` if it cannot be said."""
    text, seed, _ = asked
    generate = model.gpt.generate

    def stopping(**options: Any) -> "torch.Tensor":
        codes: torch.Tensor = generate(**options) if known is None else known
        if model.gpt.stop_audio_token not in codes[0].tolist():
            raise Rejected("endless", codes.shape[1], model.gpt.max_gen_mel_tokens)
        return codes

    model.gpt.generate = stopping  # `inference` does not report whether the model stopped by itself
    try:
        wave = say(model, text, language=language, voice=voice, seed=seed, settings=settings)
    finally:
        del model.gpt.generate
    peak = float(np.abs(wave).max()) if np.isfinite(wave).all() else 0.0
    if peak <= SILENT:
        raise Rejected("silent", round(peak, 6), SILENT)
    rate = model.config.audio.output_sample_rate
    seconds = round(len(wave) / rate, 4)
    return Result({"seconds": seconds}, {"audio.wav": encode(wave, rate, "WAV")})


def check_text(model: Any, text: str, language: str) -> list[int]:
    """The token ids of a text. Raises `Rejected` if the model cannot say it."""
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
    tokens: list[int] = model.tokenizer.encode(spoken, lang=language)
    if len(tokens) >= model.args.gpt_max_text_tokens:
        raise Rejected("too_long", f"{len(tokens)} tokens", model.args.gpt_max_text_tokens)
    return tokens


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
