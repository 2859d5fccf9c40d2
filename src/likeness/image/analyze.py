"""Describes a catalogue: what it holds, in which shares, and what is missing."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

from PIL import Image
from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.io import digest, write_text
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    count_reasons,
    write_manifest,
    write_rejected,
)
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.image.catalog import Catalog, find_images, read_catalog
from likeness.image.rows import Product

SHOWN = ("baseColour", "gender", "brand", "season", "usage", "year")
UNREADABLE = (OSError, SyntaxError, Image.DecompressionBombError)
REASONS = ("malformed_row", "unsafe_id", "duplicate_id", "missing_file")


class ImageAnalyze(Section):
    article_type: str
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def analyze(
    cfg: ImageAnalyze,
    *,
    catalog: Path,
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    rt: Runtime,
) -> dict[str, float]:
    """Select the products of one article type and describe them.

    Writes `manifest.jsonl` (a `Product` a row) and `rejected.jsonl` to `out_dir`; distributions,
    image sizes and a sample sheet to `plots_dir`; and the same as text to `report`.

    Raises:
        LikenessError: no catalogue, a missing column, an article type that it does not have, no
            photo of it, or more of its rows rejected than `max_rejected_share`.
    """
    table = read_catalog(catalog)
    products, rejected = table.products, table.rejected
    rows = len(products) + len(rejected)
    # A rejected row counts against its own article type; where that is unknown, against the file.
    of_no_type = [row for row in rejected if not table.types[row.id]]
    check_rejected_share(f"{catalog / 'styles.csv'}", of_no_type, rows, cfg.max_rejected_share)
    types = Counter(product.articleType for product in products)
    chosen = [product for product in products if product.articleType == cfg.article_type]
    if not chosen:
        listed = ", ".join(f"{name} ({n})" for name, n in types.most_common(12))
        raise LikenessError(
            f"params.yaml: image_analyze.article_type: {cfg.article_type!r} is not in "
            f"{catalog / 'styles.csv'}; it has {listed or 'no rows'}"
        )
    own = [row for row in rejected if table.types[row.id] == cfg.article_type]
    selected = len(chosen) + len(own)
    # The photo of a rejected row is not a photo without a row.
    photos, others = find_images(catalog, [*(product.id for product in products), *table.types])
    kept: list[Product] = []
    for product in chosen:
        if photos[product.id].is_file():
            kept.append(product)
        else:
            name = photos[product.id].relative_to(catalog)
            identity = f"{product.id}@image" if product.id in table.types else product.id
            own.append(Rejection(id=identity, reason="missing_file", value=str(name)))
    if not kept:
        raise LikenessError(
            f"{catalog / 'images'}: none of the {len(chosen)} photos of {cfg.article_type!r} is there "
            f"(first {photos[chosen[0].id].name}); name each file by its row's id"
        )
    check_rejected_share(f"{catalog}", own, selected, cfg.max_rejected_share)
    rejected += [row for row in own if row.reason == "missing_file"]

    formats: Counter[str] = Counter()
    sizes: list[tuple[int, int]] = []
    contents: Counter[str] = Counter()
    for product in rt.progress(kept, "image_analyze: images", len(kept)):
        path = photos[product.id]
        contents[digest(path)] += 1
        try:
            with Image.open(path) as image:
                formats[f"{image.format} {image.mode}"] += 1
                sizes.append(image.size)
        except UNREADABLE:
            formats["unreadable"] += 1
    copies = sum(contents.values()) - len(contents)

    counts = distributions(kept)
    _draw(plots_dir, counts, sizes, [photos[product.id] for product in kept])
    reasons, without_row = count_reasons(rejected), len(others)
    text = _report(cfg, counts, formats, sizes, reasons, copies, types, table, without_row)
    write_text(report, text)
    set_aside = write_rejected(out_dir, rejected, REASONS)
    write_manifest(out_dir / "manifest.jsonl", kept)
    return {
        "rows": rows,
        "selected": len(chosen),
        "kept": len(kept),
        "mended_rows": table.mended,
        "photos_without_row": without_row,
        "unreadable": formats["unreadable"],
        "exact_duplicates": copies,
        **set_aside,
    }


def distributions(products: list[Product]) -> dict[str, Counter[str]]:
    """Counts by value of each shown attribute, and of every further column of the catalogue."""
    rows = [{**product.attributes(), "brand": product.brand()} for product in products]
    columns = [*SHOWN, *sorted({key for product in products for key in product.extra})]
    return {column: Counter(row.get(column, "") for row in rows) for column in columns}


def _draw(
    plots_dir: Path,
    counts: dict[str, Counter[str]],
    sizes: list[tuple[int, int]],
    paths: list[Path],
) -> None:
    rows = -(-len(counts) // 2)
    with figures.figure(plots_dir / "distributions.png", rows, 2, (11, 3.2 * rows)) as axes:
        for axis, (name, values) in zip(axes.flat, counts.items(), strict=False):
            figures.bars(axis, values, name)
        for axis in axes.flat[len(counts) :]:
            axis.axis("off")
    with figures.figure(plots_dir / "sizes.png", size=(5, 4)) as axis:
        common = Counter(sizes)
        wide, high = [[size[side] for size in common] for side in (0, 1)]
        axis.scatter(wide, high, s=[8 + 2 * n**0.5 for n in common.values()], color=figures.ACCENT)
        axis.set(xlabel="width, pixels", ylabel="height, pixels", title="Image sizes")
    # Evenly spaced through the catalogue, so that the sheet is not one season's or one brand's.
    images = _readable(paths[:: max(1, len(paths) // 100)])
    figures.contact_sheet(plots_dir / "samples.png", islice(images, 100), columns=10, size=96)


def _readable(paths: Iterable[Path]) -> Iterator[Image.Image]:
    for path in paths:
        try:
            with Image.open(path) as image:
                yield image.convert("RGB")
        except UNREADABLE:
            continue  # image_prepare says what is wrong with it


def _report(
    cfg: ImageAnalyze,
    counts: dict[str, Counter[str]],
    formats: Counter[str],
    sizes: list[tuple[int, int]],
    reasons: dict[str, int],
    copies: int,
    types: Counter[str],
    catalog: Catalog,
    without_row: int,
) -> str:
    def section(title: str, values: Counter[str] | dict[str, int]) -> list[str]:
        total = sum(values.values()) or 1
        ordered = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))[:20]
        lines = [f"| {name or '(empty)'} | {n} | {n / total:.1%} |" for name, n in ordered]
        return [f"## {title}", "", "| value | rows | share |", "| --- | ---: | ---: |", *lines, ""]

    selected = sum(next(iter(counts.values())).values())
    lines = [
        f"# {cfg.article_type}: {selected} of {len(catalog.products)} products",
        "",
        f"{catalog.mended} rows have commas or quotes too many, which were read as part of the name; "
        f"{without_row} photos have no row.",
        f"{copies} files are byte-for-byte copies of another; {formats['unreadable']} have no image "
        "header that can be read (image_prepare opens every file whole and says why).",
        "",
        *section("Rows set aside, by reason", reasons),
        *section("File formats", formats),
        *section("Image sizes", Counter(f"{width} × {height}" for width, height in sizes)),
    ]
    for name, values in counts.items():
        lines += section(name, values)
    return "\n".join([*lines, *section("Article types in the catalogue", types)])
