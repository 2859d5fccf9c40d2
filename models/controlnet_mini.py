"""Train a small ControlNet on the edges of rendered products, for sd_mini, which stays as it is.

`ControlNetModel.from_pretrained` loads the folder that this writes. It has seen no Casual Shoes and no
real photos.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.cli import run
from likeness.common.io import digest, write_json, write_text
from likeness.common.runtime import Runtime
from likeness.image.edges import edges, outline, overlap
from likeness.image.quality import colour_prototypes, measure, nearest_colour
from models.fitting import fit, follow
from models.render import SampleProduct
from models.rendered import describe, full_caption, rendered
from models.sd_autoencoder import encode
from models.sd_mini import build_scheduler, generate, load_text, sheet, step_weights
from models.settings import ControlnetMini, begin, code_key
from models.shapes import COLOURS

if TYPE_CHECKING:
    import torch

UNET = "unet/diffusion_pytorch_model.safetensors"


def main(argv: Sequence[str]) -> None:
    args, cfg, rt = begin(__doc__, argv, ControlnetMini, "base", "clip", "out_dir")
    controlnet, seconds = train(cfg, args.base, args.clip, rt)
    controlnet.cpu().half().save_pretrained(args.out_dir)
    quality = {
        "steps": cfg.steps,
        "seconds": round(seconds),
        **measure_drawings(cfg, args.base, args.out_dir, rt),
    }
    write_json(args.out_dir / "quality.json", quality)
    write_text(args.out_dir / "README.md", CARD.format(cfg=cfg, q=quality))


def build(cfg: ControlnetMini, unet: Any) -> Any:
    """A ControlNet that adds nothing yet: the UNet's own encoder behind layers of zeros."""
    import torch
    from diffusers import ControlNetModel

    torch.manual_seed(cfg.renders.seed)
    return ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=tuple(cfg.edge_channels)
    )


