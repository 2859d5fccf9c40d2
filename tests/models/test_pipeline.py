"""models/dvc.yaml: what is frozen, what ships, and valid params (tests/test_contract.py has the rest)."""

import re
from pathlib import Path

import pytest
import yaml

from likeness.common.params import check_params, load_params
from models.settings import ROOT, SCHEMA, SampleVoice, XttsMini

MODELS = ROOT / "models"
STAGES = yaml.safe_load((MODELS / "dvc.yaml").read_text())["stages"]


def test_long_and_remote_stages_are_frozen_and_what_ships_names_its_remote():
    frozen = {name for name, stage in STAGES.items() if stage.get("frozen")}
    from_packages = {"vision_features", "whisper_tiny_en", "speaker_encoder", "dnsmos"}
    assert frozen == set(STAGES) - from_packages - {"sample_catalog"}
    shipped = {
        name for name, stage in STAGES.items()
        for out in stage.get("outs", []) if isinstance(out, dict) and "bundled" in str(out)
    }  # fmt: skip
    assert shipped == {
        "sample_catalog",
        "sample_voice",
        "clip_mini",
        "sd_mini",
        "controlnet_mini",
        "xtts_mini",
    }


def test_params_are_valid():
    check_params(MODELS / "params.yaml", SCHEMA)


def test_no_base_hears_the_sample_narrations_voice():
    sample, base = (load_params(MODELS / "params.yaml", SCHEMA, c) for c in (SampleVoice, XttsMini))
    assert sample.voice not in base.speech.voices
    assert sample.kokoro == base.speech.kokoro


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["clip_mini", "sd_mini", "controlnet_mini", "xtts_mini"], indirect=True
)
def test_no_model_names_a_folder_of_the_machine_that_made_it(model: Path):
    """Libraries write into a model's config from where it was loaded (`_name_or_path`)."""
    texts = [path.read_text() for path in model.rglob("*") if path.suffix in {".json", ".md"}]
    assert len(texts) > 1
    assert [found for text in texts for found in re.findall(r'"((?:/[\w.-]+){2,})', text)] == []
