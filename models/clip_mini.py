"""Train a small CLIP on rendered products, with its own byte-level BPE tokenizer.

`CLIPModel.from_pretrained` and `CLIPProcessor.from_pretrained` load the folder that this writes.
"""

import itertools
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.cli import run
from likeness.common.io import write_json, write_text
from likeness.common.runtime import Runtime
from models.fitting import fit, to_pixels
from models.render import GENDERS, SEASONS, sample_products
from models.rendered import describe, full_caption, known_types, rendered
from models.settings import ClipMini, begin, code_key
from models.shapes import COLOURS

if TYPE_CHECKING:
    import torch

START, END = "<|startoftext|>", "<|endoftext|>"
MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]


def main(argv: Sequence[str]) -> None:
    args, cfg, rt = begin(__doc__, argv, ClipMini, "out_dir")
    tokenizer = build_tokenizer(cfg, args.out_dir)
    model, seconds = train(cfg, tokenizer, rt)
    quality = measure(cfg, model, tokenizer, rt)
    save(cfg, model, args.out_dir, quality | {"steps": cfg.steps, "seconds": round(seconds)})


def build_tokenizer(cfg: ClipMini, folder: Path) -> Any:
    """Learn BPE merges from captions, write the tokenizer to `folder` and return it (`CLIPTokenizer`)."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    renders = cfg.renders
    products = sample_products(2000, renders.seed, known_types(renders), balanced=True)
    rng = np.random.default_rng(renders.seed)
    texts = [describe(product, renders.captions, rng).lower() for product in products]
    words = Counter(word for text in texts for word in text.replace(",", " , ").split())
    merges = learn_merges(words, cfg.merges)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "vocab.json", json.dumps({token: i for i, token in enumerate(vocab)}))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    write_text(folder / "merges.txt", "\n".join(lines) + "\n")
    tokenizer = CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=77
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def learn_merges(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """Byte-pair encoding: merge the most frequent pair of symbols, `count` times. Returns the pairs."""
    parts = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, symbols in parts.items():
            for pair in itertools.pairwise(symbols):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, symbols in parts.items():
            merged: list[str] = []
            for symbol in symbols:
                if merged and (merged[-1], symbol) == best:
                    merged[-1] += symbol
                else:
                    merged.append(symbol)
            parts[word] = tuple(merged)
    return merges


def build_model(cfg: ClipMini, tokenizer: Any) -> Any:
    import torch
    from transformers import CLIPConfig, CLIPModel

    tower = {
        "hidden_size": cfg.width,
        "intermediate_size": 4 * cfg.width,
        "num_attention_heads": cfg.heads,
        "projection_dim": cfg.width,
    }
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(cfg.renders.seed)
    return CLIPModel(
        CLIPConfig(
            text_config={
                **tower, **ids, "num_hidden_layers": cfg.text_layers,
                "vocab_size": len(tokenizer), "max_position_embeddings": 77,
            },
            vision_config={
                **tower, "num_hidden_layers": cfg.vision_layers,
                "image_size": cfg.renders.size, "patch_size": cfg.patch,
            },
            projection_dim=cfg.width,
        )
    )  # fmt: skip


def train(cfg: ClipMini, tokenizer: Any, rt: Runtime) -> tuple[Any, float]:
    """Train with the symmetric contrastive loss. Returns the model and the training time in seconds."""
    import torch
    import torch.nn.functional as functional

    products, photos = rendered(cfg.renders, rt)
    model = build_model(cfg, tokenizer).train()

    def loss(rng: np.random.Generator) -> "torch.Tensor":
        at = rng.integers(len(products), size=cfg.batch)
        texts = [describe(products[i], cfg.renders.captions, rng) for i in at]
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        pixels = to_pixels(photos[at])
        pixels += cfg.noise * torch.from_numpy(rng.normal(size=pixels.shape).astype(np.float32))
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(**tokens, pixel_values=pixels).logits_per_image.float()
        # When two photos of a batch have the same caption, it counts as correct for both.
        same = torch.tensor([[float(a == b) for b in texts] for a in texts])
        target = same / same.sum(1, keepdim=True)
        return functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)

    def limit() -> None:
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))

    seconds = fit(
        "clip_mini", {"model": model}, loss, steps=cfg.steps, lr=cfg.lr, decay=0.05,
        seed=cfg.renders.seed, scratch=rt.scratch("clip_mini", code_key(train, build_model, cfg)),
        save_seconds=cfg.save_seconds, rt=rt, after=limit,
    )  # fmt: skip
    return model.eval(), seconds


def measure(cfg: ClipMini, model: Any, tokenizer: Any, rt: Runtime) -> dict[str, float]:
    """Zero-shot accuracy (0..1) by attribute on unseen renders: the model chooses among captions that
    differ in that attribute only. `n` is the number of renders."""
    import torch

    renders = cfg.renders.model_copy(update={"count": cfg.test_count})
    products, photos = rendered(renders, rt, part=1)
    choices = {
        "articleType": known_types(cfg.renders),
        "baseColour": list(COLOURS),
        "gender": list(GENDERS),
        "season": list(SEASONS),
    }
    quality: dict[str, float] = {"n": len(products)}
    with torch.inference_mode():
        images = embed(model.get_image_features(to_pixels(photos)))
        for attribute, names in choices.items():
            right = 0
            for product, image in zip(products, images, strict=True):
                changed = [{attribute: name} for name in names]
                texts = [full_caption(product, cfg.renders.captions, **c) for c in changed]
                tokens = tokenizer(texts, padding=True, return_tensors="pt")
                best = int((embed(model.get_text_features(**tokens)) @ image).argmax())
                right += names[best] == getattr(product, attribute)
            quality[f"zero_shot_{attribute}"] = round(right / len(products), 4)
    return quality


def embed(output: Any) -> "torch.Tensor":
    """Embeddings (N, width), scaled to unit length."""
    vectors: torch.Tensor = getattr(output, "pooler_output", output)
    lengths: torch.Tensor = vectors.norm(dim=-1, keepdim=True)
    return vectors / lengths


def save(cfg: ClipMini, model: Any, folder: Path, quality: dict[str, float]) -> None:
    """Write half-precision weights, the image processor's config, quality.json and the model card."""
    from transformers import CLIPImageProcessor

    model.half().save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": cfg.renders.size},
        crop_size={"height": cfg.renders.size, "width": cfg.renders.size},
        image_mean=MEAN,
        image_std=STD,
    ).save_pretrained(folder)
    write_json(folder / "quality.json", quality)
    write_text(
        folder / "README.md", CARD.format(cfg=cfg, q=quality, minutes=quality["seconds"] / 60)
    )


CARD = """---
license: apache-2.0
library_name: transformers
---
# clip_mini

A small CLIP (`CLIPModel`, {cfg.width} wide, {cfg.vision_layers} vision and {cfg.text_layers} text
layers, {cfg.renders.size} x {cfg.renders.size} pixels) that scores rendered product photos against
their captions. It stands in for CLIP ViT-L/14 where no model hub can be reached, and knows nothing
but this catalogue's articles: on real photos its scores mean little.

- Data: {cfg.renders.count} photos drawn by `models.render` (seed {cfg.renders.seed}), ten
  article types, ten colours, each as often. Not the photos of the sample catalogue.
- Training: {q[steps]} steps of {cfg.batch}, {minutes:.0f} minutes on two CPU cores, from scratch.
- Quality on {q[n]} unseen photos, choosing among captions that differ in one attribute: article type
  {q[zero_shot_articleType]:.1%}, colour {q[zero_shot_baseColour]:.1%}, gender
  {q[zero_shot_gender]:.1%}, season {q[zero_shot_season]:.1%}.
- Weights are stored in half precision; load them with `dtype=torch.float32` on a CPU.
"""


if __name__ == "__main__":
    run(main)
