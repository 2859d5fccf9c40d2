"""What `likeness compare` draws: each metric over the experiments, and over the params that vary."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from likeness.common import figures
from likeness.repository.compare_page import plain
from likeness.repository.experiments import (
    Experiment,
    Ways,
    comparable,
    differing_params,
    measured_by,
    ranked,
)


def draw(rows: Sequence[Experiment], metrics: Sequence[str], ways: Ways) -> dict[str, bytes]:
    """By title, as PNG: each metric over the experiments, and against each param that varies alone."""
    drawn = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        for metric in metrics:
            having = measured_by(rows, metric)
            best = ranked(rows, metric, ways[metric])[:1] if metric in ways else []
            if having:
                draw_experiments(path, having, metric, best)
                drawn[metric] = path.read_bytes()
            alike = comparable(rows, metric)
            for names in tied_params(alike):
                if lines := families(alike, names):
                    draw_param(path, lines, names, metric, best)
                    drawn[f"{metric} against {' and '.join(names)}"] = path.read_bytes()
    return drawn


def tied_params(rows: Sequence[Experiment]) -> list[list[str]]:
    """The params that differ, those together that always change together, as alpha follows the rank."""
    groups: dict[str, list[str]] = {}
    for name in differing_params(rows):
        texts = [plain(row.params.get(name)) for row in rows]
        # Rows by the first that has the same value: the same for params of which each gives the other.
        groups.setdefault(str([*map(texts.index, texts)]), []).append(name)
    return list(groups.values())


def families(rows: Sequence[Experiment], names: Sequence[str]) -> list[list[Experiment]]:
    """Groups of rows that differ in nothing but these params, each in order of the first one's value.

    None where more than two change together: a figure could not say which of them it is.
    """
    having = [row for row in rows if len(names) <= 2 and names[0] in row.params]
    groups: dict[str, list[Experiment]] = {}
    for row in having:
        others = {name: value for name, value in row.params.items() if name not in names}
        key = json.dumps([row.commit, others], sort_keys=True)
        groups.setdefault(key, []).append(row)
    place = axis_of(having, names[0])
    found = [sorted(group, key=lambda row: (place(row), row.name)) for group in groups.values()]
    return [group for group in found if place(group[0]) != place(group[-1])]


def axis_of(rows: Sequence[Experiment], param: str) -> Callable[[Experiment], Any]:
    """Where a row stands by a param: at its value, or at a text where not all are numbers."""
    numeric = all(is_number(row.params[param]) for row in rows)
    return lambda row: row.params[param] if numeric else plain(row.params[param])


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

    value_of = axis_of([row for line in lines for row in line], names[0])
    values = sorted({value_of(row) for line in lines for row in line})
    numeric = is_number(values[0])
    apart = [name for name in differing_params([line[0] for line in lines]) if name not in names]

    def place(row: Experiment) -> Any:
        return value_of(row) if numeric else values.index(value_of(row))

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
            axes.set_xticks(range(len(values)), values)
        elif values[0] > 0 and values[-1] / values[0] > 30:
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
