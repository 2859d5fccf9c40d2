"""XTTS by Coqui's classes: a base folder loaded, an adapter put on it, a text spoken, all of it saved.

A base is a folder with XTTS-v2's files. It is only read: `Xtts.load_checkpoint` rewrites a `model.pth`
that holds a pickled config, and a file that DVC tracks must keep its hash, so its steps are taken here.
"""

import pickle
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import atomic_path, read_json
from likeness.voice.codes import RATE, use_griffin_lim
from likeness.voice.rows import Utterance

if TYPE_CHECKING:
    import torch

Array = np.ndarray
Weights = dict[str, "torch.Tensor"]

ADAPTER = "adapter.safetensors"
FILES = ("config.json", "model.pth", "vocab.json", "dvae.pth", "mel_stats.pth")
SPEAKERS = "speakers_xtts.pth"
SETTINGS = ("temperature", "length_penalty", "repetition_penalty", "top_p")
DECODERS = ("hifigan", "griffin_lim")  # that a config can name; XTTS-v2's names none
PARTS = ("gpt.", "hifigan_decoder.", "mel_stats")  # of a checkpoint; a trainer's holds the DVAE too
REBUILT = ("gpt.gpt_inference.", "gpt.gpt.wte.")  # views that old checkpoints hold once more
BLOCKS = "gpt.h."  # GPT-2's, whose layers are Conv1D: their weights are (in, out)


@dataclass(frozen=True)
class Voice:
    """What XTTS takes from references: `latents` (1, 32, D) for its GPT, `embedding` (1, 512, 1)."""

    latents: "torch.Tensor"
    embedding: "torch.Tensor"


# --- loading --------------------------------------------------------------------------------------


def load_xtts(folder: Path, device: str) -> Any:
    """The `Xtts` in a folder, frozen and ready to speak.

    Raises:
        LikenessError: a file is missing or is not what `Xtts` loads.
    """
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise LikenessError(
            f"{folder}: not an XTTS ({', '.join(missing)} missing); inputs.tts names a folder under "
            "models/ with the files of XTTS-v2"
        )
    config = XttsConfig()
    try:
        config.load_json(str(folder / "config.json"))
        model = Xtts(config)
        model.tokenizer = VoiceBpeTokenizer(str(folder / "vocab.json"))
        model.init_models()
        model.load_state_dict(read_weights(folder))
    except (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise LikenessError(f"{folder}: Coqui's Xtts cannot load it ({_short(error)})") from error
    if not model.args.gpt_use_perceiver_resampler:
        raise LikenessError(f"{folder}: an XTTS of version 1; only version 2 is supported")
    decoder = read_json(folder / "config.json").get("decoder", DECODERS[0])
    if decoder not in DECODERS:
        known = " or ".join(DECODERS)
        raise LikenessError(f"{folder / 'config.json'}: decoder: {decoder}: must be {known}")
    model.gpt.init_gpt_for_inference(kv_cache=model.args.kv_cache)
    # Not `model.eval()`, which builds the inference model again and forgets `kv_cache`.
    model.gpt.eval()
    model.hifigan_decoder.eval()
    if decoder == "griffin_lim":
        use_griffin_lim(model, folder, device)
    return model.requires_grad_(False).to(device)


def read_weights(folder: Path) -> Weights:
    """The tensors of a folder's `model.pth` by the names that `Xtts` has for them."""
    import torch

    path = folder / "model.pth"
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)["model"]
    except pickle.UnpicklingError as error:
        raise LikenessError(
            f"{path}: holds more than weights; models/hub.py takes the published one's config out: "
            "run the stage xtts_v2 of models/dvc.yaml"
        ) from error
    named = {name.removeprefix("xtts."): tensor for name, tensor in stored.items()}
    return {
        name: tensor
        for name, tensor in named.items()
        if name.startswith(PARTS) and not name.startswith(REBUILT)
    }


