"""How a stage begins: its models are checked before anything else is done."""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from likeness.common.errors import LikenessError
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.image.evaluate import ImageEvaluate
from likeness.image.recolour import ImageRecolour
from likeness.image.train import ImageTrain
from likeness.report import write_report
from likeness.stage import BASES, MODELS, SCHEMA, check_models
from likeness.voice.train import VoiceTrain
from tests.conftest import ROOT, library_env
from tests.test_contract import flags


def model_flags(stage: str) -> dict[str, str]:
    """The flags of a stage's command that name a folder under models/."""
    entry = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    return {name: path for name, path in flags(entry).items() if path.startswith("models/")}


def test_every_model_of_every_stage_is_checked() -> None:
    seen: set[str] = set()
    for stage in SCHEMA.keys() - {"base", "inputs"}:
        found = model_flags(stage)
        assert found.keys() <= MODELS.keys() | {"base"}, stage
        assert "base" not in found or stage.partition("_")[0] in BASES, stage
        seen |= found.keys()
    assert seen == MODELS.keys() | {"base"}


def missing(folder: Path) -> Path:
    return folder / "absent"


def another(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return folder


@pytest.mark.parametrize(
    ("section", "flag"),
    [
        (ImageEvaluate, "clip"),
        (ImageEvaluate, "extractor"),
        (ImageRecolour, "controlnet"),
        (ImageTrain, "base"),
        (VoiceTrain, "base"),
        (VoiceTrain, "asr"),
        (VoiceTrain, "speaker"),
        (VoiceTrain, "mos"),
    ],
)
@pytest.mark.parametrize("make", [missing, another])
def test_a_folder_of_another_kind_is_one_line(
    tmp_path: Path, section: type[Section], flag: str, make: Callable[[Path], Path]
) -> None:
    folder = make(tmp_path / "model")
    with pytest.raises(LikenessError, match=str(folder)) as caught:
        check_models(section, argparse.Namespace(**{flag: folder, "out_dir": tmp_path}))
    assert "\n" not in str(caught.value)


def test_right_folders_pass_and_a_swapped_one_is_named(
    tiny_base: Path, tiny_clip: Path, tiny_extractor: Path, tmp_path: Path
) -> None:
    right = {"base": tiny_base, "clip": tiny_clip, "extractor": tiny_extractor}
    check_models(ImageEvaluate, argparse.Namespace(**right, metrics=tmp_path / "m.json"))
    with pytest.raises(LikenessError, match=rf"{tiny_base}: no CLIP here"):
        check_models(ImageEvaluate, argparse.Namespace(**{**right, "clip": tiny_base}))


def test_a_stage_stops_at_a_broken_model_before_it_works(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness import stage

    broken = tmp_path / "base"
    shutil.copytree(tiny_base, broken)
    shutil.rmtree(broken / "vae")

    def work(cfg: ImageTrain, *, base: Path, rt: Runtime) -> None:
        pytest.fail("the stage ran")

    monkeypatch.setattr(stage, "start", lambda *_: pytest.fail("the runtime was started"))
    with pytest.raises(LikenessError, match="vae"):
        stage.stage("What it does.", work)(["--base", str(broken)])


def test_the_work_s_signature_says_what_a_stage_takes_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness import stage

    def work(cfg: ImageTrain, *, products: Path, out_dir: Path, rt: Runtime) -> dict[str, int]:
        assert (products, out_dir, rt) == (Path("a"), Path("b"), "runtime")
        return {"rank": cfg.rank}

    monkeypatch.setattr(stage, "start", lambda *_: "runtime")
    monkeypatch.setattr(stage, "lease", lambda *_: None)
    metrics = tmp_path / "m.json"
    main = stage.stage("What it does.", work)
    main(["--products", "a", "--out-dir", "b", "--metrics", str(metrics)])
    rank = yaml.safe_load((ROOT / "params.yaml").read_text())["image_train"]["rank"]
    assert json.loads(metrics.read_text()) == {"rank": rank}


def test_help_needs_no_params(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from likeness import stage

    monkeypatch.setattr(stage, "ROOT", tmp_path)
    main = stage.stage("What it does.", write_report)
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "What it does." in shown
    assert "--voice-adapter PATH" in shown
    assert "--metrics " not in shown
    with pytest.raises(LikenessError, match=r"params\.yaml: no such file"):
        main(["--metrics-dir", "x"])


STAGE = """
import logging, sys, warnings
from likeness.common.cli import run
from likeness.common.errors import LikenessError
from likeness.common.runtime import Runtime
from likeness.image.analyze import ImageAnalyze
from likeness.stage import stage

def work(cfg: ImageAnalyze, *, rt: Runtime) -> None:
    logging.getLogger("library").warning("old %s", "model")
    logging.getLogger("library").info("not told")
    rt.log("two of three")
    assert [*rt.progress(range(3), "image_analyze: photos")] == [0, 1, 2]
    raise LikenessError("data/raw: nothing there; fetch it")

if __name__ == "__main__":
    run(stage(None, work))
"""


@pytest.mark.slow
def test_a_stage_logs_as_json_if_it_is_asked_to() -> None:
    def stderr(form: str) -> list[str]:
        given = {"LIKENESS_LOG": form, "LIKENESS_JOB": "job-1", "DVC_STAGE": ""}
        done = subprocess.run(
            [sys.executable, "-c", STAGE], env={**library_env(), **given}, cwd=ROOT,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 1
        return done.stderr.splitlines()

    lines = [json.loads(line) for line in stderr("json")]
    told = {(line["event"], line["level"], line["logger"]) for line in lines}
    wrong = ("error: data/raw: nothing there; fetch it", "error", "stderr")
    assert told >= {("old model", "warning", "library"), ("two of three", "info", "stderr"), wrong}
    assert any(line["event"].startswith("image_analyze: photos: 100%|") for line in lines)
    assert {line["job_id"] for line in lines} == {"job-1"}
    assert not [line for line in lines if line["event"] == "not told"]
    plain = stderr("")
    assert plain[-1] == wrong[0]
    assert "library: old model" in plain
    assert stderr("xml") == ["error: LIKENESS_LOG=xml: no form of logs; set json, or nothing"]
