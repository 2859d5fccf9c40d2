"""An XTTS folder speaks: stock Coqui inference, a sentence at a time, each with a seed of its own."""

import pickle
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.items import Rejected, Result
from likeness.voice.audio import encode, read

if TYPE_CHECKING:
    import torch

Array = np.ndarray

FILES = ("model.pth", "vocab.json")  # beside the base's config.json
SETTINGS = ("temperature", "top_k", "top_p", "repetition_penalty")
REFERENCE_RATE = 22050  # Hz, of what `Xtts` hears
SILENT = 1e-3  # peak, of full scale, up to which nothing is heard


def speak(
    payloads: Sequence[dict[str, Any]],
    *,
    checkpoint: Path,
    config: Path,
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
        checkpoint: folder that `Xtts.load_checkpoint` loads.
        config: the base's `config.json`.
        references: mono clips of the voice to speak in.
        settings: of `Xtts.inference`.
    """
    model = load_model(checkpoint, config, device)
    return [
        _speak_one(model, payload, tuple(references), language, settings) for payload in payloads
    ]


def _speak_one(
    model: Any,
    payload: dict[str, Any],
    references: tuple[Path, ...],
    language: str,
    settings: dict[str, float],
) -> Result | Rejected:
    import torch

    text = payload["text"]
    unfit = check_text(model, text, language)
    if unfit is not None:
        return unfit
    if payload["speaker"]:
        latents, embedding = model.speaker_manager.speakers[payload["speaker"]].values()
    else:
        latents, embedding = _voice(model, references)
    generate = model.gpt.generate

    def stopping(**options: Any) -> "torch.Tensor":
        codes = generate(**options)
        if model.gpt.stop_audio_token not in codes[0].tolist():
            raise Rejected("endless", codes.shape[1], model.gpt.max_gen_mel_tokens)
        return codes

    model.gpt.generate = stopping  # `inference` tells nobody whether the model stopped by itself
    try:
        torch.manual_seed(payload["seed"])
        wave = model.inference(text, language, latents, embedding, **settings)["wav"]
    except Rejected as rejected:
        return rejected
    finally:
        del model.gpt.generate
    peak = float(np.abs(wave).max()) if np.isfinite(wave).all() else 0.0
    if peak <= SILENT:
        return Rejected("silent", round(peak, 6), SILENT)
    rate = model.config.audio.output_sample_rate
    return Result(
        {"seconds": round(len(wave) / rate, 4)}, {"audio.wav": encode(wave, rate, "WAV")}
    )


def check_text(model: Any, text: str, language: str) -> Rejected | None:
    """Why the model cannot say a text, or None if it can."""
    if not any(letter.isalnum() for letter in text):
        return Rejected("empty", text)
    characters = model.tokenizer.char_limits.get(language, 250)  # as the tokenizer itself has it
    if len(text) > characters:
        return Rejected("too_long", f"{len(text)} characters", characters)
    tokens = len(model.tokenizer.encode(text.strip().lower(), lang=language))
    if tokens >= model.args.gpt_max_text_tokens:
        return Rejected("too_long", f"{tokens} tokens", model.args.gpt_max_text_tokens)
    return None


def read_settings(config: Path, given: dict[str, float | None]) -> dict[str, float]:
    """Of `Xtts.inference`: the given ones, and the base's own where None is given.

    Its signature's defaults are no one's: `repetition_penalty` is 10 there, and 5 or less in configs.
    """
    own = read_json(config)
    found = {name: own.get(name) if given[name] is None else given[name] for name in SETTINGS}
    for name, value in found.items():
        if value is None:
            raise LikenessError(f"{config}: no {name}; set voice_synthesize.{name} in params.yaml")
    # Whole numbers in a config are floats to transformers, but for top_k.
    return {name: int(value) if name == "top_k" else float(value) for name, value in found.items()}


def check_folder(folder: Path, config: Path, language: str) -> None:
    """Raise `LikenessError` unless the folder is an XTTS that speaks the language."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise LikenessError(
            f"{folder}: not an XTTS checkpoint ({', '.join(missing)} missing); inputs.tts names a "
            "folder under models/, and voice_train writes the merged one"
        )
    known = read_json(config).get("languages", [])
    if language not in known:
        raise LikenessError(
            f"params.yaml: voice_synthesize.language: {language}: {folder} speaks {', '.join(known)}"
        )


def speakers_of(checkpoint: Path, config: Path, device: str) -> list[str]:
    """Names of the speakers that the checkpoint carries, sorted."""
    manager = load_model(checkpoint, config, device).speaker_manager
    return sorted(manager.speakers) if manager is not None else []


@cache
def load_model(checkpoint: Path, config: Path, device: str) -> Any:
    """The model as any user of Coqui's package loads it, ready to speak."""
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    settings = XttsConfig()
    settings.load_json(str(config))
    model = Xtts.init_from_config(settings)
    try:
        model.load_checkpoint(settings, checkpoint_dir=str(checkpoint), eval=True)
    except (OSError, EOFError, RuntimeError, KeyError, pickle.UnpicklingError) as error:
        why = " ".join(str(error).split())[:200]
        raise LikenessError(f"{checkpoint}: Coqui's Xtts cannot load it ({why})") from error
    return model.to(device)


@cache
def _voice(model: Any, references: tuple[Path, ...]) -> "tuple[torch.Tensor, torch.Tensor]":
    """Latents (1, 32, D) and embedding (1, 512, 1) of a voice.

    `Xtts.get_conditioning_latents` does just this, but opens files with torchaudio, which needs
    FFmpeg's libraries on the machine.
    """
    import soxr
    import torch

    config = model.config
    clips: list[torch.Tensor] = []
    for path in references:
        samples, rate = read(path)
        samples = soxr.resample(samples, rate, REFERENCE_RATE)[
            : REFERENCE_RATE * config.max_ref_len
        ]
        if config.sound_norm_refs:
            samples = samples / np.abs(samples).max() * 0.75
        clips.append(torch.from_numpy(samples)[None].to(model.device))
    latents = model.get_gpt_cond_latents(
        torch.cat(clips, dim=1),
        REFERENCE_RATE,
        length=config.gpt_cond_len,
        chunk_length=config.gpt_cond_chunk_len,
    )
    embeddings = [model.get_speaker_embedding(clip, REFERENCE_RATE) for clip in clips]
    return latents, torch.stack(embeddings).mean(dim=0)
