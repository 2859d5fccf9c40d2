"""What XTTS is trained on: each row's text tokens, codes and mel, encoded once and kept in the store.

Coqui's dataset reads and encodes every clip again at every step, draws rows with replacement, and
puts another row in the place of one that it cannot use. Here an epoch is every usable row once, and
what is unusable is set aside with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.items import Stored, map_items
from likeness.common.manifest import Rejection
from likeness.common.result import Rejected, Result
from likeness.common.runtime import Runtime
from likeness.voice.audio import SILENT, read, resample
from likeness.voice.codes import CODE, FFT, FRAMES, RATE, load_dvae, log_mel
from likeness.voice.rows import Utterance

if TYPE_CHECKING:
    import torch

Array = np.ndarray

CODES = "codes.i16"
MIN_SECONDS = 0.5  # Coqui's own limit: a shorter clip has too little to be conditioned on
REASONS = (
    "unreadable", "silent", "too_short", "too_long", "no_text", "text_too_long", "unknown_letters",
    "error",
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A row as the model sees it.

    Attributes:
        tokens: of the text, with the language's first.
        codes: (C,) of the DVAE.
        mel: (80, FRAMES * C), what the model is conditioned on if this clip is a reference.
    """

    id: str
    tokens: list[int]
    codes: "torch.Tensor"
    mel: "torch.Tensor"

    @property
    def length(self) -> int:
        """Places that it takes in the GPT's sequence, less the constant ones."""
        return len(self.tokens) + len(self.codes)


def encode_rows(
    rows: Sequence[Utterance],
    *,
    dataset: Path,
    base: Path,
    model: Any,
    language: str,
    max_seconds: float,
    max_text_tokens: int,
    rt: Runtime,
) -> tuple[dict[str, Example], list[Rejection]]:
    """The usable rows by id, and a rejection for every other one.

    Args:
        rows: of the dataset's manifest, whose folder `dataset` is.
        base: folder of the base, whose DVAE makes the codes; `model` is what it loads to.
    """
    stored, rejected = map_items(
        partial(encode_clips, base=base, device=rt.device),
        {row.id: dataset / row.file_name for row in rows},
        what="voice_codes",
        rt=rt,
    )
    limit = min(max_seconds, model.gpt.max_gen_mel_tokens * CODE / RATE)
    most = min(max_text_tokens, model.args.gpt_max_text_tokens - 1)
    examples: dict[str, Example] = {}
    for row in rows:
        if row.id in stored:
            seconds = stored[row.id].record["seconds"]
            tokens, unfit = _tokens(model.tokenizer, row.normalized, language, most)
            if not MIN_SECONDS <= seconds <= limit:
                reason = "too_short" if seconds < MIN_SECONDS else "too_long"
                unfit = Rejected(reason, seconds, MIN_SECONDS if seconds < MIN_SECONDS else limit)
            if unfit is None:
                examples[row.id] = _example(row.id, tokens, stored[row.id])
            else:
                rejected.append(
                    Rejection(
                        id=row.id,
                        reason=unfit.reason,
                        value=unfit.value,
                        threshold=unfit.threshold,
                    )
                )
    return examples, rejected


def _tokens(
    tokenizer: Any, text: str, language: str, most: int
) -> tuple[list[int], Rejected | None]:
    """The tokens of a text, and why it cannot be learned from, or None if it can."""
    if not any(letter.isalnum() for letter in text):
        return [], Rejected("no_text", text)
    try:
        tokens = tokenizer.encode(text.strip().lower(), language)
    except Exception as error:  # Coqui spells numbers out by rules of many languages
        return [], Rejected("error", f"{type(error).__name__}: {error}")
    if len(tokens) > most:
        return tokens, Rejected("text_too_long", len(tokens), most)
    if tokenizer.tokenizer.token_to_id("[UNK]") in tokens:
        return tokens, Rejected("unknown_letters", text)
    return tokens, None


def _example(name: str, tokens: list[int], stored: Stored) -> Example:
    import torch

    codes = read_codes(stored)
    mel = np.frombuffer(stored.read("mel.f16"), np.float16).reshape(-1, len(codes) * FRAMES)
    return Example(name, tokens, codes, torch.from_numpy(mel.copy()))


def pack_codes(codes: "torch.Tensor") -> dict[str, bytes]:
    """Codes (C,) as the file of a `Result`."""
    return {CODES: codes.cpu().numpy().astype(np.int16).tobytes()}


def read_codes(stored: Stored) -> "torch.Tensor":
    """The codes (C,) of `pack_codes`."""
    import torch

    return torch.from_numpy(np.frombuffer(stored.read(CODES), np.int16).astype(np.int64))


# --- audio ----------------------------------------------------------------------------------------


def encode_clips(paths: Sequence[Path], *, base: Path, device: str) -> list[Result | Rejected]:
    """`codes.i16` (C,) and `mel.f16` (80, FRAMES * C) of each mono clip, and its length in seconds."""
    return [_encode(path, base, device) for path in paths]


def _encode(path: Path, base: Path, device: str) -> Result | Rejected:
    import torch

    try:
        wave, seconds = read_clip(path)
    except Rejected as rejected:
        return rejected
    dvae, stats = load_dvae(base, device)
    batch = torch.from_numpy(wave)[None].to(device)
    with torch.inference_mode():
        # Coqui's two mels: one with windows as long as their FFT for the codes, one for references.
        codes = dvae.get_codebook_indices(log_mel(batch, FFT, stats))[0]
        mel = log_mel(batch, 2 * FFT, stats)[0]
    return Result(
        {"seconds": seconds},
        {
            **pack_codes(codes),
            "mel.f16": mel.cpu().numpy().astype(np.float16).tobytes(),
        },
    )


def read_clip(path: Path) -> tuple[Array, float]:
    """A mono clip at `RATE`, filled up with silence to whole codes; and its length in seconds.

    Raises:
        Rejected: it cannot be read, or nothing is heard.
    """
    import soundfile

    try:
        samples, rate = read(path)
    except (OSError, soundfile.SoundFileError) as error:
        raise Rejected("unreadable", " ".join(str(error).split())[:200]) from error
    if samples.ndim != 1:
        raise Rejected("unreadable", "not mono")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak <= SILENT:
        raise Rejected("silent", peak)
    wave = resample(samples, rate, RATE)
    return np.pad(wave, (0, -len(wave) % CODE)), round(len(samples) / rate, 4)


# --- batches --------------------------------------------------------------------------------------


def make_batches(
    lengths: Sequence[int], size: int, rng: np.random.Generator, bucket: int = 8
) -> list[list[int]]:
    """Every number of a row once, in batches of about equal lengths in a random order.

    Rows are sorted by length among `bucket` batches of random ones, so that little is spent on
    padding and a row's company still changes from epoch to epoch.
    """
    order = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    for first in range(0, len(order), bucket * size):
        near = sorted(order[first : first + bucket * size].tolist(), key=lambda row: lengths[row])
        batches += [near[at : at + size] for at in range(0, len(near), size)]
    return [batches[at] for at in rng.permutation(len(batches))]
