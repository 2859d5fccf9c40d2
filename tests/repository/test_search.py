"""Searches on a toy repository: what is run, what is not run again, and what survives a kill."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from likeness.repository import experiments as read
from likeness.repository import runs, search
from likeness.repository.dvc import compose, upstream
from likeness.repository.experiments import git
from likeness.repository.runs import Runner, experiments, find_done, reason_of
from likeness.repository.space import read_space
from tests.repository.forked import dvc

ROOT = Path(__file__).resolve().parents[2]

STAGE = """
import json, os, pathlib, signal, sys, time
import psutil, yaml
stage, params = sys.argv[1], yaml.safe_load(open("params.yaml"))
outside = pathlib.Path(params["base"]["outside"])
with (outside / "journal").open("a") as journal:
    journal.write(f"{stage} {params['image_train']['rank']}\\n")
out = pathlib.Path(f"data/{stage}")
out.mkdir(parents=True)
(out / "out.txt").write_text(str(params[stage]))
metrics = pathlib.Path("metrics")
metrics.mkdir(exist_ok=True)
if stage == "image_train":
    rank = params["image_train"]["rank"]
    base = float(open(f"models/{params['inputs']['diffusion']}/weights.txt").read())
    if rank == 13:
        sys.exit("error: rank 13 brings bad luck")
    try:
        (outside / f"kill_dvc_at_{rank}").unlink()
    except FileNotFoundError:
        time.sleep(params["image_train"]["seconds"])
    else:
        dvc = next(each for each in psutil.Process().parents() if "exp" in each.cmdline())
        os.kill(dvc.pid, signal.SIGKILL)
        (outside / "orphan").write_text(str(os.getpid()))
        time.sleep(120)
    figure = base + (rank - 8) ** 2 + params["image_train"]["rate"]
    (metrics / "image_train.json").write_text(json.dumps({"val_loss": figure}))
"""
PIPELINE = """
stages:
  image_prepare:
    cmd: python stage.py image_prepare
    deps: [stage.py]
    params: [image_prepare]
    outs: [data/image_prepare]
  image_train:
    cmd: python stage.py image_train
    deps: [stage.py, data/image_prepare, "models/${inputs.diffusion}"]
    params: [image_train]
    outs: [data/image_train]
    metrics: [metrics/image_train.json: {cache: false}]
  report:
    cmd: python stage.py report
    deps: [stage.py, data/image_train]
    params: [report]
    outs: [data/report]
"""
PARAMS = """
base: {outside: OUTSIDE}
inputs: {diffusion: mini}
image_prepare: {subset: 0}
image_train: {rank: 8, rate: 0.5, seconds: 0}
report: {title: Toy}
"""
SPACE = """
target: image_train
metrics: [image_train.val_loss]
params:
  image_prepare.subset: 300
  image_train.rank: 4,8
  image_train.rate: 0.1,0.2
"""


@pytest.fixture
def repo(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with conf/ below letters beyond ASCII, and a fetched base that is in no commit."""
    parent = tmp_path / "Été 漢字"
    root, outside = shutil.copytree(empty, parent / "repo"), parent / "outside"
    outside.mkdir()
    with (root / ".dvc/config").open("a") as config:
        config.write("[hydra]\n    enabled = True\n")
    for folder in ("conf/search", "conf/size", "models/mini", "models/real"):
        (root / folder).mkdir(parents=True)
    params = PARAMS.replace("OUTSIDE", str(outside))
    for name, text in {
        "stage.py": STAGE,
        "dvc.yaml": PIPELINE,
        "params.yaml": params,
        "conf/config.yaml": f"defaults: [_self_, size: small]\n{params}",
        "conf/size/small.yaml": "# @package _global_\nimage_prepare: {subset: 0}\n",
        "conf/size/big.yaml": "# @package _global_\nimage_prepare: {subset: 9}\n",
        "conf/search/image.yaml": SPACE,
        "models/mini/weights.txt": "0",
        "models/real/weights.txt": "100",
        ".gitignore": "/models/real\n",
    }.items():
        (root / name).write_text(text)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Toy")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "toy@example.com")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "toy")
    return root


def run(repo: Path, *argv: str) -> int:
    parser = argparse.ArgumentParser()
    search.add_arguments(parser)
    return search.main(parser.parse_args(["image", *argv]), repo)


def journal(repo: Path) -> Counter[str]:
    """How often each stage ran, with which rank."""
    path = repo.parent / "outside" / "journal"
    return Counter(path.read_text().splitlines() if path.exists() else [])


def losses(repo: Path) -> list[float]:
    rev = git(repo, "rev-parse", "HEAD")
    found = experiments(repo, rev)
    del found["HEAD"]
    files = [git(repo, "show", f"{each}:metrics/image_train.json") for each in found.values()]
    return sorted(json.loads(file)["val_loss"] for file in files)


