"""Step time of image_train against the step of diffusers' train_text_to_image_lora.py.

That script encodes the batch's images and captions in every step; image_train takes both from the item
store. Same base, images, batch, rank and layers: those of attention, which the script adapts. Then
image_train with the layers of params.yaml, against itself with peft's branches. The two take turns, so a
busy machine slows both.

    python benchmarks/image_train.py [--steps 20]

Needs `data/image_prepare` and the base: run `make repro` first.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from likeness.common.manifest import read_manifest  # noqa: E402
from likeness.common.params import check_params  # noqa: E402
from likeness.common.runtime import start  # noqa: E402
from likeness.image.diffusion import load_pipeline  # noqa: E402
from likeness.image.rows import PreparedImage  # noqa: E402
from likeness.image.train import ImageTrain, Trainer, encode_splits  # noqa: E402
from likeness.repository.dvc import open_cache_folder  # noqa: E402
from likeness.stage import SCHEMA  # noqa: E402


def main(steps: int) -> None:
    params = check_params(ROOT / "params.yaml", SCHEMA)
    inputs, base_cfg = params["inputs"], params["base"]
    rt = start(base_cfg, open_cache_folder(ROOT))
    every = params["image_train"].model_copy(update={"accumulation": 1, "text_encoder": False})
    cfg = every.model_copy(update={"targets": ["to_q", "to_k", "to_v", "to_out.0"]})
    dataset, base = ROOT / "data/image_prepare", ROOT / "models" / inputs.diffusion
    rows = read_manifest(dataset / "manifest.jsonl", PreparedImage)
    started = time.perf_counter()
    splits = encode_splits(rows, dataset, base, cfg, rt)
    caching = time.perf_counter() - started

    def trainer(cfg: ImageTrain) -> Trainer:
        pipeline, scratch = load_pipeline(base, rt.device), Path(tempfile.mkdtemp())
        return Trainer(cfg, pipeline, splits["train"], splits["val"], scratch, rt)

    ours, folded, branches = trainer(cfg), trainer(every), trainer(every)
    theirs = Diffusers(cfg, load_pipeline(base, rt.device), splits["train"].rows, dataset, rt)
    for layer in branches.networks["unet"].modules():
        vars(layer).pop("forward", None)  # what fold_branches put before peft's
    print(
        f"{steps} steps each, batch {cfg.batch}, rank {cfg.rank}, {rt.device}, {inputs.diffusion}"
    )
    found = take_turns({"likeness": ours._optimize, "diffusers": theirs.step}, steps)
    print(f"step ratio: {found['diffusers'] / found['likeness']:.2f}")
    total = cfg.epochs * ours.steps_per_epoch
    whole = (found["diffusers"] * total) / (found["likeness"] * total + caching)
    print(f"ratio over {total} steps, with {caching:.1f} s to fill or read the store: {whole:.2f}")
    found = take_turns({"likeness": folded._optimize, "peft": branches._optimize}, steps)
    print(f"step ratio with {len(every.targets)} targets: {found['peft'] / found['likeness']:.2f}")


def take_turns(runs: dict[str, Callable[[int], object]], steps: int) -> dict[str, float]:
    """The median step of each, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for step in range(1, steps + 3):
        for name, run in runs.items():
            begun = time.perf_counter()
            run(step)
            if step > 2:  # the first steps allocate
                times[name].append(time.perf_counter() - begun)
    found = {name: median(values) for name, values in times.items()}
    for name, seconds in found.items():
        print(f"{name:>10}: {seconds:.3f} s a step (median)")
    return found


class Diffusers:
    """One optimiser step as that script takes it, on the same images."""

    def __init__(self, cfg, pipeline, rows, dataset, rt) -> None:
        import torch
        from diffusers import DDPMScheduler
        from peft import LoraConfig

        self.cfg, self.pipeline, self.rows, self.dataset = cfg, pipeline, rows, dataset
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
            part.requires_grad_(False)
        pipeline.unet.add_adapter(
            LoraConfig(r=cfg.rank, lora_alpha=cfg.alpha, target_modules=cfg.targets)
        )
        self.parameters = [p for p in pipeline.unet.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=cfg.learning_rate)
        self.noise_scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.device = rt.device

    def step(self, number: int) -> None:
        import numpy as np
        import torch
        from PIL import Image

        first = number * self.cfg.batch
        rows = [self.rows[(first + at) % len(self.rows)] for at in range(self.cfg.batch)]
        arrays = np.stack([np.asarray(Image.open(self.dataset / row.file_name)) for row in rows])
        pixels = torch.from_numpy(arrays).permute(0, 3, 1, 2).float().to(self.device) / 127.5 - 1
        vae, tokenizer = self.pipeline.vae, self.pipeline.tokenizer
        with torch.no_grad():
            latents = vae.encode(pixels).latent_dist.sample() * vae.config.scaling_factor
            tokens = tokenizer(
                [row.caption for row in rows],
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            states = self.pipeline.text_encoder(tokens.input_ids.to(self.device))[0]
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, 1000, (len(rows),), device=self.device)
        noisy = self.noise_scheduler.add_noise(latents, noise, timesteps)
        predicted = self.pipeline.unet(noisy, timesteps, states).sample
        loss = torch.nn.functional.mse_loss(predicted.float(), noise.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.cfg.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    main(parser.parse_args().steps)
