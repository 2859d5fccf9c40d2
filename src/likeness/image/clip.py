"""CLIP embeddings of images and captions as unit vectors (Radford et al. 2021)."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.common.errors import LikenessError, one_line
from likeness.common.result import Result

if TYPE_CHECKING:
    import torch


def embed_images(paths: Sequence[Path], *, clip: Path, device: str) -> list[Result]:
    """`vector.f32` for each image: its embedding (D,), float32 of length 1."""
    import torch
    from PIL import Image

    model, processor = load_clip(clip, device)
    images = [Image.open(path).convert("RGB") for path in paths]
    with torch.inference_mode():
        pixels = processor(images=images, return_tensors="pt").to(device)
        output = model.vision_model(pixel_values=pixels["pixel_values"]).pooler_output
        return _results(model.visual_projection(output))


def embed_texts(texts: Sequence[str], *, clip: Path, device: str) -> list[Result]:
    """`vector.f32` for each text: its embedding (D,), float32 of length 1; long texts are cut."""
    import torch

    model, processor = load_clip(clip, device)
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
def load_clip(clip: Path, device: str) -> Any:
    """The model and its processor."""
    import torch
    from transformers import CLIPModel, CLIPProcessor

    try:
        model = CLIPModel.from_pretrained(clip, dtype=torch.float32, local_files_only=True)
        processor = CLIPProcessor.from_pretrained(clip, local_files_only=True)
    except (OSError, ValueError) as error:
        raise LikenessError(f"{clip}: cannot be loaded as CLIP ({one_line(error)})") from error
    return model.to(device).eval(), processor
