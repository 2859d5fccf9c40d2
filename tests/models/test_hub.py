"""Real bases: pinned, checked, and one line where no hub can be reached."""

import hashlib

import huggingface_hub
import pytest
import torch
from hub import fetch, main
from settings import ROOT, SCHEMA, Hub, HubModel, XttsModel

from likeness.common.errors import LikenessError
from likeness.common.params import load_params

MODEL = HubModel(
    repository="some/model",
    revision="0" * 40,
    files=["*.safetensors"],
    sha256={"a.safetensors": hashlib.sha256(b"weights").hexdigest()},
)


def downloads(data):
    def snapshot_download(repository, *, revision, local_dir, allow_patterns):
        (local_dir / "a.safetensors").write_bytes(data)

    return snapshot_download


def test_the_right_files_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", downloads(b"weights"))
    fetch(MODEL, tmp_path / "m")
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"a.safetensors", "source.json"}


def test_other_bytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", downloads(b"other"))
    with pytest.raises(LikenessError, match=r"a\.safetensors: SHA-256 is"):
        fetch(MODEL, tmp_path / "m")


def test_no_hub_is_one_line(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("cannot\nconnect")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(LikenessError, match=r"cannot fetch some/model \(cannot connect\)") as error:
        fetch(MODEL, tmp_path / "m")
    assert "\n" not in str(error.value)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(
        LikenessError,
        match="must be one of sd15, sdxl, clip_vit_l14, inception_v3, dinov2, xtts_v2",
    ):
        main(["--out-dir", str(tmp_path / "other")])


class PickledConfig:
    """What the published checkpoint of XTTS has beside its weights."""


def test_xtts_loses_its_pickled_config(tmp_path, monkeypatch):
    config = PickledConfig()
    config.batch_size = 32
    torch.save({"config": config, "model": {"gpt.weight": torch.ones(2)}}, tmp_path / "model.pth")
    data = (tmp_path / "model.pth").read_bytes()

    def snapshot_download(repository, *, revision, local_dir, allow_patterns):
        (local_dir / "model.pth").write_bytes(data)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    pinned = {"sha256": {"model.pth": hashlib.sha256(data).hexdigest()}}
    fetch(XttsModel.model_validate({**MODEL.model_dump(), **pinned}), tmp_path / "xtts")
    # weights_only refuses any class, as Coqui's loader does before it rewrites the file.
    state = torch.load(tmp_path / "xtts" / "model.pth", weights_only=True)
    assert list(state) == ["model"]
    assert state["model"]["gpt.weight"].tolist() == [1, 1]


def test_every_base_is_pinned():
    hub = load_params(ROOT / "models" / "params.yaml", SCHEMA, Hub)
    # torch.hub has no revisions: its folder is pinned by the stage that reads it.
    assert all(model.sha256 for name, model in hub if name != "dinov2")
