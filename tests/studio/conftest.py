"""A small repository with what the stages write, and the studio on it: in this process, or as a server.

Tests import what needs the packages of requirements-studio.txt inside functions, so that they are
skipped and not broken where those are missing.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest

from likeness.common.evaluations import save_tensors
from likeness.common.io import write_bytes, write_json, write_jsonl, write_text
from likeness.common.manifest import write_manifest
from likeness.voice.audio import encode
from likeness.voice.rows import Pair, Recording
from tests.conftest import (
    ROOT,
    build_adapter,
    bundled_model,
    library_env,
    needs_studio,
    write_dataset,
)
from tests.rated import item, write_test
from tests.repository.conftest import _run_dvc_forks as _run_dvc_forks  # fixtures
from tests.repository.conftest import empty as empty
from tests.repository.forked import dvc
from tests.voice.sounds import babble, write
from tests.voice.test_dataset import clip
from tests.voice.tiny_xtts import write_voice_dataset

TOKEN = re.compile(r"Likeness studio: (\S+?)(?:/#token=\S+)?\ntoken: (.+)\n")
HOST = "127.0.0.1:8321"
RATE = 8000
PIPELINE = """stages:
  image_prepare:
    cmd: "true"
    outs: [data/image_prepare]
  voice_segment:
    cmd: "true"
    outs: [data/voice_segment]
  voice_clips:
    cmd: "true"
    outs: [data/voice_clips]
  voice_train:
    cmd: >-
      mkdir -p data/voice_train plots/voice_train && echo step 1 of 1 | tee data/voice_train/log
      plots/voice_train/log && echo '{"wer":0.25}' > metrics/voice_train.json
    params: [voice_train.epochs]
    outs: [data/voice_train]
    metrics: [{metrics/voice_train.json: {cache: false}}]
    plots: [{plots/voice_train: {cache: false}}]
"""


@pytest.fixture(scope="session", autouse=True)
def _packages() -> None:
    needs_studio()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of a repository, without git and DVC: params, datasets, clips and trainings."""
    return write_workspace(tmp_path_factory.mktemp("studio") / "repository")


def write_workspace(root: Path) -> Path:
    write_text(root / "params.yaml", (ROOT / "params.yaml").read_text())
    write_text(root / "dvc.yaml", PIPELINE)
    write_voice_dataset(root / "data/voice_dataset")
    write_dataset(root / "data/image_prepare", 3, 2, 1)
    for name in ("voice_dataset", "image_prepare"):
        write_jsonl(root / f"data/{name}/rejected.jsonl", [])
    write_recording(root / "data/voice_segment", "04_care", 30.0)
    clips = [clip("04_care", number) for number in range(2)]
    for each in clips:
        write_text(root / "data/voice_clips" / each.file_name, f"audio of {each.id}")
    write_manifest(root / "data/voice_clips/manifest.jsonl", clips)
    rejected = {
        "id": "04_care-0026", "reason": "snr", "value": 2.5, "threshold": 14.0,
        "recording": "04_care", "start": 20.0, "end": 21.5, "heard": "Hm.", "text": "Hm.",
        "measure": "snr_db",
    }  # fmt: skip
    write_jsonl(root / "data/voice_clips/rejected.jsonl", [rejected])
    evaluations = [
        {"epoch": epoch, "name": f"{epoch:03d}", "kept": epoch > 0, "figures": {"wer": wer}}
        for epoch, wer in ((0, 0.25), (10, 0.5), (20, 0.125))
    ]
    training = {
        "base": "xtts_mini", "best_epoch": 20, "val_n": 3, "val_sentences": 2,
        "evaluations": evaluations,
    }  # fmt: skip
    write_json(root / "data/voice_train/training.json", training)
    samples = root / "data/voice_train/samples"
    samples.mkdir()
    for epoch in ("000", "010", "020"):
        (samples / f"{epoch}-0.wav").write_bytes(epoch.encode() * 100)
    write_text(root / "metrics/voice_train.json", '{"wer": 0.5}\n')
    write_text(root / "plots/voice_train/plots/metrics/val/wer.tsv", "step\twer\n0\t0.25\n")
    write_pairs(root / "data/voice_synthesize", 4)
    sides = {name: f"voice_synthesize/{name}/s0-0.wav" for name in ("base", "tuned")}
    pairs = [item(f"s{at}-0", root / "data", sides) for at in range(2)]
    ratings = root / "data/ratings"
    write_test(ratings, "0123456789abcdef", "preference", "voice", pairs, {"ben": lambda *_: "tie"})
    return root


def write_recording(folder: Path, name: str, seconds: float) -> None:
    """What voice_segment writes of a recording: here a rising tone."""
    time = np.arange(round(seconds * RATE)) / RATE
    samples = 0.3 * np.sin(2 * np.pi * (100 + 10 * time) * time)
    write_bytes(folder / f"audio/{name}.flac", encode(samples, RATE, "FLAC"))
    row = Recording(
        id=name, file_name=f"audio/{name}.flac", source=f"{name}.mp3", container="mp3", codec="mp3",
        source_rate=RATE, source_channels=1, other_tracks=[], seconds=seconds, loudness=-23.0,
        gain_db=0.0,
    )  # fmt: skip
    write_manifest(folder / "manifest.jsonl", [row])


