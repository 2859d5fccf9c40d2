"""Draws product photos with the attributes of the real ones and checks each of them."""

import csv
import io
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from PIL import Image
from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.io import write_json, write_text
from likeness.common.items import Stored, map_all
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    read_manifest,
    told_reasons,
    write_manifest,
    write_rejected,
)
from likeness.common.rules import Rule, first_broken
from likeness.common.runtime import Runtime
from likeness.image.adapters import read_adapters, write_blend
from likeness.image.diffusion import ADAPTER
from likeness.image.drawing import draw_with
from likeness.image.extract import extract
from likeness.image.fidelity import nearest
from likeness.image.measure import measure_all
from likeness.image.products import DrawProducts, product_row
from likeness.image.rows import COLUMNS, PreparedImage, SyntheticImage

REASONS = ("blank", "background", "cut_off", "outlier", "copy")
ADVICE = "train longer, or loosen the rule that most of them failed"
MEASURED = ("clean_background", "cut_off", "coverage", "train_distance")


class ImageGenerate(DrawProducts):
    count: Annotated[int, Field(ge=1)]
    baseline: Annotated[int, Field(ge=0)]
    shares: dict[str, dict[str, Annotated[float, Field(ge=0)]]]
    blend: dict[str, float]
    negative_prompt: str
    max_attempts: Annotated[int, Field(ge=1)]
    outlier_factor: Annotated[float, Field(gt=0)]
    copy_factor: Annotated[float, Field(ge=0)]


class Inspected(NamedTuple):
    """What was measured on an image, and the rule that it breaks with the bound that it misses."""

    values: dict[str, Any]
    broken: tuple[Rule, float] | None


