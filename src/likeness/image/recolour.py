"""Draws real products in another colour with their shape kept, by a ControlNet, and measures both."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from likeness.common import figures
from likeness.common.estimates import Estimate, mean
from likeness.common.io import link, write_json, write_text
from likeness.common.items import map_all
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
from likeness.common.sampling import evenly
from likeness.image.checks import check_fit
from likeness.image.control import draw_controlled
from likeness.image.diffusion import ADAPTER
from likeness.image.drawing import draw_with
from likeness.image.edges import find_edges, followed, outline, overlap
from likeness.image.measure import measure_all
from likeness.image.pixels import Array
from likeness.image.products import DrawProducts, product_row
from likeness.image.quality import colour_prototypes, nearest_colour
from likeness.image.rows import PreparedImage, RecolouredImage

UNNAMED = {"", "Assorted", "Multi", "Other"}  # what catalogues have where they name no colour
NOT_ASKED = ("no_other_colour", "caption")  # what is wrong with a product that is not drawn
REASONS = ("blank", "cut_off", "background", "shape", *NOT_ASKED)
ADVICE = "raise image_recolour.scale, or loosen the rule that most of them failed"
FIGURES = ("overlap", "edges_followed", "colour_share")
SHOWN = 16  # products on the sheet, two in a row

Paths = dict[str, Path]


class ImageRecolour(DrawProducts):
    count: Annotated[int, Field(ge=1)]
    edge_low: Annotated[int, Field(ge=0, le=1020)]
    edge_high: Annotated[int, Field(ge=1, le=1020)]
    scale: Annotated[float, Field(ge=0, le=2)]
    min_overlap: Annotated[float, Field(ge=0, le=1)]
    rounds: Annotated[int, Field(ge=10)]


def recolour(
    cfg: ImageRecolour,
    *,
    dataset: Path,
    base: Path,
    adapter: Path,
    controlnet: Path,
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    intervals: Path,
    rt: Runtime,
) -> dict[str, Any]:
    """Draw val products in another colour by their edges, and with the same prompts and seeds without.

    Figures are of all that were drawn, so a rule makes none of them better. Writes to `out_dir`:
    `images/` and `manifest.jsonl` (a `RecolouredImage` a row) of those that keep the rules, `plain/` with
    all that were drawn without the ControlNet, and `rejected.jsonl`. Products that cannot be asked for in
    another colour are listed there too; without any other the figures are empty.

    Args:
        dataset: folder that image_prepare wrote; no photo of its val split has trained the adapter.
        adapter: folder that image_train wrote.
        controlnet: a ControlNet for `base` that was trained on Canny edges.

    Raises:
        LikenessError: the ControlNet does not fit the base, or more than `max_rejected_share` of the
            images were rejected.
    """
    check_fit(controlnet, base)
    rows = read_manifest(dataset / "manifest.jsonl", PreparedImage)
    chosen = choose(rows, cfg.count, rt)
    colours = choose_colours(rows, chosen, rt)
    prompts = {row.id: prompt_in(colours[row.id], row) for row in chosen}
    set_aside = [_not_asked(row, colours[row.id]) for row in chosen if not prompts[row.id]]
    sources = [row for row in chosen if prompts[row.id]]
    if not sources:
        rt.log(
            f"image_recolour: no product to draw ({told_reasons(set_aside) or 'none has a colour'})"
        )
    photos = {row.id: dataset / row.file_name for row in sources}
    edges = _edges(cfg, photos, rt)
    options = cfg.options(base, dataset / rows[0].file_name, "", rt)
    options["adapter"] = adapter / ADAPTER
    jobs: dict[str, dict[str, Any]] = {
        row.id: {"prompt": prompts[row.id], "seed": rt.seed_for("draw", row.id)} for row in sources
    }
    plain = _draw(partial(draw_with, **options), jobs, cfg.batch, rt)
    by_edges = partial(draw_controlled, controlnet=controlnet, scale=cfg.scale, **options)
    conditioned = {name: {**job, "condition": edges[name]} for name, job in jobs.items()}
    drawn = _draw(by_edges, conditioned, cfg.batch, rt)

    judge = Judge(cfg, dataset, rows, photos, edges, rt)
    found = judge(drawn)
    kept, rejected = [], []
    for row in sources:
        values = found[row.id]
        broken = first_broken(judge.rules, values)
        if broken:
            rule, bound = broken
            value = round(values[rule.measure], 4)
            rejected.append(Rejection(id=row.id, reason=rule.reason, value=value, threshold=bound))
        else:
            kept.append(_row(row, colours[row.id], jobs[row.id], values))
    check_rejected_share("image_recolour", rejected, len(sources), cfg.max_rejected_share, ADVICE)

    estimates = summarize(found, judge(plain), colours, cfg.rounds, rt)
    known = [judge.colours[row.id] == row.baseColour for row in sources]
    estimates["photo_colour_share"] = _mean("photo", known, cfg.rounds, rt)
    for one in kept:
        link(drawn[one.id], out_dir / one.file_name)
    for name, path in plain.items():
        link(path, out_dir / "plain" / f"{name}.png")
    _sheet(plots_dir / "recoloured.png", sources, colours, (photos, edges, drawn, plain))
    write_text(report, _report(controlnet.name, cfg, estimates))
    write_json(intervals, {name: asdict(one.rounded()) for name, one in estimates.items()})
    counts = write_rejected(out_dir, set_aside + rejected, REASONS)
    write_manifest(out_dir / "manifest.jsonl", kept)
    return {
        "controlnet": controlnet.name,
        "n": len(sources),
        "kept": len(kept),
        "rejected_share": round(len(rejected) / len(sources), 5) if sources else None,
        **{name: one.rounded().value for name, one in estimates.items()},
        **counts,
    }


def choose(rows: Sequence[PreparedImage], count: int, rt: Runtime) -> list[PreparedImage]:
    """`count` products of the val split, sorted by id, or all that have a colour if there are fewer.

    Every gender and colour has its share to within one. Rows are ranked within these, so a further photo
    leaves the ranks of all others as they are.
    """
    strata = defaultdict(list)
    for row in sorted(rows, key=lambda row: rt.seed_for("recolour", row.id)):
        if row.split == "val" and row.baseColour:
            strata[row.gender, row.baseColour].append(row)
    ranked = [
        ((at + 0.5) / len(stratum), rt.seed_for("recolour", row.id), row)
        for stratum in strata.values()
        for at, row in enumerate(stratum)
    ]
    return sorted(
        (row for *_, row in sorted(ranked, key=itemgetter(0, 1))[:count]), key=attrgetter("id")
    )


def choose_colours(
    rows: Sequence[PreparedImage], sources: Sequence[PreparedImage], rt: Runtime
) -> dict[str, str]:
    """By the id of each source another colour of the train split; empty if there is none."""
    there = {row.baseColour for row in rows if row.split == "train"}
    known = sorted(there - UNNAMED)
    chosen = {}
    for row in sources:
        others = [name for name in known if name != row.baseColour] or [""]
        chosen[row.id] = others[rt.seed_for("colour", row.id) % len(others)]
    return chosen


def prompt_in(colour: str, row: PreparedImage) -> str:
    """The caption of a product with another colour in place of its own.

    Empty if there is no other, or if the caption does not name the product's own.
    """
    pattern = rf"\b{re.escape(row.baseColour)}\b"
    prompt, number = re.subn(pattern, lambda _: colour, row.caption, count=1)
    return prompt if colour and number else ""


def _not_asked(row: PreparedImage, colour: str) -> Rejection:
    if not colour:
        return Rejection(id=row.id, reason="no_other_colour", value=row.baseColour)
    return Rejection(id=row.id, reason="caption", value=row.caption, threshold=row.baseColour)


class Judge:
    """Measures drawn images, and holds the rules that a recoloured one has to keep.

    Attributes:
        colours: the colours that are found in the photos themselves, by id.
    """

    def __init__(
        self,
        cfg: ImageRecolour,
        dataset: Path,
        rows: Sequence[PreparedImage],
        photos: Paths,
        edges: Paths,
        rt: Runtime,
    ) -> None:
        self.cfg, self.rt = cfg, rt
        self.edges = {name: _pixels(path) for name, path in edges.items()}
        self.outlines = {name: outline(_pixels(path)) for name, path in photos.items()}
        train = {row.id: row for row in rows if row.split == "train"}
        measures = measure_all({name: dataset / row.file_name for name, row in train.items()}, rt)
        self.prototypes = colour_prototypes(
            [train[name].baseColour for name in measures],
            np.array([one.lab for one in measures.values()]),
        )
        own = measure_all(photos, rt)
        self.colours = {name: nearest_colour(one.lab, self.prototypes) for name, one in own.items()}
        self.rules = [
            *cfg.photo_rules(),
            Rule("shape", "overlap", least=cfg.min_overlap),
        ]

    def __call__(self, images: Paths) -> dict[str, dict[str, Any]]:
        """By id what was measured of each image, with `overlap`, `edges_followed` and `colour`."""
        measures, edges = measure_all(images, self.rt), _edges(self.cfg, images, self.rt)
        return {
            name: {
                **asdict(one),
                "overlap": overlap(self.outlines[name], outline(_pixels(images[name]))),
                "edges_followed": followed(self.edges[name], _pixels(edges[name])),
                "colour": nearest_colour(one.lab, self.prototypes),
            }
            for name, one in measures.items()
        }


def summarize(
    by_edges: Mapping[str, Mapping[str, Any]],
    plain: Mapping[str, Mapping[str, Any]],
    colours: Mapping[str, str],
    rounds: int,
    rt: Runtime,
) -> dict[str, Estimate]:
    """Means over all products that were drawn, by edges and without, and the differences of the two."""
    estimates = {}
    for name in FIGURES:
        with_, without = (
            np.array([_figure(name, side[key], colours[key]) for key in by_edges], float)
            for side in (by_edges, plain)
        )
        estimates[name] = _mean(name, with_, rounds, rt)
        estimates[f"plain_{name}"] = _mean(name, without, rounds, rt)
        estimates[f"{name}_gain"] = _mean(name, with_ - without, rounds, rt)
    return estimates


def _figure(name: str, values: Mapping[str, Any], colour: str) -> float:
    return float(values["colour"] == colour if name == "colour_share" else values[name])


def _mean(name: str, values: Any, rounds: int, rt: Runtime) -> Estimate:
    return mean(np.asarray(values, float), rounds, rt.seed_for("bootstrap", name))


def _edges(cfg: ImageRecolour, images: Paths, rt: Runtime) -> Paths:
    found = map_all(
        partial(find_edges, low=cfg.edge_low, high=cfg.edge_high),
        images,
        problem="has no edges",
        what="image_edges",
        rt=rt,
        batch=16,
        workers=rt.workers,
    )
    return {name: stored.folder / "edges.png" for name, stored in found.items()}


def _draw(draw: Any, jobs: Mapping[str, Any], batch: int, rt: Runtime) -> Paths:
    found = map_all(draw, jobs, problem="cannot be drawn", what="image_draw", rt=rt, batch=batch)
    return {name: stored.folder / "image.png" for name, stored in found.items()}


def _pixels(path: Path) -> Array:
    return np.asarray(Image.open(path))


def _row(
    source: PreparedImage, colour: str, job: Mapping[str, Any], values: Mapping[str, Any]
) -> RecolouredImage:
    return RecolouredImage(
        **product_row(source, baseColour=colour),
        file_name=f"images/{source.id}.png",
        prompt=job["prompt"],
        seed=job["seed"],
        source=source.file_name,
        source_colour=source.baseColour,
        colour=values["colour"],
        overlap=round(values["overlap"], 4),
        edges_followed=round(values["edges_followed"], 4),
    )


def _sheet(
    path: Path,
    sources: Sequence[PreparedImage],
    colours: Mapping[str, str],
    columns: Sequence[Paths],
) -> None:
    """Photo, edges, image and the image without edges, side by side."""
    shown = evenly(sources, SHOWN)
    figures.contact_sheet(
        path,
        (Image.open(paths[row.id]) for row in shown for paths in columns),
        columns=2 * len(columns),
        size=128,
        labels=[
            label
            for row in shown
            for label in (row.baseColour, "its edges", f"in {colours[row.id]}", "without edges")
        ],
    )


def _report(controlnet: str, cfg: ImageRecolour, estimates: Mapping[str, Estimate]) -> str:
    def cell(name: str) -> str:
        one = estimates[name]
        if not one.n:
            return "–"
        return f"{one.value:.3g} ({one.low:.3g} to {one.high:.3g})"

    n = estimates["overlap"].n
    lines = [
        f"# {n} products in another colour",
        "",
        f"Photos of the val split, drawn by their edges with `{controlnet}` at scale {cfg.scale:g}, and "
        f"without it from the same prompts and seeds. Means of all {n} with bootstrap 95 % intervals; "
        "differences are of the same products.",
        "",
        "| figure | by edges | without | difference |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in FIGURES:
        cells = (cell(key) for key in (name, f"plain_{name}", f"{name}_gain"))
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    lines += ["", f"Colours are found in {cell('photo_colour_share')} of the photos themselves."]
    return "\n".join(lines) + "\n"
