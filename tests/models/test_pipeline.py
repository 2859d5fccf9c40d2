"""models/dvc.yaml: what a stage runs is what it depends on."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from settings import ROOT, SCHEMA

from likeness.common.closure import import_closure
from likeness.common.params import check_params

MODELS = ROOT / "models"
STAGES = yaml.safe_load((MODELS / "dvc.yaml").read_text())["stages"]


def siblings(script: Path) -> set[Path]:
    """The script and the modules of models/ that it imports, at any depth."""
    found, todo = set(), [script]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            tree = ast.walk(ast.parse(path.read_text()))
            names = {n.module for n in tree if isinstance(n, ast.ImportFrom) and n.module}
            todo += [MODELS / f"{n}.py" for n in names if (MODELS / f"{n}.py").is_file()]
    return found


@pytest.mark.parametrize("name", STAGES)
def test_code_is_a_dep(name):
    stage = STAGES[name]
    script = MODELS / stage["cmd"].split()[1]
    code = siblings(script)
    code |= {path for own in code for path in import_closure(own)}
    deps = [(MODELS / dep).resolve() for dep in stage["deps"]]
    missing = [p for p in code if not any(p == d or d in p.parents for d in deps)]
    assert not missing
    extra = [d for d in deps if d.suffix == ".py" and d not in code]
    assert not extra


@pytest.mark.parametrize("name", STAGES)
def test_path_flags_are_deps_or_outs(name):
    stage = STAGES[name]
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in stage.get("outs", [])]
    flags = dict(re.findall(r"--([a-z-]+) (\S+)", stage["cmd"]))
    assert flags.pop("out-dir") in (outs or [name])
    assert set(flags.values()) <= set(stage["deps"])


def test_long_and_remote_stages_are_frozen_and_what_ships_names_its_remote():
    frozen = {name for name, stage in STAGES.items() if stage.get("frozen")}
    from_packages = {"vision_features", "whisper_tiny_en", "speaker_encoder", "dnsmos"}
    assert frozen == set(STAGES) - from_packages - {"sample_catalog", "sample_voice"}
    shipped = {
        name for name, stage in STAGES.items()
        for out in stage.get("outs", []) if isinstance(out, dict) and "bundled" in str(out)
    }  # fmt: skip
    assert shipped == {"sample_catalog", "sample_voice", "clip_mini", "sd_mini"}


def test_params_are_valid():
    check_params(MODELS / "params.yaml", SCHEMA)
