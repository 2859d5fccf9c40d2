"""A base's codes fitted to a voice that its DVAE does not know.

XTTS's language model speaks in the codes of a DVAE, so it cannot learn sounds that the DVAE cannot
reproduce. XTTS-v2's DVAE was trained on thousands of voices; one trained on few loses a new voice and
its words. Training the DVAE on the new voice alone restores the voice, but gives the codes meanings that
the language model does not know.

So the base reads the voice's texts aloud, and each clip is aligned with the most similar reading, as in
voice conversion from parallel sentences (Stylianou et al. 1998, IEEE Trans. Speech and Audio Processing
6). The last layers of the decoder learn to turn the reading's codes into the clip's mels; decoded in the
voice, the readings are then aligned again. With a few minutes of speech a decoder forgets more than it
learns, so its earlier layers stay frozen, and the last ones are interpolated between their old and new
weights (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903), which keeps
the words and most of the voice. Then the encoder is trained to give these codes for the clips, and
`guide` chooses each clip's codes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.closure import code_digest
from likeness.common.errors import LikenessError
from likeness.common.io import digest, digest_of
from likeness.common.items import map_items
from likeness.common.runtime import Runtime
from likeness.voice.align import align, features, level, stretched
from likeness.voice.base_codes import (
    dvae_mel,
    guide_clips,
    read_texts,
    resident_reader,
)
from likeness.voice.codes import FRAMES, build_dvae, corner, load_dvae
from likeness.voice.examples import Example, read_codes
from likeness.voice.packing import write_archive
from likeness.voice.xtts import DVAE
from likeness.voice.xtts_files import read_settings

if TYPE_CHECKING:
    import torch

TEMPERATURE = 0.5  # of the readings, so that they differ
SHORTEST = 8  # codes; shorter readings are not compared with a clip
TRUSTED = 0.6  # share of the frames, the best aligned ones, that the decoder learns from
TRAINED_MODULES = 3  # the decoder's last: both upsamplings and the output layer
KEPT_SHARE = 0.5  # weight of the new weights against the old; at 1, 6 % more words are lost
BATCH = 24  # windows of a step
WINDOW = 32  # codes of a window, 1.5 s


def fit_codes(
    base: Path,
    examples: Sequence[Example],
    clips: Mapping[str, Path],
    *,
    references: Sequence[Path],
    rounds: int,
    steps: int,
    learning_rate: float,
    rt: Runtime,
) -> Path | None:
    """A copy of the base's `dvae.pth` that is fitted to clips; None if `rounds` is 0.

    It is kept in the scratch folder, where a repeated run finds it.

    Args:
        examples: clips of the voice, all at the same loudness.
        clips: the audio file of each example, by id.
        references: clips that the language model is conditioned on.
        rounds: how often the readings are aligned with the clips and the decoder is trained.
        steps: optimiser steps per round, each on `BATCH` windows; as many train the encoder.
        learning_rate: at the start of a round; it falls to 0 along a cosine.

    Raises:
        LikenessError: all that can be aligned is shorter than one window.
    """
    import torch

    if not rounds:
        return None
    parts = (
        *map(digest, (base, *references, *(clips[one.id] for one in examples))),
        *(one.tokens for one in examples),
        *(code_digest(Path(__file__)), rounds, steps, learning_rate, rt.seed),
    )
    fitted = rt.scratch("voice_codes", digest_of(parts)) / DVAE
    if fitted.is_file():
        return fitted
    dvae, stats = load_dvae(base, rt.device)
    mels = {one.id: dvae_mel(clips[one.id], stats) for one in examples}
    readings = read_aloud(examples, base=base, references=references, rt=rt)
    for number in range(1, rounds + 1):
        pairs = pair_up(dvae, readings, mels)
        if len(pairs.codes) < WINDOW:
            raise LikenessError(
                "voice_train.code_rounds: the train clips are too short to fit codes to; give more "
                "recordings, or set it to 0 in params.yaml"
            )
        dvae = _copy(base, rt.device)
        what = f"voice_train: codes, round {number} of {rounds}"
        _train_decoder(dvae, pairs, steps, learning_rate, what, rt)
    _interpolate(dvae, base, 1 - KEPT_SHARE)
    _match_variance(dvae, pairs.codes, torch.cat(list(mels.values()), dim=1))
    _train_encoder(dvae, pairs, steps, learning_rate, "voice_train: codes, encoder", rt)
    write_archive(fitted, stock_state(dvae), like=base / DVAE)
    return fitted


# --- the base reads -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """All readings in one sequence, and the mels of the clips that are aligned with them.

    Attributes:
        codes: (C,) of the readings.
        mels: (80, FRAMES * C) log-mels of the clips.
        trusted: (FRAMES * C,), 1 for a frame that is among the best aligned, else 0.
    """

    codes: "torch.Tensor"
    mels: "torch.Tensor"
    trusted: "torch.Tensor"


def read_aloud(
    examples: Sequence[Example], *, base: Path, references: Sequence[Path], rt: Runtime
) -> "dict[str, list[torch.Tensor]]":
    """Codes (C,) of `READINGS` readings of each example's text by the base; short ones are left out."""
    stored, failed = map_items(
        partial(
            read_texts,
            base=base,
            references=tuple(references),
            settings=read_settings(base, {"temperature": TEMPERATURE}),
            device=rt.device,
        ),
        {one.id: {"tokens": one.tokens, "seed": rt.seed_for("read", one.id)} for one in examples},
        what="voice_readings",
        rt=rt,
    )
    if failed:
        raise LikenessError(
            f"{base}: cannot read the text of clip {failed[0].id} ({failed[0].value})"
        )
    readings = {name: read_codes(one).split(one.record["lengths"]) for name, one in stored.items()}
    return {name: [one for one in all_ if len(one) >= SHORTEST] for name, all_ in readings.items()}


