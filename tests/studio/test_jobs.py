"""Jobs on a toy repository: what they run, what they say of themselves, and what survives a kill."""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from likeness.common.errors import LikenessError
from likeness.repository.clones import CLONE_VARIABLE, Process
from likeness.repository.experiments import git
from likeness.repository.runs import experiments
from likeness.studio import jobs
from likeness.studio.corrections import FILE as CORRECTIONS
from likeness.studio.jobs import (
    FOLDER,
    Job,
    Progress,
    Status,
    find_job,
    list_jobs,
    move,
    progress,
    queue,
    read_log,
    resume,
    set_workers,
    state,
    stop,
    submit,
)
from likeness.studio.supervisor import Supervisor
from tests.conftest import ROOT, library_env
from tests.repository.forked import dvc

# It counts until it is told to end, and goes on where it was killed.
STAGE = """
import json, pathlib, sys, time
import yaml
params = yaml.safe_load(open("params.yaml"))["train"]
rank, outside = params["rank"], pathlib.Path(params["outside"])
if rank == 13:
    sys.exit("error: rank 13 brings bad luck")
with (outside / "journal").open("a") as journal:
    journal.write(f"{rank}\\n")
checkpoint, end = outside / f"checkpoint_{rank}", outside / f"end_{rank}"
step = int(checkpoint.read_text() or 0) if checkpoint.exists() else 0
while not end.exists():
    print("step", step, flush=True)
    step += 1
    checkpoint.write_text(str(step))
    time.sleep(0.02)
pathlib.Path("out.txt").write_text(str(rank))
pathlib.Path("metrics.json").write_text(json.dumps({"rank": rank}))
"""
PIPELINE = """
stages:
  train:
    cmd: python stage.py
    deps: [stage.py]
    params: [train]
    outs: [out.txt]
    metrics: [metrics.json: {cache: false}]
"""
PARAMS = "train: {rank: 8, outside: OUTSIDE}\n"


@pytest.fixture
def repo(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository below letters beyond ASCII; when the test has ended, nothing of it may run."""
    parent = tmp_path / "Été 漢字"
    root, outside = shutil.copytree(empty, parent / "repo"), parent / "outside"
    outside.mkdir()
    (root / "conf").mkdir()
    with (root / ".dvc/config").open("a") as config:
        config.write("[hydra]\n    enabled = True\n")
    params = PARAMS.replace("OUTSIDE", str(outside))
    for name, text in {
        "stage.py": STAGE,
        "dvc.yaml": PIPELINE,
        "params.yaml": params,
        "conf/config.yaml": params,
    }.items():
        (root / name).write_text(text)
    commit_toy(root, monkeypatch)
    yield root
    try:
        until(lambda: not processes(root))
    finally:
        for process in processes(root):
            process.kill()


def commit_toy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit what is there; git ignores jobs, as here, and what runs imports this checkout's library."""
    with (root / ".dvc/.gitignore").open("a") as ignored:
        ignored.write("/likeness\n")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Toy")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "toy@example.com")
    monkeypatch.setenv("PYTHONPATH", library_env()["PYTHONPATH"])
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "toy")


@pytest.fixture
def still(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository, in which no supervisor is started."""
    monkeypatch.setattr(jobs, "attend", lambda root: None)
    return repo


def processes(root: Path) -> list[psutil.Process]:
    """The supervisors of a repository, and all that runs in its clones."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = process.environ().get(CLONE_VARIABLE, "").startswith(f"{root}/")
            if inside or is_supervisor(process, root):
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_supervisor(process: psutil.Process, root: Path) -> bool:
    try:
        return process.cmdline()[1:4] == ["-m", "likeness.studio.supervisor", str(root)]
    except psutil.Error:  # it has ended
        return False


def supervisors(root: Path) -> list[psutil.Process]:
    return [each for each in processes(root) if is_supervisor(each, root)]


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.05)


def outside(root: Path) -> Path:
    return root.parent / "outside"


def let_end(root: Path, rank: int) -> None:
    (outside(root) / f"end_{rank}").touch()


def ranks(root: Path) -> list[str]:
    """The ranks of the stages that were started."""
    path = outside(root) / "journal"
    return path.read_text().split() if path.exists() else []


def steps(job: Job) -> list[int]:
    """The steps that a job's log has."""
    return [int(number) for number in re.findall(rb"step (\d+)\n", job.log.read_bytes())]


def counts(job: Job, beyond: int = 0) -> bool:
    return bool((found := steps(job) if job.log.exists() else []) and found[-1] > beyond)


