"""Training examples of XTTS: each row's text tokens, codes and mel, encoded once and stored.

Coqui's dataset encodes every clip again at every step, draws rows with replacement, and replaces
rows that it cannot use by others. Here an epoch contains every usable row once, and unusable rows
are rejected with a reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.items import Stored, map_items
from likeness.common.manifest import Rejection
from likeness.common.runtime import Runtime
from likeness.voice.clip_codes import encode_clips
from likeness.voice.codes import CODE, FRAMES, RATE
from likeness.voice.rows import Utterance

if TYPE_CHECKING:
    import torch

MIN_SECONDS = 0.5  # Coqui's own limit: a shorter clip is too short for conditioning
REASONS = (
    "unreadable", "silent", "too_short", "too_long", "no_text", "text_too_long", "unknown_letters",
    "error",
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A row of the dataset as the model's input.

    Attributes:
        path: of the clip.
        tokens: token ids of the text, the language's first.
        codes: of the DVAE, (C,).
        mel: (80, FRAMES * C), the conditioning input when this clip is a reference.
    """

    id: str
    path: Path
    tokens: list[int]
    codes: "torch.Tensor"
    mel: "torch.Tensor"

    @property
    def length(self) -> int:
        """Positions that it takes in the GPT's sequence, apart from the constant ones."""
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
    """The usable rows by id, and a rejection for each of the others.

    Args:
        rows: rows of the manifest in the folder `dataset`.
        base: folder of the base, whose DVAE makes the codes; `model` is the loaded base.
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
        if row.id not in stored:
            continue
        seconds = stored[row.id].record["seconds"]
        found = _tokens(row, model.tokenizer, language, most)
        if not MIN_SECONDS <= seconds <= limit:
            reason, bound = (
                ("too_short", MIN_SECONDS) if seconds < MIN_SECONDS else ("too_long", limit)
            )
            found = Rejection(id=row.id, reason=reason, value=seconds, threshold=bound)
        if isinstance(found, Rejection):
            rejected.append(found)
        else:
            path = dataset / row.file_name
            examples[row.id] = _example(row.id, path, found, stored[row.id])
    return examples, rejected


def _tokens(row: Utterance, tokenizer: Any, language: str, most: int) -> list[int] | Rejection:
    """The tokens of a row's text, or a rejection if it cannot be used for training."""
    text = row.normalized
    if not any(letter.isalnum() for letter in text):
        return Rejection(id=row.id, reason="no_text", value=text)
    try:
        tokens: list[int] = tokenizer.encode(text.strip().lower(), language)
    except Exception as error:  # Coqui's text rules can fail in many ways, e.g. on numbers
        return Rejection(id=row.id, reason="error", value=f"{type(error).__name__}: {error}")
    if len(tokens) > most:
        return Rejection(id=row.id, reason="text_too_long", value=len(tokens), threshold=most)
    if tokenizer.tokenizer.token_to_id("[UNK]") in tokens:
        return Rejection(id=row.id, reason="unknown_letters", value=text)
    return tokens


def _example(name: str, path: Path, tokens: list[int], stored: Stored) -> Example:
    import torch

    codes = np.frombuffer(stored.read("codes.i16"), np.int16).astype(np.int64)
    mel = np.frombuffer(stored.read("mel.f16"), np.float16).reshape(-1, len(codes) * FRAMES)
    return Example(name, path, tokens, torch.from_numpy(codes), torch.from_numpy(mel.copy()))


# --- batches --------------------------------------------------------------------------------------


def make_batches(
    lengths: Sequence[int], size: int, rng: np.random.Generator, bucket: int = 8
) -> list[list[int]]:
    """Every row index once, in batches of rows of similar length, in random order.

    Rows are shuffled, then sorted by length within each group of `bucket` batches: this keeps
    padding short, and batches still differ from epoch to epoch.
    """
    order = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    for first in range(0, len(order), bucket * size):
        near = sorted(order[first : first + bucket * size].tolist(), key=lambda row: lengths[row])
        batches += [near[at : at + size] for at in range(0, len(near), size)]
    return [batches[at] for at in rng.permutation(len(batches))]
