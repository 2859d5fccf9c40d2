"""Finds the worst synthetic images, says which measures are off, and what to change."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from likeness.common import figures
from likeness.common.io import link, write_text
from likeness.common.manifest import read_manifest, write_manifest
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.image.rows import EvaluatedImage, FailedImage, SyntheticImage

ADVICE = {
    "cut_off": "lower image_generate.max_cut_off, or pad the catalogue's photos more before training",
    "background": "raise image_generate.min_clean_background, name backgrounds in "
    "image_generate.negative_prompt, and look for photos with scenery in the catalogue",
    "blur": "train longer (image_train.epochs), draw with more image_generate.steps, or use a base "
    "with a better decoder",
    "proportions": "raise image_train.rank or epochs; check that the catalogue's photos show one view",
    "colour": "check baseColour in the catalogue, lower image_train.caption_dropout, or raise "
    "image_generate.guidance",
    "other": "look at the sheet: no rule measures what is wrong with these",
}


class ImageFailures(Section):
    bottom_share: Annotated[float, Field(gt=0, lt=1)]
    tail: Annotated[float, Field(gt=0, lt=0.5)]


def find_failures(
    cfg: ImageFailures,
    *,
    generated: Path,
    evaluated: Path,
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    rt: Runtime,
) -> dict[str, float]:
    """Take the bottom `bottom_share` by CLIP score and by realism, and say what they have in common.

    A category applies where the measure lies outside what real test images show (their `tail` and
    1 - `tail` quantiles). Writes the images and a manifest to `out_dir`, a sheet for each category
    to `plots_dir`, and `report`.
    """
    rows = read_manifest(evaluated / "manifest.jsonl", EvaluatedImage)
    tuned = [row for row in rows if row.set == "tuned"]
    real = [row for row in rows if row.set == "real"]
    asked = {row.id: row for row in read_manifest(generated / "manifest.jsonl", SyntheticImage)}
    count = math.ceil(cfg.bottom_share * len(tuned))
    lowest: dict[str, list[str]] = {}
    for score in ("clip", "realism"):
        for row in sorted(tuned, key=lambda row: (getattr(row, score), row.id))[:count]:
            lowest.setdefault(row.id, []).append(score)
    failed: list[FailedImage] = []
    for row in rt.progress(tuned, "image_failures: images", len(tuned)):
        if row.id in lowest:
            source = asked[row.id.removeprefix("tuned/")]
            file_name = f"images/{source.id}.png"
            link(generated / source.file_name, out_dir / file_name)
            failed.append(
                FailedImage(
                    id=source.id,
                    file_name=file_name,
                    prompt=row.prompt,
                    low_in=lowest[row.id],
                    categories=categorize(row, real, cfg.tail),
                    clip=row.clip,
                    realism=row.realism,
                )
            )
    first = Counter(row.categories[0] for row in failed)
    background = Counter(categorize(row, real, cfg.tail)[0] for row in tuned)
    for name in ADVICE:
        members = [row for row in failed if row.categories[0] == name][:40]
        if members:
            images = [Image.open(out_dir / row.file_name) for row in members]
            labels = [row.prompt.split(" photo of ")[-1].split(",")[0] for row in members]
            sheet = plots_dir / f"{name}.png"
            figures.contact_sheet(sheet, images, columns=8, size=96, labels=labels)
    with figures.figure(plots_dir / "categories.png", size=(6, 2.6)) as axis:
        figures.bars(axis, first, f"The {len(failed)} worst of {len(tuned)} images")
    write_text(report, _report(cfg, failed, first, background, len(tuned), len(real)))
    write_manifest(out_dir / "manifest.jsonl", failed)
    return {
        "n": len(tuned),
        "failed": len(failed),
        **{f"share_{name}": round(first[name] / len(failed), 4) for name in ADVICE},
    }


def categorize(row: EvaluatedImage, real: Sequence[EvaluatedImage], tail: float) -> list[str]:
    """What is measurably wrong with an image beside real ones, gravest first; `other` if nothing."""

    def beyond(column: str, low: bool = True, high: bool = True) -> bool:
        values = [getattr(other, column) for other in real]
        bottom, top = np.quantile(values, [tail, 1 - tail])
        value = getattr(row, column)
        return bool((low and value < bottom) or (high and value > top))

    checks = {
        "cut_off": beyond("cut_off", low=False),
        "background": beyond("clean_background", high=False),
        "blur": beyond("sharpness", high=False),
        "proportions": beyond("aspect"),
        "colour": bool(row.colour_asked) and row.colour != row.colour_asked,
    }
    return [name for name, applies in checks.items() if applies] or ["other"]


def _report(
    cfg: ImageFailures,
    failed: Sequence[FailedImage],
    first: Counter[str],
    whole: Counter[str],
    n: int,
    n_real: int,
) -> str:
    lines = [
        f"# The {len(failed)} worst of {n} synthetic images",
        "",
        f"The lowest {cfg.bottom_share:.0%} by CLIP score and by realism. An image has a category where "
        f"its measure lies outside the {cfg.tail:.0%} and {1 - cfg.tail:.0%} quantiles of {n_real} real "
        "test images; it is counted once, under the gravest.",
        "",
        "| category | worst | share of the worst | share of all | what to change |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name, number in first.most_common():
        share, common = number / len(failed), whole[name] / n
        lines.append(f"| {name} | {number} | {share:.0%} | {common:.0%} | {ADVICE[name]} |")
    lines += ["", "## The twenty worst", "", "| id | CLIP | realism | categories | prompt |"]
    lines.append("| --- | ---: | ---: | --- | --- |")
    for row in sorted(failed, key=lambda row: (-len(row.low_in), row.realism, row.id))[:20]:
        names = ", ".join(row.categories)
        lines.append(f"| {row.id} | {row.clip:.1f} | {row.realism:.2f} | {names} | {row.prompt} |")
    return "\n".join(lines) + "\n"