def is_in(name: str, job: Job) -> Callable[[], bool]:
    return lambda: state(job).state == name


def started(job: Job) -> Process:
    found = find_job(job.root, job.id).process
    assert found
    return found


def command(root: Path, *argv: str) -> int:
    parser = argparse.ArgumentParser()
    jobs.add_arguments(parser)
    return jobs.main(parser.parse_args(argv), root)


# --- what a job is --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_job_is_an_experiment_of_what_was_committed(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, note = repo / "conf/config.yaml", repo / "note.txt"
    committed = config.read_text()
    config.write_text(committed.replace("rank: 8", "rank: 9"))
    note.touch()
    assert command(repo, "submit", "-n", "mine", "-S", "+train.rate=0.5", "train") == 0
    said = capsys.readouterr()
    assert said.out == "mine\n"
    assert said.err == "not part of it, as not committed: conf/config.yaml, note.txt\n"
    config.write_text(committed.replace("rank: 8", "rank: 10"))
    (repo / "stage.py").write_text("raise SystemExit('edited')")

    job = find_job(repo, "mine")
    until(is_in("running", job))
    until(lambda: counts(job))
    before = git(repo, "status", "--porcelain"), git(repo, "stash", "list")
    assert command(repo) == 0
    assert capsys.readouterr().out.startswith("mine  running")
    let_end(repo, 8)
    assert command(repo, "log", "mine", "--follow") == 0
    assert capsys.readouterr().out.encode() == job.log.read_bytes()

    assert state(job) == Status("done")
    stored = json.loads((job.folder / "job.json").read_text())
    assert stored["command"] == "dvc exp run -n mine -S +train.rate=0.5 train"
    assert stored["params"]["train"] == {"rank": 8, "rate": 0.5, "outside": str(outside(repo))}
    assert stored["commit"] == git(repo, "rev-parse", "HEAD")
    assert stored["uncommitted"] == ["conf/config.yaml", "note.txt"]
    assert set(stored["process"]) == {"pid", "start", "boot"}
    found = experiments(repo, stored["commit"])["mine"]
    assert json.loads(git(repo, "show", f"{found}:metrics.json")) == {"rank": 8}
    assert (git(repo, "status", "--porcelain"), git(repo, "stash", "list")) == before
    until(lambda: not job.clone.is_left())
    assert sorted(path.name for path in job.folder.iterdir()) == ["exit", "job.json", "log"]
    assert ranks(repo) == ["8"]


@pytest.mark.slow
def test_a_frozen_stage_runs_if_it_has_an_override(repo: Path) -> None:
    pipeline = repo / "dvc.yaml"
    pipeline.write_text(pipeline.read_text() + "    frozen: true\n")
    git(repo, "commit", "--quiet", "--all", "-m", "frozen")
    job = submit(repo, ["train"], ["train.rank=9"], "mine")
    assert job.command == "dvc unfreeze train && dvc exp run -n mine -S train.rank=9 train"
    let_end(repo, 9)
    until(is_in("done", job))
    found = experiments(repo, job.commit)["mine"]
    assert "frozen" not in git(repo, "show", f"{found}:dvc.yaml")
    assert json.loads(git(repo, "show", f"{found}:metrics.json")) == {"rank": 9}
    assert "frozen: true" in pipeline.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("committed", [True, False])
def test_a_job_carries_corrections_as_they_were_when_it_was_submitted(
    repo: Path, capsys: pytest.CaptureFixture[str], committed: bool
) -> None:
    file = repo / CORRECTIONS
    file.parent.mkdir()
    pipeline = repo / "dvc.yaml"
    pipeline.write_text(
        pipeline.read_text().replace("deps: [stage.py]", f"deps: [stage.py, {CORRECTIONS}]")
    )
    git(repo, "add", "dvc.yaml")
    if committed:
        file.write_text("committed\n")
        git(repo, "add", CORRECTIONS)
    git(repo, "commit", "--quiet", "-m", "corrections")

    file.write_text("submitted\n")
    (repo / "note.txt").touch()
    assert command(repo, "submit", "-n", "mine", "train") == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "not part of it, as not committed: note.txt",
        f"part of it, though not committed: {CORRECTIONS}",
    ]
    file.write_text("edited since\n")
    job = find_job(repo, "mine")
    until(lambda: counts(job))
    assert (job.clone.path / CORRECTIONS).read_text() == "submitted\n"
    assert (job.uncommitted, job.carried) == (["note.txt"], [CORRECTIONS])
    let_end(repo, 8)
    until(is_in("done", job))
    found = experiments(repo, job.commit)["mine"]
    assert git(repo, "show", f"{found}:{CORRECTIONS}") == "submitted"
    digest = hashlib.md5(b"submitted\n", usedforsecurity=False).hexdigest()
    assert digest in git(repo, "show", f"{found}:dvc.lock")
    assert file.read_text() == "edited since\n"