@pytest.mark.slow
def test_a_grid_is_run_once_with_its_common_stage_once(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(repo, "--workers", "2") == 0
    printed = capsys.readouterr()
    assert losses(repo) == [0.1, 0.2, 16.1, 16.2]
    assert sum(journal(repo).values()) == 5
    assert journal(repo)["image_prepare 8"] == 1
    best = printed.out.splitlines()[0]
    assert "image_train.val_loss 0.1" in best
    assert "image_train.rank=8 image_train.rate=0.1" in best
    typed = [line.split(": ", 1)[1] for line in printed.err.splitlines() if "-S" in line]
    assert all(line.startswith("dvc exp run -n image-") for line in typed)
    assert git(repo, "status", "--porcelain") == ""
    assert not list((repo / ".dvc/tmp/search/image").glob("*/.git"))

    ran = journal(repo)
    assert run(repo, "--workers", "2") == 0
    assert journal(repo) == ran
    assert run(repo, "--dry", "-S", "image_train.rank=8,9") == 0
    assert len(capsys.readouterr().out.split("dvc exp run")) == 1 + 2


@pytest.mark.slow
def test_what_dies_is_tried_again_and_what_fails_is_reported(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = repo.parent / "outside"
    (outside / "kill_dvc_at_4").touch()
    sets = ["-S", "image_train.rank=4,13", "-S", "image_train.rate=0.1"]
    assert run(repo, "--retries", "1", *sets, "-S", "inputs.diffusion=real") == 1
    assert losses(repo) == [116.1]  # a base that only the workspace has
    assert journal(repo)["image_train 4"] == 2
    assert journal(repo)["image_train 13"] == 1  # by its own error, not by a crash
    with pytest.raises(ProcessLookupError):
        os.kill(int((outside / "orphan").read_text()), 0)
    failed = capsys.readouterr().err.splitlines()[-1]
    assert failed.startswith("failed: image-")
    assert "error: rank 13 brings bad luck" in failed
    log = repo / failed.rpartition("(")[2].rstrip(")")
    assert "brings bad luck" in log.read_text()


@pytest.mark.slow
def test_a_killed_search_goes_on(repo: Path) -> None:
    sets = ["-S", "image_train.rate=0.1", "-S", "image_train.seconds=3"]
    code = (
        "import sys; from pathlib import Path; from tests.repository.test_search import run;"
        "run(Path(sys.argv[1]), *sys.argv[2:])"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(repo), *sets], cwd=ROOT, env=environment
    )
    deadline = time.monotonic() + 60
    while journal(repo)["image_train 8"] == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert losses(repo) == [16.1]
    assert run(repo, *sets) == 0
    assert losses(repo) == [0.1, 16.1]
    assert journal(repo)["image_train 4"] == 1
    assert journal(repo)["image_train 8"] == 2


@pytest.mark.slow
def test_optuna_runs_so_many_experiments(repo: Path) -> None:
    pytest.importorskip("optuna")
    sets = ["-S", "image_train.rank=4,8,16", "-S", "image_train.rate=0.1"]
    assert run(repo, "--sampler", "optuna", "--trials", "1", *sets) == 0
    assert len(losses(repo)) == 1
    assert run(repo, "--sampler", "optuna", "--trials", "3", "--workers", "2", *sets) == 0
    assert losses(repo) == [0.1, 16.1, 64.1]
    ran = journal(repo)
    (repo / "conf/search/image.yaml").write_text(
        SPACE.replace("image_train.val_loss", "voice_train.val_wer")
    )
    git(repo, "commit", "--quiet", "-am", "a metric that nothing has")
    assert run(repo, "--sampler", "optuna", "--trials", "3", "--retries", "0", *sets) == 1
    assert journal(repo) == ran  # DVC's run-cache has what the commit before made


@pytest.mark.slow
def test_a_run_that_hangs_is_ended(repo: Path) -> None:
    one = ["-S", "image_train.rank=4", "-S", "image_train.rate=0.1", "-S", "image_train.seconds=99"]
    space = read_space(repo, "image", [each for each in one if each != "-S"])
    runner = Runner(repo, repo / ".dvc/tmp/search/image", retries=0, minutes=0.1)
    begun = time.monotonic()
    with pytest.raises(LikenessError, match=r"ended after 6\.0 s .*image-.*\.log"):
        runner.run(space.grid()[0])
    assert time.monotonic() - begun < 40


@pytest.mark.slow
def test_only_what_ran_with_its_params_is_done(repo: Path) -> None:
    """An experiment of another target has the params and the older figures of this one."""
    sets = ["-S", "image_prepare.subset=5", "-S", "image_train.rank=4"]
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    }
    rev = git(repo, "rev-parse", "HEAD")
    space = read_space(repo, "image", ["image_prepare.subset=5", "image_train.rate=0.5"])
    wanted = space.grid()[0]
    for name, target, done in (("other", "image_prepare", None), ("mine", "image_train", "mine")):
        ran = dvc(repo, "exp", "run", "-q", "-n", name, *sets, target, env=environment)
        ran.check_returncode()
        assert name in experiments(repo, rev)
        assert find_done(repo, rev, wanted, ["image_prepare", "image_train"]) == done