def generate(
    cfg: ImageGenerate,
    *,
    dataset: Path,
    base: Path,
    adapter: Path,
    extractor: Path,
    out_dir: Path,
    plots_dir: Path,
    timings: Path,
    rt: Runtime,
) -> dict[str, float]:
    """Draw `count` images whose attributes follow the train split's joint distribution.

    An image that fails a measured rule is drawn again with another seed, up to `max_attempts`
    times. Writes to `out_dir`: `images/`, `styles/` (each product row as JSON), `styles.csv`,
    `manifest.jsonl` (a `SyntheticImage` a row), `prompts.txt`, `rejected.jsonl`, and `base/`: the
    first `baseline` prompts and seeds drawn without the adapter and without the rules. A product is
    drawn with the adapter of its value of `image_train.per` if there is one, or with the `blend` of
    such adapters, which is written too. Of the first `baseline` prompts and seeds those that are not
    drawn with the adapter for all are also drawn with it, without the rules: `shared/`, beside `own/`.

    Raises:
        LikenessError: `shares` names what the train split does not have, `blend` a value that has no
            adapter of its own, or more than `max_rejected_share` of the images drawn were rejected.
    """
    started = time.monotonic()
    rows = read_manifest(dataset / "manifest.jsonl", PreparedImage)
    train = [row for row in rows if row.split == "train"]
    slots = choose_products(train, cfg.count, cfg.shares, rt)
    photo = dataset / train[0].file_name
    draw = partial(draw_with, **cfg.options(base, photo, cfg.negative_prompt, rt))
    adapters = read_adapters(adapter)
    files = {name: adapters.of(row) for name, row in slots.items()}
    if cfg.blend:
        files = dict.fromkeys(slots, write_blend(adapters, cfg.blend, out_dir / "blend" / ADAPTER))
    inspect = Inspector(cfg, dataset, rows, extractor, rt)

    kept: list[SyntheticImage] = []
    rejected: list[Rejection] = []
    rejected_paths: list[tuple[Path, str]] = []
    waiting = dict(slots)
    drawn = 0
    for attempt in range(cfg.max_attempts):
        jobs = _jobs(waiting, attempt, rt)
        images = _draw(draw, jobs, files, cfg.batch, rt)
        drawn += len(images)
        paths = {name: stored.folder / "image.png" for name, stored in images.items()}
        inspected = inspect(paths)
        for name, (values, broken) in inspected.items():
            if broken is not None:
                rule, bound = broken
                rejected.append(
                    Rejection(
                        id=f"{name}-{attempt}",
                        reason=rule.reason,
                        value=round(values[rule.measure], 4),
                        threshold=round(bound, 4),
                    )
                )
                rejected_paths.append((paths[name], rule.reason))
                continue
            file_name = f"images/{name}.png"
            images[name].link("image.png", out_dir / file_name)
            kept.append(
                SyntheticImage(
                    **product_row(waiting[name], id=name),
                    file_name=file_name,
                    prompt=jobs[name]["prompt"],
                    seed=jobs[name]["seed"],
                    attempt=attempt,
                    **{key: round(values[key], 4) for key in MEASURED},
                )
            )
        waiting = {name: row for name, row in waiting.items() if inspected[name].broken}
        if not waiting:
            break
    check_rejected_share("image_generate", rejected, drawn, cfg.max_rejected_share, ADVICE)
    if waiting:
        raise LikenessError(
            f"image_generate: {len(kept)} of {cfg.count} images kept after {cfg.max_attempts} seeds for "
            f"each of the others ({told_reasons(rejected)}); raise image_generate.max_attempts"
        )
    seconds = (time.monotonic() - started) / drawn

    jobs = _jobs(dict(islice(slots.items(), cfg.baseline)), 0, rt)
    others = {name: job for name, job in jobs.items() if files[name] != adapters.shared}
    for folder, wanted, by in (
        ("base", jobs, dict.fromkeys(jobs)),
        ("own", others, files),
        ("shared", others, dict.fromkeys(jobs, adapters.shared)),
    ):
        for name, stored in _draw(draw, wanted, by, cfg.batch, rt).items():
            stored.link("image.png", out_dir / folder / f"{name}.png")

    kept.sort(key=lambda row: row.id)
    _write(out_dir, kept)
    _sheets(plots_dir, out_dir, kept, rejected_paths)
    counts = write_rejected(out_dir, rejected, REASONS)
    write_manifest(out_dir / "manifest.jsonl", kept)
    write_json(timings, {"seconds_per_image": round(seconds, 4), "n": drawn})
    return {
        "kept": len(kept),
        "drawn": drawn,
        "baseline": len(jobs),
        "rejected_share": round(len(rejected) / drawn, 5),
        **counts,
    }


def choose_products(
    train: Sequence[PreparedImage],
    count: int,
    shares: Mapping[str, Mapping[str, float]],
    rt: Runtime,
) -> dict[str, PreparedImage]:
    """`count` products of the train split by slot name, in a random order.

    Systematic sampling through the products in order of their captions: every combination of
    attributes gets its share of `count` to within one. `shares` weighs the values of an attribute,
    as `{"gender": {"Men": 0.6, "Women": 0.4}}`; what it does not name is left out.
    """
    ordered = sorted(train, key=lambda row: (row.caption, rt.seed_for("product", row.id)))
    weights = np.ones(len(ordered))
    for attribute, wanted in shares.items():
        values = [row.attributes().get(attribute) for row in ordered]
        counts = Counter(values)
        unknown = [value for value in wanted if value not in counts]
        if unknown or not sum(wanted.values()):
            known = ", ".join(sorted(str(value) for value in counts))
            raise LikenessError(
                f"params.yaml: image_generate.shares.{attribute}: "
                f"{', '.join(unknown) or 'shares that add up to 0'}: the train split has {known}"
            )
        weights *= [wanted.get(str(value), 0) / counts[value] for value in values]
    if not weights.sum():
        raise LikenessError(
            f"params.yaml: image_generate.shares: no product of the train split has "
            f"{' and '.join(shares)} as asked for; loosen one of them"
        )
    ends = np.cumsum(weights) / weights.sum()
    picks = np.searchsorted(ends, (np.arange(count) + 0.5) / count)
    order = np.random.default_rng(rt.seed_for("slots")).permutation(count)
    return {f"{slot:06d}": ordered[picks[at]] for slot, at in enumerate(order)}