def check_language(model: Any, language: str, key: str) -> None:
    """Raise `LikenessError` unless the model speaks the language; `key` names the param."""
    if language not in model.config.languages:
        known = ", ".join(model.config.languages)
        raise LikenessError(f"params.yaml: {key}: {language}: this base speaks {known}")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


# --- adapters -------------------------------------------------------------------------------------


def inject_adapter(
    model: Any, *, rank: int, alpha: int, dropout: float, targets: Sequence[str], top_layers: int
) -> dict[str, "torch.nn.Parameter"]:
    """Put trainable LoRA layers (Hu et al. 2021) on the GPT; returns their weights by name.

    They are put into the modules, and the GPT is not wrapped: Coqui reaches into it by attributes
    (`gpt.gpt.wte`), and what speaks shares its modules with what is trained.

    Args:
        targets: layers by the end of their name.
        top_layers: adapt only so many of the uppermost blocks; 0 adapts all. Below the lowest
            adapter no gradient is computed.

    Raises:
        LikenessError: a target that no layer has.
    """
    from peft import LoraConfig, inject_adapter_in_model

    blocks = model.args.gpt_layers
    chosen = list(range(max(0, blocks - top_layers), blocks)) if top_layers else None
    names = [name for name, _ in model.gpt.named_modules()]
    if chosen:
        names = [
            name for name in names if name.startswith(tuple(f"{BLOCKS}{at}." for at in chosen))
        ]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise LikenessError(
                f"params.yaml: voice_train.targets: no layer that is adapted is named {target}"
            )
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(targets),
        layers_to_transform=chosen,
        layers_pattern="h" if chosen else None,
        fan_in_fan_out=True,  # Conv1D
    )
    inject_adapter_in_model(config, model.gpt)
    model.gpt.eval()  # new modules are in training mode, where they drop out
    return {name: p for name, p in model.gpt.named_parameters() if p.requires_grad}


def plain_adapter(weights: Mapping[str, "torch.Tensor"], scale: float) -> Weights:
    """The weights of `inject_adapter` without peft's name for them, `scale` folded into `lora_B`.

    With the scale folded in, nobody needs to know alpha and rank to use the file.
    """
    return {
        name.replace(".default", ""): (tensor * scale if ".lora_B." in name else tensor)
        .detach()
        .float()
        .cpu()
        .contiguous()
        for name, tensor in weights.items()
    }


def read_adapter(folder: Path) -> Weights:
    """The adapter that voice_train wrote to a folder."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / ADAPTER
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise LikenessError(f"{path}: not an adapter ({_short(error)}); run voice_train") from error


def deltas(adapter: Mapping[str, "torch.Tensor"]) -> Weights:
    """What an adapter adds to each weight of the GPT, by the weight's name and in its shape."""
    found: Weights = {}
    for name, first in adapter.items():
        layer, _, rest = name.partition(".lora_A.")
        if rest:
            product = adapter[f"{layer}.lora_B.{rest}"] @ first  # (out, in)
            found[f"{layer}.weight"] = product.T if layer.startswith(BLOCKS) else product
    return found


def apply_adapter(model: Any, adapter: Mapping[str, "torch.Tensor"]) -> None:
    """Add an adapter to a loaded model's weights.

    Raises:
        LikenessError: the adapter is another base's.
    """
    import torch

    with torch.no_grad():
        for name, delta in deltas(adapter).items():
            try:
                weight = model.gpt.get_parameter(name)
                weight.add_(delta.to(weight.device, weight.dtype))
            except (AttributeError, RuntimeError) as error:
                raise LikenessError(f"adapter: {name} does not fit this base") from error


# --- speaking -------------------------------------------------------------------------------------


def choose_references(rows: Sequence[Utterance], count: int) -> list[Utterance]:
    """The longest recorded train clips: the model hears most of the voice in them."""
    train = [row for row in rows if row.split == "train" and not row.augmented_from]
    return sorted(train, key=lambda row: (-row.seconds, row.id))[:count]