def test_a_clone_has_what_was_carried_and_not_what_was_deleted(still: Path) -> None:
    for name in ("data/ratings/a.jsonl", "data/ratings/b.jsonl", CORRECTIONS, "data/ratings.txt"):
        (still / name).parent.mkdir(parents=True, exist_ok=True)
        (still / name).write_text("1\n")
    git(still, "add", "data")
    git(still, "commit", "--quiet", "-m", "data")
    (still / "data/ratings/a.jsonl").write_text("2\n")
    (still / "data/ratings/b.jsonl").unlink()
    (still / "data/ratings.txt").write_text("2\n")
    (still / "data/ratings/c.jsonl").write_text("3\n")
    for name in ("hers.dvc", ".gitignore", "note.txt", "folder/a.dvc"):
        (still / "data/raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (still / "data/raw" / name).write_text("outs: []\n")
    job = submit(still)
    ratings = [f"data/ratings/{name}.jsonl" for name in "abc"]
    assert job.carried == [*ratings, "data/raw/.gitignore", "data/raw/hers.dvc"]
    assert job.uncommitted == ["data/ratings.txt", "data/raw/folder/a.dvc", "data/raw/note.txt"]
    job = find_job(still, job.id)
    job.clone.make(job.params, job.changed)
    data = job.clone.path / "data"
    files = {str(path.relative_to(data)): path.read_text() for path in data.rglob("*.*")}
    assert files == {
        "corrections.jsonl": "1\n", "ratings.txt": "1\n", "ratings/a.jsonl": "2\n",
        "ratings/c.jsonl": "3\n", "raw/hers.dvc": "outs: []\n", "raw/.gitignore": "outs: []\n",
    }  # fmt: skip


@pytest.mark.slow
def test_a_done_job_is_applied_and_overwrites_nothing_that_git_lacks(repo: Path) -> None:
    made = {rank: submit(repo, ["train"], [f"train.rank={rank}"], f"r{rank}") for rank in (4, 5)}
    with pytest.raises(LikenessError, match=r"r5: is (queued|running); only what is done"):
        jobs.apply(repo, "r5")
    for rank, job in made.items():
        let_end(repo, rank)
        until(is_in("done", job))
    params, out = repo / "params.yaml", repo / "out.txt"
    note = repo / "note.txt"
    note.write_text("mine")
    for rank in (4, 5, 4):  # what the other has left in the workspace is in git
        jobs.apply(repo, f"r{rank}")
        assert (out.read_text(), f"rank: {rank}" in params.read_text()) == (str(rank), True)
    params.write_text(params.read_text().replace("rank: 4", "rank: 6"))
    with pytest.raises(LikenessError, match=r"params\.yaml: is changed, and would be overwritten"):
        jobs.apply(repo, "r5")
    assert (out.read_text(), "rank: 6" in params.read_text()) == ("4", True)
    assert note.read_text() == "mine"
    git(repo, "update-ref", "-d", f"refs/exps/{made[5].commit[:2]}/{made[5].commit[2:]}/r5")
    with pytest.raises(LikenessError, match="r5: its experiment was removed"):
        jobs.apply(repo, "r5")


@pytest.mark.slow
def test_data_that_was_never_here_does_not_stop_an_apply(repo: Path) -> None:
    """As in a clone that has fetched one lane alone; what the job itself has made must be there."""
    pipeline = repo / "dvc.yaml"
    pipeline.write_text(
        pipeline.read_text() + "  other:\n    cmd: date > other\n    outs: [other]\n"
    )
    dvc(repo, "repro", "-q", "other").check_returncode()
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "-m", "other")
    (repo / "other").unlink()
    cache = repo / ".dvc/cache/files"
    shutil.rmtree(cache)
    let_end(repo, 8)
    job = submit(repo, ["train"], name="mine")
    until(is_in("done", job))
    jobs.apply(repo, "mine")
    assert (repo / "out.txt").read_text() == "8"
    assert not (repo / "other").exists()
    (repo / "out.txt").unlink()
    shutil.rmtree(cache)
    with pytest.raises(LikenessError, match="Checkout failed"):
        jobs.apply(repo, "mine")


