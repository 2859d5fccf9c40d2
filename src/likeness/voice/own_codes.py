"""A base's codes fitted to a voice that its DVAE does not know.

What a DVAE cannot say, no language model that speaks in its codes can learn. XTTS-v2's has heard
thousands of voices; one that has heard few loses a new voice, and its words with it. Training the DVAE
on the new voice alone brings the voice back, but its codes then mean nothing to the language model.
So two steps take turns: each clip gets the codes that fit its sound and that the language model, which
reads the clip's text, finds likely; then the DVAE learns to hear and to say them in the new voice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.closure import code_digest
from likeness.common.errors import LikenessError
from likeness.common.io import digest, digest_of, link
from likeness.common.items import Result, map_items
from likeness.common.runtime import Runtime
from likeness.voice.audio import read, resample
from likeness.voice.codes import FFT, FRAMES, RATE, build_dvae, load_dvae, log_mel, stock_state
from likeness.voice.examples import Example, pack_codes, read_clip, read_codes
from likeness.voice.xtts import FILES, SPEAKERS, load_xtts, save_like, voice_of

if TYPE_CHECKING:
    import torch

BATCH = 24  # windows of a step
WINDOW = 32  # codes of a window, 1.5 s
COMMITMENT = 0.25  # weight of the encoder's distance to the codes (VQ-VAE, arXiv 1711.00937)
SAMPLE = 2000  # codes that tell how the base sounds
RARE = 1e-3  # uses in a step of training; a code is not taken to be rarer


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
) -> Path:
    """A base like `base` whose `dvae.pth` is fitted to clips; `base` itself for no rounds.

    Like the Viterbi training of a speech recogniser: align by the models that there are, train on the
    alignment, and again. The folders of the rounds are in scratch, where a run that comes again finds
    them.

    Args:
        examples: of the voice, at one loudness.
        clips: the file of each by its id.
        references: clips that the language model is conditioned on.
        rounds: times that the clips get codes and the DVAE learns them.
        steps: optimiser steps of a round, on `BATCH` windows.
        learning_rate: at a round's beginning; it falls to 0 along a cosine.

    Raises:
        LikenessError: the clips together are shorter than a window.
    """
    import torch

    if not rounds:
        return base
    if sum(len(one.codes) for one in examples) < WINDOW:
        raise LikenessError(
            "voice_train.code_rounds: the train clips are too short to fit codes to; give more "
            "recordings, or set it to 0 in params.yaml"
        )
    parts = (
        *map(digest, (base, *references, *(clips[one.id] for one in examples))),
        *(one.tokens for one in examples),
        *(code_digest(Path(__file__)), steps, learning_rate, rt.seed),
    )
    scratch = rt.scratch("voice_codes", digest_of(parts))
    _, stats = load_dvae(base, rt.device)
    mels = torch.cat([_mel(clips[one.id], stats) for one in examples], dim=1)
    folders = [scratch / str(number) / base.name for number in range(rounds + 1)]
    if not _whole(folders[0]):
        _save(introduce(_copy(base, rt.device), mels), base, folders[0])
    for number, (before, fitted) in enumerate(pairwise(folders), 1):
        if not _whole(fitted):
            rt.log(f"voice_train: codes, round {number} of {rounds}")
            guided = guide(examples, clips, base=base, codes=before, references=references, rt=rt)
            codes = torch.cat([one.codes for one in guided]).to(mels.device)
            dvae = _copy(before, rt.device)
            _train(dvae, mels, codes, steps, learning_rate, number, rt)
            _save(dvae, base, fitted)
    return folders[-1]


def introduce(dvae: Any, mels: "torch.Tensor") -> Any:
    """Let a DVAE hear a voice with log-mels (80, T) as if it had the average spectrum of its own.

    Each band's mean and deviation are brought to those of codes drawn as often as they were used in
    the DVAE's training. That is an affine map, which the first layer takes in.
    """
    import torch

    usage = dvae.codebook.cluster_size.cpu().clamp(min=RARE)
    drawn = torch.multinomial(usage, SAMPLE, True, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        said = dvae.decode(drawn[None].to(mels.device))[0][0]
        scale = said.std(dim=1) / mels.std(dim=1).clamp(min=1e-3)
        shift = said.mean(dim=1) - scale * mels.mean(dim=1)
        first = dvae.encoder[0][0]
        first.bias += (first.weight * shift[None, :, None]).sum(dim=(1, 2))
        first.weight *= scale[None, :, None]
    return dvae


# --- codes that the text makes likely -------------------------------------------------------------


def guide(
    examples: Sequence[Example],
    clips: Mapping[str, Path],
    *,
    base: Path,
    codes: Path,
    references: Sequence[Path],
    rt: Runtime,
) -> list[Example]:
    """The examples with `guided_codes` in place of their own.

    Args:
        base: folder of the language model.
        codes: folder of the DVAE.
    """
    stored, failed = map_items(
        partial(
            guide_clips, base=base, codes=codes, references=tuple(references), device=rt.device
        ),
        {one.id: {"clip": clips[one.id], "tokens": one.tokens} for one in examples},
        what="voice_guided_codes",
        rt=rt,
    )
    if failed:  # clips out of which `encode_rows` made examples
        raise LikenessError(f"{clips[failed[0].id]}: no codes can be found ({failed[0].value})")
    return [replace(one, codes=read_codes(stored[one.id])) for one in examples]


def guide_clips(
    payloads: Sequence[dict[str, Any]],
    *,
    base: Path,
    codes: Path,
    references: tuple[Path, ...],
    device: str,
) -> list[Result]:
    """`codes.i16` (C,) of each payload's `clip`, which says its `tokens`."""
    gpt, latents = _reader(base, references, device)
    dvae, stats = load_dvae(codes, device)
    found = (
        guided_codes(gpt, latents, one["tokens"], dvae, _mel(one["clip"], stats))
        for one in payloads
    )
    return [Result({}, pack_codes(codes)) for codes in found]


