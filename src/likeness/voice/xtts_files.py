"""Checks of a base's folder and of an adapter before weights are loaded: files, shapes, settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.common.archives import read_archive
from likeness.common.errors import AGAIN, LikenessError, one_line
from likeness.common.io import read_json
from likeness.common.weights import check_shapes, shapes_of
from likeness.voice.codes import build_dvae
from likeness.voice.xtts import FILES, SPEAKERS, Weights, deltas, read_speakers, read_weights

if TYPE_CHECKING:
    import torch

NORMALIZED = ".parametrizations.weight.original1"  # has the shape of the weight that is normalized
SETTINGS = ("temperature", "top_k", "top_p", "repetition_penalty")  # of the sampling of codes


def check_xtts(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds an XTTS whose files fit each other.

    Only shapes are read, so this takes a second; loading would fail much later in a stage.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise LikenessError(
            f"{folder}: not an XTTS ({', '.join(missing)} missing); inputs.tts names a folder under "
            "models/ with the files of XTTS-v2"
        )
    blocks, width, codes, tokens = _check_config(folder)
    gpt = {
        "gpt.text_embedding.weight": (tokens, width),
        "gpt.text_head.weight": (tokens, width),
        "gpt.mel_embedding.weight": (codes, width),
        "gpt.mel_head.weight": (codes, width),
        f"gpt.gpt.h.{blocks - 1}.mlp.c_fc.weight": (width, 4 * width),
    }
    latents = {name: one.latents for name, one in read_speakers(folder, "meta").items()}
    dvae = shapes_of(build_dvae(codes - 2).state_dict())
    stats = {"mel_stats": read_archive(folder / "mel_stats.pth", "meta")}
    for name, tensors, wanted in (
        ("model.pth", read_weights(folder, "meta"), gpt),
        ("dvae.pth", read_archive(folder / "dvae.pth", "meta"), dvae),
        ("mel_stats.pth", stats, {"mel_stats": (80,)}),
        (SPEAKERS, latents, dict.fromkeys(latents, (1, 32, width))),
    ):
        check_shapes(folder / name, shapes_of(tensors), wanted, "config.json and vocab.json")


def _check_config(folder: Path) -> tuple[int, int, int, int]:
    """The numbers of the GPT's blocks, channels and codes, and of the tokenizer's tokens."""
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
            f"{folder}: config.json or vocab.json is not that of an XTTS ({error!r}); {AGAIN}"
        ) from error
    if kind != "xtts":
        raise LikenessError(f"{path}: model: {kind}: must be xtts; change inputs.tts")
    if not version_2:
        raise LikenessError(f"{folder}: an XTTS of version 1; only version 2 is supported")
    if not languages:
        raise LikenessError(f"{path}: languages: must list at least one language of the base")
    if config.get("text", "phonemes") != "phonemes":
        raise LikenessError(
            f"{path}: text: {config['text']}: must be phonemes, or absent for a base that reads letters"
        )
    if "text" in config and languages != ["en"]:
        raise LikenessError(
            f"{path}: languages: must be en alone for a base that reads phonemes, as these are English"
        )
    return blocks, width, codes, tokens


def check_speaks(folder: Path, language: str, key: str) -> None:
    """Raise `LikenessError` unless a base speaks the language; `key` is the param."""
    languages = read_json(folder / "config.json")["languages"]
    if language not in languages:
        known = ", ".join(languages)
        raise LikenessError(f"params.yaml: {key}: {language}: this base speaks {known}")


def read_settings(base: Path, given: Mapping[str, float | None] | None = None) -> dict[str, float]:
    """The sampling settings: the given ones, else those of the base's config.

    `Xtts.inference` has other defaults than the configs, such as a repetition penalty of 10.
    """
    path = base / "config.json"
    own, asked = read_json(path), given or {}
    settings: dict[str, float] = {}
    for name in SETTINGS:
        value = own.get(name) if asked.get(name) is None else asked[name]
        if value is None:
            raise LikenessError(f"{path}: no {name}; add it as XTTS-v2's config.json has it")
        # transformers wants floats, even for whole numbers in a config, and an int for top_k.
        settings[name] = int(value) if name == "top_k" else float(value)
    return settings


def read_adapter(path: Path, base: Path) -> Weights:
    """The adapter that voice_train wrote.

    Raises:
        LikenessError: the file is not an adapter, or belongs to another base.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        adapter = load_file(path)
    except (OSError, SafetensorError) as error:
        raise LikenessError(
            f"{path}: not an adapter ({one_line(error)}); run voice_train"
        ) from error
    shapes = read_shapes(base)
    for name, delta in deltas({name: tensor.to("meta") for name, tensor in adapter.items()}):
        if shapes.get(name) != delta.shape:
            raise LikenessError(
                f"{path}: {name} does not fit {base}; run voice_train with this base"
            )
    return adapter


def read_shapes(folder: Path) -> "dict[str, torch.Size]":
    """The shapes of `read_weights`, a weight that is normalized by its own name."""
    read = read_weights(folder, "meta").items()
    return {name.replace(NORMALIZED, ".weight"): tensor.shape for name, tensor in read}
