"""The language model of xtts_mini: phonemes and a reference of the voice in, codes of speech out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.runtime import Runtime
from likeness.voice.codes import FRAMES, log_mel
from models.fitting import fit
from models.settings import XttsMini, code_key
from models.spoken import CODE, INPUT_RATE, Corpus, as_tensor
from models.xtts_nets import CODES, LANGUAGE, START_CODE, STOP_CODE, build_tokenizer, build_xtts

if TYPE_CHECKING:
    import torch

STYLE_FFT = 2048  # samples: the FFT window of the mels that condition the GPT
SIZE = 0.05  # standard deviation of the embeddings at the start
IGNORE = -100  # a target that the losses leave out
LOOKS = (0, 1, -1)  # the supervised heads look at the phoneme said now, the next, the one before
# Muon is not meant for the first and the last layers, nor for tables of embeddings.
ENDS = frozenset(
    {
        "text_embedding", "mel_embedding", "text_pos_embedding", "mel_pos_embedding", "text_head",
        "mel_head", "conditioning_encoder.init",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """A training batch; each list has an entry for each row.

    `texts` are text tokens, `codes` the target codes, `heard` the input codes (some are corrupted),
    `styles` indices of voices. To supervise attention, `said` holds the position in the text, after
    its start token, of the phoneme that is said at each code and after the last one.
    """

    texts: list["torch.Tensor"]
    codes: list["torch.Tensor"]
    heard: list["torch.Tensor"]
    styles: list[int]
    said: list["torch.Tensor"]


def train_gpt(
    cfg: XttsMini, tokenizer: Any, corpus: Corpus, codes: list["torch.Tensor"],
    mels: list["torch.Tensor"], mel_stats: "torch.Tensor", book: "torch.Tensor", rt: Runtime,
) -> tuple[Any, float]:  # fmt: skip
    """Train the language model. Returns it and the training time in seconds.

    `mels` are the utterances' (80, FRAMES * codes), `book` the codes' vectors (CODES, size).

    Its latents also learn to say the mel frames themselves, by a linear layer that is thrown away. A
    code is a coarse picture of 46 ms of speech; with the text at hand the latents can be a finer one,
    and the decoder speaks from them.
    """
    import torch

    gpt = build_xtts(cfg, tokenizer).gpt.train()
    for module in gpt.modules():  # a row is seen a few times only, and dropout is slow
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for block in gpt.gpt.h:  # the same function as one fused kernel
        block.mlp.act = torch.nn.GELU(approximate="tanh")
    start_embeddings(gpt, book, sum(map(len, corpus.texts)) / sum(map(len, codes)))
    gpt.spectrum = torch.nn.Linear(cfg.gpt.width, FRAMES * len(mel_stats))
    texts = [text_tokens(text, tokenizer) for text in corpus.texts]
    said = [phonemes_said(ends, len(own)) for ends, own in zip(corpus.ends, codes, strict=True)]
    # Neighbours in `order` have similar lengths, so that rows need little padding.
    order = np.argsort([len(own) for own in codes], kind="stable")
    by_voice = [np.flatnonzero(corpus.voices == voice) for voice in range(len(corpus.names))]

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        first = int(rng.integers(max(len(order) - 2 * cfg.gpt.batch, 1)))
        rows = rng.permutation(order[first : first + 2 * cfg.gpt.batch])[: cfg.gpt.batch]
        voices, styles_of = np.unique(corpus.voices[rows], return_inverse=True)
        batch = Batch(
            [texts[at] for at in rows],
            [codes[at] for at in rows],
            [mishear(codes[at], rng.uniform(0, cfg.gpt.most_misheard), rng) for at in rows],
            styles_of.tolist(),
            [said[at] for at in rows],
        )
        shortest, longest = cfg.gpt.reference_seconds
        seconds = rng.uniform(shortest, longest)
        others = [np.setdiff1d(by_voice[voice], rows) for voice in voices]
        clips = [reference(rng.permutation(own)[:8], corpus, seconds) for own in others]
        heard = log_mel(torch.stack(clips), STYLE_FFT, mel_stats)
        with torch.autocast("cpu", torch.bfloat16):
            styles = gpt.get_style_emb(heard).transpose(1, 2)
            text_loss, code_loss, look_loss, latents = gpt_losses(gpt, batch, styles)
            spectra = gpt.spectrum(latents)
        return (
            code_loss
            + cfg.gpt.text_weight * text_loss
            + cfg.gpt.look_weight * look_loss
            + cfg.gpt.spectrum_weight * spectrum_loss_of(spectra, [mels[at] for at in rows])
        )

    key = code_key(
        train_gpt, start_embeddings, gpt_losses, look_loss_of, spectrum_loss_of, text_tokens,
        phonemes_said, mishear, pad, reference, build_tokenizer, cfg.gpt, cfg.dvae, cfg.speech,
    )  # fmt: skip
    seconds = fit(
        "gpt", {"gpt": gpt}, loss, steps=cfg.gpt.steps, lr=cfg.gpt.lr, decay=cfg.gpt.decay,
        seed=cfg.speech.seed, scratch=rt.scratch("xtts_mini_gpt", key),
        save_seconds=cfg.save_seconds, rt=rt, muon_except=ENDS | {"spectrum"},
    )  # fmt: skip
    del gpt.spectrum
    return gpt.eval().requires_grad_(False), seconds


def start_embeddings(gpt: Any, book: "torch.Tensor", rate: float) -> None:
    """Let the language model start with what is known of codes and of time.

    PyTorch's embeddings are so large, and Coqui's of positions so small, that a small model finds its
    place in the text late. Here codes start as their vectors in the DVAE, so that like codes are
    alike, and positions as sinusoids; those of the codes advance as the text does on average, so that
    a code looks at about the right phoneme from the start (Ping et al. 2018, Deep Voice 3, arXiv
    1710.07654).

    Args:
        gpt: Coqui's `GPT`, whose embeddings are changed.
        book: the codes' vectors (CODES, size); size is at most the model's width.
        rate: phonemes per code.
    """
    import torch

    vectors = (book - book.mean(0)) / (book - book.mean(0)).std()
    width = gpt.mel_embedding.weight.shape[1]
    turn = torch.nn.init.orthogonal_(torch.empty(width, book.shape[1]))
    vectors = vectors @ turn.T * (width / book.shape[1]) ** 0.5  # their deviation is 1 again
    with torch.no_grad():
        gpt.text_embedding.weight.mul_(SIZE)
        gpt.mel_embedding.weight.mul_(SIZE)
        gpt.mel_embedding.weight[: len(book)] = SIZE * vectors
        gpt.mel_head.weight[: len(book)] = SIZE * vectors / 2
        for table, step in ((gpt.text_pos_embedding, 1.0), (gpt.mel_pos_embedding, rate)):
            weight = table.emb.weight
            speeds = torch.exp(-math.log(1000) * torch.arange(0, width, 2) / width)
            angles = step * torch.arange(len(weight))[:, None] * speeds
            weight.copy_(SIZE * 2**0.5 * torch.cat([angles.sin(), angles.cos()], 1))


def text_tokens(text: str, tokenizer: Any) -> "torch.Tensor":
    """The tokens of phonemes: the language's, and one for each phoneme, space and mark."""
    import torch

    marked = f"[{LANGUAGE}]{text}".replace(" ", "[SPACE]")
    return torch.tensor(tokenizer.tokenizer.encode(marked).ids)