def guided_codes(
    gpt: Any, latents: "torch.Tensor", tokens: Sequence[int], dvae: Any, mel: "torch.Tensor"
) -> "torch.Tensor":
    """The codes (C,) of a clip, as its sound and its text have them.

    From the first place to the last, the code is taken whose log-probability after the codes before
    it, less its distance to the encoder's vector, is highest: the language model is fused with the
    recogniser as in "shallow fusion" (Gulcehre et al. 2015, arXiv 1503.03535). Distances count in
    units of what the nearest codes have on average.

    Args:
        gpt: Coqui's, with its inference model.
        latents: (1, 32, D) that it is conditioned on.
        tokens: of the text.
        dvae: whose encoder hears the clip.
        mel: (80, FRAMES * C) of the clip.
    """
    import torch

    with torch.inference_mode():
        vectors, book = dvae.encoder(mel[None])[0].T, dvae.codebook.embed
        distances = (
            vectors.square().sum(1, keepdim=True) - 2 * vectors @ book + book.square().sum(0)
        )
        distances = distances / distances.min(dim=1).values.mean().clamp(min=1e-6)
        text = torch.tensor([[gpt.start_text_token, *tokens, gpt.stop_text_token]]).to(mel.device)
        prefix = gpt.text_embedding(text) + gpt.text_pos_embedding(text)
        code = torch.tensor(gpt.start_audio_token, device=mel.device)
        codes, past = [], None
        for place, distance in enumerate(distances):
            said = gpt.mel_embedding(code[None, None])
            said = said + gpt.mel_pos_embedding.get_fixed_embedding(place, mel.device)
            heard = torch.cat([latents, prefix, said], dim=1) if past is None else said
            made = gpt.gpt(inputs_embeds=heard, past_key_values=past, use_cache=True)
            past = made.past_key_values
            logits = gpt.mel_head(gpt.final_norm(made.last_hidden_state[0, -1]))
            code = (logits[: dvae.num_tokens].log_softmax(dim=-1) - distance).argmax()
            codes.append(code)
        return torch.stack(codes).clone()


def code_error(base: Path, examples: Sequence[Example], clips: Mapping[str, Path]) -> float:
    """Mean squared error of what a DVAE makes of the examples' codes, of log-mels in deviations."""
    import torch

    total, count = 0.0, 0
    dvae, stats = load_dvae(base, "cpu")
    for one in examples:
        mel = _mel(clips[one.id], stats)
        with torch.inference_mode():
            made = dvae.decode(one.codes[None])[0][0]
        total += float((made - mel).square().sum())
        count += mel.numel()
    return total / count


def _mel(clip: Path, stats: "torch.Tensor") -> "torch.Tensor":
    """What the DVAE sees of a clip, (80, FRAMES * C)."""
    import torch

    wave = torch.from_numpy(read_clip(clip)[0])[None]
    return log_mel(wave.to(stats.device), FFT, stats)[0]


@cache
def _reader(base: Path, references: tuple[Path, ...], device: str) -> tuple[Any, "torch.Tensor"]:
    """The language model of a base, and what it is conditioned on."""
    model = load_xtts(base, device)
    voice = voice_of(model, [resample(*read(path), RATE) for path in references])
    return model.gpt, voice.latents


# --- training -------------------------------------------------------------------------------------


def _train(
    dvae: Any,
    mels: "torch.Tensor",
    codes: "torch.Tensor",
    steps: int,
    learning_rate: float,
    number: int,
    rt: Runtime,
) -> None:
    """Teach a DVAE codes (C,) that were found for mels (80, FRAMES * C); its codebook stays."""
    import torch
    import torch.nn.functional as functional

    vectors = dvae.codebook.embed.T[codes].T
    parameters = list(dvae.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0)
    for step in rt.progress(range(steps), "voice_train: codes", steps):
        rng = np.random.default_rng(rt.seed_for("codes", number, step))
        starts = rng.integers(len(codes) - WINDOW + 1, size=BATCH)
        frames = torch.stack([mels[:, FRAMES * at : FRAMES * (at + WINDOW)] for at in starts])
        meant = torch.stack([vectors[:, at : at + WINDOW] for at in starts])
        loss = functional.mse_loss(dvae.decoder(meant), frames)
        loss = loss + COMMITMENT * functional.mse_loss(dvae.encoder(frames), meant)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()


def _copy(base: Path, device: str) -> Any:
    """A base's DVAE to change: `load_dvae` gives all the same one."""
    loaded, _ = load_dvae(base, device)
    hidden, codebook = len(loaded.encoder[0][0].weight), loaded.codebook.dim
    dvae = build_dvae(loaded.num_tokens, hidden, codebook)
    dvae.load_state_dict(loaded.state_dict())
    return dvae.to(device)


def _save(dvae: Any, base: Path, folder: Path) -> None:
    """A base with another DVAE; that comes last, so that a folder that has it is whole."""
    for name in (*FILES, SPEAKERS):
        if name != "dvae.pth" and (base / name).is_file():
            (folder / name).unlink(missing_ok=True)  # of a run that was killed just here
            link(base / name, folder / name)
    save_like(base / "dvae.pth", folder / "dvae.pth", stock_state(dvae))


def _whole(folder: Path) -> bool:
    return (folder / "dvae.pth").is_file()
