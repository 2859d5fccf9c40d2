"""What `likeness compare` shows: a table in Markdown, and a page with plots and samples besides."""

import base64
import html
import json
import mimetypes
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.pages import render
from likeness.repository.experiments import (
    Experiment,
    Ways,
    differing_params,
    ranked,
    read_file,
    set_apart,
    shared_params,
    verdict,
)

IMAGES = ("plots/image_evaluate/real_and_synthetic.png", "plots/voice_evaluate/pairs.png")
ABSENT = "–"
CAPTION = (
    "Values with their 95 % intervals and n, where the revision has them. An interval is about the "
    "test items, not about the seed of a training; of two that overlap, one may still be better."
)

Sheet = list[tuple[str, bytes]]  # (name of the experiment, its image)


# --- the table ------------------------------------------------------------------------------------


def markdown_of(rows: Sequence[Experiment], metrics: Sequence[str], ways: Ways) -> str:
    shared = shared_params(rows)
    params = [name for name in differing_params(rows) if name not in shared]
    several = len({row.baseline for row in rows} - {None}) > 1
    head = ["experiment", *(["of"] if several else []), "state", *params, *metrics]
    lines = ["# Experiments", ""]
    for metric, way in ways.items():
        first, *rest = verdict(rows, metric, way)
        lines += [f"**{escaped(first)}**", "", *(f"- {escaped(line)}" for line in rest), ""]
    lines += [f"| {' | '.join(map(escaped, head))} |", "| --- " * len(head) + "|"]
    for row in rows:
        cells = [
            row.name,
            *([row.baseline or ""] if several else []),
            row.state,
            *(plain(row.params[name]) if name in row.params else ABSENT for name in params),
            *(str(row.estimates.get(name, ABSENT)) for name in metrics),
        ]
        lines.append(f"| {' | '.join(map(escaped, cells))} |")
    if shared:
        texts = [
            f"{name} {plain(ours)} (else {plain(theirs)})"
            for name, (ours, theirs) in shared.items()
        ]
        lines += ["", f"All experiments have {escaped(', '.join(texts))}."]
    lines += ["", CAPTION, "", *(f"{escaped(note)}\n" for note in notes(rows, metrics))]
    return "\n".join(lines).rstrip() + "\n"


def notes(rows: Sequence[Experiment], metrics: Sequence[str]) -> list[str]:
    """What the metrics' stages measured with, where that differs: such figures compare nothing."""
    found = []
    stages = {metric.partition(".")[0] for metric in metrics}
    shown = [row.metrics for row in rows if not row.is_workspace]
    for name in sorted({name for values in shown for name in values}):
        values = sorted({each[name] for each in shown if isinstance(each.get(name), str)})
        if name.partition(".")[0] in stages and len(values) > 1:
            found.append(
                f"Mind that {name} differs ({', '.join(values)}): "
                "figures measured with different ones cannot be compared."
            )
    return found


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def escaped(text: str) -> str:
    """Text that Markdown and HTML show as it is, in one cell of a table."""
    text = html.escape(" ".join(text.split()), quote=False)
    for sign in "|*`[":
        text = text.replace(sign, f"&#{ord(sign)};")
    return text


# --- the page -------------------------------------------------------------------------------------


def html_of(markdown_text: str, drawn: Mapping[str, bytes], sheets: Mapping[str, Sheet]) -> str:
    """One page that needs no other file: the Markdown, figures by title, samples by path."""
    import markdown  # type: ignore[import-untyped]

    return render(
        Path(__file__).with_name("compare.html"),
        body=markdown.markdown(markdown_text, extensions=["tables"]),
        drawn=drawn,
        sheets=sheets,
        data_uri=data_uri,
    )


def data_uri(path: str, content: bytes) -> str:
    kind = mimetypes.guess_type(path)[0]
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def samples(rows: Sequence[Experiment], asked: Sequence[str], root: Path) -> dict[str, Sheet]:
    """By path, the image that each experiment has there: those that differ, and those asked for."""
    found = {}
    # Of what is not finished, git has the images of its commit.
    finished = [row for row in rows if row.estimates and not row.is_workspace]
    for path in dict.fromkeys([*IMAGES, *asked]):
        images = [(row.name, read_file(root, row.rev, path)) for row in finished]
        sheet = [(name, image) for name, image in images if image is not None]
        if path in asked and not sheet:
            raise LikenessError(
                f"{path}: in git of no experiment; `git ls-files plots` lists images"
            )
        if not (mimetypes.guess_type(path)[0] or "").startswith("image/"):
            raise LikenessError(f"{path}: not an image by its name")
        if path in asked or len({image for _, image in sheet}) > 1:
            found[path] = sheet
    return found