def phonemes_said(ends: np.ndarray, codes: int) -> "torch.Tensor":
    """The position among a text's tokens of what is said at each code, and at the end: (codes + 1,)."""
    import torch

    middles = (np.arange(codes + 1) + 0.5) * CODE / INPUT_RATE
    at = np.searchsorted(ends, middles).clip(max=len(ends) - 1)
    return torch.from_numpy(at + 1)  # the first token is the language's


def reference(rows: Sequence[int] | np.ndarray, corpus: Corpus, seconds: float) -> "torch.Tensor":
    """Concatenate the given utterances and cut or repeat them to `seconds`: (N,) at INPUT_RATE."""
    length = round(seconds * INPUT_RATE)
    samples = np.concatenate([corpus.inputs[at] for at in rows])
    return as_tensor(np.resize(samples, length))


def mishear(codes: "torch.Tensor", share: float, rng: np.random.Generator) -> "torch.Tensor":
    """Replace a random share of the codes (n,) by random ones.

    The previous codes predict the next one so well that the model could ignore the text. When they
    are unreliable it must read the text; dropout in Tacotron's prenet has the same effect (Shen et
    al. 2018, arXiv 1712.05884).
    """
    import torch

    wrong = torch.from_numpy(rng.random(len(codes)) < share)
    return torch.where(wrong, torch.from_numpy(rng.integers(CODES, size=len(codes))), codes)


