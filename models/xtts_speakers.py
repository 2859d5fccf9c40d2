"""The speaker encoder of xtts_mini, which tells its decoder whose voice to speak in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.runtime import Runtime
from models.fitting import fit
from models.settings import XttsMini, code_key
from models.spoken import INPUT_RATE, Corpus, as_tensor
from models.xtts_nets import build_speaker_encoder

if TYPE_CHECKING:
    import torch

ENCODER_RATE = 16000  # Hz


def train_speaker_encoder(cfg: XttsMini, corpus: Corpus, rt: Runtime) -> tuple[Any, float]:
    """Train the speaker encoder as a classifier of voices. Returns it and the seconds it took.

    Resampled speech counts as a further speaker, so that embeddings cover more than a few voices.
    The encoder that scores the result, models/speaker_encoder, is not used in training.
    """
    import torch
    import torch.nn.functional as functional

    torch.manual_seed(cfg.speech.seed)
    encoder = build_speaker_encoder(cfg).train()
    kinds = len(cfg.speakers.stretches)
    speakers = torch.nn.Parameter(torch.randn(len(corpus.names) * kinds, 512))
    both = torch.nn.ModuleDict({"encoder": encoder, "speakers": torch.nn.ParameterList([speakers])})
    length = round(cfg.speakers.seconds * ENCODER_RATE)

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        rows = rng.integers(len(corpus.texts), size=cfg.speakers.batch)
        which = rng.integers(kinds, size=cfg.speakers.batch)
        clips = [
            excerpt(corpus.inputs[row], length, cfg.speakers.stretches[kind], rng)
            for row, kind in zip(rows, which, strict=True)
        ]
        noise = 10 ** rng.uniform(-4, -2, size=(len(rows), 1))
        waves = np.stack(clips) + noise * rng.normal(size=(len(rows), length))
        made = encoder(torch.from_numpy(waves).float())
        cosines = functional.normalize(made) @ functional.normalize(speakers).T
        target = torch.from_numpy(corpus.voices[rows] * kinds + which)
        return functional.cross_entropy(20 * cosines, target)

    key = code_key(train_speaker_encoder, build_speaker_encoder, excerpt, cfg.speakers, cfg.speech)
    seconds = fit(
        "speakers", {"both": both}, loss, steps=cfg.speakers.steps, lr=cfg.speakers.lr, decay=0.01,
        seed=cfg.speech.seed, scratch=rt.scratch("xtts_mini_speaker", key),
        save_seconds=cfg.save_seconds, rt=rt,
    )  # fmt: skip
    return encoder.eval().requires_grad_(False), seconds


def excerpt(
    samples: np.ndarray, length: int, stretch: float, rng: np.random.Generator
) -> np.ndarray:
    """`length` samples in -1..1 at ENCODER_RATE from a random position, slowed down `stretch` times."""
    step = INPUT_RATE / ENCODER_RATE / stretch
    start = rng.uniform(0, max(len(samples) - length * step, 1))
    at = (start + step * np.arange(length)) % (len(samples) - 1)
    return np.asarray(np.interp(at, np.arange(len(samples)), samples) / 32768)


def embed_speakers(encoder: Any, clips: "Sequence[np.ndarray]") -> "torch.Tensor":
    """Embeddings (N, 512, 1) of 16-bit clips, each as `Xtts.get_speaker_embedding` returns it."""
    import torch
    from torchaudio.functional import resample

    with torch.inference_mode():
        heard = (resample(as_tensor(clip)[None], INPUT_RATE, ENCODER_RATE) for clip in clips)
        return torch.cat([encoder(clip, l2_norm=True) for clip in heard]).unsqueeze(-1).clone()
