"""Training sets of the mini models: rendered products and their captions."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context

import numpy as np

from likeness.common.io import atomic_path
from likeness.common.runtime import Runtime
from likeness.image import pixels
from likeness.image.captions import caption
from likeness.image.pixels import fit_square
from models import articles, render, shapes
from models.render import CATEGORIES, Product, draw_product, sample_products
from models.settings import Captions, Renders, code_key


def known_types(cfg: Renders) -> list[str]:
    return [kind for kind in CATEGORIES if kind not in cfg.without]


def rendered(cfg: Renders, rt: Runtime, *, part: int = 0) -> tuple[list[Product], np.ndarray]:
    """Products and their photos, (N, size, size, 3) uint8, drawn once and kept in the scratch.

    Args:
        cfg: what to draw.
        rt: where the scratch is, and how many processes draw.
        part: 0 for training; other numbers give other products and other drawings.
    """
    seed = cfg.seed + 1_000_000 * part
    products = sample_products(cfg.count, seed, known_types(cfg), balanced=True)
    source = [_text(module) for module in (shapes, articles, render, pixels)]
    path = rt.scratch(
        "rendered", code_key(seed, cfg.count, cfg.size, cfg.margin, cfg.without, *source)
    )
    if not (path / "photos.npy").exists():
        jobs = [(product, seed, cfg.size, cfg.margin) for product in products]
        with ProcessPoolExecutor(rt.workers, mp_context=get_context("spawn")) as pool:
            drawn = pool.map(_draw, jobs, chunksize=50)
            photos = np.stack(list(rt.progress(drawn, "render", total=len(jobs))))
        with atomic_path(path / "photos.npy") as temporary:
            np.save(temporary, photos)
    return products, np.load(path / "photos.npy")


def _draw(job: tuple[Product, int, int, float]) -> np.ndarray:
    product, seed, size, margin = job
    # The reduction to `size` smooths the lines, so they need not be drawn larger first.
    return np.asarray(fit_square(draw_product(product, seed, supersample=1), size, margin))


def _text(module: object) -> str:
    return open(str(module.__file__), encoding="utf-8").read()  # type: ignore[attr-defined]


def describe(product: Product, cfg: Captions, rng: np.random.Generator) -> str:
    """A caption of the product: the lane's, with and without its usage, or a shorter one."""
    attributes = {name: str(value) for name, value in asdict(product).items()}
    if rng.random() < cfg.short_share:
        return caption(attributes, str(rng.choice(cfg.short)), [])
    return caption(attributes, cfg.template, [cfg.extra] if rng.random() < 0.5 else [])


def full_caption(product: Product, cfg: Captions, **changes: str) -> str:
    """The lane's caption, with other attributes where given."""
    attributes = {name: str(value) for name, value in asdict(product).items()} | changes
    return caption(attributes, cfg.template, [])
