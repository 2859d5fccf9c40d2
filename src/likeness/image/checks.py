"""Checks that a folder under `models/` holds the model that a stage needs, without reading weights."""

from pathlib import Path
from typing import Any

from likeness.common.archives import read_archive
from likeness.common.errors import AGAIN, LikenessError
from likeness.common.io import read_json
from likeness.common.weights import check_shapes, read_folder_shapes, read_shapes
from likeness.image.families import FAMILIES
from likeness.image.features import KINDS, kind_of
from likeness.image.writing import is_templates, read_templates

# Of the configs of a UNet and its ControlNet: the shapes of what one adds to the other.
CONTROLLED = ("in_channels", "block_out_channels", "layers_per_block", "cross_attention_dim")
PROJECTIONS = ("visual_projection.weight", "text_projection.weight")


def check_base(base: Path) -> None:
    """Raise `LikenessError` unless a folder holds a whole Stable Diffusion pipeline of diffusers."""
    index = base / "model_index.json"
    if not index.is_file():
        raise LikenessError(
            f"{base}: no Stable Diffusion here (model_index.json is missing); set inputs.diffusion to "
            "a folder under models/ that models/dvc.yaml makes or likeness fetch brings"
        )
    name = read_json(index).get("_class_name")
    if name not in FAMILIES:
        raise LikenessError(
            f"{index}: _class_name is {name!r}; image_train takes {' and '.join(FAMILIES)}"
        )
    family = FAMILIES[name]
    for part in (*family.tokenizers, "scheduler"):
        if not (base / part).is_dir():
            raise LikenessError(f"{base}: {part}/ is missing; {AGAIN}")
    unet, vae = (read_json(base / part / "config.json") for part in ("unet", "vae"))
    channels = unet.get("in_channels")
    latent = vae.get("latent_channels")
    *others, last = family.text_encoders
    shapes = {
        part: read_folder_shapes(base / part) for part in ("unet", "vae", *family.text_encoders)
    }
    # The UNet takes the states of all text encoders side by side.
    width = unet.get("cross_attention_dim", 0) - sum(
        read_json(base / part / "config.json").get("hidden_size", 0) for part in others
    )
    for part, source, wanted in (
        ("unet", "unet", {"conv_in.weight": (None, channels, None, None)}),
        ("vae", "vae", {"decoder.conv_in.weight": (None, latent, None, None)}),
        ("vae", "unet", {"decoder.conv_in.weight": (None, channels, None, None)}),
        (last, "unet", {"final_layer_norm.weight": (width,)}),
    ):
        check_shapes(base / part, shapes[part], wanted, f"{source}/config.json")


def _read_config(folder: Path, key: str, kind: str, what: str, name: str) -> Any:
    """The config.json of a folder, which `inputs.<name>` chose, and whose `key` has to be `kind`.

    Raises:
        LikenessError: it is missing, or one of another kind of model.
    """
    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    if config.get(key) != kind:
        found = f"{key} is {config.get(key)!r}" if config else "it is missing"
        raise LikenessError(
            f"{folder}: no {what} here (config.json: {found}); set inputs.{name} to a folder under "
            "models/ that models/dvc.yaml makes or likeness fetch brings"
        )
    return config


def check_clip(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds a whole CLIP of transformers."""
    config = _read_config(folder, "model_type", "clip", "CLIP", "clip")
    for names in (
        ("preprocessor_config.json", "processor_config.json"),
        ("tokenizer.json", "vocab.json"),
    ):
        if not any((folder / name).is_file() for name in names):
            raise LikenessError(f"{folder}: {names[0]} is missing; {AGAIN}")
    size = config.get("projection_dim", 512)  # what transformers takes where nothing is said
    check_shapes(folder, read_folder_shapes(folder), dict.fromkeys(PROJECTIONS, (size, None)))


def check_extractor(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds a whole extractor."""
    path = folder / "config.json"
    config = read_json(path)
    kind = kind_of(config) if isinstance(config, dict) else None
    if kind not in KINDS:
        raise LikenessError(f"{path}: extractor is {kind!r}; it must be one of {', '.join(KINDS)}")
    if kind != "dinov2":
        if "weights" not in config:
            raise LikenessError(f"{path}: weights is missing; {AGAIN}")
        weights = folder / config["weights"]
        if weights.suffix == ".safetensors":
            read_shapes(weights)
        else:
            read_archive(weights, "meta")
        return
    if not (folder / "preprocessor_config.json").is_file():
        raise LikenessError(f"{folder}: preprocessor_config.json is missing; {AGAIN}")
    size = config.get("hidden_size", 768)  # what transformers takes where nothing is said
    check_shapes(folder, read_folder_shapes(folder), {"embeddings.cls_token": (1, 1, size)})


def check_controlnet(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds a whole ControlNet of diffusers."""
    config = _read_config(folder, "_class_name", "ControlNetModel", "ControlNet", "controlnet")
    channels = config.get("in_channels", 4)  # what diffusers takes where nothing is said
    wanted = {"conv_in.weight": (None, channels, None, None)}
    check_shapes(folder, read_folder_shapes(folder), wanted)


def check_fit(controlnet: Path, base: Path) -> None:
    """Raise `LikenessError` unless a ControlNet was made for the networks of a base."""
    own, unet, vae = (
        read_json(one / "config.json") for one in (controlnet, base / "unet", base / "vae")
    )
    edges = own.get("conditioning_embedding_out_channels", [16, 32, 96, 256])  # diffusers' own
    for what, found, wanted in (
        *((name, own.get(name), unet.get(name)) for name in CONTROLLED),
        ("pixels per latent", 2 ** len(edges[1:]), 2 ** len(vae["block_out_channels"][1:])),
    ):
        if found != wanted:
            raise LikenessError(
                f"{controlnet}: does not fit {base} ({what} is {found}, and {wanted} there); set "
                "inputs.controlnet to one that was trained for it"
            )


def check_writer(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds templates or a whole causal language model."""
    if is_templates(folder):
        read_templates(folder)
        return
    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    kinds = config.get("architectures") or []
    if not any(kind.endswith("ForCausalLM") for kind in kinds):
        found = f"architectures is {kinds}" if config else "it is missing"
        raise LikenessError(
            f"{folder}: no writer here (config.json: {found}); set inputs.writer to templates, or to a "
            "causal language model under models/ that likeness fetch brings"
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise LikenessError(f"{folder}: tokenizer.json is missing; {AGAIN}")
    shapes, index = read_folder_shapes(folder), folder / "model.safetensors.index.json"
    wanted = read_json(index)["weight_map"] if index.is_file() else {}
    for name in sorted(set(wanted) - set(shapes)):
        raise LikenessError(f"{folder}: {wanted[name]} is missing; {AGAIN}")
