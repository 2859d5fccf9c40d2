"""Turns catalogue photos into a dataset for training and evaluating a diffusion model."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.io import write_jsonl
from likeness.common.items import Stored, map_items
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    read_manifest,
    write_manifest,
    write_rejected,
)
from likeness.common.needs import check_needs
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.common.sampling import SPLITS, evenly, split_by_share
from likeness.image.captions import caption
from likeness.image.catalog import find_images
from likeness.image.extract import extract
from likeness.image.needs import ADVICE, NEEDS
from likeness.image.photos import convert_photos
from likeness.image.pixels import Array
from likeness.image.rows import PreparedImage, Product

REASONS = (
    "not_an_image",
    "unknown_format",
    "truncated",
    "too_small",
    "too_large",
    "blank",
    "duplicate",
    "error",
)


class ImagePrepare(Section):
    resolution: Annotated[int, Field(ge=32, le=2048, multiple_of=8)]
    min_side: Annotated[int, Field(ge=1)]
    margin: Annotated[float, Field(ge=0, le=1)] | None
    duplicate_difference: Annotated[float, Field(ge=0, le=255)]
    near_hash_bits: Annotated[int, Field(ge=0, le=256)]
    near_cosine: Annotated[float, Field(ge=0, le=1)]
    train_share: Annotated[float, Field(gt=0, lt=1)]
    val_share: Annotated[float, Field(gt=0, lt=1)]
    subset: Annotated[int, Field(ge=0)]
    caption: str
    caption_extras: list[str]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def prepare(
    cfg: ImagePrepare,
    *,
    catalog: Path,
    products: Path,
    extractor: Path,
    out_dir: Path,
    plots_dir: Path,
    rt: Runtime,
) -> dict[str, float]:
    """Check, convert, group and split the selected products' photos.

    Writes to `out_dir`: `train/`, `val/` and `test/` as Hugging Face imagefolders (PNG and
    `metadata.jsonl`), `manifest.jsonl` (a `PreparedImage` a row) and `rejected.jsonl`. Copies of a
    photo are rejected; photos that are nearly the same, with another border or mirrored too, form a
    group, which stays in one split.

    Raises:
        LikenessError: more than `max_rejected_share` is rejected, or too few are left to split.
    """
    if cfg.train_share + cfg.val_share >= 1:
        raise LikenessError(
            "params.yaml: image_prepare: train_share and val_share leave nothing for test "
            f"(got {cfg.train_share} + {cfg.val_share}); make their sum less than 1"
        )
    rows = {row.id: row for row in read_manifest(products / "manifest.jsonl", Product)}
    convert = partial(
        convert_photos, resolution=cfg.resolution, min_side=cfg.min_side, margin=cfg.margin
    )
    paths, _ = find_images(catalog, rows)
    stored, rejected = map_items(
        convert, paths, what="image_prepare", rt=rt, batch=8, workers=rt.workers
    )
    _check_sizes(cfg, catalog, rejected, len(rows))
    if not stored:
        check_rejected_share(str(catalog), rejected, len(rows), 0)
    groups, copies = _group(cfg, stored, extractor, rt)
    rejected += copies
    check_rejected_share(str(catalog), rejected, len(rows), cfg.max_rejected_share)

    kept = [rows[name] for name in groups]
    if cfg.subset:
        kept = evenly(_by_stratum(kept, rt), cfg.subset)
    splits = split_groups(_by_stratum(kept, rt), groups, cfg.train_share, cfg.val_share)
    prepared = [
        PreparedImage(
            **product.model_dump(),
            file_name=f"{splits[product.id]}/{product.id}.png",
            caption=caption(product.attributes(), cfg.caption, cfg.caption_extras),
            split=splits[product.id],
            group=groups[product.id],
            crop=stored[product.id].record["crop"],
        )
        for product in kept
    ]
    found = {split: sum(row.split == split for row in prepared) for split in SPLITS}
    check_needs(f"image_prepare: {len(prepared)} photos", NEEDS, found, ADVICE)
    for row in prepared:
        stored[row.id].link("image.png", out_dir / row.file_name)
    for split in SPLITS:
        members = sorted((row for row in prepared if row.split == split), key=lambda row: row.id)
        write_jsonl(
            out_dir / split / "metadata.jsonl",
            ({"file_name": Path(row.file_name).name, "text": row.caption} for row in members),
        )
    _draw(plots_dir, prepared)
    counts = write_rejected(out_dir, rejected, REASONS)
    write_manifest(out_dir / "manifest.jsonl", prepared)
    return {
        "products": len(rows),
        **found,
        "near_duplicate_groups": sum(n > 1 for n in Counter(groups.values()).values()),
        **counts,
        **{f"imbalance_{split}": imbalance(prepared, split) for split in SPLITS},
    }


def _check_sizes(
    cfg: ImagePrepare, catalog: Path, rejected: Sequence[Rejection], total: int
) -> None:
    """Where it is the photos' size that ends the stage, say which size, and what has larger ones."""
    sizes = Counter(tuple(row.value) for row in rejected if row.reason == "too_small")
    if sizes.total() > cfg.max_rejected_share * total:
        width, height = sizes.most_common(1)[0][0]
        raise LikenessError(
            f"{catalog}: {sizes.total()} of {total} photos are too small, most of them {width} x "
            f"{height} pixels, and image_prepare.min_side is {cfg.min_side}; use a catalogue of larger "
            "photos (Kaggle's small edition has 60 x 80)"
        )


