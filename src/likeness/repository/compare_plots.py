"""The plots of `likeness compare`: each metric by experiment, and by the params that vary."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from likeness.common import figures
from likeness.repository.compare_page import plain
from likeness.repository.experiments import (
    Directions,
    Experiment,
    comparable,
    differing_params,
    measured_by,
    ranked,
)


def draw(
    rows: Sequence[Experiment], metrics: Sequence[str], directions: Directions
) -> dict[str, bytes]:
    """PNG by title: each metric by experiment, and against each param that varies independently."""
    drawn = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        for metric in metrics:
            having = measured_by(rows, metric)
            best = ranked(rows, metric, directions[metric])[:1] if metric in directions else []
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
    """The params that differ, grouped if they always change together, as alpha does with the rank."""
    groups: dict[str, list[str]] = {}
    for name in differing_params(rows):
        texts = [plain(row.params.get(name)) for row in rows]
        # Each row is replaced by the first row with the same value, so that params which partition
        # the rows alike get the same key.
        groups.setdefault(str([*map(texts.index, texts)]), []).append(name)
    return list(groups.values())


def families(rows: Sequence[Experiment], names: Sequence[str]) -> list[list[Experiment]]:
    """Groups of rows that differ only in these params, each sorted by the first param's value.

    Empty if more than two params change together, as a plot could not tell which of them matters.
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
    """A row's place on a param's axis: its value, or its text if not all values are numbers."""
    numeric = all(is_number(row.params[param]) for row in rows)
    return lambda row: row.params[param] if numeric else plain(row.params[param])


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def draw_experiments(
    path: Path, rows: Sequence[Experiment], metric: str, best: Sequence[Experiment]
) -> None:
    with figures.figure(path, size=(8, 0.8 + 0.3 * len(rows))) as axes:
        for at, row in enumerate(rows):
            value, (low, high) = value_and_interval(row, metric)
            axes.plot((low, high), (at, at), color=colour_of(row, best))
            axes.plot(value, at, "o", color=colour_of(row, best))
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
                value, reach = value_and_interval(row, metric)
                shade = colour_of(row, best, colour)
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


def value_and_interval(row: Experiment, metric: str) -> tuple[float, tuple[float, float]]:
    estimate = row.estimates[metric]
    return estimate.value, estimate.interval or (estimate.value, estimate.value)


def colour_of(row: Experiment, best: Sequence[Experiment], other: Any = figures.QUIET) -> Any:
    if row in best:
        return figures.ACCENT
    return figures.INK if row.is_commit else other
