"""Memory that the image lane takes on a GPU with a real base, counted without one, against diffusers.

Networks are built from a base's configs alone and run on tensors that have shapes but no data; every
live tensor counts. CUDA's context (0.3 to 0.5 GiB) and the workspaces of its kernels come on top.
The peer is what diffusers' train_text_to_image_lora.py and StableDiffusionPipeline do by default: in
bf16, photos encoded in each step and images decoded by the batch.

    python benchmarks/image_memory.py [models/sd15] [--batch 4] [--draw 8] [--sheet 16] [--rank 16]
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from counting import Counter, without_data
from torch._subclasses.fake_tensor import FakeTensorMode

MINI = Path(__file__).resolve().parents[1] / "models" / "sd_mini"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


class Base:
    """A base's networks without data, its autoencoder in one precision and the others in bf16."""

    def __init__(self, folder: Path, vae_dtype: torch.dtype) -> None:
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        with torch.device("meta"):
            unet, vae = (
                kind.from_config(kind.load_config(folder / name))
                for kind, name in ((UNet2DConditionModel, "unet"), (AutoencoderKL, "vae"))
            )
            text = CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder"))
        self.unet = unet.to(torch.bfloat16).requires_grad_(False)
        self.vae = vae.to(vae_dtype).requires_grad_(False)
        self.text = text.to(torch.bfloat16).requires_grad_(False)
        self.side = self.unet.config.sample_size
        self.pixels = self.side * 2 ** (len(self.vae.config.block_out_channels) - 1)

    def adapt(self, rank: int) -> None:
        from peft import LoraConfig

        with torch.device("meta"):
            self.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS))

    def peak(self, work: Callable[[], Any]) -> float:
        """GiB that the work takes, all three networks included."""
        counter = Counter(self.unet, self.vae, self.text)
        with counter:
            work()
        return counter.peak / 2**30

    @torch.no_grad()
    def encode(self, count: int) -> None:
        self.vae.encode(torch.randn(count, 3, self.pixels, self.pixels, dtype=self.vae.dtype))

    @torch.no_grad()
    def decode(self, count: int) -> None:
        channels = self.vae.config.latent_channels
        self.vae.decode(torch.randn(count, channels, self.side, self.side, dtype=self.vae.dtype))

    @torch.no_grad()
    def predict(self, count: int) -> None:
        self.unet(*self._inputs(count))

    def step(self, count: int, checkpointing: bool = False) -> None:
        """Forward and backward; AdamW's and the average's weights are three of the adapter's."""
        if checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.unet.train()
        parameters = [one for one in self.unet.parameters() if one.requires_grad]
        _kept = [torch.zeros_like(one) for one in parameters for _ in range(3)]
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.unet(*self._inputs(count)).sample.float().square().mean()
        loss.backward()
        for one in parameters:
            one.grad = None

    def _inputs(self, count: int) -> tuple[torch.Tensor, ...]:
        channels, width = self.unet.config.in_channels, self.unet.config.cross_attention_dim
        half = torch.bfloat16
        return (
            torch.randn(count, channels, self.side, self.side, dtype=half),
            torch.zeros(count),
            torch.randn(count, 77, width, dtype=half),
        )


def count(folder: Path, batch: int, draw: int, sheet: int, rank: int) -> dict[str, list[float]]:
    """GiB of each phase, ours and diffusers'. Guidance predicts each image twice."""
    from diffusers.utils import logging

    logging.set_verbosity_error()
    bases = Base(folder, torch.float32), Base(folder, torch.bfloat16)
    bases[0].vae.enable_slicing()
    phases: dict[str, Callable[[Base], Any]] = {
        "nothing, all networks loaded": lambda base: None,
        f"encode {batch} photos": lambda base: base.encode(batch),
        f"draw {draw} images: predict": lambda base: base.predict(2 * draw),
        f"draw {draw} images: decode": lambda base: base.decode(draw),
        f"a sheet of {sheet}: predict": lambda base: base.predict(2 * sheet),
        f"a step of {batch}": lambda base: base.step(batch),
        f"a step of {batch}, checkpointing": lambda base: base.step(batch, checkpointing=True),
    }
    for base in bases:
        base.adapt(rank)
    with FakeTensorMode():
        for base in bases:
            for network in (base.unet, base.vae, base.text):
                without_data(network)
        return {
            name: [round(base.peak(partial(work, base)), 2) for base in bases]
            for name, work in phases.items()
        }


def main(args: argparse.Namespace) -> None:
    found = count(args.base, args.batch, args.draw, args.sheet, args.rank)
    print(f"{args.base.name}, rank {args.rank}, GiB")
    print(f"{'':<32} {'likeness':>9} {'diffusers':>10} {'ratio':>6}")
    for name, (ours, theirs) in found.items():
        print(f"{name:<32} {ours:>9.2f} {theirs:>10.2f} {ours / theirs:>6.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "base", type=Path, nargs="?", default=MINI, help="a base's folder; its configs are enough"
    )
    parser.add_argument("--batch", type=int, default=4, help="photos of a training step")
    parser.add_argument("--draw", type=int, default=8, help="images drawn at a time")
    parser.add_argument("--sheet", type=int, default=16, help="samples on a training's sheet")
    parser.add_argument("--rank", type=int, default=16)
    main(parser.parse_args())
