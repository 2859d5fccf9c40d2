"""Experiments of a small DVC repository are told apart, ranked and weighed by their intervals."""

import argparse
import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.repository import compare
from likeness.repository.compare_page import escaped, markdown_of, samples
from likeness.repository.compare_plots import draw, families, tied_params
from likeness.repository.experiments import (
    Experiment,
    Measured,
    differing_params,
    outdated_stages,
    ranked,
    read_experiments,
    read_lock,
    verdict,
)
from likeness.repository.metrics import direction
from tests.repository.forked import dvc

FRECHET, CLIP = "image_evaluate.tuned_frechet", "image_evaluate.tuned_clip"
SIMILARITY = "voice_evaluate.tuned_similarity"
SHEET = "plots/image_evaluate/real_and_synthetic.png"

# The distance is 100 / rank with an interval of 5 to each side; of the score there is no interval.
SCRIPT = """
import json, pathlib, sys, yaml
from PIL import Image
params = yaml.safe_load(open("params.yaml"))["train"]
if params["rank"] > 90:
    sys.exit("the rank is too large")
value = 100 / params["rank"]
for folder in ("metrics", "reports/image_evaluate", "plots/image_evaluate"):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
def write(path, content):
    pathlib.Path(path).write_text(json.dumps(content))
write("metrics/image_evaluate.json", {
    "extractor": params["extractor"], "tuned_n": 9, "tuned_frechet": value, "tuned_clip": 1 - value})
write("metrics/voice_evaluate.json", {"tuned_similarity": 0.5})
write("reports/image_evaluate/intervals.json", {
    "tuned_frechet": {"value": value, "low": value - 5, "high": value + 5, "n": 9}})
Image.new("RGB", (8, 8), (params["rank"], 0, 0)).save("plots/image_evaluate/real_and_synthetic.png")
"""
PARAMS = "train: {rank: 4, rate: 0.1, extractor: lite}\n"
PIPELINE = """
stages:
  all:
    cmd: python work.py
    deps: [work.py]
    params: [train]
    outs:
      - reports/image_evaluate/intervals.json: {cache: false}
    metrics:
      - metrics/image_evaluate.json: {cache: false}
      - metrics/voice_evaluate.json: {cache: false}
    plots:
      - plots/image_evaluate: {cache: false}
"""


def run(folder: Path, *command: str) -> str:
    """A command in a repository, with `python` and `dvc` of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = {
        f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **names, "PATH": path}
    if command[0] == "dvc":
        done = dvc(folder, *command[1:], env=environment)
    else:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)


def experiment(folder: Path, name: str, *options: str) -> None:
    run(folder, "dvc", "exp", "run", "--quiet", "--name", name, *options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a commit of rank 4, experiments of ranks 5, 20 and 25, and one queued."""
    folder = tmp_path_factory.mktemp("made")
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "config", "core.analytics", "false")
    for name, content in (("work.py", SCRIPT), ("params.yaml", PARAMS), ("dvc.yaml", PIPELINE)):
        (folder / name).write_text(content)
    (folder / ".gitignore").write_text("/reports/compare\n")
    run(folder, "dvc", "repro", "--quiet")
    commit(folder, "one")
    for rank in (5, 20, 25):
        experiment(folder, f"r{rank}", "-S", f"train.rank={rank}")
    run(folder, "git", "checkout", "--quiet", ".")
    experiment(folder, "waiting", "--queue", "-S", "train.rank=30")
    return folder


@pytest.fixture
def repository(made: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(made, tmp_path / "repository"))


def call(root: Path, *argv: str) -> str:
    """`likeness compare` in a repository; returns compare.md."""
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    assert compare.main(parser.parse_args(argv), root) == 0
    return (root / "reports/compare/compare.md").read_text()


def table(text: str) -> dict[str, dict[str, str]]:
    """Cells by experiment and column."""
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def row(name: str, value: float | None, reach: float | None = None, **changes: Any) -> Experiment:
    """An experiment of main (or the commit main itself) by its distance, give or take `reach`."""
    interval = None if reach is None or value is None else (value - reach, value + reach)
    estimates = {} if value is None else {FRECHET: Measured(value, interval, 9)}
    values: dict[str, Any] = {
        "name": name,
        "rev": name,
        "baseline": None if name in ("main", "workspace") else "main",
        "state": "done",
        "params": {},
        "metrics": {},
        "estimates": estimates,
        **changes,
    }
    return Experiment(**values)