def _group(
    cfg: ImagePrepare, stored: dict[str, Stored], extractor: Path, rt: Runtime
) -> tuple[dict[str, str], list[Rejection]]:
    """Group name by id for the photos to keep, and a rejection for each copy of an earlier one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ids = list(stored)
    plain, mirrored = (_hashes(stored, name) for name in ("hashes", "mirrored"))
    # Both views are compared: the whole photo, and the item that the dataset holds.
    found = [
        close_pairs(plain[:, view], other[:, view], cfg.near_hash_bits)
        for other in (plain, mirrored)
        for view in range(plain.shape[1])
    ]
    pairs = np.unique(np.concatenate(found), axis=0)
    # Perceptual hashes of different shoes with one silhouette are alike, so features must agree too.
    images = {ids[at]: stored[ids[at]].folder / "image.png" for at in sorted(set(pairs.ravel()))}
    near: list[tuple[int, int]] = []
    copy_of: dict[str, tuple[str, float]] = {}
    if images:
        vectors = extract(images, extractor=extractor, rt=rt)
        unit = vectors.vectors / np.linalg.norm(vectors.vectors, axis=1, keepdims=True)
        rows = {name: unit[at] for at, name in enumerate(vectors.ids)}
        for left, right in pairs:
            first, second = ids[left], ids[right]
            if float(rows[first] @ rows[second]) < cfg.near_cosine:
                continue
            near.append((left, right))
            difference = _difference(stored[first], stored[second])
            if difference <= cfg.duplicate_difference and first not in copy_of:
                copy_of.setdefault(second, (first, difference))
    edges = np.array(near, dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(ids),) * 2)
    _, labels = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    for name, label in zip(ids, labels, strict=True):
        names.setdefault(int(label), name)
    copies = [
        Rejection(
            id=name,
            reason="duplicate",
            value={"of": original, "difference": round(difference, 3)},
            threshold=cfg.duplicate_difference,
        )
        for name, (original, difference) in copy_of.items()
    ]
    kept = {name: names[int(label)] for name, label in zip(ids, labels, strict=True)}
    return {name: group for name, group in kept.items() if name not in copy_of}, copies


def _hashes(stored: dict[str, Stored], name: str) -> Array:
    """(N, views, bits) of the photos' hashes."""
    import imagehash

    rows = [map(imagehash.hex_to_hash, one.record[name]) for one in stored.values()]
    return np.array([[found.hash.ravel() for found in row] for row in rows])


def close_pairs(hashes: Array, others: Array, bits: int) -> Array:
    """Pairs of photos whose hashes differ in at most `bits` bits.

    Args:
        hashes: (N, B) boolean. others: (N, B), the hashes again or those of the mirrored photos.

    Returns:
        (P, 2) rows of the photos, the first smaller than the second.
    """
    signs, against = (np.where(rows, 1, -1).astype(np.float32) for rows in (hashes, others))
    found = [np.empty((0, 2), int)]
    for start in range(0, len(signs), 2048):
        agreement = signs[start : start + 2048] @ against.T
        left, right = np.nonzero(agreement >= signs.shape[1] - 2 * bits)
        left += start
        found.append(np.stack([left, right], 1)[left < right])
    return np.concatenate(found)


def _difference(left: Stored, right: Stored) -> float:
    """Mean absolute difference of two whole photos, in 8-bit levels."""
    a, b = (
        np.asarray(Image.open(BytesIO(stored.read("whole.png"))), np.float64)
        for stored in (left, right)
    )
    return float(np.abs(a - b).mean())


def stratum(product: Product) -> str:
    return f"{product.gender} {product.baseColour}".strip() or "(neither)"


def _by_stratum(products: Sequence[Product], rt: Runtime) -> list[Product]:
    """Products ordered by gender, then colour, and at random within a stratum."""
    return sorted(
        products, key=lambda row: (row.gender, row.baseColour, rt.seed_for("split", row.id))
    )


def split_groups(
    ordered: Sequence[Product], groups: dict[str, str], train_share: float, val_share: float
) -> dict[str, str]:
    """The split of each id, for products in order of stratum; groups are kept whole.

    So large strata are split by the shares to within one image, and strata of one or two images share
    theirs with their neighbours instead of all falling to one split.
    """
    sizes = Counter(groups[product.id] for product in ordered)
    split_of = split_by_share(sizes, train_share, val_share)
    return {product.id: split_of[groups[product.id]] for product in ordered}


def imbalance(rows: Sequence[PreparedImage], split: str) -> float:
    """Total variation distance, 0 to 1, of a split's strata from those of all images."""
    whole = Counter(stratum(row) for row in rows)
    part = Counter(stratum(row) for row in rows if row.split == split)
    size = part.total()
    return round(sum(abs(part[name] / size - n / len(rows)) for name, n in whole.items()) / 2, 4)


def _draw(plots_dir: Path, rows: Sequence[PreparedImage]) -> None:
    names = sorted({stratum(row) for row in rows})
    with figures.figure(plots_dir / "splits.png", size=(8, 0.25 * len(names) + 1.5)) as axis:
        left = np.zeros(len(names))
        for split, colour in zip(SPLITS, (figures.INK, figures.QUIET, figures.ACCENT), strict=True):
            counts = Counter(stratum(row) for row in rows if row.split == split)
            width = np.array([counts[name] for name in names])
            axis.barh(names, width, left=left, color=colour, label=split)
            left += width
        axis.invert_yaxis()
        axis.legend(frameon=False)
        axis.set_title("Images by gender and colour")