def train(cfg: ControlnetMini, base: Path, clip: Path, rt: Runtime) -> tuple[Any, float]:
    """Train it. Returns the moving average of its weights and the training time in seconds.

    The loss is that of sd_mini's denoiser, whose weights are frozen.
    """
    import copy

    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from torch.nn.attention import SDPBackend, sdpa_kernel

    products, photos = rendered(cfg.renders, rt)
    vae = AutoencoderKL.from_pretrained(base, subfolder="vae", torch_dtype=torch.float32)
    latents = encode(vae.eval().requires_grad_(False).to(rt.device), photos, rt)
    tokenizer, encoder = load_text(clip)
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet", torch_dtype=torch.float32)
    controlnet = build(cfg, unet).train().to(rt.device)
    unet.eval().requires_grad_(False).to(rt.device)
    average = copy.deepcopy(controlnet).eval().requires_grad_(False)
    control: Any = torch.compile(controlnet)
    denoise: Any = torch.compile(unet)
    scheduler = build_scheduler()
    weights = step_weights(scheduler, cfg.snr_gamma)

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        at = rng.integers(len(products), size=cfg.batch)
        texts = [describe(products[i], cfg.renders.captions, rng) for i in at]
        texts = ["" if rng.random() < cfg.empty_share else text for text in texts]
        tokens = tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt")
        # Bounds at random, as in ControlNet 1.1: a photo's edges are found whatever is asked of them.
        highs = rng.uniform(cfg.highs[0], cfg.highs[1], cfg.batch)
        seen = [
            edges(photos[i], round(high / 2), round(high))
            for i, high in zip(at, highs, strict=True)
        ]
        clean = latents[at]
        noise = torch.from_numpy(rng.normal(size=clean.shape)).float()
        # Mostly noisy steps, in which shapes are decided, as for T2I-Adapter (Mou et al. 2023).
        times = torch.from_numpy((1000 * (1 - rng.random(cfg.batch) ** 3)).astype(int)).clamp(
            max=999
        )
        noisy = scheduler.add_noise(clean, noise, times).to(rt.device)
        with torch.no_grad():
            states = encoder(tokens.input_ids).last_hidden_state.to(rt.device)
        # Images are small here: the plain product is quicker to go back through than flash attention.
        with torch.autocast(rt.device, torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            down, middle = control(
                noisy, times.to(rt.device), states, controlnet_cond=as_condition(seen).to(rt.device),
                return_dict=False,
            )  # fmt: skip
            predicted = denoise(
                noisy, times.to(rt.device), states, down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample.float()  # fmt: skip
        velocity = scheduler.get_velocity(clean, noise, times)
        error = (predicted - velocity.to(rt.device)).square().mean(dim=(1, 2, 3))
        weighted: torch.Tensor = weights[times].to(rt.device) * error
        return weighted.mean()

    key = code_key(
        train,
        step_weights,
        build,
        edges,
        cfg,
        digest(base / UNET),
        digest(clip / "model.safetensors"),
    )
    seconds = fit(
        "controlnet", {"controlnet": controlnet, "average": average}, loss, steps=cfg.steps, lr=cfg.lr,
        decay=0.0, seed=cfg.renders.seed, scratch=rt.scratch("controlnet_mini", key),
        save_seconds=cfg.save_seconds, rt=rt,
        after=partial(follow, average, controlnet, cfg.ema),
        muon_except=frozenset({"conv_in", "time_embedding", "controlnet_cond_embedding.conv_in"}),
    )  # fmt: skip
    return average, seconds


def as_condition(seen: Sequence[np.ndarray]) -> "torch.Tensor":
    """N photos' edges (height, width) uint8 as a ControlNet takes them: (N, 3, height, width) in 0..1."""
    import torch

    return torch.from_numpy(np.stack(seen))[:, None].expand(-1, 3, -1, -1).float() / 255


# --- measurements -------------------------------------------------------------------------------


def measure_drawings(
    cfg: ControlnetMini, base: Path, folder: Path, rt: Runtime
) -> dict[str, float | int]:
    """How unseen renders come out in other colours, drawn by their edges and without."""
    import torch
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
    from PIL import Image

    renders = cfg.renders.model_copy(update={"count": cfg.test_renders})
    products, photos = rendered(renders, rt, part=1)
    colours = [_another(product, rt) for product in products]
    prompts = [
        full_caption(product, cfg.renders.captions, baseColour=colour)
        for product, colour in zip(products, colours, strict=True)
    ]
    seen = [edges(photo, *cfg.test_bounds) for photo in photos]
    labs = np.array([measure(Image.fromarray(photo)).lab for photo in photos])
    prototypes = colour_prototypes([product.baseColour for product in products], labs)
    known = [
        nearest_colour(lab, prototypes) == product.baseColour
        for lab, product in zip(labs, products, strict=True)
    ]
    quality: dict[str, float | int] = {
        "n": len(products),
        "renders_colour_accuracy": round(float(np.mean(known)), 4),
    }
    controlnet = ControlNetModel.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        base, controlnet=controlnet, safety_checker=None, torch_dtype=torch.float32
    )
    drawn = {}
    for name, scale in (("edges", 1.0), ("plain", 0.0)):
        drawn[name] = generate(
            pipeline, cfg, prompts, "draw", rt,
            conditions=as_condition(seen), controlnet_conditioning_scale=scale,
        )  # fmt: skip
        found = [
            nearest_colour(measure(Image.fromarray(one)).lab, prototypes) for one in drawn[name]
        ]
        overlaps = [
            overlap(outline(photo), outline(one))
            for photo, one in zip(photos, drawn[name], strict=True)
        ]
        right = [one == asked for one, asked in zip(found, colours, strict=True)]
        quality[f"{name}_overlap"] = round(float(np.mean(overlaps)), 4)
        quality[f"{name}_colour_accuracy"] = round(float(np.mean(right)), 4)
    lines = np.repeat(np.stack(seen)[..., None], 3, axis=3)
    columns = np.stack([photos, lines, drawn["edges"], drawn["plain"]], axis=1)[:20]
    shown = columns.reshape(-1, *photos.shape[1:])
    sheet(shown, folder / "samples.png", columns=8, rows=len(columns) // 2)
    return quality


def _another(product: SampleProduct, rt: Runtime) -> str:
    """A colour that the product does not have."""
    others = [name for name in COLOURS if name != product.baseColour]
    return others[rt.seed_for("colour", product.id, product.baseColour) % len(others)]


CARD = """---
license: apache-2.0
library_name: diffusers
---
# controlnet_mini

![Unseen renders, their edges, drawn in another colour by them, and without them](samples.png)

A small ControlNet (`ControlNetModel`) for sd_mini: its images follow the edges of a photo. It stands in
for `control_v11p_sd15_canny` where no model hub can be reached. Like sd_mini, it has never seen
*Casual Shoes*, and it knows nothing but footwear.

- Data: {cfg.renders.count} photos of the other footwear, drawn by `models.render` (seed
  {cfg.renders.seed}). Edges by OpenCV's Canny; the upper bound is drawn between {cfg.highs[0]} and
  {cfg.highs[1]} for each photo, and the lower is half of it.
- {q[steps]} steps of {cfg.batch} by Muon in {q[seconds]} s on one CPU core, from sd_mini's own encoder;
  {cfg.empty_share:.0%} empty captions, moving average. sd_mini is frozen.
- {q[n]} unseen renders, drawn in another colour ({cfg.test_steps} steps of DPM-Solver++, guidance
  {cfg.test_guidance}, scale 1): their outlines overlap with the renders' by {q[edges_overlap]}
  (intersection over union), and by {q[plain_overlap]} without the ControlNet.
  {q[edges_colour_accuracy]:.1%} have the prompted colour, {q[plain_colour_accuracy]:.1%} without, and
  {q[renders_colour_accuracy]:.1%} of the renders have their own by the same measure.
- Weights are stored in half precision; load them with `torch_dtype=torch.float32` on a CPU.
"""


if __name__ == "__main__":
    run(main)