# --- the whole ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_table_shows_what_differs_and_every_experiment(made: Path) -> None:
    text = call(made)
    rows = table(text)
    assert list(rows) == ["workspace", "main", "r25", "r20", "r5", "waiting"]
    assert list(rows["main"]) == ["experiment", "state", "train.rank", FRECHET, CLIP]
    assert [each["state"] for each in rows.values()] == ["same as main", *["done"] * 4, "queued"]
    assert rows["r20"] == {
        "experiment": "r20",
        "state": "done",
        "train.rank": "20",
        FRECHET: "5 (0 to 10; n 9)",
        CLIP: "-4",
    }
    assert rows["waiting"][FRECHET] == "–"


@pytest.mark.slow
def test_the_best_is_named_and_weighed(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = call(made)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"Best by {FRECHET} (lower is better): r25, 4 (-1 to 9; n 9)."
    assert "the next best, r20" in said[1]
    assert "not beyond the intervals" in said[1]
    assert "its baseline, main" in said[2]
    assert "difference of -21 is beyond the intervals" in said[2]
    assert all(line in text for line in said[:3])


@pytest.mark.slow
def test_a_metric_without_intervals_is_not_weighed(made: Path) -> None:
    text = call(made, "--by", CLIP)
    assert f"Best by {CLIP} (higher is better): r25, -3." in text
    assert "cannot be judged, as there is no interval of r25 and r20" in text


@pytest.mark.slow
@pytest.mark.plots
def test_the_page_needs_no_other_file_and_shows_each_sample(made: Path) -> None:
    call(made)
    page = (made / "reports/compare/compare.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{,30})', page)
    assert len(sources) == 2 * 2 + 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    for title in (FRECHET, f"{CLIP} against train.rank", f"{SHEET} of r5"):
        assert f'alt="{title}"' in page
    assert "<td>5 (0 to 10; n 9)</td>" in page


@pytest.mark.slow
@pytest.mark.plots
def test_the_same_experiments_give_the_same_files(made: Path) -> None:
    def files() -> dict[str, bytes]:
        call(made)
        return {path.name: path.read_bytes() for path in (made / "reports/compare").iterdir()}

    first = files()
    assert set(first) == {"compare.html", "compare.md"}
    assert files() == first


@pytest.mark.slow
def test_other_metrics_and_images_are_shown_when_asked_for(made: Path) -> None:
    text = call(made, "--metric", SIMILARITY, "--image", SHEET)
    assert table(text)["r5"][SIMILARITY] == "0.5"
    rows = [row("main", 1, rev="HEAD")]
    assert list(samples(rows, [SHEET], made)) == [SHEET]
    assert samples(rows, [], made) == {}
    with pytest.raises(LikenessError, match=r"^plots/none\.png: in git of no experiment"):
        samples(rows, ["plots/none.png"], made)
    with pytest.raises(LikenessError, match=r"^work\.py: not an image"):
        samples(rows, ["work.py"], made)


# --- states ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_failed_and_a_broken_experiment_are_listed(repository: Path) -> None:
    experiment(repository, "wide", "--queue", "-S", "train.rank=99")
    run(repository, "dvc", "queue", "remove", "waiting")
    run(repository, "dvc", "exp", "run", "--quiet", "--run-all")
    (repository / "metrics/image_evaluate.json").write_text("{")
    commit(repository, "not JSON")
    (repository / "dvc.yaml").write_text("stages: [")
    rows = table(call(repository, "--num", "2"))
    assert rows["wide"]["state"] == "failed"
    assert rows["wide"]["train.rank"] == "99"
    assert rows["wide"][FRECHET] == "–"
    assert rows["main"]["state"] == "incomplete: cannot read metrics/image_evaluate.json"
    assert rows["workspace"]["state"].startswith("broken: ")
    assert rows["r5"]["state"] == "done"


@pytest.mark.slow
def test_the_workspace_is_shown_and_not_ranked(repository: Path) -> None:
    (repository / "params.yaml").write_text(PARAMS.replace("0.1", "0.2"))
    assert table(call(repository))["workspace"]["state"] == "not saved"
    (repository / "params.yaml").write_text(PARAMS)
    metrics = repository / "metrics/image_evaluate.json"
    metrics.write_text(metrics.read_text().replace("25.0", "0.5"))
    text = call(repository)
    assert table(text)["workspace"]["state"] == "not saved"
    assert "is better): r25, 4 " in text


@pytest.mark.slow
def test_experiments_of_several_commits_stand_under_theirs(repository: Path) -> None:
    experiment(repository, "main", "-S", "train.rank=50")  # a name that the branch has too
    run(repository, "git", "checkout", "--quiet", ".")
    (repository / "more").touch()
    commit(repository, "two")
    experiment(repository, "later", "-S", "train.rate=0.2")
    one = run(repository, "git", "rev-parse", "--short=7", "HEAD~1").strip()
    text = call(repository, "--num", "2")
    lines = [line[2:-2].split(" | ")[:3] for line in text.splitlines() if line.startswith("| ")]
    assert [line[:2] for line in lines[2:6]] == [
        ["workspace", ""],
        ["main", ""],
        ["later", "main"],
        [one, ""],
    ]
    assert ["main", one, "done"] in lines
    assert f"its baseline, {one}, 25 (20 to 30; n 9): the difference of -23 is beyond" in text
    with pytest.raises(LikenessError, match="unknown Git revision 'none'"):
        call(repository, "--rev", "none")


# --- applying -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_best_is_applied(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(repository, "--apply")
    assert "rank: 25" in (repository / "params.yaml").read_text()
    said = capsys.readouterr().out
    assert "not beyond the intervals" in said
    assert said.endswith("applying r25, an experiment of main\n")
    assert table(call(repository))["workspace"]["state"] == "same as r25"


@pytest.mark.slow
def test_a_commit_that_is_best_is_not_applied(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(repository, "--apply", "--by", FRECHET, "--direction", "higher")
    said = capsys.readouterr().out
    assert "no experiment is better" in said
    assert said.endswith("nothing to apply: main is a commit\n")
    assert (repository / "params.yaml").read_text() == PARAMS


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_mistakes_are_one_line(made: Path) -> None:
    rows = read_experiments(made)
    for by, way, said in (
        ("image_evaluate.fid", None, rf"no such metric; there are {CLIP}, {FRECHET}, "),
        ("none.fid", None, rf"no such metric; there are {CLIP}, .*{SIMILARITY}$"),
        ("image_evaluate.tuned_n", None, r"which is better\? .* --direction lower\|higher"),
        (None, "lower", r"of which metric\? name it with --by"),
    ):
        with pytest.raises(LikenessError, match=said) as raised:
            compare.choose_directions(compare.choose_metrics(rows, by, []), by, way)
        assert "\n" not in str(raised.value)
    with pytest.raises(LikenessError, match=r"which metric\? --by one of other\.wer$"):
        compare.choose_metrics(
            [row("a", None, metrics={"other.wer": 1, "other.asr": "x"})], None, []
        )


@pytest.mark.slow
def test_a_commit_alone_compares_with_nothing(repository: Path) -> None:
    (repository / "more").touch()
    commit(repository, "two")
    with pytest.raises(LikenessError, match="nothing to compare: no experiments"):
        call(repository)
    assert table(call(repository, "--num", "2", "--by", FRECHET))["r5"]["state"] == "done"


@pytest.mark.slow
def test_the_best_of_two_lanes_is_not_applied(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_experiments(made)
    for at, each in enumerate(rows[:-1]):
        each.metrics[SIMILARITY] = at / 10
    monkeypatch.setattr(compare, "read_experiments", lambda *_: rows)
    with pytest.raises(LikenessError, match=f"--by one of {FRECHET}, {SIMILARITY}$"):
        call(made, "--apply")
    call(made)
    said = capsys.readouterr().out
    assert f"Best by {FRECHET} (lower is better): r25" in said
    assert f"Best by {SIMILARITY} (higher is better): r5, 0.4" in said


# --- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "way"),
    [
        (FRECHET, "lower"),
        ("image_evaluate.tuned_kid", "lower"),
        ("image_evaluate.trained_on_synthetic_accuracy", "higher"),
        ("image_evaluate.trained_on_real_accuracy", None),
        ("image_evaluate.base_frechet", None),
        ("image_evaluate.tuned_n", None),
        ("image_train.val_loss", "lower"),
        ("image_train.val_loss_base", None),
        ("image_train.best_step", None),
        ("image_generate.rejected_share", "lower"),
        ("image_generate.rejected_blank", None),
        ("image_train.seconds", None),
        ("voice_transcribe.wer", "lower"),
        ("voice_transcribe.wer_low", None),
        ("voice_evaluate.tuned_list_cer", "lower"),
        ("voice_evaluate.difference_similarity", "higher"),
        ("voice_train.val_score", "higher"),
    ],
)
def test_which_way_is_better(name: str, way: str | None) -> None:
    assert direction(name) == way


def test_the_best_follows_the_direction_and_commits_go_before_equals() -> None:
    rows = [row("a", 3), row("b", 1), row("c", None), row("main", 1), row("workspace", 0)]
    assert [each.name for each in ranked(rows, FRECHET, "lower")] == ["main", "b", "a"]
    assert [each.name for each in ranked(rows, FRECHET, "higher")] == ["a", "main", "b"]


@pytest.mark.parametrize(("reach", "beyond"), [(0.9, True), (1.1, False)])
@pytest.mark.parametrize("way", ["lower", "higher"])
def test_intervals_that_overlap_and_intervals_that_do_not(
    way: Any, reach: float, beyond: bool
) -> None:
    rows = [row("main", 10, reach), row("a", 8 if way == "lower" else 12, reach)]
    _, line = verdict(rows, FRECHET, way)
    assert line.startswith("Against the next best and its baseline, main, 10 (")
    assert ("is beyond the intervals, which do not overlap" in line) is beyond
    assert ("is not beyond the intervals, which overlap" in line) is not beyond


def test_the_next_best_has_another_value() -> None:
    lines = verdict(
        [row("main", 9, 1), row("a", 5, 1), row("b", 5, 1), row("c", 6, 1)], FRECHET, "lower"
    )
    assert lines[1] == "The same value: b."
    assert lines[2].startswith("Against the next best, c, ")
    assert len(lines) == 4


def test_only_params_that_differ_are_columns() -> None:
    one = row("a", 1, params={"same": [1, 2], "rank": 4, "rate": 1})
    other = row("b", 1, params={"same": [1, 2], "rank": 4.5, "rate": True, "new": None})
    unread = row("c", 1)
    assert differing_params([one, other, unread]) == ["new", "rank", "rate"]


def names(lines: list[list[Experiment]]) -> list[list[str]]:
    return [[each.name for each in line] for line in lines]


def test_a_param_is_drawn_where_it_alone_varies() -> None:
    points = {"main": (4, "x"), "a": (16, "x"), "b": (8, "x"), "c": (32, "y")}
    rows = [
        row(name, 1, params={"rank": rank, "kind": kind}) for name, (rank, kind) in points.items()
    ]
    assert names(families(rows, ["rank"])) == [["main", "b", "a"]]
    assert families(rows, ["kind"]) == []
    assert list(draw(rows, [FRECHET], {})) == [FRECHET, f"{FRECHET} against rank"]
    elsewhere = [row("d", 1, params={"rank": 64, "kind": "x"}, baseline="older")]
    assert names(families(rows + elsewhere, ["rank"])) == [["main", "b", "a"]]
    rows = [row(name, 1, params={"kind": kind}) for name, (_, kind) in points.items()]
    assert list(draw(rows, [FRECHET], {})) == [FRECHET, f"{FRECHET} against kind"]


@pytest.mark.plots
def test_a_grid_is_a_line_for_each_value_of_the_other_param() -> None:
    grid = [(rank, rate) for rank in (4, 16, 8) for rate in (0.2, 0.1)]
    rows = [
        row(f"{rank} {rate}", rank, params={"alpha": 2 * rank, "rank": rank, "rate": rate})
        for rank, rate in grid
    ]
    assert tied_params(rows) == [["alpha", "rank"], ["rate"]]
    by_rank = names(families(rows, ["alpha", "rank"]))
    assert by_rank == [["4 0.2", "8 0.2", "16 0.2"], ["4 0.1", "8 0.1", "16 0.1"]]
    assert names(families(rows, ["rate"]))[0] == ["4 0.1", "4 0.2"]
    drawn = draw(rows, [FRECHET], {})
    titles = [f"{FRECHET} against alpha and rank", f"{FRECHET} against rate"]
    assert list(drawn) == [FRECHET, *titles]
    assert drawn[titles[0]] != drawn[titles[1]]
    assert families(rows, ["alpha", "rank", "rate"]) == []


def test_what_all_experiments_share_is_no_column() -> None:
    main = row("main", 1, params={"rank": 4, "epochs": 24})
    tried = [row(f"r{rank}", 2, params={"rank": rank, "epochs": 10}) for rank in (4, 8)]
    text = markdown_of([main, *tried], [FRECHET], {FRECHET: "lower"})
    assert list(table(text)["r4"]) == ["experiment", "state", "rank", FRECHET]
    assert "All experiments have epochs 10 (else 24)." in text
    edited = row("workspace", 1, params={"rank": 4, "epochs": 9})
    text = markdown_of([edited, main, *tried], [FRECHET], {FRECHET: "lower"})
    assert table(text)["workspace"]["epochs"] == "9"


def test_sets_of_another_size_are_not_ranked() -> None:
    def sized(name: str, value: float, n: int, metric: str = FRECHET) -> Experiment:
        return row(name, value, estimates={metric: Measured(value, (value - 1, value + 1), n)})

    rows = [
        sized("main", 1, 89),
        sized("a", 5, 45),
        sized("b", 4, 45),
        row("bare", 3, estimates={FRECHET: Measured(3)}),
    ]
    assert [each.name for each in ranked(rows, FRECHET, "lower")] == ["bare", "b", "a"]
    apart = "Not ranked, as this metric depends on n: main, 1 (0 to 2; n 89)."
    assert verdict(rows, FRECHET, "lower")[-1] == apart
    means = [sized("main", 9, 89, CLIP), sized("a", 5, 45, CLIP)]
    assert [each.name for each in ranked(means, CLIP, "higher")] == ["main", "a"]


def test_figures_of_another_extractor_are_marked() -> None:
    rows = [row(name, 1, metrics={"image_evaluate.extractor": name}) for name in ("main", "a")]
    text = markdown_of(rows, [FRECHET], {FRECHET: "lower"})
    assert "Mind that image_evaluate.extractor differs (a, main)" in text
    assert "Mind" not in markdown_of(rows[:1], [FRECHET], {FRECHET: "lower"})


def test_what_a_value_holds_changes_no_table() -> None:
    assert escaped("a | b\n<i>*c*</i>") == "a &#124; b &lt;i&gt;&#42;c&#42;&lt;/i&gt;"
    rows = [row("main", 1, params={"x": "|"}), row("a", 2, params={"x": ""})]
    text = markdown_of(rows, [FRECHET], {FRECHET: "lower"})
    assert {len(line.split("|")) for line in text.splitlines() if line.startswith("|")} == {6}


LOCK = {
    "stages": {
        "train": {
            "params": {"params.yaml": {"train": {"rank": 4}}},
            "outs": [{"path": "data/train", "md5": "new"}],
        },
        "draw": {
            "deps": [{"path": "data/train", "md5": "new"}],
            "outs": [{"path": "data/draw", "md5": "drawn"}],
        },
        "judge": {"deps": [{"path": "data/draw", "md5": "drawn"}, {"path": "src", "md5": "x"}]},
    }
}


def test_stages_behind_one_that_did_not_run_are_not_run() -> None:
    assert outdated_stages(LOCK, {"train.rank": 4}) == set()
    assert outdated_stages(LOCK, {"train.rank": 8}) == {"train", "draw", "judge"}
    other = copy.deepcopy(LOCK)
    other["stages"]["draw"]["deps"][0]["md5"] = "old"  # type: ignore[index]
    assert outdated_stages(other, {"train.rank": 4}) == {"draw", "judge"}


def test_a_frozen_stage_may_have_run_with_anything(tmp_path: Path) -> None:
    lock = "{params: {params.yaml: {base: {seed: 7}}}, outs: [{path: data/urls, md5: a}]}"
    used = "{deps: [{path: data/urls, md5: a}]}"
    (tmp_path / "dvc.lock").write_text(f"stages: {{download: {lock}, segment: {used}}}\n")
    (tmp_path / "dvc.yaml").write_text("stages: {download: {frozen: true}, segment: {}}\n")
    assert outdated_stages(read_lock(tmp_path, "workspace"), {"base.seed": 8}) == set()
    (tmp_path / "dvc.yaml").write_text("stages: {download: {}, segment: {}}\n")
    both = {"download", "segment"}
    assert outdated_stages(read_lock(tmp_path, "workspace"), {"base.seed": 8}) == both
