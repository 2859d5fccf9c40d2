"""Memory that the image lane takes on a GPU with a real base, counted without one, against diffusers.

Networks are built from a base's configs alone and run on tensors that have shapes but no data; every
live tensor counts. CUDA's context (0.3 to 0.5 GiB) and the workspaces of its kernels come on top.
The peer is what diffusers' train_text_to_image_lora.py and StableDiffusionPipeline do by default: in
bf16, photos encoded in each step and images decoded by the batch.

    python benchmarks/image_memory.py [models/sd15] [--batch 4] [--draw 8] [--rank 16] [--pixels 512]
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from counting import Counter, without_data
from torch._subclasses.fake_tensor import FakeTensorMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from likeness.common.io import read_json  # noqa: E402
from likeness.image.diffusion import family_in, scale_of  # noqa: E402

MINI = ROOT / "models" / "sd_mini"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
TEXT_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]


class Base:
    """A base's networks without data, its autoencoder in one precision and the others in bf16."""

    def __init__(self, folder: Path, vae_dtype: torch.dtype, pixels: int) -> None:
        import transformers
        from diffusers import AutoencoderKL, UNet2DConditionModel

        self.family = family_in(folder)
        kinds = read_json(folder / "model_index.json")
        with torch.device("meta"):
            unet, vae = (
                kind.from_config(kind.load_config(folder / name))
                for kind, name in ((UNet2DConditionModel, "unet"), (AutoencoderKL, "vae"))
            )
            self.texts = [
                getattr(transformers, kinds[name][1])(
                    transformers.CLIPTextConfig.from_pretrained(folder / name)
                )
                for name in self.family.text_encoders
            ]
        for text in self.texts:
            text.to(torch.bfloat16).requires_grad_(False)
        self.unet = unet.to(torch.bfloat16).requires_grad_(False)
        self.vae = vae.to(vae_dtype).requires_grad_(False)
        self.pixels = pixels or self.unet.config.sample_size * scale_of(self.vae)
        self.side = self.pixels // scale_of(self.vae)

    def adapt(self, rank: int) -> None:
        from peft import LoraConfig

        config = {"r": rank, "lora_alpha": rank}
        with torch.device("meta"):
            self.unet.add_adapter(LoraConfig(target_modules=TARGETS, **config))
            for text in self.texts:
                text.add_adapter(LoraConfig(target_modules=TEXT_TARGETS, **config))

    def peak(self, work: Callable[[], Any], loaded: Sequence[torch.nn.Module]) -> float:
        """GiB that the work takes, with what is loaded."""
        counter = Counter(*loaded)
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
        self.unet(*self._noise(count), **self._conditions(count))

    def step(self, count: int, checkpointing: bool = False, texts: bool = False) -> None:
        """Forward and backward; AdamW's and the average's weights are three of the adapter's."""
        if checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.unet.train()
        networks = [self.unet, *self.texts] if texts else [self.unet]
        parameters = [p for one in networks for p in one.parameters() if p.requires_grad]
        _kept = [torch.zeros_like(one) for one in parameters for _ in range(3)]
        with torch.autocast("cpu", torch.bfloat16):
            said = self.unet(*self._noise(count), **self._conditions(count)).sample
            loss = said.float().square().mean()
            for text in self.texts if texts else []:
                loss = loss + text(torch.zeros(count, 77, dtype=torch.long))[0].float().mean()
        loss.backward()
        for one in parameters:
            one.grad = None

    def _noise(self, count: int) -> tuple[torch.Tensor, ...]:
        channels = self.unet.config.in_channels
        noisy = torch.randn(count, channels, self.side, self.side, dtype=torch.bfloat16)
        return noisy, torch.zeros(count)

    def _conditions(self, count: int) -> dict[str, Any]:
        half, width = torch.bfloat16, self.unet.config.cross_attention_dim
        pooled = getattr(self.texts[-1].config, "projection_dim", width)
        embedded = {
            "states": torch.randn(count, 77, width, dtype=half),
            "pooled": torch.randn(count, pooled, dtype=half),
        }
        return self.family.conditions(embedded, [self.pixels] * count, self.pixels)


def count(folder: Path, batch: int, draw: int, rank: int, pixels: int) -> dict[str, list[float]]:
    """GiB of each phase, ours and diffusers'. Guidance predicts each image twice."""
    from diffusers.utils import logging

    logging.set_verbosity_error()
    bases = Base(folder, torch.float32, pixels), Base(folder, torch.bfloat16, pixels)
    bases[0].vae.enable_slicing()
    phases: dict[str, Callable[[Base], Any]] = {
        "nothing, all networks loaded": lambda base: None,
        f"encode {batch} photos": lambda base: base.encode(batch),
        f"draw {draw} images: predict": lambda base: base.predict(2 * draw),
        f"draw {draw} images: decode": lambda base: base.decode(draw),
        f"a step of {batch}": lambda base: base.step(batch),
        f"a step of {batch}, checkpointing": lambda base: base.step(batch, checkpointing=True),
        "the same, and the text encoders": lambda base: base.step(batch, True, texts=True),
    }
    for base in bases:
        base.adapt(rank)
    with FakeTensorMode():
        for base in bases:
            for network in (base.unet, base.vae, *base.texts):
                without_data(network)
        found: dict[str, list[float]] = {}
        for name, work in phases.items():
            found[name] = []
            for base in bases:
                alone = name.startswith("encode") and base is bases[0]  # photos need no UNet
                loaded = [base.vae] if alone else [base.unet, base.vae, *base.texts]
                found[name].append(round(base.peak(partial(work, base), loaded), 2))
        return found


def main(args: argparse.Namespace) -> None:
    found = count(args.base, args.batch, args.draw, args.rank, args.pixels)
    print(f"{args.base.name}, rank {args.rank}, {args.pixels or 'its own'} pixels, GiB")
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
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--pixels", type=int, default=0, help="of each side; 0 is the base's own")
    main(parser.parse_args())