@pytest.mark.slow
def test_what_fails_says_why_and_the_next_one_runs(repo: Path) -> None:
    bad = submit(repo, ["train"], ["train.rank=13"])
    good = submit(repo, ["train"], ["train.rank=4"])
    let_end(repo, 4)
    until(is_in("done", good))
    assert state(bad) == Status("failed", "error: rank 13 brings bad luck")
    assert list(experiments(repo, good.commit)) == ["HEAD", good.id]
    with pytest.raises(LikenessError, match=f"{good.id}: is done; only a job that failed"):
        resume(repo, good.id)
    with pytest.raises(LikenessError, match=f"{good.id}: is done already"):
        stop(repo, good.id)


@pytest.mark.slow
def test_the_stop_of_one_run_leaves_the_others(repo: Path) -> None:
    set_workers(repo, 2)
    one, two, three = (submit(repo, ["train"], [f"train.rank={rank}"]) for rank in (1, 2, 3))
    until(lambda: counts(one) and counts(two))
    assert state(three) == Status("queued")
    stop(repo, one.id)
    assert state(one) == Status("stopped")
    until(lambda: counts(three))
    assert state(two) == Status("running")
    resume(repo, one.id)
    assert state(one) == Status("queued")
    for rank in (1, 2, 3):
        let_end(repo, rank)
    until(lambda: [state(job).state for job in list_jobs(repo)] == ["done"] * 3)
    assert steps(one) == list(range(len(steps(one))))
    assert ranks(repo).count("1") == 2


# --- kills ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_job_outlives_its_supervisors(repo: Path, request: pytest.FixtureRequest) -> None:
    job = submit(repo, ["train"])
    until(lambda: counts(job))
    run = started(job)
    for _ in range(request.config.getoption("--kills")):
        (supervisor,) = supervisors(repo)
        # In a session of its own, so that no terminal takes it along.
        assert os.getsid(supervisor.pid) == supervisor.pid
        supervisor.kill()
        supervisor.wait()
        assert state(job) == Status("running")
        before = steps(job)[-1]
        list_jobs(repo)
        until(lambda: supervisors(repo))
        until(lambda at=before: counts(job, beyond=at))
    assert started(job) == run
    let_end(repo, 8)
    until(is_in("done", job))
    assert steps(job) == list(range(len(steps(job))))
    assert ranks(repo) == ["8"]
    assert job.id in experiments(repo, job.commit)


@pytest.mark.slow
def test_a_job_that_ends_while_nobody_attends_is_recorded_later(repo: Path) -> None:
    job = submit(repo, ["train"])
    until(lambda: counts(job))
    (supervisor,) = supervisors(repo)
    supervisor.kill()
    supervisor.wait()
    let_end(repo, 8)
    until(lambda: not processes(repo))
    assert job.id not in experiments(repo, job.commit)
    list_jobs(repo)
    until(is_in("done", job))
    assert job.id in experiments(repo, job.commit)


