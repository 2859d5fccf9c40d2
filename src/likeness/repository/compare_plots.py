"""What `likeness compare` draws: each metric over the experiments, and over the params that vary."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from likeness.common import figures
from likeness.repository.compare_page import plain
from likeness.repository.experiments import (
    Experiment,
    Ways,
    differing_params,
    ranked,
    set_apart,
)


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

    def place(row: Experiment) -> Any:
        value = row.params[names[0]]
        return value if numeric else texts.index(plain(value))

    with figures.figure(path) as axes:
        for at, line in enumerate(lines):
            colour = figures.QUIET if len(lines) == 1 else colormaps["viridis"](at / len(lines))
            label = ", ".join(f"{name} {plain(line[0].params.get(name))}" for name in apart)
            middles = [row.estimates[metric].value for row in line]
            axes.plot([*map(place, line)], middles, color=colour, linewidth=0.8, label=label)
            for row in line:
                value, reach = ends(row, metric)
                shade = ink(row, best, colour)
                axes.plot((place(row), place(row)), reach, color=shade)
                axes.plot(place(row), value, "o", color=shade)
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


def ink(row: Experiment, best: Sequence[Experiment], other: Any = figures.QUIET) -> Any:
    if row in best:
        return figures.ACCENT
    return figures.INK if row.is_commit else other
