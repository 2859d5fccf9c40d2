"""Sentences spoken by a base or a tuned model as Coqui's inference speaks, each with its own seed."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.resident import OneAtATime
from likeness.common.result import Rejected, Result
from likeness.voice.audio import SILENT, encode, read, resample
from likeness.voice.sampling import Wanted, sample_codes
from likeness.voice.xtts import Voice, load_xtts, read_speakers, voice_of

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
    import torch

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

    def decode(one: Asked) -> Outcome:
        try:
            return _decoded(model, wanted[one], codes[one], voices[one[2]].embedding)
        except Rejected as rejected:
            return rejected

    # Other numbers of torch's threads can change the last bits, so each of these has as many as this one.
    own = torch.get_num_threads()
    cores = max(1, (os.cpu_count() or 1) // own) if device == "cpu" else 1
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(own,)) as pool:
        results |= zip(codes, pool.map(decode, codes), strict=True)
    return [results[one] for one in asked]


def _decoded(model: Any, row: Wanted, codes: "torch.Tensor", embedding: "torch.Tensor") -> Result:
    """The speech of codes (1, C), as Coqui's `Xtts.inference` decodes them. Raises `Rejected`."""
    import torch

    gpt, device = model.gpt, codes.device
    if gpt.stop_audio_token not in codes[0].tolist():  # which `inference` does not report
        raise Rejected("endless", codes.shape[1], gpt.max_gen_mel_tokens)
    tokens = torch.tensor([row.tokens], dtype=torch.int32, device=device)
    sizes = (len(row.tokens), codes.shape[1] * gpt.code_stride_len)
    read, spoken = (torch.tensor([size], device=device) for size in sizes)
    with torch.inference_mode():
        latents = gpt(
            tokens, read, codes, spoken, cond_latents=row.latents.to(device),
            return_attentions=False, return_latent=True,
        )  # fmt: skip
        sound = model.hifigan_decoder(latents, g=embedding.to(device))
    wave = sound.cpu().squeeze().numpy()
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
    model = resident_xtts(base, device, adapter=adapter)
    rate = model.config.audio.sample_rate
    return voice_of(model, [resample(*read(path), rate) for path in references])