def pair_up(
    dvae: Any,
    readings: "Mapping[str, Sequence[torch.Tensor]]",
    mels: "Mapping[str, torch.Tensor]",
) -> Pairs:
    """Align each clip's log-mels (80, T) with the reading that is most similar once decoded."""
    import torch

    device = next(iter(mels.values())).device
    with torch.inference_mode():
        said = {
            name: [dvae.decode(codes[None].to(device))[0][0].cpu().numpy() for codes in every]
            for name, every in readings.items()
        }
    heard = {name: mels[name].cpu().numpy() for name, every in said.items() if every}
    if not heard:
        nothing = torch.zeros(0, device=device)
        return Pairs(nothing.long(), nothing.expand(80, 0), nothing)
    own = level(np.concatenate([mel for every in said.values() for mel in every], axis=1))
    other = level(np.concatenate(list(heard.values()), axis=1))
    codes, frames, distances = [], [], []
    for name, clip in heard.items():
        target = features(clip, other)
        aligned = [align(features(mel, own), target) for mel in said[name]]
        best = min(range(len(aligned)), key=lambda at: aligned[at][0])
        codes.append(readings[name][best])
        frames.append(stretched(clip, aligned[best][1]))
        distances.append(aligned[best][2])
    near = np.concatenate(distances)
    trusted = (near <= np.quantile(near, TRUSTED)).astype(np.float32)
    return Pairs(
        torch.cat(codes).to(device),
        torch.from_numpy(np.concatenate(frames, axis=1)).to(device),
        torch.from_numpy(trusted).to(device),
    )


# --- codes that the text makes likely -------------------------------------------------------------


def guide(
    examples: Sequence[Example],
    clips: Mapping[str, Path],
    *,
    base: Path,
    dvae: Path,
    references: Sequence[Path],
    rt: Runtime,
) -> list[Example]:
    """The examples with their codes replaced by those of `guided_codes`.

    Args:
        base: folder of the language model.
        dvae: the file of the fitted DVAE.
    """
    stored, failed = map_items(
        partial(guide_clips, base=base, dvae=dvae, references=tuple(references), device=rt.device),
        {one.id: {"clip": clips[one.id], "tokens": one.tokens} for one in examples},
        what="voice_guided_codes",
        rt=rt,
    )
    resident_reader.release()  # no longer needed, and training needs the memory
    if failed:  # `encode_rows` could read all of these clips
        raise LikenessError(f"{clips[failed[0].id]}: no codes can be found ({failed[0].value})")
    return [replace(one, codes=read_codes(stored[one.id])) for one in examples]


# --- training -------------------------------------------------------------------------------------


