"""Sentences spoken by an XTTS folder: stock inference, one at a time, each with a seed of its own."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.items import Rejected, Result
from likeness.voice.audio import SILENT, encode, read, resample
from likeness.voice.codes import RATE
from likeness.voice.xtts import SPEAKERS, Voice, load_xtts, voice_of

if TYPE_CHECKING:
    import torch

SETTINGS = ("temperature", "top_k", "top_p", "repetition_penalty")


def speak(
    payloads: Sequence[dict[str, Any]],
    *,
    checkpoint: Path,
    references: Sequence[Path],
    language: str,
    settings: dict[str, float],
    device: str,
) -> list[Result | Rejected]:
    """`audio.wav` and its length in seconds for each `text`, drawn with its `seed`.

    A payload's `speaker` names one of the checkpoint's own; empty takes the voice of `references`.
    Reasons to set a sentence aside: `empty`, `too_long` (for the tokenizer, in characters or in
    tokens), `endless` (the model ran into its limit before it stopped) and `silent`.

    Args:
        checkpoint: folder with XTTS-v2's files.
        references: mono clips of the voice to speak in.
        settings: of `Xtts.inference`.
    """
    model = load(checkpoint, device)
    results: list[Result | Rejected] = []
    for payload in payloads:
        if payload["speaker"]:
            voice = own_speakers(checkpoint)[payload["speaker"]]
        else:
            voice = _referred(model, tuple(references))
        try:
            results.append(_speak_one(model, payload, voice, language, settings))
        except Rejected as rejected:
            results.append(rejected)
    return results


def _speak_one(
    model: Any, payload: dict[str, Any], voice: Voice, language: str, settings: dict[str, float]
) -> Result:
    """One sentence. Raises `Rejected` if it cannot be said."""
    import torch

    text = payload["text"]
    check_text(model, text, language)
    generate = model.gpt.generate

    def stopping(**options: Any) -> "torch.Tensor":
        codes = generate(**options)
        if model.gpt.stop_audio_token not in codes[0].tolist():
            raise Rejected("endless", codes.shape[1], model.gpt.max_gen_mel_tokens)
        return codes

    model.gpt.generate = stopping  # `inference` tells nobody whether the model stopped by itself
    try:
        torch.manual_seed(payload["seed"])
        wave = model.inference(text, language, voice.latents, voice.embedding, **settings)["wav"]
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
    characters = model.tokenizer.char_limits.get(language, 250)  # as the tokenizer itself has it
    if len(text) > characters:
        raise Rejected("too_long", f"{len(text)} characters", characters)
    tokens = len(model.tokenizer.encode(text.strip().lower(), lang=language))
    if tokens >= model.args.gpt_max_text_tokens:
        raise Rejected("too_long", f"{tokens} tokens", model.args.gpt_max_text_tokens)


def read_settings(config: Path, given: dict[str, float | None]) -> dict[str, float]:
    """Of `Xtts.inference`: the given ones, and those of a base's config where None is given.

    The defaults in the signature are no one's: its repetition penalty is 10.
    """
    own = read_json(config)
    found = {name: own.get(name) if given[name] is None else given[name] for name in SETTINGS}
    for name, value in found.items():
        if value is None:
            raise LikenessError(f"{config}: no {name}; set voice_synthesize.{name} in params.yaml")
    # Whole numbers in a config are floats to transformers, but for top_k.
    return {name: int(value) if name == "top_k" else float(value) for name, value in found.items()}


@cache
def load(checkpoint: Path, device: str) -> Any:
    """The model in a folder, loaded once."""
    return load_xtts(checkpoint, device)


@cache
def own_speakers(checkpoint: Path) -> dict[str, Voice]:
    """The speakers that a checkpoint carries, by name; none if it has no file of them."""
    import torch

    path = checkpoint / SPEAKERS
    if not path.is_file():
        return {}
    stored = torch.load(path, map_location="cpu", weights_only=True)
    return {
        name: Voice(one["gpt_conditioning_latents"], one["speaker_embedding"])
        for name, one in sorted(stored.items())
    }


@cache
def _referred(model: Any, references: tuple[Path, ...]) -> Voice:
    return voice_of(model, [resample(*read(path), RATE) for path in references])
