"""Codes that a base's language model predicts for a text: sampled freely, or guided by a clip."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.common.resident import OneAtATime
from likeness.common.result import Result
from likeness.voice.audio import read, resample
from likeness.voice.clip_codes import pack_codes, read_clip
from likeness.voice.codes import FFT, RATE, load_dvae, log_mel
from likeness.voice.xtts import load_xtts, voice_of

if TYPE_CHECKING:
    import torch

READINGS = 6  # samples of each text; training takes the one nearest to the clip
SOUND = 0.5  # weight of a code's distance relative to its log-probability


def read_texts(
    payloads: Sequence[dict[str, Any]],
    *,
    base: Path,
    references: tuple[Path, ...],
    settings: dict[str, float],
    device: str,
) -> list[Result]:
    """For each payload's `tokens`: `codes.i16`, all readings concatenated, and their `lengths`."""
    import torch

    model, latents = resident_reader(base, references, device)
    gpt, results = model.gpt, []
    for one in payloads:
        torch.manual_seed(one["seed"])
        with torch.inference_mode():
            said = gpt.generate(
                cond_latents=latents,
                text_inputs=torch.tensor([one["tokens"]], device=device),
                do_sample=True,
                num_beams=1,
                num_return_sequences=READINGS,
                output_attentions=False,
                **settings,
            )
        ended = (said == gpt.stop_audio_token).int().cummax(dim=1).values.bool()
        spoken = ~ended & (said < gpt.start_audio_token)
        readings = [row[kept] for row, kept in zip(said, spoken, strict=True)]
        results.append(
            Result({"lengths": list(map(len, readings))}, pack_codes(torch.cat(readings)))
        )
    return results


def guide_clips(
    payloads: Sequence[dict[str, Any]],
    *,
    base: Path,
    dvae: Path,
    references: tuple[Path, ...],
    device: str,
) -> list[Result]:
    """`codes.i16` (C,) of each payload's `clip`, which says its `tokens`."""
    model, latents = resident_reader(base, references, device)
    fitted, stats = load_dvae(base, device, dvae)
    found = (
        guided_codes(model.gpt, latents, one["tokens"], fitted, dvae_mel(one["clip"], stats))
        for one in payloads
    )
    return [Result({}, pack_codes(codes)) for codes in found]


def guided_codes(
    gpt: Any, latents: "torch.Tensor", tokens: Sequence[int], dvae: Any, mel: "torch.Tensor"
) -> "torch.Tensor":
    """The codes (C,) that fit both the sound of a clip and its text.

    Greedy decoding: each step takes the code with the highest log-probability given the codes
    before it, minus its weighted distance to the encoder's vector. The scores are combined as in
    "shallow fusion" (Gulcehre et al. 2015, arXiv 1503.03535). Distances are divided by the mean
    distance to the nearest code.

    Args:
        gpt: Coqui's GPT, with its inference model.
        latents: its conditioning latents (1, 32, D).
        tokens: the token ids of the text.
        dvae: the DVAE that encodes the clip.
        mel: the clip's normalised log-mels (80, FRAMES * C).
    """
    import torch

    with torch.inference_mode():
        vectors, book = dvae.encoder(mel[None])[0].T, dvae.codebook.embed
        distances = (
            vectors.square().sum(1, keepdim=True) - 2 * vectors @ book + book.square().sum(0)
        )
        distances = SOUND * distances / distances.min(dim=1).values.mean().clamp(min=1e-6)
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


def dvae_mel(clip: Path, stats: "torch.Tensor") -> "torch.Tensor":
    """The normalised log-mels (80, FRAMES * C) of a clip, as the DVAE expects them."""
    import torch

    wave = torch.from_numpy(read_clip(clip)[0])[None]
    return log_mel(wave.to(stats.device), FFT, stats)[0]


def _load_reader(
    base: Path, references: tuple[Path, ...], device: str
) -> "tuple[Any, torch.Tensor]":
    """A base, and the conditioning latents of its language model."""
    model = load_xtts(base, device)
    voice = voice_of(model, [resample(*read(path), RATE) for path in references])
    return model, voice.latents


resident_reader = OneAtATime(_load_reader)
