"""The train texts as the base says them, aligned with the clips: what the decoder's adapter learns from.

The decoder is to speak from latents that the model samples. Those of a clip's own codes are no match for
them: codes of a voice that the base does not know surprise it, and an adapter that has learnt from them
loses words. So the base says the texts itself, and dynamic time warping (Sakoe and Chiba 1978) finds the
moment of the clip for each moment of what was said. Voice conversion learns from two speakers' parallel
recordings in the same way (Abe et al. 1988; Toda et al. 2007).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.voice.audio import read, resample
from likeness.voice.codes import CODE, RATE
from likeness.voice.examples import Example
from likeness.voice.losses import next_token_losses
from likeness.voice.sampling import TOGETHER, Wanted, sample_codes
from likeness.voice.xtts import Voice

if TYPE_CHECKING:
    import torch

Array = np.ndarray
FFT, HOP, BANDS = 1024, 256, 80  # samples of a window and between two, at the decoder's rate
CEPSTRA = 16  # that alignment compares, without the first, which is loudness


@dataclass(frozen=True)
class Parallel:
    """A text as said by the base and by the voice that is learnt.

    Attributes:
        latents: (C, D), from which the decoder speaks.
        mel: (BANDS, F), the clip's log-mel; frame F belongs to sample HOP * F of what is decoded.
    """

    latents: "torch.Tensor"
    mel: "torch.Tensor"


def log_mels(rate: int, device: str) -> "Callable[[torch.Tensor], torch.Tensor]":
    """A function from waves (N, samples) at `rate` Hz to log-mels (N, BANDS, frames)."""
    from torchaudio.transforms import MelSpectrogram

    mel = MelSpectrogram(rate, n_fft=FFT, hop_length=HOP, n_mels=BANDS, power=1).to(device)
    return lambda waves: (mel(waves) + 1e-3).log()


def say_beside(
    model: Any,
    examples: Sequence[Example],
    seeds: Sequence[int],
    *,
    voice: Voice,
    settings: dict[str, float],
    progress: "Callable[[Iterable[int], str, int], Iterable[int]]",
) -> dict[str, Parallel]:
    """Each example's text as `model`, an `Xtts`, says it, aligned with its clip, by the example's id.

    A text of which the model finds no end within its limit is left out.

    Args:
        settings: of the sampling, as `read_settings` gives them.
        progress: shows how far an iteration has come; gets it, a title and its length.
    """
    import torch

    gpt, rate = model.gpt, model.config.audio.output_sample_rate
    mels = log_mels(rate, model.device)
    wanted = [
        Wanted(one.tokens, voice.latents, seed) for one, seed in zip(examples, seeds, strict=True)
    ]
    found: dict[str, Parallel] = {}
    starts = range(0, len(examples), TOGETHER)
    for start in progress(starts, "voice_train: the base says the texts", len(starts)):
        batch = slice(start, start + TOGETHER)
        sampled = sample_codes(gpt, wanted[batch], settings)
        for example, (codes,) in zip(examples[batch], sampled, strict=True):
            if codes[-1] != gpt.stop_audio_token:
                continue
            said = Example(example.id, example.path, example.tokens, codes[:-1], example.mel)
            with torch.inference_mode():
                states = next_token_losses(gpt, [said], voice.latents, [(0, 0)])[2]
                wave = model.hifigan_decoder(states, g=voice.embedding).reshape(1, -1)
                clip = torch.from_numpy(resample(*read(example.path), rate)).float()
                theirs, own = (mels(one)[0].cpu() for one in (wave, clip[None].to(wave.device)))
            at = align(theirs.numpy(), own.numpy())
            # Cloned out of inference mode, as training goes through them.
            found[example.id] = Parallel(states[0].clone(), own[:, at].to(wave.device))
    return found


def decoded_loss(
    model: Any,
    rows: Sequence[Parallel],
    *,
    embedding: "torch.Tensor",
    mels: "Callable[[torch.Tensor], torch.Tensor]",
    windows: int,
    longest: int,
    rng: np.random.Generator,
) -> "torch.Tensor":
    """Mean difference of the log-mels of what the decoder makes of latents and of the clips.

    Args:
        model: Coqui's `Xtts`.
        embedding: (1, 512, 1), of the voice.
        mels: of `log_mels`, at the decoder's rate.
        windows: parts of rows that are decoded, drawn with replacement.
        longest: codes of a part at most.
    """
    import torch

    scale = CODE * model.config.audio.output_sample_rate / RATE / HOP  # frames of a code
    length = min(longest, *(len(row.latents) for row in rows))
    parts, starts = [], []
    for at in rng.integers(len(rows), size=windows).tolist():
        first = int(rng.integers(len(rows[at].latents) - length + 1))
        parts.append(rows[at].latents[first : first + length])
        starts.append(rows[at].mel[:, round(first * scale) :])
    made = mels(model.hifigan_decoder(torch.stack(parts), g=embedding).reshape(windows, -1))
    frames = min(made.shape[2], *(mel.shape[1] for mel in starts))
    wanted = torch.stack([mel[:, :frames] for mel in starts])
    # The outermost frames also see what stands beside a part.
    edge = FFT // HOP // 2
    return (made[:, :, :frames] - wanted)[:, :, edge:-edge].abs().mean()


def align(said: Array, clip: Array) -> Array:
    """For each frame of `said`, the frame of `clip` that has the same sound; both (bands, frames).

    The frames are compared by cepstra without their means, which are the voices' and not the sounds'.
    """
    from librosa.sequence import dtw
    from scipy.fft import dct

    cepstra = [dct(one, axis=0, norm="ortho")[1:CEPSTRA] for one in (said, clip)]
    _, path = dtw(*(one - one.mean(axis=1, keepdims=True) for one in cepstra))
    frames = np.zeros(said.shape[1])
    np.add.at(frames, path[:, 0], path[:, 1])
    return np.rint(frames / np.bincount(path[:, 0], minlength=len(frames))).astype(int)
