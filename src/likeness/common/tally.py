"""The figures of what raters answered, and a stage's table, plot and report of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common import figures
from likeness.common.blind import Array, alpha, flip_test, share
from likeness.common.estimates import Estimate, difference, ratio
from likeness.common.io import write_text
from likeness.common.manifest import Row, write_manifest
from likeness.common.ratings import (
    CHOICES,
    KINDS,
    BlindTest,
    Judged,
    Kind,
    Lane,
    judged,
    md5_of,
    raters,
    read_answers,
    read_tests,
)

TESTED: dict[Kind, str] = {  # the figure that p belongs to
    "real_or_synthetic": "right",
    "preference": "tuned",
    "opinion": "difference",
}


@dataclass(frozen=True)
class Summary:
    """The figures of one kind of test.

    Attributes:
        estimates: shares of answers, or mean scores of 1 to 5, by name.
        p: two-sided, of an exact test that there is nothing to tell: raters guess, neither side is
            better, base and tuned have equal scores. None for `classes`.
        alpha: Krippendorff's, the agreement of the raters.
        n: items; pairs for `preference`, sentences for `opinion`.
    """

    estimates: dict[str, Estimate]
    p: float | None
    alpha: Estimate
    n: int
    raters: int
    answers: int

    def metrics(self, kind: Kind) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, one in {**self.estimates, "alpha": self.alpha}.items():
            one = one.rounded()
            values = {"": one.value, "_low": one.low, "_high": one.high}
            found |= {f"{kind}_{name}{end}": value for end, value in values.items()}
        if kind != "classes":
            found[f"{kind}_p"] = None if self.p is None else float(f"{self.p:.4g}")
        counts = {"n": self.n, "raters": self.raters, "answers": self.answers}
        return found | {f"{kind}_{name}": value for name, value in counts.items()}


def summarize(kind: Kind, given: Sequence[Judged], rounds: int, seed: int) -> Summary:
    """The figures of answers to one kind of test; all None where there are none.

    Args:
        rounds: bootstrap resamples of the intervals of scores and of the agreement.
    """
    choices = list(CHOICES[kind])
    by_item: dict[str, list[Judged]] = {}
    for one in sorted(given, key=lambda one: (one.item.id, one.test, one.rater)):
        by_item.setdefault(one.item.id, []).append(one)
    items = list(by_item.values())
    n, p = len(items), None
    if kind == "real_or_synthetic":
        rights = [sum(_is_right(one) for one in each) for each in items]
        totals = [len(each) for each in items]
        found = {"right": share([*zip(rights, totals, strict=True)])}
        p = flip_test([2 * right - total for right, total in zip(rights, totals, strict=True)])
    elif kind == "preference":
        votes = [[_chosen(one) for one in each] for each in items]
        tuned, base, ties = (
            [each.count(name) for each in votes] for name in ("tuned", "base", "tie")
        )
        decided = [one + other for one, other in zip(tuned, base, strict=True)]
        found = {
            "tuned": share([*zip(tuned, decided, strict=True)]),
            "ties": share([(tie, len(each)) for tie, each in zip(ties, votes, strict=True)]),
        }
        p = flip_test([one - other for one, other in zip(tuned, base, strict=True)])
    elif kind == "opinion":
        scores = _scores(items)
        n = len(scores["tuned"])
        found = {name: ratio(scores[name], rounds, seed) for name in ("real", "base", "tuned")}
        found["difference"] = difference(scores["tuned"], scores["base"], rounds, seed)
        p = flip_test([int(step) for step in scores["tuned"][:, 0] - scores["base"][:, 0]])
    else:
        found = {
            name: share(
                [(sum(one.answer.answer == name for one in each), len(each)) for each in items]
            )
            for name in choices
        }
    ranks = [[_rank(one, choices) for one in each] for each in items]
    return Summary(
        found,
        p,
        alpha(ranks, "ordinal" if kind == "opinion" else "nominal", rounds, seed),
        n,
        len({one.rater for one in given}),
        len(given),
    )


def _is_right(one: Judged) -> bool:
    return (one.answer.answer == "real") == (one.item.version == "real")


def _chosen(one: Judged) -> str:
    """The version that was preferred, or `tie`."""
    sides = dict(zip("ab", one.answer.sides, strict=True))
    return sides.get(one.answer.answer, "tie")


def _rank(one: Judged, choices: Sequence[str]) -> int:
    """An answer as a number; of a pair the version that was preferred, whatever its side was."""
    if len(one.item.files) > 1:
        return ("base", "tuned", "tie").index(_chosen(one))
    return choices.index(one.answer.answer)


def _scores(items: Sequence[Sequence[Judged]]) -> dict[str, Array]:
    """Sum and number of the scores (N, 2) of each version, over the same N sentences."""
    sums: dict[str, dict[str, Any]] = {}
    for each in items:
        version, _, sentence = each[0].item.id.partition("/")
        scores = [int(one.answer.answer) for one in each]
        sums.setdefault(sentence, {})[version] = (sum(scores), len(scores))
    return {
        version: np.array([sums[sentence][version] for sentence in sorted(sums)]).reshape(-1, 2)
        for version in ("real", "base", "tuned")
    }


# --- the work of a stage --------------------------------------------------------------------------


class Rating(Row):
    """A row of a stage's table: an answer of a finished test; `id` is `<test>/<rater>/<trial>`."""

    kind: str
    item: str
    sides: list[str]
    answer: str


