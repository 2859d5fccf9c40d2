"""Plots in one style, and sheets of images, as PNG. The same input gives the same bytes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from likeness.common.io import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterator

INK, PAPER, ACCENT, QUIET = "#1f2430", "#ffffff", "#c2410c", "#8a93a3"


@contextmanager
def figure(
    path: Path, rows: int = 1, columns: int = 1, size: tuple[float, float] = (8, 4)
) -> "Iterator[Any]":
    """Axes to draw on (an array of them if there are several); saved to `path` at the end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: Any = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": QUIET,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "text.parse_math": False,  # a dollar sign in a label is no formula
    }
    with pyplot.rc_context(style):
        canvas, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained")
        yield axes
        with atomic_path(path) as temporary:
            canvas.savefig(temporary, dpi=110, metadata={"Software": None})
        pyplot.close(canvas)


def bars(axes: Any, counts: Mapping[str, float], title: str, most: int = 15) -> None:
    """Horizontal bars, largest on top; all beyond `most` are summed in a last bar."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ordered[:most]
    if len(ordered) > most:
        shown.append((f"{len(ordered) - most} others", sum(value for _, value in ordered[most:])))
    names, values = [name or "(empty)" for name, _ in shown], [value for _, value in shown]
    drawn = axes.barh(names[::-1], values[::-1], color=ACCENT)
    axes.bar_label(drawn, padding=3, fontsize=8, color=QUIET)
    axes.margins(x=0.15)
    axes.set_title(title)


def contact_sheet(
    path: Path,
    images: Iterable[Image.Image],
    *,
    columns: int,
    size: int,
    labels: Sequence[str] = (),
) -> None:
    """Write a grid of square cells of `size` pixels, with a line of text under each if given.

    Images are made small one by one, so large ones are not in memory together if `images` makes them.
    """
    text = 14 if labels else 0
    gap = 4
    cells = [_fitted(image, size) for image in images]
    rows = -(-len(cells) // columns)
    step_x, step_y = size + gap, size + text + gap
    sheet = Image.new("RGB", (columns * step_x + gap, rows * step_y + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, cell in enumerate(cells):
        x, y = gap + number % columns * step_x, gap + number // columns * step_y
        sheet.paste(cell, (x + (size - cell.width) // 2, y + (size - cell.height) // 2))
        if labels:
            draw.text((x, y + size), labels[number][: size // 6], fill=INK, font_size=10)
    with atomic_path(path) as temporary:
        sheet.save(temporary)


def _fitted(image: Image.Image, size: int) -> Image.Image:
    """The image with a longer side of `size` pixels."""
    scale = size / max(image.size)
    # Small images are enlarged by whole pixels, so that a sheet shows what the model made.
    sampling = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    return image.resize((round(image.width * scale), round(image.height * scale)), sampling)