def voice_of(model: Any, clips: Sequence[Array]) -> Voice:
    """The voice of (N,) clips at `RATE`, by the lengths in the base's config.

    `Xtts.get_conditioning_latents` does just this, but opens files with torchaudio, which needs
    FFmpeg's libraries on the machine.
    """
    import torch

    embeddings = [model.get_speaker_embedding(wave, RATE) for wave in _heard(model, clips)]
    return Voice(latents_of(model, clips), torch.stack(embeddings).mean(dim=0))


def latents_of(model: Any, clips: Sequence[Array]) -> "torch.Tensor":
    """The latents of `voice_of` alone: the embedding is the decoder's, which no adapter changes."""
    import torch

    return model.get_gpt_cond_latents(  # type: ignore[no-any-return]
        torch.cat(_heard(model, clips), dim=1),
        RATE,
        length=model.config.gpt_cond_len,
        chunk_length=model.config.gpt_cond_chunk_len,
    )


def _heard(model: Any, clips: Sequence[Array]) -> "list[torch.Tensor]":
    """What of each clip XTTS listens to, (1, N)."""
    import torch

    heard = [clip[: RATE * model.config.max_ref_len] for clip in clips]
    if model.config.sound_norm_refs:
        heard = [clip / np.abs(clip).max() * 0.75 for clip in heard]
    return [torch.from_numpy(clip)[None].to(model.device) for clip in heard]


def say(model: Any, text: str, *, language: str, voice: Voice, seed: int) -> Array:
    """(N,) samples of a text by stock inference with the settings of the base's config.

    The defaults in the signature of `Xtts.inference` are no one's: its repetition penalty is 10.
    """
    import torch

    torch.manual_seed(seed)
    return model.inference(  # type: ignore[no-any-return]
        text, language, voice.latents, voice.embedding, **sampling(model)
    )["wav"]


def sampling(model: Any) -> dict[str, float]:
    """The settings by which codes are drawn, of the base's config."""
    # Whole numbers in a config are floats to transformers, but for top_k.
    settings = {name: float(model.config[name]) for name in SETTINGS}
    return {**settings, "top_k": int(model.config.top_k)}


# --- saving ---------------------------------------------------------------------------------------


def save_merged(
    base: Path, folder: Path, adapter: Mapping[str, "torch.Tensor"], name: str, voice: Voice
) -> None:
    """A base with an adapter inside, as a folder that `Xtts.load_checkpoint` loads.

    The weights that change are stored in full precision, all others as the base has them. The voice
    is among the speakers under `name`, so that it can be spoken in without references.
    """
    import torch

    state = read_weights(base)
    for key, delta in deltas(adapter).items():
        state[f"gpt.{key}"] = state[f"gpt.{key}"].float() + delta
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        if file != "model.pth":
            shutil.copyfile(base / file, folder / file)
    speakers: dict[str, Any] = {}
    if (base / SPEAKERS).is_file():
        speakers = torch.load(base / SPEAKERS, map_location="cpu", weights_only=True)
    speakers[name] = {
        "gpt_conditioning_latents": voice.latents.cpu().clone(),
        "speaker_embedding": voice.embedding.cpu().clone(),
    }
    save_like(base / "model.pth", folder / SPEAKERS, speakers)
    save_like(base / "model.pth", folder / "model.pth", {"model": state})


def save_like(archive: Path, path: Path, value: Any) -> None:
    """`torch.save` to the same bytes each time, compressed as another archive is or not at all."""
    import torch

    packed = zipfile.ZipFile(archive).infolist()[0].compress_type
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:  # given a path, torch writes the path's name too
            torch.save(value, file)
        if packed != zipfile.ZIP_STORED:
            with atomic_path(temporary) as smaller:
                _repack(temporary, smaller, packed)


def _repack(source: Path, target: Path, packed: int) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            # A new ZipInfo has no time of writing.
            new.writestr(zipfile.ZipInfo(name), old.read(name), packed, compresslevel=6)
