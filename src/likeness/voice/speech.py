"""Sentences spoken by a base or a tuned model as Coqui's inference speaks, each with its own seed."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
Outcome = Result | Rejected
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
) -> list[Outcome]:
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
    results: dict[Asked, Outcome] = {}
    asked = [(one["text"], one["seed"], one["speaker"]) for one in payloads]
    for text, seed, speaker in dict.fromkeys(asked):  # a short batch repeats its last payload
        try:
            tokens = check_text(model, text, language)
            wanted[text, seed, speaker] = Wanted(tokens, voices[speaker].latents, seed)
        except Rejected as rejected:
            results[text, seed, speaker] = rejected
    codes = dict(zip(wanted, sample_codes(model.gpt, [*wanted.values()], settings), strict=True))

    with _generating(model.gpt) as given:

        def say_one(one: Asked) -> Outcome:
            given.codes = codes[one]
            try:
                return _speak_one(model, one, voices[one[2]], language, settings)
            except Rejected as rejected:
                return rejected

        # Threads would take turns at torch's random numbers, of which known codes need none.
        results |= {one: say_one(one) for one in codes if codes[one] is None}
        known = [one for one in codes if codes[one] is not None]
        results |= zip(known, _in_threads(say_one, known, device), strict=True)
    return [results[one] for one in asked]


@contextmanager
def _generating(gpt: Any) -> Iterator[Any]:
    """Let `gpt.generate` take the codes (1, C) that a thread sets as `codes` of what this gives, if any.

    Coqui's inference, which asks for them, does not report whether the model stopped by itself. If not,
    `generate` raises `Rejected`.
    """
    given, generate = threading.local(), gpt.generate

    def stopping(**options: Any) -> "torch.Tensor":
        codes: torch.Tensor = generate(**options) if given.codes is None else given.codes
        if gpt.stop_audio_token not in codes[0].tolist():
            raise Rejected("endless", codes.shape[1], gpt.max_gen_mel_tokens)
        return codes

    gpt.generate = stopping
    try:
        yield given
    finally:
        del gpt.generate


def _in_threads(
    function: Callable[[Asked], Outcome], items: Sequence[Asked], device: str
) -> list[Outcome]:
    """The results of a function, computed on all cores of a CPU.

    Each thread has as many of torch's as the caller, since other numbers can change the last bits.
    """
    import torch

    own = torch.get_num_threads()
    cores = max(1, (os.cpu_count() or 1) // own) if device == "cpu" else 1
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(own,)) as pool:
        return list(pool.map(function, items))


def _speak_one(
    model: Any, asked: Asked, voice: Voice, language: str, settings: dict[str, float]
) -> Result:
    """One sentence. Raises `Rejected` if it cannot be said."""
    text, seed, _ = asked
    wave = say(model, text, language=language, voice=voice, seed=seed, settings=settings)
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