def _train_decoder(
    dvae: Any, pairs: Pairs, steps: int, learning_rate: float, what: str, rt: Runtime
) -> None:
    """Train the decoder's last modules to turn the codes into the voice's mels, with an L1 loss."""
    import torch

    early, last = dvae.decoder[:-TRAINED_MODULES], dvae.decoder[-TRAINED_MODULES:]
    with torch.no_grad():
        inner = early(dvae.codebook.embed.T[pairs.codes].T[None])[0]
    scale = inner.shape[1] // len(pairs.codes)  # upsampled so far

    def loss(starts: Sequence[int]) -> "torch.Tensor":
        made: torch.Tensor = last(_windows(inner, starts, scale))
        trusted = _windows(pairs.trusted[None], starts, FRAMES)
        return ((made - _windows(pairs.mels, starts, FRAMES)).abs() * trusted).mean()

    _learn(last, loss, len(pairs.codes), steps, learning_rate, what, rt)


def _interpolate(dvae: Any, base: Path, share: float) -> None:
    """Interpolate a decoder's weights with the base's, which get the weight `share`."""
    import torch

    before, _ = load_dvae(base, dvae.codebook.embed.device.type)
    with torch.no_grad():
        for weight, old in zip(dvae.decoder.parameters(), before.decoder.parameters(), strict=True):
            weight.lerp_(old, share)


def _match_variance(dvae: Any, codes: "torch.Tensor", mels: "torch.Tensor") -> None:
    """Give a decoder's output for codes (C,) the mean and deviation of log-mels (80, T) in each band.

    An L1 loss gives mels that vary too little and sound muffled. This restores the voice's own "global
    variance" (Toda, Black, Tokuda 2007, IEEE Trans. Audio, Speech and Language Processing 15).
    """
    import torch

    with torch.no_grad():
        said, last = dvae.decode(codes[None])[0][0], dvae.decoder[-1]
        scale = mels.std(dim=1) / said.std(dim=1).clamp(min=1e-6)
        last.weight.mul_(scale[:, None, None])
        last.bias.sub_(said.mean(dim=1)).mul_(scale).add_(mels.mean(dim=1))


def _train_encoder(
    dvae: Any, pairs: Pairs, steps: int, learning_rate: float, what: str, rt: Runtime
) -> None:
    """Train a DVAE's encoder to map the voice's mels to the codebook vectors of the codes."""
    import torch.nn.functional as functional

    vectors = dvae.codebook.embed.T[pairs.codes].T

    def loss(starts: Sequence[int]) -> "torch.Tensor":
        made = dvae.encoder(_windows(pairs.mels, starts, FRAMES))
        return functional.mse_loss(made, _windows(vectors, starts, 1))

    _learn(dvae.encoder, loss, len(pairs.codes), steps, learning_rate, what, rt)


def _windows(whole: "torch.Tensor", starts: Sequence[int], scale: int) -> "torch.Tensor":
    """Windows (B, D, scale * WINDOW) of `whole` (D, scale * C) that begin at the codes `starts`."""
    import torch

    return torch.stack([whole[:, scale * at : scale * (at + WINDOW)] for at in starts])


def _learn(
    part: Any,
    loss: "Callable[[Sequence[int]], torch.Tensor]",
    codes: int,
    steps: int,
    learning_rate: float,
    what: str,
    rt: Runtime,
) -> None:
    """Minimise `loss` over windows that start at random among `codes` codes."""
    import torch

    parameters = list(part.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0)
    for step in rt.progress(range(steps), what, steps):
        rng = np.random.default_rng(rt.seed_for(what, step))
        value = loss(rng.integers(codes - WINDOW + 1, size=BATCH).tolist())
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()


def _copy(base: Path, device: str) -> Any:
    """A copy of a base's DVAE to train, as `load_dvae` returns one shared object."""
    loaded, _ = load_dvae(base, device)
    hidden, codebook = len(loaded.encoder[0][0].weight), loaded.codebook.dim
    dvae = build_dvae(loaded.num_tokens, hidden, codebook)
    dvae.load_state_dict(loaded.state_dict())
    return dvae.to(device)


def stock_state(dvae: Any) -> "dict[str, torch.Tensor]":
    """The weights of a DVAE, padded with zeros to the size that Coqui's trainer builds."""
    import torch

    state: dict[str, torch.Tensor] = build_dvae(dvae.num_tokens).state_dict()
    for name, own in dvae.state_dict().items():
        wide = torch.zeros_like(state[name])
        wide[corner(own)] = own.cpu()
        state[name] = wide
    return state
