"""What raters answered, as figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.common.io import read_jsonl
from likeness.common.ratings import CHOICES, Item, Judged, Kind, Lane, judged, read_answers
from likeness.common.tally import Summary, summarize, write_figures
from tests.rated import Rule, item, write_test

VERSIONS = {"opinion": ("real", "base", "tuned"), "real_or_synthetic": ("real", "tuned")}


def items_of(kind: Kind, data: Path, n: int) -> list[Item]:
    """n items: of single files in turns of their versions, or pairs."""
    folder = "voice_synthesize"
    if kind == "preference":
        return [
            item(f"p{at}", data, {name: f"{folder}/{name}/{at}.wav" for name in ("base", "tuned")})
            for at in range(n)
        ]
    names = VERSIONS.get(kind, ("tuned",))
    found = []
    for at in range(n):
        name, sentence = names[at % len(names)], at // len(names) if kind == "opinion" else at
        path = f"{folder}/{name}/{sentence}.wav"
        found.append(item(f"{name}/{sentence}", data, {name: path}))
    return found


def given(tmp_path: Path, kind: Kind, n: int, **raters: Rule) -> list[Judged]:
    items = items_of(kind, tmp_path, n)
    test = write_test(tmp_path / "ratings", "t", kind, "voice", items, raters)
    found = []
    for rater in raters:
        found += judged(test, rater, read_answers(tmp_path / "ratings" / "t", test, rater))
    return found


def figures(tmp_path: Path, kind: Kind, n: int, **raters: Rule) -> Summary:
    return summarize(kind, given(tmp_path, kind, n, **raters), 200, 7)


def prefers(version: str) -> Rule:
    return lambda at, one, sides: "ab"[sides.index(version)]


def test_right_answers_are_counted_by_item(tmp_path: Path) -> None:
    def right(at: int, one: Item, sides: list[str]) -> str:
        return "real" if sides == ["real"] else "synthetic"

    found = figures(tmp_path, "real_or_synthetic", 10, ann=right, ben=right)
    assert found.estimates["right"].value == 1
    assert (found.n, found.raters, found.answers) == (10, 2, 20)
    assert found.p == pytest.approx(2 / 2**10)  # of ten items, not of twenty answers
    assert found.alpha.value == 1
    wrong = figures(tmp_path, "real_or_synthetic", 10, ann=lambda *_: "synthetic")
    assert (wrong.estimates["right"].value, wrong.p, wrong.alpha.value) == (0.5, 1, None)


def test_a_preference_is_for_a_version_and_not_for_a_side(tmp_path: Path) -> None:
    found = figures(tmp_path, "preference", 8, ann=prefers("tuned"), ben=prefers("tuned"))
    assert found.estimates["tuned"].value == 1
    assert found.alpha.value is None  # all answers are the same, so chance would agree as well
    left = figures(tmp_path, "preference", 8, ann=lambda *_: "a", ben=lambda *_: "a")
    assert (left.estimates["tuned"].value, left.p, left.alpha.value) == (0.5, 1, 1)


def test_ties_are_told_and_decide_nothing(tmp_path: Path) -> None:
    def often_tied(at: int, one: Item, sides: list[str]) -> str:
        return "tie" if at < 6 else prefers("tuned")(at, one, sides)

    found = figures(tmp_path, "preference", 8, ann=often_tied)
    assert found.estimates["ties"].value == 0.75
    assert (found.estimates["tuned"].value, found.estimates["tuned"].n, found.p) == (1, 2, 0.5)


def test_scores_are_means_with_the_difference_of_the_same_sentences(tmp_path: Path) -> None:
    def rule(at: int, one: Item, sides: list[str]) -> str:
        return {"real": "5", "tuned": "4", "base": "2"}[sides[0]]

    found = figures(tmp_path, "opinion", 18, ann=rule, ben=rule)
    values = {name: one.value for name, one in found.estimates.items()}
    assert values == {"real": 5, "base": 2, "tuned": 4, "difference": 2}
    assert found.n == found.estimates["difference"].n == 6
    assert found.p == pytest.approx(2 / 2**6)
    assert found.alpha.value == 1


def test_classes_have_shares_that_add_up(tmp_path: Path) -> None:
    names = list(CHOICES["classes"])
    found = figures(tmp_path, "classes", 20, ann=lambda at, *_: names[at % 4])
    shares = [found.estimates[name].value for name in names]
    assert shares == [0.25, 0.25, 0.25, 0.25, 0]
    assert found.estimates["artifact"].high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert "classes_p" not in found.metrics("classes")


@pytest.mark.parametrize("kind", list(CHOICES))
def test_no_answers_give_no_figures_and_the_same_keys(kind: Kind, tmp_path: Path) -> None:
    none = summarize(kind, [], 200, 7).metrics(kind)
    choices = list(CHOICES[kind])
    some = figures(tmp_path, kind, 6, ann=lambda *_: choices[0]).metrics(kind)
    assert list(none) == list(some)
    counts = {f"{kind}_{name}": 0 for name in ("n", "raters", "answers")}
    assert {key: value for key, value in none.items() if value is not None} == counts


# --- raters as they are ---------------------------------------------------------------------------


@pytest.mark.parametrize("habit", ["coin", "alternating", "always the same"])
def test_guessing_raters_are_significant_in_one_run_of_twenty_at_most(
    habit: str, tmp_path: Path
) -> None:
    """Whole tests in the order that the studio would ask: two raters, fifty items, 1,000 runs."""
    pytest.importorskip("fastapi")
    from likeness.common.blind import flip_test
    from likeness.studio.trials import order

    items = items_of("real_or_synthetic", tmp_path, 50)
    test = write_test(tmp_path / "ratings", "t", "real_or_synthetic", "voice", items, {})
    rng = np.random.default_rng(3)
    significant = 0
    for seed in range(1000):
        right = dict.fromkeys((one.id for one in items), 0)
        for rater in ("ann", "ben"):
            trials = order(test.model_copy(update={"seed": seed}), rater)
            for at, trial in enumerate(trials):
                said = {"coin": rng.random() < 0.5, "alternating": at % 2 == 0}.get(habit, True)
                right[trial.item.id] += 1 if said == (trial.sides == ["real"]) else -1
        p = flip_test([*right.values()])
        significant += p is not None and p < 0.05
    assert significant <= 50


# --- the work of a stage --------------------------------------------------------------------------


def run(root: Path, lane: Lane = "voice") -> dict[str, Any]:
    folders = ("voice_dataset", "voice_synthesize")
    return write_figures(
        lane, ratings=root / "ratings", outputs=[root / "data" / name for name in folders],
        out_dir=root / "out", plots_dir=root / "plots", report=root / "ratings.md", rounds=200, seed=7,
    )  # fmt: skip


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    items = items_of("preference", tmp_path / "data", 6)
    ratings, raters = tmp_path / "ratings", {"ann": prefers("tuned"), "ben": prefers("tuned")}
    write_test(ratings, "0" * 16, "preference", "voice", items, raters)
    write_test(ratings, "1" * 16, "preference", "voice", items, {"ann": prefers("base")}, 3)
    return tmp_path


@pytest.mark.plots
def test_finished_raters_are_counted_and_others_are_told(rated: Path) -> None:
    found = run(rated)
    assert (found["preference_tuned"], found["preference_raters"]) == (1, 2)
    assert (found["preference_p"], found["preference_n"]) == (0.03125, 6)
    assert (found["unfinished"], found["earlier"]) == (1, 0)
    assert found["opinion_n"] == 0
    assert found["opinion_tuned"] is None
    text = (rated / "ratings.md").read_text()
    assert "| preference | tuned | 1 (0.541 to 1) | 6 | 2 | 0.031 |" in text
    assert "| opinion | – | no answers yet | 0 | 0 | – |" in text
    assert "1 × a rater has not finished" in text
    rows = read_jsonl(rated / "out" / "manifest.jsonl")
    assert len(rows) == 12
    assert rows[0]["id"] == f"{'0' * 16}/ann/0001"
    assert Image.open(rated / "plots" / "ratings.png").width > 100


def test_ratings_of_what_was_made_anew_are_of_an_earlier_version(rated: Path) -> None:
    (rated / "data/voice_synthesize/tuned/5.wav").write_text("another")
    found = run(rated)
    assert (found["preference_n"], found["preference_tuned"]) == (0, None)
    assert (found["unfinished"], found["earlier"]) == (1, 2)
    assert "outputs of an earlier version" in (rated / "ratings.md").read_text()


def test_a_lane_has_its_own_tests(rated: Path) -> None:
    assert run(rated, "image")["preference_n"] == 0


def test_a_line_that_a_full_disk_cut_off_is_no_answer(rated: Path) -> None:
    path = rated / "ratings" / ("0" * 16) / "ben.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert (run(rated)["preference_raters"], run(rated)["unfinished"]) == (1, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "ann.jsonl:7: not JSON"),
        ('{"trial": 7, "item": "p9", "sides": [], "answer": "a"}', "p9: this test does not ask it"),
        ('{"trial": 7, "item": "p1", "answer": "a"}', "ann.jsonl:7: sides: Field required"),
    ],
)
def test_a_wrong_line_is_named(rated: Path, line: str, message: str) -> None:
    with (rated / "ratings" / ("0" * 16) / "ann.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(LikenessError, match=message):
        run(rated)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "voice_synthesize/../../x"])
def test_a_test_of_files_elsewhere_is_refused(rated: Path, path: str) -> None:
    file = rated / "ratings" / ("0" * 16) / "test.json"
    text = file.read_text().replace("voice_synthesize/base/0.wav", path)
    file.write_text(text)
    with pytest.raises(LikenessError, match=r"items.0.files.base.path: Value error, a path under"):
        run(rated)


def test_an_answer_that_is_no_choice_is_named(rated: Path) -> None:
    path = rated / "ratings" / ("0" * 16) / "ann.jsonl"
    path.write_text(path.read_text().replace('"answer": "a"', '"answer": "good"', 1))
    with pytest.raises(LikenessError, match=r"should be one of a, b, tie \(got 'good'\)"):
        run(rated)
