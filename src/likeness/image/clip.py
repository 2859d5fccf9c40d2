"""CLIP's view of images and captions: unit vectors, kept in the item store (Radford et al. 2021)."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.items import map_items
from likeness.common.result import Result
from likeness.common.runtime import Runtime
from likeness.common.weights import AGAIN, read_folder_shapes

if TYPE_CHECKING:
    import torch

Array = np.ndarray

PROJECTIONS = ("visual_projection.weight", "text_projection.weight")


def clip_scores(
    images: Mapping[str, Path], captions: Mapping[str, str], *, clip: Path, rt: Runtime
) -> tuple[Array, Array]:
    """Image and caption embeddings, (N, D) each with unit rows, in the order of `images`.

    The CLIP score of a pair is 100 times their product (CLIPScore of Hessel et al. 2021, without its
    2.5 and its floor at 0).

    Raises:
        LikenessError: an image has no caption or a caption no image, or `clip` is no CLIP model.
    """
    unpaired = sorted(set(images) ^ set(captions))
    if unpaired:
        raise LikenessError(
            f"CLIP score: {unpaired[0]} has no image-caption pair; both must be there"
        )
    _load(clip, rt.device)
    found, failed = map_items(
        partial(embed_images, clip=clip, device=rt.device),
        images,
        what="image_clip",
        rt=rt,
        batch=32,
    )
    texts = {text: text for text in sorted(set(captions.values()))}
    known, lost = map_items(
        partial(embed_texts, clip=clip, device=rt.device),
        texts,
        what="image_clip_text",
        rt=rt,
        batch=64,
    )
    for problem in (failed + lost)[:1]:
        raise LikenessError(f"CLIP score: {problem.id}: {problem.value}")
    of_text = {text: _vector(stored) for text, stored in known.items()}
    return (
        np.stack([_vector(found[name]) for name in images]),
        np.stack([of_text[captions[name]] for name in images]),
    )


def check_clip(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds a whole CLIP of transformers. No weights are read."""
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


def _vector(stored: Any) -> Array:
    return np.frombuffer(stored.read("vector.f32"), np.float32)


def embed_images(paths: Sequence[Path], *, clip: Path, device: str) -> list[Result]:
    import torch
    from PIL import Image

    model, processor = _load(clip, device)
    images = [Image.open(path).convert("RGB") for path in paths]
    with torch.inference_mode():
        pixels = processor(images=images, return_tensors="pt").to(device)
        output = model.vision_model(pixel_values=pixels["pixel_values"]).pooler_output
        return _results(model.visual_projection(output))


def embed_texts(texts: Sequence[str], *, clip: Path, device: str) -> list[Result]:
    import torch

    model, processor = _load(clip, device)
    with torch.inference_mode():
        tokens = processor(
            text=list(texts),
            return_tensors="pt",
            padding="max_length",
            max_length=77,
            truncation=True,
        ).to(device)
        output = model.text_model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output
        return _results(model.text_projection(output))


def _results(vectors: "torch.Tensor") -> list[Result]:
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    return [Result({}, {"vector.f32": row.tobytes()}) for row in unit.float().cpu().numpy()]


@cache
def _load(clip: Path, device: str) -> Any:
    import torch
    from transformers import CLIPModel, CLIPProcessor

    check_clip(clip)
    try:
        model = CLIPModel.from_pretrained(clip, dtype=torch.float32, local_files_only=True)
        processor = CLIPProcessor.from_pretrained(clip, local_files_only=True)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise LikenessError(f"{clip}: cannot be loaded as CLIP ({why})") from error
    return model.to(device).eval(), processor
