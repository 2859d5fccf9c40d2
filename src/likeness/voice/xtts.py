"""XTTS by Coqui's classes: a base folder checked and loaded, an adapter put on it, a text spoken.

A base is a folder with XTTS-v2's files. It is only read: `Xtts.load_checkpoint` rewrites a `model.pth`
that holds a pickled config, and a file that DVC tracks must keep its hash, so its steps are taken here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.voice.archives import read_archive
from likeness.voice.codes import RATE, build_dvae, use_griffin_lim
from likeness.voice.rows import Utterance

if TYPE_CHECKING:
    import torch

Array = np.ndarray
Weights = dict[str, "torch.Tensor"]

ADAPTER, VOICE, DVAE = "adapter.safetensors", "voice.safetensors", "dvae.pth"  # voice_train's
FILES = ("config.json", "model.pth", "vocab.json", DVAE, "mel_stats.pth")
SPEAKERS = "speakers_xtts.pth"
LATENTS = ("gpt_cond_latent", "gpt_conditioning_latents")  # a speaker's; XTTS-v2 has the first
EMBEDDING = "speaker_embedding"
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


def check_xtts(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds an XTTS whose files fit each other.

    No weight is read, so this takes a second, where a stage would find out in its first hour.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise LikenessError(
            f"{folder}: not an XTTS ({', '.join(missing)} missing); inputs.tts names a folder under "
            "models/ with the files of XTTS-v2"
        )
    blocks, width, codes, tokens = _check_config(folder)
    wanted = {
        "gpt.text_embedding.weight": (tokens, width),
        "gpt.text_head.weight": (tokens, width),
        "gpt.mel_embedding.weight": (codes, width),
        "gpt.mel_head.weight": (codes, width),
        f"gpt.gpt.h.{blocks - 1}.mlp.c_fc.weight": (width, 4 * width),
    }
    _check_sizes(folder / "model.pth", read_weights(folder, "meta"), wanted)
    dvae = {name: tuple(one.shape) for name, one in build_dvae(codes - 2).state_dict().items()}
    _check_sizes(folder / DVAE, read_archive(folder / DVAE, "meta"), dvae)
    stats = {"mel_stats": read_archive(folder / "mel_stats.pth", "meta")}
    _check_sizes(folder / "mel_stats.pth", stats, {"mel_stats": (80,)})
    latents = {name: one.latents for name, one in read_speakers(folder, "meta").items()}
    _check_sizes(folder / SPEAKERS, latents, dict.fromkeys(latents, (1, 32, width)))


def _check_config(folder: Path) -> tuple[int, int, int, int]:
    """The GPT's blocks, width and codes in a config, and the number of the tokenizer's tokens."""
    path = folder / "config.json"
    config, vocab = read_json(path), read_json(folder / "vocab.json")
    try:
        args, kind, languages = config["model_args"], config["model"], config["languages"]
        blocks, width = int(args["gpt_layers"]), int(args["gpt_n_model_channels"])
        codes, version_2 = int(args["gpt_num_audio_tokens"]), args["gpt_use_perceiver_resampler"]
        ids = [*vocab["model"]["vocab"].values(), *(one["id"] for one in vocab["added_tokens"])]
        tokens = max(ids) + 1
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise LikenessError(
            f"{folder}: config.json or vocab.json is not an XTTS's ({error!r}); fetch the base again"
        ) from error
    if kind != "xtts":
        raise LikenessError(f"{path}: model: {kind}: must be xtts; inputs.tts names another folder")
    if not version_2:
        raise LikenessError(f"{folder}: an XTTS of version 1; only version 2 is supported")
    if not languages:
        raise LikenessError(f"{path}: languages: must name at least one that the base speaks")
    decoder = config.get("decoder", DECODERS[0])
    if decoder not in DECODERS:
        known = " or ".join(DECODERS)
        raise LikenessError(f"{path}: decoder: {decoder}: must be {known}")
    return blocks, width, codes, tokens


def _check_sizes(path: Path, tensors: Weights, wanted: Mapping[str, tuple[int, ...]]) -> None:
    for name, size in wanted.items():
        found = list(tensors[name].shape) if name in tensors else "missing"
        if found != list(size):
            raise LikenessError(
                f"{path}: {name} is {found}, where config.json and vocab.json ask for {list(size)}; "
                "fetch the base again"
            )


def load_xtts(
    folder: Path, device: str, *, adapter: Path | None = None, dvae: Path | None = None
) -> Any:
    """The `Xtts` in a folder, frozen and ready to speak.

    Args:
        adapter: a file that is added to the weights.
        dvae: a `dvae.pth` in place of the folder's, where it is what speaks.

    Raises:
        LikenessError: the folder is not what `Xtts` loads, or the adapter is another base's.
    """
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    check_xtts(folder)
    config = XttsConfig()
    try:
        config.load_json(str(folder / "config.json"))
        model = Xtts(config)
        model.tokenizer = VoiceBpeTokenizer(str(folder / "vocab.json"))
        model.init_models()
        model.load_state_dict(read_weights(folder))
    except (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise LikenessError(f"{folder}: Coqui's Xtts cannot load it ({_short(error)})") from error
    model.gpt.init_gpt_for_inference(kv_cache=model.args.kv_cache)
    # Not `model.eval()`, which builds the inference model again and forgets `kv_cache`.
    model.gpt.eval()
    model.hifigan_decoder.eval()
    model.requires_grad_(False)
    if adapter is not None:
        apply_adapter(model, read_adapter(adapter, folder))
    model.to(device)
    choose_decoder(model, folder, device, dvae)
    return model


def choose_decoder(model: Any, base: Path, device: str, dvae: Path | None) -> None:
    """Let a model speak with the decoder that its base's config names."""
    if read_json(base / "config.json").get("decoder") == "griffin_lim":
        use_griffin_lim(model, base, device, dvae)


