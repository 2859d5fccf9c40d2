"""A table and plots of all experiments, and which is best.

Writes reports/compare/compare.html, with plots and samples, and compare.md, for a pull request.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from likeness.common.errors import LikenessError
from likeness.common.io import write_text
from likeness.repository.compare_page import html_of, markdown_of, samples
from likeness.repository.compare_plots import draw
from likeness.repository.dvc import run_dvc
from likeness.repository.experiments import (
    Directions,
    Experiment,
    ranked,
    read_experiments,
    verdict,
    with_estimates,
)
from likeness.repository.metrics import Direction, direction, headlines

OUT_DIR = Path("reports/compare")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commits = parser.add_argument_group("commits whose experiments are shown (HEAD by default)")
    commits.add_argument("--num", type=int, metavar="N", help="the last N commits")
    commits.add_argument("--rev", action="append", default=[], metavar="COMMIT", help="this commit")
    commits.add_argument("--all-commits", action="store_true", help="all commits")
    parser.add_argument("--metric", action="append", default=[], help="one more metric to show")
    parser.add_argument("--by", metavar="METRIC", help="what the best is chosen by")
    parser.add_argument(
        "--direction",
        choices=("lower", "higher"),
        help="of --by, if it is not in the table of metrics",
    )
    parser.add_argument(
        "--image", action="append", default=[], metavar="PATH", help="one more image to show"
    )
    parser.add_argument("--apply", action="store_true", help="apply the best to the workspace")


def main(args: argparse.Namespace, root: Path) -> int:
    print("reading experiments", file=sys.stderr)
    rows = read_experiments(root, selection(args))
    if sum(not row.is_workspace for row in rows) < 2:
        raise LikenessError(
            "nothing to compare: no experiments of these commits; make one with "
            "`dvc exp run -S KEY=VALUE`, or name more commits (--num, --rev, --all-commits)"
        )
    metrics = choose_metrics(rows, args.by, args.metric)
    directions = choose_directions(metrics, args.by, args.direction)
    if args.apply and len(directions) > 1:
        raise LikenessError(f"--apply: best by which metric? --by one of {', '.join(directions)}")
    rows = arranged([with_estimates(root, row, metrics) for row in rows], directions)
    text = markdown_of(rows, metrics, directions)
    page = html_of(text, draw(rows, metrics, directions), samples(rows, args.image, root))
    write_text(root / OUT_DIR / "compare.md", text)
    write_text(root / OUT_DIR / "compare.html", page)
    for metric, better in directions.items():
        print(*verdict(rows, metric, better), sep="\n")
    print(f"{OUT_DIR}/compare.html and compare.md show all")
    if args.apply:
        apply_best(rows, directions, root)
    return 0


def selection(args: argparse.Namespace) -> list[str]:
    """The options of `dvc exp show` that choose commits."""
    options = [f"--rev={rev}" for rev in args.rev]
    options += [f"--num={args.num}"] if args.num is not None else []
    return options + (["--all-commits"] if args.all_commits else [])


def apply_best(rows: Sequence[Experiment], directions: Directions, root: Path) -> None:
    for metric, better in directions.items():
        best = ranked(rows, metric, better)[0]
        if best.is_commit:
            print(f"nothing to apply: {best.name} is a commit")
        else:
            print(f"applying {best.name}, an experiment of {best.baseline}", flush=True)
            run_dvc(root, "exp", "apply", best.rev)


# --- what is compared ------------------------------------------------------------------------------


def choose_metrics(rows: Sequence[Experiment], by: str | None, more: Sequence[str]) -> list[str]:
    """The metrics to show: the headlines that differ (all if none does), and those asked for.

    Raises:
        LikenessError: there is no metric to show, or no experiment has one that was asked for.
    """
    rows = [row for row in rows if not row.is_workspace]
    known = sorted({name for row in rows for name in row.metrics if row.number(name) is not None})
    asked = [by, *more] if by else list(more)
    for name in asked:
        if name not in known:
            stage = name.partition(".")[0] + "."
            near = [other for other in known if other.startswith(stage)] or known
            raise LikenessError(f"{name}: no such metric; there are {', '.join(near) or 'none'}")
    present = [name for lane in headlines(known) for name in lane]
    if not present and not asked:
        raise LikenessError(f"which metric? --by one of {', '.join(known) or '(there are none)'}")
    values = {name: {row.number(name) for row in rows} - {None} for name in present}
    differing = [name for name in present if len(values[name]) > 1]
    return list(dict.fromkeys([*(differing or present), *asked]))


def choose_directions(
    metrics: Sequence[str], by: str | None, better: Direction | None
) -> Directions:
    """The metrics that choose the best: `by`, or the first headline of each lane; with directions."""
    if better and not by:
        raise LikenessError("--direction: of which metric? name it with --by")
    firsts = [lane[0] for lane in headlines(metrics) if lane]
    directions: dict[str, Direction] = {}
    for metric in [by] if by else firsts or metrics[:1]:
        known = better or direction(metric)
        if known is None:
            raise LikenessError(
                f"{metric}: which is better? --by {metric} --direction lower|higher"
            )
        directions[metric] = known
    return directions


def arranged(rows: Sequence[Experiment], directions: Directions) -> list[Experiment]:
    """The workspace, then each commit and its experiments, best first and unfinished last."""
    metric, better = next(iter(directions.items()))
    order = [row.rev for row in ranked(rows, metric, better)]
    groups = list(dict.fromkeys(row.commit for row in rows))

    def place(row: Experiment) -> tuple[int, bool, int]:
        rank = order.index(row.rev) if row.rev in order else len(order)
        return groups.index(row.commit), row.baseline is not None, rank

    return sorted(rows, key=place)
