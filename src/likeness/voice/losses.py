"""The losses of XTTS for the next text token and the next code, and its conditioning.

Coqui's `GPT.forward` masks the conditioning excerpt out of the loss in the last row of a batch only,
at a quarter of the right positions, and trains on sequences that generation does not produce. Here
each row has its own mask, and the sequences are those of `GPT.generate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.voice.codes import FRAMES
from likeness.voice.examples import Example

if TYPE_CHECKING:
    import torch

IGNORE = -100  # a target with this value does not count in a loss


@dataclass(frozen=True)
class Style:
    """What a row is conditioned on: a mel (80, F), and which of the row's codes it covers."""

    mel: "torch.Tensor"
    start: int = 0
    end: int = 0


def draw_style(
    examples: Sequence[Example], row: int, frames: int, own: float, rng: np.random.Generator
) -> Style:
    """An excerpt of at most `frames` of the row's own clip with probability `own`, else of others.

    XTTS was trained on excerpts of the clip itself, at most half of it. When it speaks, it is
    conditioned on other clips.
    """
    import torch

    mel = examples[row].mel
    if len(examples) == 1 or rng.random() < own:
        length = min(frames, mel.shape[1] // 2)
        first = int(rng.integers(mel.shape[1] - length + 1))
        span = first // FRAMES, -(-(first + length) // FRAMES)
        return Style(mel[:, first : first + length].float(), *span)
    pieces: list[torch.Tensor] = []
    for other in rng.permutation(len(examples)):
        if other != row and sum(piece.shape[1] for piece in pieces) < frames:
            pieces.append(examples[other].mel)
    joined = torch.cat(pieces, dim=1)
    first = int(rng.integers(max(joined.shape[1] - frames, 0) + 1))
    return Style(joined[:, first : first + frames].float())


def style_latents(gpt: Any, styles: Sequence[Style]) -> "torch.Tensor":
    """(B, 32, D) conditioning latents. One by one, as the encoder cannot mask padding."""
    import torch

    device = gpt.text_head.weight.device
    return torch.cat([gpt.get_style_emb(one.mel[None].to(device)) for one in styles]).transpose(
        1, 2
    )


def next_token_losses(
    gpt: Any,
    examples: Sequence[Example],
    latents: "torch.Tensor",
    hidden: Sequence[tuple[int, int]],
) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Mean cross-entropies of the next text token and of the next code, and the codes' latents.

    The latents (B, longest codes + 1, D) are what XTTS's decoder speaks from.

    Args:
        gpt: the `GPT` of Coqui's `Xtts`.
        examples: B rows.
        latents: (B, 32, D), one for each row, or (1, 32, D) for all rows.
        hidden: the span (start, end) of each row's codes that is left out of the loss.
    """
    import torch.nn.functional as functional

    start_text, stop_text = gpt.start_text_token, gpt.stop_text_token
    start_code, stop_code = gpt.start_audio_token, gpt.stop_audio_token
    device = latents.device
    # As in `compute_embeddings`, a text ends with its stop token before the codes begin.
    text_in, text_mask = pad([[start_text, *row.tokens, stop_text] for row in examples], stop_text)
    text_out, _ = pad([[*row.tokens, stop_text, IGNORE] for row in examples], IGNORE)
    code_in, code_mask = pad([[start_code, *row.codes.tolist()] for row in examples], stop_code)
    targets = [[*row.codes.tolist(), stop_code] for row in examples]
    for row, (start, end) in zip(targets, hidden, strict=True):
        row[start:end] = [IGNORE] * (end - start)
    code_out, _ = pad(targets, IGNORE)
    text_in, code_in = text_in.to(device), code_in.to(device)
    text_states, code_states = gpt.get_logits(
        gpt.text_embedding(text_in) + gpt.text_pos_embedding(text_in),
        None,
        gpt.mel_embedding(code_in) + gpt.mel_pos_embedding(code_in),
        None,
        prompt=latents.expand(len(examples), -1, -1),
        return_latent=True,
        attn_mask_text=text_mask.to(device),
        attn_mask_mel=code_mask.to(device),
    )
    text_loss, code_loss = (
        functional.cross_entropy(
            head(states).flatten(0, 1).float(), wanted.flatten().to(device), ignore_index=IGNORE
        )
        for head, states, wanted in (
            (gpt.text_head, text_states, text_out),
            (gpt.mel_head, code_states, code_out),
        )
    )
    return text_loss, code_loss, code_states


def pad(rows: Sequence[Sequence[int]], value: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Rows padded to one length (B, L), and a mask that is true where a row has its own values."""
    import torch

    width = max(map(len, rows))
    padded = torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])
    mask = torch.tensor([[at < len(row) for at in range(width)] for row in rows])
    return padded, mask