def test_what_is_common(repo: Path) -> None:
    stages = ["image_prepare", "image_train"]
    assert upstream(repo, "image_train", ["image_train.rank"]) == (stages, ["image_prepare"])
    assert upstream(repo, "image_train", ["image_train.rank", "image_prepare.subset"])[1] == []
    assert upstream(repo, "image_train", ["size"])[1] == []
    assert upstream(repo, "image_train", ["image_train.rank", "inputs.diffusion"])[1] == []
    assert upstream(repo, "report", ["report.title"])[1] == ["image_train"]
    with pytest.raises(LikenessError, match="no stage image_generate"):
        upstream(repo, "image_generate", [])


@pytest.mark.slow
def test_params_are_composed_as_dvc_composes_them(repo: Path) -> None:
    assert compose(repo, ["size=big"])["image_prepare"] == {"subset": 9}
    assert compose(repo, ["size=big", "image_prepare.subset=1"])["image_prepare"] == {"subset": 1}
    with pytest.raises(LikenessError, match=r"image_train\.rnk"):
        compose(repo, ["image_train.rnk=1"])
    (repo / ".dvc/config").write_text("")
    assert compose(repo, ["image_prepare.subset=3"])["image_prepare"] == {"subset": 3}


@pytest.mark.slow
def test_names_are_those_of_the_params(repo: Path) -> None:
    names = [[each.name for each in read_space(repo, "image", sets).grid()] for sets in ([], [])]
    assert names[0] == names[1]
    assert len(set(names[0])) == 4
    assert len(read_space(repo, "image", ["image_train.rate=0.1,1e-1"]).grid()) == 2
    other = read_space(repo, "image", ["image_prepare.subset=1"]).grid()
    assert not {each.name for each in other} & set(names[0])


def test_mistakes_are_one_line(repo: Path) -> None:
    with pytest.raises(LikenessError, match="expected KEY=VALUES"):
        run(repo, "--dry", "-S", "image_train.rank")
    with pytest.raises(LikenessError, match="go together"):
        run(repo, "--trials", "3")
    (repo / "params.yaml").write_text("other: 1\n")
    with pytest.raises(LikenessError, match=r"params\.yaml: changed since the last commit"):
        run(repo)
    git(repo, "checkout", "params.yaml")
    path = repo / "conf/search/image.yaml"
    path.write_text(SPACE.replace("val_loss", "val_n"))
    with pytest.raises(LikenessError, match="which way is better"):
        run(repo, "--dry")
    path.write_text("target: image_train\n")
    with pytest.raises(LikenessError, match="expected target, metrics and params"):
        run(repo, "--dry")
    path.unlink()
    with pytest.raises(LikenessError, match=r"conf/search/image\.yaml: no such file"):
        run(repo, "--dry")


def test_two_searches_of_a_lane_do_not_run_at_once(repo: Path) -> None:
    folder = repo / ".dvc/tmp/search/image"
    folder.mkdir(parents=True)
    with (
        search._one_search_at_a_time(folder),
        pytest.raises(LikenessError, match="is running already"),
    ):
        run(repo)


def test_the_first_error_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("epoch 1\nTraceback (most recent call last):\n  File\nValueError: x\nERROR: y\n")
    assert reason_of(log, 1) == "ValueError: x"
    log.write_text('running\n{"event": "error: y; do z", "level": "error"}\n{"event": "err')
    assert reason_of(log, 1) == "error: y; do z"
    log.write_text("epoch 1\n")
    assert reason_of(log, -9) == "killed by signal 9"


def test_a_small_number_of_a_lock_is_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "params.yaml": b"train: {rate: 1.0e-05}\n",
        "dvc.lock": b"stages: {train: {params: {params.yaml: {train.rate: 1e-05}}}}\n",
        "dvc.yaml": b"stages: {train: {}}\n",
    }
    for module in (runs, read):
        monkeypatch.setattr(module, "read_file", lambda root, rev, name: files[name])
    monkeypatch.setattr(runs, "experiments", lambda *_: {"small": "a revision"})
    wanted = runs.Run("small", (), {"train": {"rate": 1e-5}}, ("train",))
    assert runs.find_done(tmp_path, "HEAD", wanted, ["train"]) == "small"
