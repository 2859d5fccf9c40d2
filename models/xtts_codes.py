"""The codes of xtts_mini: its DVAE, which turns mels into codes and back, trained on all voices."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.runtime import Runtime
from likeness.voice.codes import FFT, FRAMES, build_dvae, log_mel
from models.fitting import fit
from models.settings import XttsMini, code_key
from models.spoken import Corpus, as_tensor
from models.xtts_nets import CODES

if TYPE_CHECKING:
    import torch


def log_mels(corpus: Corpus, rt: Runtime) -> tuple[list["torch.Tensor"], "torch.Tensor"]:
    """Each utterance's log-mels (80, FRAMES * codes) over their deviations; and the deviations (80,)."""
    import torch

    plain = torch.ones(80)
    with torch.inference_mode():
        mels = [
            log_mel(as_tensor(samples)[None], FFT, plain)[0]
            for samples in rt.progress(corpus.inputs, "mels", total=len(corpus.inputs))
        ]
        mel_stats = torch.cat(mels, dim=1).std(dim=1)
        return [mel / mel_stats[:, None] for mel in mels], mel_stats.clone()


def train_dvae(cfg: XttsMini, mels: list["torch.Tensor"], rt: Runtime) -> tuple[Any, float]:
    """Train the DVAE, first without a codebook, then with it. Returns it and the seconds it took."""
    import torch
    import torch.nn.functional as functional

    torch.manual_seed(cfg.speech.seed)
    dvae = build_dvae(CODES, cfg.dvae.hidden, cfg.dvae.codebook).train()
    whole = torch.cat(mels, dim=1)

    def sample(rng: np.random.Generator) -> "torch.Tensor":
        starts = rng.integers(whole.shape[1] - cfg.dvae.window, size=cfg.dvae.batch)
        return torch.stack([whole[:, at : at + cfg.dvae.window] for at in starts])

    def plain(rng: np.random.Generator) -> "torch.Tensor":
        frames = sample(rng)
        with torch.autocast("cpu", torch.bfloat16):
            made = dvae.decoder(dvae.encoder(frames))
        return functional.mse_loss(made.float(), frames)

    def coded(rng: np.random.Generator) -> "torch.Tensor":
        frames = sample(rng)
        with torch.autocast("cpu", torch.bfloat16):
            vectors = dvae.encoder(frames)
        # The search for the nearest code needs full precision.
        quantized, _, commitment = dvae.codebook(vectors.float().transpose(1, 2))
        with torch.autocast("cpu", torch.bfloat16):
            made = dvae.decoder(quantized.transpose(1, 2))
        rebuilt = functional.mse_loss(made.float(), frames)
        return rebuilt + 0.25 * torch.as_tensor(commitment)

    learn = partial(
        fit, lr=cfg.dvae.lr, decay=0.0, seed=cfg.speech.seed, save_seconds=cfg.save_seconds, rt=rt
    )
    key = code_key(train_dvae, build_dvae, start_codebook, kmeans, cfg.dvae, cfg.speech)
    seconds = learn(
        "dvae plain", {"dvae": dvae}, plain, steps=cfg.dvae.plain_steps,
        scratch=rt.scratch("xtts_mini_plain", key),
    )  # fmt: skip
    start_codebook(dvae, mels, cfg.dvae.batch * cfg.dvae.window // FRAMES)
    seconds += learn(
        "dvae", {"dvae": dvae}, coded, steps=cfg.dvae.steps,
        scratch=rt.scratch("xtts_mini_dvae", key),
    )  # fmt: skip
    return dvae.eval().requires_grad_(False), seconds


def start_codebook(dvae: Any, mels: list["torch.Tensor"], batch_codes: int) -> None:
    """Initialize the codebook by k-means of the encoder's outputs; a random one would collapse.

    Args:
        dvae: trained as an autoencoder, without a codebook.
        mels: log-mels (80, frames) of utterances, with more codes in all than the codebook.
        batch_codes: codes per training batch, to which the codebook's usage counts are scaled.
    """
    import torch

    with torch.inference_mode():
        vectors = torch.cat([dvae.encoder(mel[None])[0].T for mel in mels[:1000]]).clone()
    centres, counts = kmeans(vectors, dvae.num_tokens)
    book = dvae.codebook
    book.embed.copy_(centres.T)
    book.cluster_size.copy_(counts * batch_codes / len(vectors))
    book.embed_avg.copy_(book.embed * book.cluster_size)


def kmeans(
    vectors: "torch.Tensor", count: int, rounds: int = 12
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Lloyd's k-means of vectors (N, d). Returns centres (count, d) and cluster sizes (count,)."""
    import torch

    centres = vectors[torch.linspace(0, len(vectors) - 1, count).long()].clone()
    for _ in range(rounds):
        nearest = torch.cat([torch.cdist(part, centres).argmin(1) for part in vectors.split(4096)])
        counts = torch.bincount(nearest, minlength=count).float()
        sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
        # The centre of an empty cluster stays where it was.
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
    return centres, counts


def encode(dvae: Any, mels: list["torch.Tensor"], rt: Runtime) -> list["torch.Tensor"]:
    """The codes (n,) of each utterance."""
    import torch

    with torch.inference_mode():
        bar = rt.progress(mels, "encode", total=len(mels))
        return [dvae.get_codebook_indices(mel[None])[0].clone() for mel in bar]