def draw(rows: Sequence[Experiment], metrics: Sequence[str], ways: Ways) -> dict[str, bytes]:
    """By title, as PNG: each metric over the experiments, and against each param that varies alone."""
    drawn = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        for metric in metrics:
            having = [row for row in rows if metric in row.estimates and not row.is_workspace]
            best = ranked(rows, metric, ways[metric])[:1] if metric in ways else []
            if having:
                draw_experiments(path, having, metric, best)
                drawn[metric] = path.read_bytes()
            apart = set_apart(rows, metric)
            alike = [row for row in having if row not in apart]
            for param in differing_params(alike):
                names = companions(alike, param)
                lines = families(alike, names)
                if param == names[0] and lines:
                    draw_param(path, lines, names, metric, best)
                    drawn[f"{metric} against {' and '.join(names)}"] = path.read_bytes()
    return drawn


def companions(rows: Sequence[Experiment], param: str) -> list[str]:
    """The param and those that always change with it, as an alpha that follows the rank."""

    def text(row: Experiment, name: str) -> str:
        return plain(row.params.get(name))

    found = []
    for name in differing_params(rows):
        pairs = {(text(row, param), text(row, name)) for row in rows}
        if len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs}):
            found.append(name)
    return found


def families(rows: Sequence[Experiment], names: Sequence[str]) -> list[list[Experiment]]:
    """Groups of rows that differ in nothing but these params, each in order of the first one's value.

    None where more than two change together: a figure could not say which of them it is.
    """
    groups: dict[str, list[Experiment]] = {}
    for row in rows if len(names) <= 2 else ():
        if names[0] in row.params:
            others = {name: value for name, value in row.params.items() if name not in names}
            key = json.dumps([row.commit, others], sort_keys=True)
            groups.setdefault(key, []).append(row)

    def place(row: Experiment) -> tuple[Any, str]:
        value = row.params[names[0]]
        return value if numeric else plain(value), row.name

    numeric = all(is_number(row.params[names[0]]) for group in groups.values() for row in group)
    found = [sorted(group, key=place) for group in groups.values()]
    return [group for group in found if len({plain(row.params[names[0]]) for row in group}) > 1]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def draw_experiments(
    path: Path, rows: Sequence[Experiment], metric: str, best: Sequence[Experiment]
) -> None:
    with figures.figure(path, size=(8, 0.8 + 0.3 * len(rows))) as axes:
        for at, row in enumerate(rows):
            value, (low, high) = ends(row, metric)
            axes.plot((low, high), (at, at), color=ink(row, best))
            axes.plot(value, at, "o", color=ink(row, best))
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_title(metric)


def draw_param(
    path: Path,
    lines: Sequence[Sequence[Experiment]],
    names: Sequence[str],
    metric: str,
    best: Sequence[Experiment],
) -> None:
    from matplotlib import colormaps

    values = [row.params[names[0]] for line in lines for row in line]
    texts = sorted(set(map(plain, values)))
    numeric = all(map(is_number, values))
    apart = [name for name in differing_params([line[0] for line in lines]) if name not in names]
    with figures.figure(path) as axes:
        for at, line in enumerate(lines):
            colour = figures.QUIET if len(lines) == 1 else colormaps["viridis"](at / len(lines))
            label = ", ".join(f"{name} {plain(line[0].params.get(name))}" for name in apart)
            places = [
                row.params[names[0]] if numeric else texts.index(plain(row.params[names[0]]))
                for row in line
            ]
            middles = [row.estimates[metric].value for row in line]
            axes.plot(places, middles, color=colour, linewidth=0.8, label=label)
            for place, row in zip(places, line, strict=True):
                value, (low, high) = ends(row, metric)
                shade = ink(row, best) if row in best or row.is_commit else colour
                axes.plot((place, place), (low, high), color=shade)
                axes.plot(place, value, "o", color=shade)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        if not numeric:
            axes.set_xticks(range(len(texts)), texts)
        elif min(values) > 0 and max(values) / min(values) > 30:
            axes.set_xscale("log")
        axes.set_xlabel(" and ".join(names))
        axes.set_title(metric)


def ends(row: Experiment, metric: str) -> tuple[float, tuple[float, float]]:
    estimate = row.estimates[metric]
    return estimate.value, estimate.interval or (estimate.value, estimate.value)


def ink(row: Experiment, best: Sequence[Experiment]) -> str:
    if row in best:
        return figures.ACCENT
    return figures.INK if row.is_commit else figures.QUIET
