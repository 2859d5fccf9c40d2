"""Checks that a folder under `models/` holds the model that a stage needs, without reading weights."""

from pathlib import Path

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.weights import AGAIN, Shapes, check_pickled, read_folder_shapes, read_shapes
from likeness.image.features import KINDS, kind_of

PARTS = ("unet", "vae", "text_encoder")  # those with weights
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
    if name != "StableDiffusionPipeline":
        raise LikenessError(
            f"{index}: _class_name is {name!r}; image_train takes StableDiffusionPipeline"
        )
    for part in ("tokenizer", "scheduler"):
        if not (base / part).is_dir():
            raise LikenessError(f"{base}: {part}/ is missing; {AGAIN}")
    unet, vae = (read_json(base / part / "config.json") for part in ("unet", "vae"))
    shapes = {part: read_folder_shapes(base / part) for part in PARTS}
    wanted = {
        "in_channels": [vae.get("latent_channels"), *_sizes(shapes["unet"], "conv_in.weight", 1)],
        "cross_attention_dim": _sizes(shapes["text_encoder"], "final_layer_norm.weight", 0),
    }
    for key, found in wanted.items():
        if set(found) - {unet.get(key)}:
            raise LikenessError(
                f"{base / 'unet' / 'config.json'}: {key} is {unet.get(key)}, but "
                f"{' and '.join(map(str, found))} in the weights and parts that it is used with; {AGAIN}"
            )


def _sizes(shapes: Shapes, name: str, axis: int) -> list[int]:
    """The length of an axis of the first tensor whose name is or ends in `name`; empty without one."""
    return [shape[axis] for full, shape in shapes.items() if f".{full}".endswith(f".{name}")][:1]


def check_clip(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds a whole CLIP of transformers."""
    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    if config.get("model_type") != "clip":
        found = f"model_type is {config.get('model_type')!r}" if config else "it is missing"
        raise LikenessError(
            f"{folder}: no CLIP here (config.json: {found}); set inputs.clip to a folder under models/ "
            "that models/dvc.yaml makes or likeness fetch brings"
        )
    for names in (
        ("preprocessor_config.json", "processor_config.json"),
        ("tokenizer.json", "vocab.json"),
    ):
        if not any((folder / name).is_file() for name in names):
            raise LikenessError(f"{folder}: {names[0]} is missing; {AGAIN}")
    shapes = read_folder_shapes(folder)
    rows = [shapes[name][0] for name in PROJECTIONS if name in shapes]
    if len(set(rows)) > 1:
        raise LikenessError(f"{folder}: images have {rows[0]} values, texts {rows[1]}; {AGAIN}")


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
        (read_shapes if weights.suffix == ".safetensors" else check_pickled)(weights)
        return
    if not (folder / "preprocessor_config.json").is_file():
        raise LikenessError(f"{folder}: preprocessor_config.json is missing; {AGAIN}")
    (width,) = read_folder_shapes(folder).get("embeddings.cls_token", (None,))[-1:]
    stated = config.get("hidden_size", width)
    if width not in (None, stated):
        raise LikenessError(f"{path}: hidden_size is {stated}, the weights have {width}; {AGAIN}")