def write_figures(
    lane: Lane,
    *,
    ratings: Path,
    outputs: Iterable[Path],
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    rounds: int,
    seed: int,
) -> dict[str, Any]:
    """Write a lane's table, plot and report of what was rated; returns the metrics.

    Counted are the raters who have finished, in tests whose files are all as they are now. The
    others are told in the metrics: `unfinished` raters, and `earlier` ones, who have rated outputs
    that were made anew since.

    Args:
        outputs: folders of the stages whose files the lane's tests show.
    """
    folders = {folder.name: folder for folder in outputs}
    given: dict[Kind, list[Judged]] = {kind: [] for kind in KINDS[lane]}
    unfinished = earlier = 0
    for test in read_tests(ratings, lane):
        current = is_current(test, folders)
        for rater in raters(ratings / test.id):
            answers = read_answers(ratings / test.id, test, rater)
            if len(answers) < len(test.items):
                unfinished += 1
            elif not current:
                earlier += 1
            else:
                given[test.kind] += judged(test, rater, answers)
    summaries = {kind: summarize(kind, each, rounds, seed) for kind, each in given.items()}
    rows = [
        Rating(
            id=f"{one.test}/{one.rater}/{one.answer.trial:04d}",
            kind=kind,
            **one.answer.model_dump(exclude={"trial"}),
        )
        for kind, each in given.items()
        for one in each
    ]
    _draw(plots_dir / "ratings.png", summaries)
    write_text(report, to_markdown(summaries, unfinished, earlier))
    write_manifest(out_dir / "manifest.jsonl", rows)
    found = {
        key: value for kind, one in summaries.items() for key, value in one.metrics(kind).items()
    }
    return {**found, "unfinished": unfinished, "earlier": earlier}


def is_current(test: BlindTest, folders: Mapping[str, Path]) -> bool:
    """Whether the files of a test are still those that the stages have in these folders."""
    for item in test.items:
        for file in item.files.values():
            stage, _, inside = file.path.partition("/")
            if stage not in folders or md5_of(folders[stage] / inside) != file.md5:
                return False
    return True


def to_markdown(summaries: Mapping[Kind, Summary], unfinished: int, earlier: int) -> str:
    """A table of the figures, and what was left out."""
    lines = [
        "# Blind tests",
        "",
        "Figures with their 95 % intervals; n counts items, of which a pair and a sentence in three "
        "voices are one each. p is of an exact two-sided test that there is nothing to tell.",
        "",
        "| test | figure | value | n | raters | p |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for kind, one in summaries.items():
        if not one.answers:
            lines.append(f"| {_told(kind)} | – | no answers yet | 0 | 0 | – |")
            continue
        for name, estimate in {**one.estimates, "agreement (alpha)": one.alpha}.items():
            form = "{value:.3g} ({low:.3g} to {high:.3g})" if estimate.n else "–"
            p = one.p if name == TESTED.get(kind) else None
            told = (_told(kind), name, form.format(**asdict(estimate)), estimate.n, one.raters)
            cells = (*told, "–" if p is None else f"{p:.2g}")
            lines.append(f"| {' | '.join(map(str, cells))} |")
    lines.append("")
    for count, what in (
        (unfinished, "has not finished the test and is not counted."),
        (earlier, "has rated outputs of an earlier version, made anew since, and is not counted."),
    ):
        if count:
            lines += [f"{count} × a rater {what}", ""]
    return "\n".join(lines)


def _told(kind: str) -> str:
    return kind.replace("_", " ")


def _draw(path: Path, summaries: Mapping[Kind, Summary]) -> None:
    with figures.figure(path, 1, len(summaries), (11, 2.6)) as axes:
        for axis, (kind, one) in zip(axes, summaries.items(), strict=True):
            axis.set_title(f"{_told(kind)} (n={one.n}, raters {one.raters})")
            axis.set_xlim((1, 5) if kind == "opinion" else (0, 1))
            shown = {
                name: estimate
                for name, estimate in reversed(one.estimates.items())
                if estimate.n and name != "difference"
            }
            if not shown:
                axis.set_axis_off()
                axis.text(0, 0.5, "no answers yet", color=figures.QUIET, transform=axis.transAxes)
            for at, estimate in enumerate(shown.values()):
                axis.plot([estimate.low, estimate.high], [at, at], color=figures.QUIET)
                axis.plot([estimate.value], [at], "o", color=figures.ACCENT)
            axis.set_yticks(range(len(shown)), list(shown))
            axis.set_ylim(-0.6, len(shown) - 0.4)