def gpt_losses(
    gpt: Any, batch: Batch, styles: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Mean cross-entropies of the next text token, of the next code, and of the phonemes looked at.

    The fourth of what it returns is not a loss: the latents of the codes (rows, codes + 1, width).

    The third supervises the attention heads of `LOOKS`, whose weights are read as probabilities of the
    phonemes: a small model speaks fluently long before it learns to follow its text, and this loss
    teaches it where in the text to look (supervised attention: Liu et al. 2016, arXiv 1609.04186; guided
    attention in speech synthesis: Tachibana et al. 2017, arXiv 1710.08969).

    Coqui's own loss masks the conditioning of the last row only, and trains on sequences that
    generation does not produce. Here each row has its own mask, and its inputs are those that
    `GPT.generate` uses. No code is masked, because reference clips are never the target speech.

    Args:
        gpt: Coqui's `GPT`.
        batch: the training batch.
        styles: conditioning latents (voices, 32, width).
    """
    import torch
    import torch.nn.functional as functional

    attention: list[torch.Tensor] = []
    # A middle layer: those before it can recognise phonemes, those after it can say them.
    block = gpt.gpt.h[(len(gpt.gpt.h) - 1) // 2]
    hook = block.attn.register_forward_hook(lambda *made: attention.append(made[2][1]))
    start, stop = gpt.start_text_token, gpt.stop_text_token
    text_inputs, text_mask = pad(
        [functional.pad(t, (1, 0), value=start) for t in batch.texts], stop, 1
    )
    text_targets, _ = pad([functional.pad(t, (0, 1), value=stop) for t in batch.texts], IGNORE, 1)
    code_inputs, code_mask = pad(
        [functional.pad(c, (1, 0), value=START_CODE) for c in batch.heard], STOP_CODE
    )
    code_targets, _ = pad([functional.pad(c, (0, 1), value=STOP_CODE) for c in batch.codes], IGNORE)
    text_latents, code_latents = gpt.get_logits(
        gpt.text_embedding(text_inputs) + gpt.text_pos_embedding(text_inputs), None,
        gpt.mel_embedding(code_inputs) + gpt.mel_pos_embedding(code_inputs), None,
        prompt=styles[batch.styles], return_latent=True, attn_mask_text=text_mask,
        attn_mask_mel=code_mask,
    )  # fmt: skip
    hook.remove()
    text_logits, code_logits = gpt.text_head(text_latents), gpt.mel_head(code_latents)
    text_loss, code_loss = (
        functional.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE
        )
        for logits, targets in ((text_logits, text_targets), (code_logits, code_targets))
    )
    said, _ = pad(batch.said, IGNORE)
    first = styles.shape[1] + 1  # after the start token
    ends = torch.tensor([len(text) - 1 for text in batch.texts])[:, None]
    looked = attention[0][:, : len(LOOKS), -said.shape[1] :, first:].unbind(1)
    look_losses = [
        look_loss_of(
            own, torch.where(said == IGNORE, IGNORE, (said + by).clamp(min=1).minimum(ends))
        )
        for own, by in zip(looked, LOOKS, strict=True)
    ]
    look_loss = torch.stack(look_losses).mean()
    return text_loss, code_loss, look_loss, code_latents


def look_loss_of(looked: "torch.Tensor", said: "torch.Tensor") -> "torch.Tensor":
    """Mean negative log of the attention weight on the phoneme being said.

    Args:
        looked: attention weights (rows, codes, positions from the first text token on).
        said: position of the phoneme that is said at each code (rows, codes), or IGNORE.
    """
    found = looked.float().gather(2, said.clamp(min=0)[:, :, None])[:, :, 0]
    return -(found[said != IGNORE] + 1e-4).log().mean()


def spectrum_loss_of(made: "torch.Tensor", mels: list["torch.Tensor"]) -> "torch.Tensor":
    """Mean absolute difference of the mels that latents say to those of the utterances.

    Args:
        made: what is said at each code (rows, codes or more, FRAMES * bands), frame after frame.
        mels: of the utterances (bands, FRAMES * codes).
    """
    import torch

    meant = [mel.T.reshape(-1, made.shape[2]) for mel in mels]  # (codes, FRAMES * bands)
    said = [own[: len(other)] for own, other in zip(made.float(), meant, strict=True)]
    return (torch.cat(said) - torch.cat(meant).float()).abs().mean()


def pad(
    rows: list["torch.Tensor"], value: int, more: int = 0
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Pad rows to the longest length plus `more`. Returns (rows, length) and a mask of valid places.

    The first `more` padding values of a row count as valid, because the text ends with a stop token
    in generation too.
    """
    import torch

    width = max(map(len, rows)) + more
    padded = torch.full((len(rows), width), value)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
        mask[number, : len(row) + more] = True
    return padded, mask
