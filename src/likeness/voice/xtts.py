"""XTTS with Coqui's classes: loading a base, adding an adapter, taking a voice, speaking a text.

A base is a folder with XTTS-v2's files. `Xtts.load_checkpoint` rewrites a `model.pth` that holds a
pickled config, which would change the hash of a file that DVC tracks, so its steps are repeated here.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.archives import read_archive
from likeness.common.errors import AGAIN, LikenessError, one_line
from likeness.voice.phonemes import phonemes

if TYPE_CHECKING:
    import torch

Array = np.ndarray
Weights = dict[str, "torch.Tensor"]

ADAPTER, VOICE = "adapter.safetensors", "voice.safetensors"  # voice_train's
FILES = ("config.json", "model.pth", "vocab.json", "dvae.pth", "mel_stats.pth")
SPEAKERS = "speakers_xtts.pth"
LATENTS = ("gpt_cond_latent", "gpt_conditioning_latents")  # a speaker's; XTTS-v2 has the first
EMBEDDING = "speaker_embedding"
PARTS = ("gpt.", "hifigan_decoder.", "mel_stats")  # to load; a trainer's checkpoint has more
REBUILT = ("gpt.gpt_inference.", "gpt.gpt.wte.")  # duplicates in old checkpoints
BLOCKS = "gpt.gpt.h."  # GPT-2's, whose layers are Conv1D: their weights are (in, out)
READABLE = re.compile(
    r"(?:[\W\d_]|[\0-\u024f])+"
)  # all but the letters of other scripts than Latin


@dataclass(frozen=True)
class Voice:
    """XTTS's conditioning: `latents` (1, 32, D) for the GPT, `embedding` (1, 512, 1) for the decoder."""

    latents: "torch.Tensor"
    embedding: "torch.Tensor"