@pytest.mark.slow
def test_a_supervisor_may_be_killed_at_any_moment(
    repo: Path, request: pytest.FixtureRequest
) -> None:
    """Also while it makes a clone, starts a run, or records how one ended."""
    let_end(repo, 8)
    names = [
        submit(repo, ["train"]).id for _ in range(1 + request.config.getoption("--kills") // 5)
    ]
    for at in range(request.config.getoption("--kills")):
        list_jobs(repo)
        time.sleep(0.3 + 0.37 * at % 1.9)
        for supervisor in supervisors(repo):
            supervisor.kill()
            supervisor.wait()
    until(lambda: not [job for job in list_jobs(repo) if not job.exit.exists()])
    assert {str(state(job)) for job in list_jobs(repo)} == {"done"}
    assert set(experiments(repo, git(repo, "rev-parse", "HEAD"))) == {"HEAD", *names}
    until(lambda: not supervisors(repo))
    assert not list((repo / FOLDER).glob("*/*clone"))


@pytest.mark.slow
def test_a_killed_run_has_failed_and_goes_on(repo: Path, request: pytest.FixtureRequest) -> None:
    job = submit(repo, ["train"])
    kills = request.config.getoption("--kills")
    for at in range(kills):
        size = job.log.stat().st_size if job.log.exists() else 0
        until(lambda size=size: b"step" in read_log(job, size)[0])
        pid = started(job).pid
        (os.killpg if at % 2 else os.kill)(pid, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: job.exit.exists(), seconds=5)
        assert state(job) == Status("failed", "killed by signal 9")
        assert time.monotonic() - killed < 5
        until(lambda: not processes(repo), seconds=5)
        resume(repo, job.id)
    until(is_in("running", job))
    let_end(repo, 8)
    until(is_in("done", job))
    assert len(ranks(repo)) == kills + 1
    assert sorted(set(steps(job))) == list(range(max(steps(job)) + 1))
    assert job.id in experiments(repo, job.commit)


def test_another_process_with_the_number_is_neither_believed_nor_signalled(still: Path) -> None:
    job = submit(still, ["train"])
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as innocent:
        now = Process.of(innocent.pid)
        replace(job, process=now).write()
        assert state(job) == Status("running")
        replace(job, process=replace(now, start=now.start - 1)).write()
        assert state(job).state == "failed"
        Supervisor(still).step()  # which ends what the run may have left
        assert job.exit.exists()
        with pytest.raises(LikenessError, match=f"{job.id}: is failed already"):
            stop(still, job.id)
        resume(still, job.id)
        assert state(job) == Status("queued")
        stop(still, job.id)
        assert state(job) == Status("stopped")
        assert innocent.poll() is None
        innocent.kill()


def test_a_job_of_an_earlier_boot_has_failed_and_goes_on(still: Path) -> None:
    job = submit(still, ["train"])
    replace(job, process=replace(Process.of(os.getpid()), boot="an earlier one")).write()
    assert state(job) == Status("failed", "the machine was restarted")
    resume(still, job.id)
    assert state(job) == Status("queued")
    assert [each.id for each in queue(still)] == [job.id]


def test_a_reason_names_files_as_the_repository_does(still: Path) -> None:
    job = submit(still, ["train"])
    job.log.write_text(f"ERROR: no such file: '{job.clone.path}/data/raw/gone'\n")
    replace(job, process=replace(Process.of(os.getpid()), start=1)).write()
    assert state(job) == Status("failed", "ERROR: no such file: 'data/raw/gone'")


# --- the queue, the log, mistakes -----------------------------------------------------------------


def test_the_queue_has_an_order(still: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abcd":
        submit(still, name=name)
    command(still, "move", "d", "1")
    move(still, "a", 9)
    command(still, "stop", "b")
    assert [job.id for job in queue(still)] == ["d", "c", "a"]
    command(still, "resume", "b")
    command(still)
    ids = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert ids == ["d", "c", "a", "b"]


def test_a_log_is_read_on_by_offset_and_has_the_progress(still: Path) -> None:
    job = submit(still)
    assert read_log(job) == (b"", 0)
    assert progress(job) is None
    text = (
        "Running stage 'train':\nimage_train: steps:  40%|████▌     | 12/30 [00:01<00:02, 9.1it/s]"
    )
    job.log.write_text(text.replace("12/30", "11/30") + "\r" + text.splitlines()[1])
    assert progress(job) == Progress("image_train", "steps", 12, 30)
    data, at = read_log(job, 8)
    assert (data, at) == (job.log.read_bytes()[8:], job.log.stat().st_size)
    with job.log.open("a") as log:
        log.write("\nend\n")
    assert read_log(job, at) == (b"\nend\n", at + 5)
    assert progress(job) == Progress("image_train", "steps", 12, 30)


def test_mistakes_are_one_line(still: Path) -> None:
    for identity in ("gone", "../jobs", ""):
        with pytest.raises(LikenessError, match="no such job"):
            find_job(still, identity)
    with pytest.raises(
        LikenessError, match=r"tarin: no such stage in dvc\.yaml of .*; it has train"
    ):
        submit(still, ["tarin"])
    with pytest.raises(LikenessError, match=r"train\.rnk"):
        submit(still, [], ["train.rnk=1"])
    with pytest.raises(LikenessError, match="-S"):
        submit(still, [], ["train.rank=1,2"])
    with pytest.raises(LikenessError, match="-S"):
        submit(still, [], ["--force"])
    for name in ("a/b", "-n", "", "."):
        with pytest.raises(LikenessError, match="a name has"):
            submit(still, name=name)
    submit(still, name="a")
    with pytest.raises(LikenessError, match="a: a job or an experiment has this name"):
        submit(still, name="a")
    with pytest.raises(LikenessError, match="the first is 1"):
        move(still, "a", 0)
    with pytest.raises(LikenessError, match="a: is queued; only a job that failed"):
        resume(still, "a")
    stop(still, "a")
    with pytest.raises(LikenessError, match="a: is stopped; only a job that waits"):
        move(still, "a", 1)
    with pytest.raises(LikenessError, match="--workers 0"):
        set_workers(still, 0)


def test_git_ignores_jobs() -> None:
    git(ROOT, "check-ignore", str(FOLDER))
