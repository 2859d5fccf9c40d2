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
from models.render import CATEGORIES, SampleProduct, draw_product, sample_products
from models.settings import Captions, Renders, code_key


def known_types(cfg: Renders) -> list[str]:
    return [kind for kind in CATEGORIES if kind not in cfg.without]


def rendered(cfg: Renders, rt: Runtime, *, part: int = 0) -> tuple[list[SampleProduct], np.ndarray]:
    """Products and their photos (N, size, size, 3) uint8, drawn once and cached in the scratch folder.

    Args:
        cfg: what to draw.
        rt: gives the scratch folder and the number of worker processes.
        part: 0 for training; any other number gives other products and drawings, for tests.
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


def _draw(job: tuple[SampleProduct, int, int, float]) -> np.ndarray:
    product, seed, size, margin = job
    # Reducing the photo to `size` smooths its lines, so supersampling is not needed.
    return np.asarray(fit_square(draw_product(product, seed, supersample=1), size, margin))


def _text(module: object) -> str:
    return open(str(module.__file__), encoding="utf-8").read()  # type: ignore[attr-defined]


def describe(product: SampleProduct, cfg: Captions, rng: np.random.Generator) -> str:
    """A random caption: the image lane's template, with or without the usage, or a shorter one."""
    attributes = {name: str(value) for name, value in asdict(product).items()}
    if rng.random() < cfg.short_share:
        return caption(attributes, str(rng.choice(cfg.short)), [])
    return caption(attributes, cfg.template, [cfg.extra] if rng.random() < 0.5 else [])


def full_caption(product: SampleProduct, cfg: Captions, **changes: str) -> str:
    """The image lane's caption of the product, with the attributes in `changes` replaced."""
    attributes = {name: str(value) for name, value in asdict(product).items()} | changes
    return caption(attributes, cfg.template, [])