def load_xtts(
    folder: Path, device: str, *, adapter: Path | None = None, whole: bool = False
) -> Any:
    """The `Xtts` in a folder, frozen and ready to speak.

    Args:
        adapter: a file of voice_train that `read_adapter` has checked, which is added to the weights.
        whole: keep channels that are zero (`drop_unused`).

    Raises:
        LikenessError: `Xtts` cannot load the folder (`check_xtts` says why).
    """
    from safetensors.torch import load_file
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    try:
        config.load_json(str(folder / "config.json"))
        model = Xtts(config)
        model.tokenizer = load_tokenizer(folder)
        model.init_models()
        model.load_state_dict(read_weights(folder))
    except (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise LikenessError(f"{folder}: Coqui's Xtts cannot load it ({one_line(error)})") from error
    model.gpt.init_gpt_for_inference(kv_cache=model.args.kv_cache)
    # Not `model.eval()`, which rebuilds the inference model without `kv_cache`.
    model.gpt.eval()
    model.hifigan_decoder.eval()
    model.requires_grad_(False)
    if adapter is not None:
        apply_adapter(model, load_file(adapter))
    if not whole:
        drop_unused(model)
    return model.to(device)


def drop_unused(model: Any) -> None:
    """Leave out the decoder's last channels if they are zero (`models/xtts_nets.py: widen`): faster."""
    from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder

    wide = model.hifigan_decoder.waveform_decoder
    used = int(wide.conv_pre.weight.flatten(1).any(dim=1).nonzero().max()) + 1
    if used == len(wide.conv_pre.weight):
        return
    args, state = model.args, wide.state_dict()
    narrow = HifiDecoder(
        decoder_input_dim=args.decoder_input_dim, d_vector_dim=args.d_vector_dim,
        cond_d_vector_in_each_upsampling_layer=args.cond_d_vector_in_each_upsampling_layer,
        upsample_initial_channel_decoder=used,
    ).waveform_decoder  # fmt: skip
    for name, own in narrow.state_dict().items():
        own.copy_(state[name][tuple(slice(size) for size in own.shape)])
    model.hifigan_decoder.waveform_decoder = narrow.eval().requires_grad_(False)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a base: Coqui's, or one of phonemes if `config.json` has `"text": "phonemes"`."""
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    class PhonemeTokenizer(VoiceBpeTokenizer):  # type: ignore[misc]
        """Coqui's tokenizer, with phonemes in place of its clean-up of the text.

        A letter of another script stays as it is, an unknown token: eSpeak NG would say its name.
        """

        def preprocess_text(self, txt: str, lang: str) -> str:
            return READABLE.sub(lambda part: phonemes(part[0]), txt)

    read = json.loads((folder / "config.json").read_bytes()).get("text")
    kind = PhonemeTokenizer if read == "phonemes" else VoiceBpeTokenizer
    return kind(str(folder / "vocab.json"))


def read_weights(folder: Path, device: str = "cpu") -> Weights:
    """The tensors of a folder's `model.pth`, by their names in `Xtts`."""
    path = folder / "model.pth"
    stored = read_archive(path, device)
    if "model" not in stored:
        raise LikenessError(f"{path}: no weights under `model`; {AGAIN}")
    named = {name.removeprefix("xtts."): tensor for name, tensor in stored["model"].items()}
    return {
        name: tensor
        for name, tensor in named.items()
        if name.startswith(PARTS) and not name.startswith(REBUILT)
    }


def read_speakers(folder: Path, device: str = "cpu") -> dict[str, Voice]:
    """The base's own speakers by name; empty if the folder has no file of them."""
    path = folder / SPEAKERS
    found: dict[str, Voice] = {}
    for name, one in sorted(read_archive(path, device).items() if path.is_file() else ()):
        latents = next((one[key] for key in LATENTS if key in one), None)
        if latents is None or EMBEDDING not in one:
            raise LikenessError(f"{path}: {name}: no {LATENTS[0]} or no {EMBEDDING}; {AGAIN}")
        found[name] = Voice(latents, one[EMBEDDING])
    return found


def deltas(adapter: Mapping[str, "torch.Tensor"]) -> "Iterator[tuple[str, torch.Tensor]]":
    """Name of each adapted weight of `Xtts`, and what is added to it, in the weight's shape.

    An iterator, as all of them together are as large as the model.
    """
    for name, first in adapter.items():
        layer, _, rest = name.partition(".lora_A.")
        if rest:
            second = adapter[f"{layer}.lora_B.{rest}"]
            product = (second.flatten(1) @ first.flatten(1)).unflatten(1, first.shape[1:])
            yield f"{layer}.weight", product.T if layer.startswith(BLOCKS) else product


def apply_adapter(model: Any, adapter: Mapping[str, "torch.Tensor"]) -> None:
    """Add an adapter to a loaded model's weights."""
    import torch
    from torch.nn.utils.parametrize import is_parametrized

    with torch.no_grad():
        for name, delta in deltas(adapter):
            layer = model.get_submodule(name.removesuffix(".weight"))
            if not is_parametrized(layer):
                layer.weight.add_(delta)
                continue
            # Weight normalization: a channel without use has no length, but must keep a direction.
            weight, parts = layer.weight + delta, layer.parametrizations.weight
            lengths = weight.norm(dim=tuple(range(1, weight.ndim)), keepdim=True)
            parts.original0.copy_(lengths)
            parts.original1.copy_(torch.where(lengths > 0, weight, parts.original1))


def voice_of(model: Any, clips: Sequence[Array]) -> Voice:
    """The voice of (N,) clips at the base's `sample_rate`, of which its config says how much is used.

    `Xtts.get_conditioning_latents` does the same, but opens files with torchaudio, which needs
    FFmpeg's libraries to be installed.
    """
    import torch

    rate = model.config.audio.sample_rate
    embeddings = [model.get_speaker_embedding(wave, rate) for wave in _heard(model, clips)]
    return Voice(latents_of(model, clips), torch.stack(embeddings).mean(dim=0))


def latents_of(model: Any, clips: Sequence[Array]) -> "torch.Tensor":
    """The latents of `voice_of` alone: an adapter does not change the embedding."""
    import torch

    return model.get_gpt_cond_latents(  # type: ignore[no-any-return]
        torch.cat(_heard(model, clips), dim=1),
        model.config.audio.sample_rate,
        length=model.config.gpt_cond_len,
        chunk_length=model.config.gpt_cond_chunk_len,
    )


def _heard(model: Any, clips: Sequence[Array]) -> "list[torch.Tensor]":
    """The part (1, N) of each clip that XTTS uses, normalised if its config says so."""
    import torch

    rate = model.config.audio.sample_rate
    heard = [clip[: rate * model.config.max_ref_len] for clip in clips]
    if model.config.sound_norm_refs:
        heard = [clip / np.abs(clip).max() * 0.75 for clip in heard]
    return [torch.from_numpy(clip)[None].to(model.device) for clip in heard]


def say(
    model: Any, text: str, *, language: str, voice: Voice, seed: int, settings: Mapping[str, float]
) -> Array:
    """(N,) samples of a text by Coqui's inference, with the settings of `read_settings`."""
    import torch

    torch.manual_seed(seed)
    return model.inference(  # type: ignore[no-any-return]
        text, language, voice.latents, voice.embedding, **settings
    )["wav"]
