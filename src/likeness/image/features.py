"""Image features: one vector of a pretrained network per image.

An extractor is a folder under `models/` whose `config.json` names its kind:

- `"extractor": "efficientnet_lite0"`: ImageNet features (1280) and class probabilities, from its wheel;
- `"extractor": "inception_v3"`: the network of FID (2048), by torch-fidelity;
- `"model_type": "dinov2"`: DINOv2 ViT (768 and up), by transformers.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.errors import LikenessError, one_line
from likeness.common.result import Result

if TYPE_CHECKING:
    import torch

KINDS = ("efficientnet_lite0", "inception_v3", "dinov2")


def extractor_kind(folder: Path) -> str:
    """Which of `KINDS` the folder's config names."""
    return kind_of(_config(folder))


def kind_of(config: dict[str, Any]) -> str:
    return str(config.get("extractor", config.get("model_type")))


def _config(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))


def extract_batch(paths: Sequence[Path], *, extractor: Path, device: str) -> list[Result]:
    """One `Result` an image: `vector.f32` holds its vector, then its class probabilities."""
    import torch
    from PIL import Image

    network = load_extractor(extractor, device)
    with torch.inference_mode():
        images = [Image.open(path).convert("RGB") for path in paths]
        vectors, probabilities = network(images)
    both = torch.cat([vectors, probabilities], dim=1).float().cpu().numpy()
    return [Result({"vector": vectors.shape[1]}, {"vector.f32": row.tobytes()}) for row in both]


@cache
def load_extractor(extractor: Path, device: str) -> Any:
    """A function of N PIL images to (N, D) vectors and (N, C) class probabilities."""
    config = _config(extractor)
    if kind_of(config) == "dinov2":
        return _dinov2(extractor, device)
    weights = extractor / config["weights"]
    if config["extractor"] == "efficientnet_lite0":
        return _efficientnet(weights, config, device)
    return _torch_fidelity(weights, config, device)


def _efficientnet(weights: Path, config: dict[str, Any], device: str) -> Any:
    import torch
    from efficientnet_lite_pytorch import EfficientNet
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = EfficientNet.from_name("efficientnet-lite0")
    try:
        network.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise LikenessError(
            f"{weights}: not EfficientNet-Lite0's weights ({one_line(error)})"
        ) from error
    # Depthwise convolutions run twice as fast on the CPU with channels last.
    network.to(device, memory_format=torch.channels_last).eval()
    mean, std = (torch.tensor(config[key], device=device).view(3, 1, 1) for key in ("mean", "std"))

    def run(images: list[Any]) -> "tuple[torch.Tensor, torch.Tensor]":
        arrays = [
            np.asarray(central_crop(image, config["size"], config["crop"])) for image in images
        ]
        pixels = torch.from_numpy(np.stack(arrays)).to(device).permute(0, 3, 1, 2) / 255
        pixels = ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
        maps = network.extract_features(pixels)
        vectors = maps.mean(dim=(2, 3))
        return vectors, network._fc(vectors).softmax(dim=1)

    return run


def central_crop(image: Any, size: int, share: float) -> Any:
    """The image's centred square of `share` of its shorter side, resized (bicubic) to `size`."""
    from PIL import Image

    side = round(min(image.size) * share)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _torch_fidelity(weights: Path, config: dict[str, Any], device: str) -> Any:
    import torch
    from torch_fidelity.utils import create_feature_extractor

    try:
        network = create_feature_extractor(
            config["name"],
            config["layers"],
            cuda=device == "cuda",
            feature_extractor_weights_path=str(weights),
            verbose=False,
        )
    except Exception as error:  # the network's errors have no common base
        raise LikenessError(
            f"{weights}: not the weights of {config['name']} ({one_line(error)})"
        ) from error

    def run(images: list[Any]) -> "tuple[torch.Tensor, torch.Tensor]":
        pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images]))
        vectors, logits = network(pixels.permute(0, 3, 1, 2).to(device))
        return vectors, logits.softmax(1)

    return run


def _dinov2(folder: Path, device: str) -> Any:
    import torch
    from transformers import AutoImageProcessor, Dinov2Model

    try:
        network = Dinov2Model.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise LikenessError(f"{folder}: cannot be loaded as DINOv2 ({one_line(error)})") from error
    network.to(device).eval()

    def run(images: list[Any]) -> "tuple[torch.Tensor, torch.Tensor]":
        pixels = processor(images=images, return_tensors="pt")["pixel_values"].to(device)
        vectors = network(pixel_values=pixels).pooler_output
        return vectors, vectors[:, :0]

    return run
