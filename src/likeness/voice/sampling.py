"""The codes of several texts sampled together, each the same as if it were sampled alone.

A step of the GPT takes little longer for eight rows than for one. But with another number of rows a
probability can differ in its last bits. So every choice is checked, and where rounding could have
changed one, the row is left to be sampled alone.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

ROUNDING = 1e-3  # well above the relative error of a probability in float32
TOGETHER = 8  # texts to sample at a time; more are hardly faster


class Wanted(NamedTuple):
    """What is sampled from: token ids, the latents (1, 32, D) of a voice, and a seed."""

    tokens: list[int]
    latents: "torch.Tensor"
    seed: int


def sample_codes(
    gpt: Any, rows: Sequence[Wanted], settings: Mapping[str, float]
) -> "list[torch.Tensor]":
    """Each row's codes (1, C), the same as `sample_alone` gives.

    Args:
        gpt: the `GPT` of Coqui's `Xtts`, ready for inference.
        settings: as `read_settings` gives them.
    """
    import torch
    import torch.nn.functional as functional
    from transformers import LogitsProcessorList

    if len(rows) < 2:
        return [sample_alone(gpt, row, settings) for row in rows]
    device, stop = gpt.text_head.weight.device, gpt.stop_audio_token
    inputs, prefixes = [], []
    for row in rows:
        tokens = torch.tensor([row.tokens], dtype=torch.int32, device=device)
        inputs.append(gpt.compute_embeddings(row.latents.to(device), tokens)[0])
        prefixes.append(gpt.gpt_inference.cached_prefix_emb[0])
    longest = max(map(len, inputs))
    # Padding is on the left, so that the first code of all rows is sampled in the same step.
    padding = [longest - len(one) for one in inputs]
    padded = [functional.pad(one, (0, 0, n, 0)) for one, n in zip(prefixes, padding, strict=True)]
    gpt.gpt_inference.store_prefix_emb(torch.stack(padded))
    ids = [functional.pad(one, (n, 0), value=1) for one, n in zip(inputs, padding, strict=True)]
    mask = torch.arange(longest, device=device) >= torch.tensor(padding, device=device)[:, None]
    draw, unsure = _draw_by_row([row.seed for row in rows], settings, stop, device)
    found = gpt.gpt_inference.generate(
        torch.stack(ids),
        attention_mask=mask.long(),
        bos_token_id=gpt.start_audio_token,
        pad_token_id=stop,
        eos_token_id=stop,
        max_length=gpt.max_gen_mel_tokens + longest,
        do_sample=False,
        logits_processor=LogitsProcessorList([draw]),
    )[:, longest:]
    # A row that is done is filled up with stop tokens, of which it keeps the first.
    lengths = [1 + row.index(stop) if stop in row else len(row) for row in found.tolist()]
    return [
        sample_alone(gpt, row, settings) if other else codes[None, :length]
        for row, other, codes, length in zip(rows, unsure.tolist(), found, lengths, strict=True)
    ]


def sample_alone(gpt: Any, row: Wanted, settings: Mapping[str, float]) -> "torch.Tensor":
    """A row's codes (1, C) as Coqui's `Xtts.inference` samples them after `torch.manual_seed`."""
    import torch

    torch.manual_seed(row.seed)
    device = gpt.text_head.weight.device
    tokens = torch.tensor([row.tokens], dtype=torch.int32, device=device)
    latents = row.latents.to(device)
    return gpt.generate(  # type: ignore[no-any-return]
        cond_latents=latents, text_inputs=tokens, do_sample=True, num_beams=1, **settings
    )


def _draw_by_row(
    seeds: Sequence[int], settings: Mapping[str, float], stop: int, device: "torch.device"
) -> "tuple[Any, torch.Tensor]":
    """A logits processor that leaves each row one code, drawn by the row's own generator.

    The second result (B,) comes to be true in rows where rounding could have changed a code.
    """
    import torch
    import torch.nn.functional as functional
    from transformers.generation import logits_process as processors

    unsure, done = torch.zeros(2, len(seeds), dtype=torch.bool, device=device)
    generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
    penalty = processors.RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"])
    temperature = processors.TemperatureLogitsWarper(settings["temperature"])

    def likeliest(scores: "torch.Tensor", more: int) -> "torch.Tensor":
        """The scores by top k and top p, with `more` of 1 or -1 times what rounding may change."""
        ranked = functional.pad(scores.sort(descending=True).values, (0, 1), value=-inf)
        top_k = min(int(settings["top_k"]), scores.shape[1])
        edge = ranked[:, top_k - 1 if more > 0 else top_k, None]
        kept = scores.masked_fill(scores < edge - more * ROUNDING, -inf)
        top_p = min(max(settings["top_p"] + more * ROUNDING, 0.0), 1.0)
        return processors.TopPLogitsWarper(top_p)(None, kept)  # type: ignore[no-any-return]

    def draw(ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        scores = temperature(ids, penalty(ids, scores))
        # As `torch.multinomial` draws one: the largest quotient of probability and noise.
        noise = [torch.empty_like(scores[0]).exponential_(generator=one) for one in generators]
        best, codes = (likeliest(scores, 1).softmax(dim=1) / torch.stack(noise)).topk(2, dim=1)
        drawn = codes[:, :1]
        close = best[:, 0] < best[:, 1] * (1 + ROUNDING)
        at_edge = likeliest(scores, -1).gather(1, drawn)[:, 0].isinf()
        unsure.logical_or_(~done & (close | at_edge))
        done.logical_or_(drawn[:, 0] == stop)
        return torch.full_like(scores, -inf).scatter(1, drawn, 0.0)

    return draw, unsure
