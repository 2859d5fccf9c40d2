"""Training sets of the mini models: rendered products and their captions."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context

import numpy as np

from likeness.common.runtime import Runtime
from likeness.image import pixels
from likeness.image.captions import caption
from likeness.image.pixels import fit_square
from models import articles, footwear, render, shapes
from models.footwear import FOOTWEAR
from models.render import CATEGORIES, SampleProduct, draw_product, sample_products
from models.settings import Captions, Renders, code_key

SHARD = 1000  # products drawn from one seed; of a longer list, the beginning stays the same


def known_types(cfg: Renders) -> list[str]:
    return [kind for kind in CATEGORIES if kind not in cfg.without]


def rendered(cfg: Renders, rt: Runtime, *, part: int = 0) -> tuple[list[SampleProduct], np.ndarray]:
    """Products and their photos (N, size, size, 3) uint8, a file that is mapped into memory.

    The scratch folder keeps what was drawn, also for a larger or a smaller `count`: an interrupted
    drawing goes on with the next photo.

    Args:
        cfg: what to draw.
        rt: gives the scratch folder and the number of worker processes.
        part: 0 for training; any other number gives other products and drawings, for tests.
    """
    seed = cfg.seed + 1_000_000 * part
    seeds = range(seed, seed + cfg.count, SHARD)
    types = known_types(cfg)
    jobs = [
        (product, shard, cfg) for shard in seeds
        for product in sample_products(SHARD, shard, types, balanced=True)
    ][: cfg.count]  # fmt: skip
    source = [_text(module) for module in (shapes, footwear, articles, render, pixels)]
    key = code_key(seed, cfg.size, cfg.margin, cfg.supersample, types, *source)
    path = rt.scratch("rendered", key) / "photos.u8"
    shape = (cfg.size, cfg.size, 3)
    size = int(np.prod(shape))
    if not path.exists() or path.stat().st_size < cfg.count * size:
        with (
            path.open("ab") as file,
            ProcessPoolExecutor(rt.workers, mp_context=get_context("spawn")) as pool,
        ):
            done = file.tell() // size
            file.truncate(done * size)
            drawn = pool.map(_draw, jobs[done:], chunksize=20)
            for photo in rt.progress(drawn, "render", total=len(jobs) - done):
                file.write(photo.tobytes())
    photos = np.memmap(path, np.uint8, "r", shape=(cfg.count, *shape))
    return [product for product, _, _ in jobs], photos


def _draw(job: tuple[SampleProduct, int, Renders]) -> np.ndarray:
    product, seed, cfg = job
    photo = draw_product(product, seed, supersample=cfg.supersample)
    return np.asarray(fit_square(photo, cfg.size, cfg.margin))


def _text(module: object) -> str:
    return open(str(module.__file__), encoding="utf-8").read()  # type: ignore[attr-defined]


def footwear_chances(products: Sequence[SampleProduct], share: float) -> np.ndarray:
    """(N,) chances of the products, so that this share of what is drawn from them is footwear."""
    worn = np.array([product.articleType in FOOTWEAR for product in products])
    return np.asarray(np.where(worn, share / worn.sum(), (1 - share) / (~worn).sum()))


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
