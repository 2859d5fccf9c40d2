"""Trackers beside DVCLive: the same curves in each, and one line for what cannot be used."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.common.tracking import Tracker, parse_trackers
from tests.conftest import absent, library_env

POINTS = {"train/loss": {10: 0.75, 20: 0.5}, "val/loss": {0: 0.875, 20: 0.625}}
TRAINING = """
import sys
from pathlib import Path
from tests.common.test_tracking import trained
trained(Path(sys.argv[1]), sys.argv[2])
"""


def trained(folder: Path, *others: str) -> None:
    """A training's curves, a sheet of samples and its params."""
    plots, timings = (folder / name / "image_train" for name in ("plots", "timings"))
    tracker = Tracker(plots, timings, others, {"rank": 4})
    for step in (0, 10, 20):
        for name, curve in POINTS.items():
            if step in curve:
                tracker.log(step, {name: curve[step]})
    tracker.log_timings(20, {"seconds_per_step": 0.25})
    sheet = folder / "000020.png"
    Image.new("RGB", (8, 8), "red").save(sheet)
    tracker.log_image("samples/000020.png", sheet)
    tracker.end()


def dvclive(folder: Path) -> dict[str, dict[int, float]]:
    curves = folder / "plots" / "image_train" / "plots" / "metrics"
    found: dict[str, dict[int, float]] = {}
    for path in sorted(curves.rglob("*.tsv")):
        rows = csv.DictReader(path.open(), delimiter="\t")
        name = str(path.relative_to(curves).with_suffix(""))
        found[name] = {int(row["step"]): float(row[path.stem]) for row in rows}
    return found


def offline(requirement: str, folder: Path, **variables: str) -> dict[str, str]:
    """The environment of a process that has the package, and logs to files in `folder`."""
    target = folder / "packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", target, requirement]
    done = subprocess.run([*map(str, install)], capture_output=True, text=True)
    if done.returncode:
        absent(f"{requirement} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    env = library_env()
    env["PYTHONPATH"] += f"{os.pathsep}{Path(__file__).parents[2]}{os.pathsep}{target}"
    return {**env, **variables}


def run(code: str, folder: Path, env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_tensorboard_has_the_same_curves(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(tmp_path, "tensorboard")
    assert dvclive(tmp_path) == POINTS
    (folder,) = (tmp_path / "timings" / "tensorboard").glob("image_train-*")
    events = EventAccumulator(str(folder)).Reload()
    scalars = {name: {one.step: one.value for one in events.Scalars(name)} for name in POINTS}
    assert scalars == POINTS
    assert [one.value for one in events.Scalars("timings/seconds_per_step")] == [0.25]
    assert events.Tags()["images"] == ["samples/000020.png"]


MLFLOW = """
import json, mlflow
client = mlflow.MlflowClient()
(experiment,) = mlflow.search_experiments(filter_string="name = 'likeness'")
(run,) = client.search_runs([experiment.experiment_id])
curves = {name: {point.step: point.value for point in client.get_metric_history(run.info.run_id, name)}
          for name in ("train/loss", "val/loss")}
files = [one.path for one in client.list_artifacts(run.info.run_id, "samples")]
print(json.dumps([curves, files, run.data.params, run.info.status]))
"""


@pytest.mark.network
@pytest.mark.slow
def test_mlflow_has_the_same_curves(tmp_path: Path) -> None:
    store = {"MLFLOW_TRACKING_URI": (tmp_path / "runs").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    env = offline("mlflow-skinny", tmp_path, **store)
    run(TRAINING, tmp_path, env, "mlflow")
    curves, files, params, status = json.loads(run(MLFLOW, tmp_path, env).splitlines()[-1])
    assert {
        name: {int(at): one for at, one in curve.items()} for name, curve in curves.items()
    } == POINTS
    assert (files, params, status) == (["samples/000020.png"], {"rank": "4"}, "FINISHED")


WANDB = """
import json, struct, sys
from pathlib import Path
from wandb.proto.wandb_internal_pb2 import Record
(path,) = Path(sys.argv[1]).glob("wandb/offline-run-*/*.wandb")
data, at, record, found = path.read_bytes(), 7, b"", {}
while at + 7 <= len(data):  # LevelDB's log: blocks of 32 KiB with whole records or parts of them
    size, part = struct.unpack("<HB", data[at + 4 : at + 7])
    record += data[at + 7 : at + 7 + size]
    at += 7 + size
    if 2**15 - at % 2**15 < 7:
        at += 2**15 - at % 2**15
    if part in (1, 4):
        items = Record.FromString(record).history.item
        record, values = b"", {"/".join(one.nested_key): json.loads(one.value_json) for one in items}
        for name in {"train/loss", "val/loss"} & set(values):
            found.setdefault(name, {})[values["_step"]] = values[name]
print(json.dumps(found))
"""


@pytest.mark.network
@pytest.mark.slow
def test_wandb_has_the_same_curves(tmp_path: Path) -> None:
    env = offline("wandb", tmp_path, WANDB_MODE="offline")
    run(TRAINING, tmp_path, env, "wandb")
    curves = json.loads(run(WANDB, tmp_path, env).splitlines()[-1])
    assert {
        name: {int(at): one for at, one in curve.items()} for name, curve in curves.items()
    } == POINTS


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("wandb, neptune", "neptune: no tracker; choose from tensorboard, wandb, mlflow"),
        ("tensorboard comet", "comet: no tracker; choose from tensorboard, wandb, mlflow"),
        ("mlflow", "mlflow: not installed; pip install mlflow"),
    ],
)
def test_a_tracker_that_cannot_be_used_is_one_line(
    given: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "likeness.common.tracking.find_spec", lambda name: None if name == "mlflow" else name
    )
    with pytest.raises(LikenessError, match=re.escape(f"LIKENESS_TRACKERS={given}: {line}")):
        parse_trackers(given)


def test_trackers_are_parted_by_commas_or_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likeness.common.tracking.find_spec", lambda name: name)
    assert parse_trackers("") == []
    assert parse_trackers("wandb,mlflow tensorboard") == ["wandb", "mlflow", "tensorboard"]


def test_a_tracker_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "timings").mkdir()
    (tmp_path / "timings" / "tensorboard").write_text("a file where a folder is needed")
    line = r"^LIKENESS_TRACKERS=tensorboard: does not start: .*Not a directory"
    with pytest.raises(LikenessError, match=line):
        trained(tmp_path, "tensorboard")
    assert not (tmp_path / "plots").exists(), "nothing was written before"