def read_weights(folder: Path, device: str = "cpu") -> Weights:
    """The tensors of a folder's `model.pth` by the names that `Xtts` has for them."""
    path = folder / "model.pth"
    stored = read_archive(path, device)
    if "model" not in stored:
        raise LikenessError(f"{path}: no weights under `model`; fetch the base again")
    named = {name.removeprefix("xtts."): tensor for name, tensor in stored["model"].items()}
    return {
        name: tensor
        for name, tensor in named.items()
        if name.startswith(PARTS) and not name.startswith(REBUILT)
    }


def read_speakers(folder: Path, device: str = "cpu") -> dict[str, Voice]:
    """The speakers that a folder carries, by name; none if it has no file of them."""
    path = folder / SPEAKERS
    found: dict[str, Voice] = {}
    for name, one in sorted(read_archive(path, device).items() if path.is_file() else ()):
        latents = next((one[key] for key in LATENTS if key in one), None)
        if latents is None or EMBEDDING not in one:
            raise LikenessError(
                f"{path}: {name}: no {LATENTS[0]} or no {EMBEDDING}; fetch the base again"
            )
        found[name] = Voice(latents, one[EMBEDDING])
    return found


def check_language(folder: Path, language: str, key: str) -> None:
    """Raise `LikenessError` unless a base speaks the language; `key` names the param."""
    languages = read_json(folder / "config.json")["languages"]
    if language not in languages:
        known = ", ".join(languages)
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


def read_adapter(path: Path, base: Path) -> Weights:
    """The adapter that voice_train wrote.

    Raises:
        LikenessError: the file is none, or its adapter is another base's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        adapter = load_file(path)
    except (OSError, SafetensorError) as error:
        raise LikenessError(f"{path}: not an adapter ({_short(error)}); run voice_train") from error
    weights = read_weights(base, "meta")
    for name, delta in deltas({name: tensor.to("meta") for name, tensor in adapter.items()}):
        if f"gpt.{name}" not in weights or weights[f"gpt.{name}"].shape != delta.shape:
            raise LikenessError(
                f"{path}: {name} does not fit {base}; run voice_train with this base"
            )
    return adapter


def deltas(adapter: Mapping[str, "torch.Tensor"]) -> "Iterator[tuple[str, torch.Tensor]]":
    """What an adapter adds to each weight of the GPT, in its shape, with the weight's name.

    One by one: all together they are as large as the GPT.
    """
    for name, first in adapter.items():
        layer, _, rest = name.partition(".lora_A.")
        if rest:
            product = adapter[f"{layer}.lora_B.{rest}"] @ first  # (out, in)
            yield f"{layer}.weight", product.T if layer.startswith(BLOCKS) else product


def apply_adapter(model: Any, adapter: Mapping[str, "torch.Tensor"]) -> None:
    """Add an adapter to a loaded model's weights."""
    import torch

    with torch.no_grad():
        for name, delta in deltas(adapter):
            model.gpt.get_parameter(name).add_(delta)


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