def write_pairs(folder: Path, count: int) -> None:
    """Sentences by base and tuned as voice_synthesize writes them; tuned is louder, and begins late."""
    rows = []
    for at in range(count):
        names = {voice: f"{voice}/s{at}-0.wav" for voice in ("base", "tuned")}
        for voice, name in names.items():
            samples = 0.2 * babble(1.0, 24000, seed=at)
            if voice == "tuned":
                samples = np.concatenate([np.zeros(9600), 3 * samples])
            write(folder / name, encode(samples, 24000, "WAV"))
        rows.append(Pair(id=f"s{at}-0", text=f"Sentence {at}.", real="", first="base", **names))
    write_manifest(folder / "pairs.jsonl", rows)


@pytest.fixture(scope="session")
def repository(made: Path) -> Path:
    """The same with both mini bases, their adapters, and its files committed by git and DVC."""
    return commit_workspace(made)


def commit_workspace(root: Path) -> Path:
    for name in ("xtts_mini", "sd_mini"):
        bundled_model(name, root / "models" / name)
    build_adapter(root / "models/sd_mini", root / "data/image_train")
    for seed, name in enumerate(("adapter", "adapters/010")):
        build_voice_adapter(root / f"data/voice_train/{name}.safetensors", seed)
    write_text(root / ".gitignore", "/models\n/data/image_*\n/data/voice_*\n/.dvc/likeness\n")
    author = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    git = partial(subprocess.run, cwd=root, check=True, capture_output=True)
    git(("git", "init", "--quiet"))
    for command in (("init", "--quiet"), ("commit", "--quiet", "--force")):
        dvc(root, *command).check_returncode()
    git(("git", "add", "--all"))
    git(("git", *author, "commit", "--quiet", "--message", "made"))
    return root


def build_voice_adapter(path: Path, seed: int) -> None:
    """A random LoRA on the first layer (512, 320, 7) of xtts_mini's decoder, as voice_train has it."""
    import torch

    torch.manual_seed(seed)
    layer = "hifigan_decoder.waveform_decoder.conv_pre"
    up = torch.zeros(512, 2, 1)
    up[:64] = torch.randn(64, 2, 1)  # the last channels are without use
    tensors = {f"{layer}.lora_A.weight": torch.randn(2, 320, 7), f"{layer}.lora_B.weight": up}
    save_tensors(path, {name: 0.05 * tensor for name, tensor in tensors.items()})


@pytest.fixture
def client(made: Path) -> Any:
    """Asks the studio in this process, without its models; it has the token and the right Host."""
    return ask(made)


def ask(root: Path, **options: Any) -> Any:
    from starlette.testclient import TestClient

    from likeness.studio.app import guarded
    from likeness.studio.models import Models
    from likeness.studio.security import make_keys
    from likeness.studio.state import State

    state = State(root, make_keys("127.0.0.1", 8321), Models(root))
    asking = TestClient(guarded(state), base_url=f"http://{HOST}", **options)
    asking.headers["Authorization"] = f"Bearer {state.keys.token}"
    asking.keys = state.keys
    return asking


class Server(NamedTuple):
    url: str
    token: str
    process: psutil.Process
    log: Path

    def workers(self) -> list[psutil.Process]:
        """The processes with the models: those that the fork server has forked."""
        servers = [
            one for one in self.process.children() if "forkserver" in " ".join(one.cmdline())
        ]
        return [worker for one in servers for worker in one.children()]

    def client(self, **options: Any) -> Any:
        import httpx

        headers = {"Authorization": f"Bearer {self.token}"}
        options = {"timeout": 120, **options}
        return httpx.Client(base_url=self.url, headers=headers, **options)

    def wait(self, seconds: float = 120) -> None:
        """Until the models are loaded."""
        with self.client() as client:
            until = time.monotonic() + seconds
            while client.get("/health/ready").status_code != 200:
                assert time.monotonic() < until, self.log.read_text()[-2000:]
                time.sleep(0.1)


@contextmanager
def serve(root: Path, log: Path, *options: str) -> Iterator[Server]:
    """The studio as a user starts it, at a free port."""
    command = "from likeness.cli import entry; entry()"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", command, "studio", "--port", "0", *options],
            cwd=root, env=library_env(), stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    found = TOKEN.fullmatch("".join(process.stdout.readline() for _ in range(2)))
    assert found, log.read_text()
    try:
        yield Server(found[1], found[2], psutil.Process(process.pid), log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(repository, tmp_path_factory.mktemp("log") / "log", "--queue", "16") as server:
        server.wait()
        yield server


def events(log: Path) -> list[dict[str, Any]]:
    """The lines of a server's log that are its own."""
    lines = log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"') and '"event"' in line]