class Inspector:
    """The measured rules that an image has to keep.

    Args:
        rows: the dataset's. Features of a val photo, which the model has not seen, lie at some
            distance from the nearest train photo's; `outlier` and `copy` are bounds by that distance.
    """

    def __init__(
        self,
        cfg: ImageGenerate,
        dataset: Path,
        rows: Sequence[PreparedImage],
        extractor: Path,
        rt: Runtime,
    ) -> None:
        self.extractor, self.rt = extractor, rt
        real = extract(
            {row.id: dataset / row.file_name for row in rows if row.split in ("train", "val")},
            extractor=extractor,
            rt=rt,
        )
        self.train = real.take([row.id for row in rows if row.split == "train"]).vectors
        val = real.take([row.id for row in rows if row.split == "val"]).vectors
        low, high = np.quantile(nearest(val, self.train), [0.01, 0.99])
        self.rules = [
            *cfg.photo_rules(),
            Rule("outlier", "train_distance", most=cfg.outlier_factor * float(high)),
            Rule("copy", "train_distance", least=cfg.copy_factor * float(low)),
        ]

    def __call__(self, paths: Mapping[str, Path]) -> dict[str, Inspected]:
        measures = measure_all(paths, self.rt)
        features = extract(paths, extractor=self.extractor, rt=self.rt)
        inspected: dict[str, Inspected] = {}
        for name, distance in zip(features.ids, nearest(features.vectors, self.train), strict=True):
            values = {**asdict(measures[name]), "train_distance": float(distance)}
            inspected[name] = Inspected(values, first_broken(self.rules, values))
        return inspected


def _jobs(
    products: Mapping[str, PreparedImage], attempt: int, rt: Runtime
) -> dict[str, dict[str, Any]]:
    """What to draw: each slot's caption, and the seed of this attempt at it."""
    return {
        name: {"prompt": product.caption, "seed": rt.seed_for("draw", name, attempt)}
        for name, product in products.items()
    }


def _draw(
    draw: Any,
    jobs: Mapping[str, Any],
    adapters: Mapping[str, Path | None],
    batch: int,
    rt: Runtime,
) -> dict[str, Stored]:
    """Every job's image, drawn with its own adapter: those of one adapter together."""
    found: dict[str, Stored] = {}
    for adapter in dict.fromkeys(adapters[name] for name in jobs):
        found |= map_all(
            partial(draw, adapter=adapter),
            {name: job for name, job in jobs.items() if adapters[name] == adapter},
            problem="cannot be drawn",
            what="image_draw",
            rt=rt,
            batch=batch,
        )
    return {name: found[name] for name in jobs}


def _write(out_dir: Path, kept: Sequence[SyntheticImage]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in kept:
        product = row.model_dump(include=set(COLUMNS))
        writer.writerow(product)
        write_json(out_dir / "styles" / f"{row.id}.json", {key: product[key] for key in COLUMNS})
    write_text(out_dir / "styles.csv", table.getvalue())
    write_text(out_dir / "prompts.txt", "".join(f"{row.id}\t{row.prompt}\n" for row in kept))


def _sheets(
    plots_dir: Path,
    out_dir: Path,
    kept: Sequence[SyntheticImage],
    rejected: Sequence[tuple[Path, str]],
) -> None:
    shown = kept[:60]
    images: list[Image.Image] = [Image.open(out_dir / row.file_name) for row in shown]
    labels = [f"{row.gender} {row.baseColour}".strip() for row in shown]
    figures.contact_sheet(plots_dir / "samples.png", images, columns=10, size=96, labels=labels)
    if rejected:
        images = [Image.open(path) for path, _ in rejected[:60]]
        labels = [reason for _, reason in rejected[:60]]
    else:
        images, labels = [Image.new("RGB", (64, 64), "white")], ["none rejected"]
    columns = min(10, max(1, math.ceil(len(images) / 2)))
    figures.contact_sheet(
        plots_dir / "rejected.png", images, columns=columns, size=96, labels=labels
    )
