"""A distance between images as an ImageNet network sees them: blur costs little in pixels and much here.

The network is EfficientNet-Lite2. The image lane judges images by Lite0, which nothing is trained on.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.settings import Perceptual
from models.wheels import take_out

if TYPE_CHECKING:
    import torch


class PerceptualLoss:
    """Mean squared difference of the network's features, each pixel's scaled to unit variance."""

    def __init__(self, cfg: Perceptual, folder: Path, device: str) -> None:
        """
        Args:
            cfg: the package of the weights, and how deep to look.
            folder: where the package is downloaded to.
            device: cpu or cuda.
        """
        import torch
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite2")
        weights = take_out("sd_mini", cfg, folder)
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        network.eval().requires_grad_(False)
        stem = torch.nn.Sequential(network._conv_stem, network._bn0, torch.nn.ReLU6())
        self.parts = [stem, *network._blocks[: cfg.blocks]]
        for part in self.parts:
            # Depthwise convolutions run twice as fast on the CPU with channels last.
            part.to(device, memory_format=torch.channels_last)
        # What stands before a reduction, or at the end, is compared.
        strides = [_stride(block) for block in network._blocks[: cfg.blocks]]
        self.compared = [after > 1 for after in strides] + [True]
        self.enlarge = cfg.enlarge

    def __call__(self, made: "torch.Tensor", meant: "torch.Tensor") -> "torch.Tensor":
        """The distance between images (N, 3, H, W) in -1..1; gradients flow to `made` only."""
        import torch

        with torch.no_grad():
            wanted = self._features(meant)
        total = made.new_zeros(())
        for found, aim in zip(self._features(made), wanted, strict=True):
            total = total + (_scaled(found) - _scaled(aim)).square().mean()
        return total

    def _features(self, pixels: "torch.Tensor") -> "list[torch.Tensor]":
        import torch
        import torch.nn.functional as functional

        with torch.autocast(pixels.device.type, torch.bfloat16):
            values = ((pixels + 1) * 127.5 - 127) / 128
            values = functional.interpolate(
                values, scale_factor=self.enlarge, mode="bilinear", align_corners=False
            )
            found = []
            for part, compared in zip(self.parts, self.compared, strict=True):
                values = part(values)
                if compared:
                    found.append(values)
        return found


def _stride(block: Any) -> int:
    stride = block._block_args.stride
    return int(stride if isinstance(stride, int) else stride[0])


def _scaled(features: "torch.Tensor") -> "torch.Tensor":
    values = features.float()
    scaled: torch.Tensor = values / (values.square().mean(dim=1, keepdim=True) + 1e-2).sqrt()
    return scaled
