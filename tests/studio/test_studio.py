"""The command, and the page of its API."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from likeness.cli import main
from likeness.common.errors import LikenessError
from tests.conftest import ROOT, library_env


def test_the_page_of_the_api_is_up_to_date() -> None:
    from likeness.studio.api_page import to_markdown
    from likeness.studio.app import make_app

    page = (ROOT / "docs/api.md").read_text()
    assert page == to_markdown(make_app().openapi()), (
        "run python -m likeness.studio.api_page docs/api.md"
    )


def test_the_page_is_served_without_anything_from_elsewhere(client: Any) -> None:
    page = client.get("/docs").text
    assert "<h2>POST /v1/audio/speech</h2>" in page
    assert "<table>" in page
    assert "<script" not in page
    assert page.count("<link") == 1
    assert client.get("/docs.css").headers["content-type"].startswith("text/css")


def test_the_page_can_be_written(tmp_path: Path) -> None:
    from likeness.studio.app import write_page

    write_page([str(tmp_path / "api.md")])
    assert (tmp_path / "api.md").read_text() == (ROOT / "docs/api.md").read_text()
    with pytest.raises(LikenessError, match="name one file"):
        write_page([])


def test_a_missing_package_is_one_line(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['fastapi'] = None\n"
    command = f"{hidden}from likeness.cli import entry; entry()"
    done = subprocess.run(
        [sys.executable, "-c", command, "studio"],
        cwd=ROOT, env=library_env(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    line = "error: the studio needs fastapi, which is not installed; run make studio\n"
    assert done.stderr == line


def test_a_port_that_is_taken_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LikenessError, match=f"--port {port}: cannot listen there"):
            main(["studio", "--port", str(port)])
    for port in (70000, -1):
        with pytest.raises(LikenessError, match="cannot listen there"):
            main(["studio", "--port", str(port)])
    with pytest.raises(LikenessError, match=r"--host nowhere\.invalid"):
        main(["studio", "--host", "nowhere.invalid"])
    with pytest.raises(LikenessError, match="--queue 3: must be 16 at least"):
        main(["studio", "--queue", "3"])
    with pytest.raises(LikenessError, match="--wait nan: must be 1 second at least"):
        main(["studio", "--wait", "nan"])


def test_a_token_can_be_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from likeness.studio.security import make_keys
    from likeness.studio.studio import _read_token

    file = tmp_path / "token"
    file.write_text("a" * 32 + "\n")
    keys = make_keys("127.0.0.1", 1, token=_read_token(file))
    assert keys.opened_by("a" * 32)
    assert not keys.opened_by("a" * 31)
    monkeypatch.chdir(ROOT)
    for text in ("a" * 31, "é" * 40, "a" * 40 + " b", ""):
        file.write_text(text)
        with pytest.raises(LikenessError, match=f"--token-file {file}: "):
            main(["studio", "--token-file", str(file)])
    with pytest.raises(LikenessError, match="cannot be read"):
        main(["studio", "--token-file", str(tmp_path / "none")])


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "opus"])
def test_audio_is_the_same_in_each_format_to_the_byte(form: Any) -> None:
    import numpy as np

    from likeness.studio.generate import convert
    from likeness.voice.audio import encode, read

    wave = encode(0.1 * np.sin(np.arange(24000) / 20), 24000, "WAV")
    audio = convert(wave, form)
    assert audio == convert(wave, form)
    samples, rate = read(audio)
    assert (rate, len(samples)) == (24000, pytest.approx(24000, abs=2500))
    assert 0.05 < np.abs(samples).max() < 0.2


def test_models_are_bases_and_the_adapter_of_its_own_base(made: Path, tmp_path: Path) -> None:
    from likeness.common.io import write_json
    from likeness.studio.models import Models
    from likeness.studio.problems import Problem

    (tmp_path / "params.yaml").write_text((made / "params.yaml").read_text())
    with pytest.raises(Problem, match="x: no such model; no base for speech under models/"):
        Models(tmp_path).find("speech", "x")
    for name in ("xtts_mini", "xtts_v2"):
        write_json(tmp_path / f"models/{name}/config.json", {"model": "xtts"})
        (tmp_path / f"models/{name}/model.pth").touch()
    write_json(tmp_path / "models/without_weights/config.json", {"model": "xtts"})
    write_json(tmp_path / "models/clip/config.json", {"model": "clip"})
    write_json(tmp_path / "models/sd/model_index.json", {})
    assert [*Models(tmp_path).all("speech")] == ["xtts_mini", "xtts_v2"]
    write_json(tmp_path / "data/voice_train/training.json", {"base": "xtts_mini"})
    assert len(Models(tmp_path).all("speech")) == 2
    with pytest.raises(Problem, match="x: no such model; GET /v1/models lists xtts_mini, xtts_v2"):
        Models(tmp_path).find("speech", "x")
    (tmp_path / "data/voice_train/adapter.safetensors").touch()
    models = Models(tmp_path)
    assert [*models.all("speech")] == ["xtts_mini", "xtts_mini+voice_train", "xtts_v2"]
    (tmp_path / "data/voice_train/adapters").mkdir()
    (tmp_path / "data/voice_train/adapters/010.safetensors").touch()
    kept = models.all("speech")["xtts_mini+voice_train@010"]
    assert kept.adapter == tmp_path / "data/voice_train/adapters/010.safetensors"
    write_json(tmp_path / "data/image_train/training.json", {"base": "sd"})
    weights = "pytorch_lora_weights.safetensors"
    for folder in ("per/Women", "adapters/000416", "."):
        (tmp_path / "data/image_train" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/image_train" / folder / weights).touch()
    drawing = models.all("images")
    tuned = "sd+image_train"
    assert [*drawing] == ["sd", tuned, f"{tuned}@000416", f"{tuned}@Women"]
    assert drawing[f"{tuned}@Women"].adapter == tmp_path / "data/image_train/per/Women" / weights
    assert models.first("speech") == models.all("speech")["xtts_mini+voice_train"]
    assert models.first("images") == drawing["sd"]
    assert models.voices(["ann"]) == ["ann"]


def is_bad_fork(code: str) -> bool:
    """Whether a process that is forked after this code cannot use CUDA."""
    ask = "import os, torch\nif not os.fork(): print(torch.cuda._is_in_bad_fork(), flush=True)"
    command = [sys.executable, "-c", f"{code}\n{ask}\nelse: os.wait()"]
    done = subprocess.run(command, capture_output=True, text=True, env=library_env(), check=True)
    return done.stdout.strip() == "True"


@pytest.mark.slow
def test_workers_can_use_a_gpu() -> None:
    """What asks CUDA for its devices before the fork takes them from the worker, on any machine."""
    import torch

    assert not is_bad_fork("import likeness.studio.preload")
    if torch.backends.cuda.is_built():
        assert is_bad_fork("import torch; torch.cuda.device_count(); torch.cuda.is_available()")


@pytest.mark.slow
def test_a_worker_whose_fork_server_dies_is_one_line_and_can_be_started_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiprocessing.context import ForkServerContext

    from likeness.studio.worker import Loaded, Worker

    def broken(self: object) -> None:
        raise EOFError

    worker = Worker("images", repository, {"base": repository / "models/sd_mini", "adapter": None})
    with monkeypatch.context() as patch:
        patch.setattr(ForkServerContext.Process, "start", broken)
        told = worker.start()
    assert isinstance(told, str)
    assert told.startswith("the process that loads the model was ended")
    worker.close()  # before anything runs
    worker = Worker("images", repository, {"base": repository / "models/sd_mini", "adapter": None})
    assert isinstance(worker.start(), Loaded)
    worker.close()


@pytest.mark.slow
def test_a_broken_adapter_is_told_in_one_line(repository: Path, tmp_path: Path) -> None:
    from likeness.studio.worker import Worker

    adapter = tmp_path / "adapter.safetensors"
    adapter.write_bytes(b"no adapter")
    worker = Worker(
        "speech", repository, {"base": repository / "models/xtts_mini", "adapter": adapter}
    )
    told = worker.start()
    worker.close()
    assert isinstance(told, str)
    assert told.startswith(f"{adapter}: not an adapter (")
    assert told.endswith("; run voice_train")


@pytest.mark.slow
def test_a_base_is_loaded_while_its_adapter_is_gone(repository: Path, tmp_path: Path) -> None:
    """DVC deletes what a stage has made before it runs again."""
    from likeness.studio.worker import Loaded, Worker

    adapter = tmp_path / "pytorch_lora_weights.safetensors"
    worker = Worker(
        "images", repository, {"base": repository / "models/sd_mini", "adapter": adapter}
    )
    told = worker.start()
    worker.close()
    assert isinstance(told, Loaded), told
