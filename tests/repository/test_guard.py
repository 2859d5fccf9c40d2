"""The guard, alone and in a stage that DVC runs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from likeness.repository.guard import snapshot
from tests.conftest import library_env
from tests.repository import forked

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = """
stages:
  voice_train:
    cmd: python stages/voice_train.py
    deps: [stages/voice_train.py, src/common, "models/${inputs.tts}", data/voice_dataset]
    params: [base, voice_train]
    outs: [data/voice_train]
"""
PARAMS = """
base: {seed: 7}
inputs: {tts: small}
voice_train: {rank: 4, targets: [q, v]}
image_train: {rank: 8}
"""
STAGE = """
import os, pathlib
from likeness.repository.guard import snapshot
before = snapshot(pathlib.Path.cwd(), os.environ["DVC_STAGE"])
pathlib.Path("data/voice_train").write_text("made")
if os.environ.get("EDIT"):
    pathlib.Path("src/common/io.py").write_text("two")
before.check()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "stages/voice_train.py": STAGE,
        "src/common/io.py": "one",
        "models/small/weights": "1",
        "models/large/weights": "2",
        "data/voice_dataset/wavs/1.wav": "sound",
        ".dvcignore": "# no code\n__pycache__\n*.pyc\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("src/common/io.py", "two", "src/common/io.py"),
        ("src/common/new.py", "", "src/common/new.py"),
        ("stages/voice_train.py", "", "stages/voice_train.py"),
        ("models/small/weights", "3", "models/small/weights"),
        ("models/small/weights", "1", "models/small/weights"),  # by its time: it is not read
        ("data/voice_dataset/wavs/1.wav", "noise", "data/voice_dataset/wavs/1.wav"),
        ("data/voice_dataset/wavs/2.wav", "sound", "data/voice_dataset/wavs/2.wav"),
        ("params.yaml", PARAMS.replace("rank: 4", "rank: 5"), "params.yaml (voice_train.rank)"),
        ("params.yaml", PARAMS.replace("v]", "k]"), "params.yaml (voice_train.targets)"),
        ("params.yaml", PARAMS.replace("7", "8"), "params.yaml (base.seed)"),
    ],
)
def test_what_changes_while_a_stage_runs_is_named(
    root: Path, name: str, text: str, said: str
) -> None:
    before = snapshot(root, "voice_train")
    before.check()
    write(root, name, text)
    with pytest.raises(LikenessError) as error:
        before.check()
    assert str(error.value) == f"{said}: changed while voice_train ran; run dvc repro again"


@pytest.mark.parametrize("name", ["src/common/io.py", "models/small", "data/voice_dataset/wavs"])
def test_what_is_gone_is_named(root: Path, name: str) -> None:
    before = snapshot(root, "voice_train")
    for path in [root / name, *(root / name).glob("*")][::-1]:
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(LikenessError, match=f"^{name}.*: changed while voice_train ran"):
        before.check()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/common/io.py", "one"),  # touched
        ("params.yaml", PARAMS.replace("voice_train:", "# a comment\nvoice_train:")),
        ("params.yaml", PARAMS.replace("rank: 8", "rank: 9")),  # another stage's
        ("models/large/weights", "other"),  # not the one that params.yaml names
        ("data/voice_train/adapter", "made"),  # its own output
        ("src/common/__pycache__/io.cpython-311.pyc", "compiled"),
        ("src/common/io.pyc", "compiled"),
        ("src/other.py", "no dep"),
    ],
)
def test_what_is_none_of_the_stages_business_stops_nothing(
    root: Path, name: str, text: str
) -> None:
    before = snapshot(root, "voice_train")
    write(root, name, text)
    before.check()


def test_many_changes_are_counted(root: Path) -> None:
    before = snapshot(root, "voice_train")
    for at in range(7):
        write(root, f"src/common/{at}.py", "")
    with pytest.raises(LikenessError, match=r"4\.py and 2 more: changed while voice_train ran"):
        before.check()


def test_mistakes_are_one_line(root: Path) -> None:
    with pytest.raises(LikenessError, match=r"dvc\.yaml: no stage voice_trian"):
        snapshot(root, "voice_trian")
    before = snapshot(root, "voice_train")
    (root / "params.yaml").write_text("base: {")
    with pytest.raises(LikenessError, match=r"params\.yaml: cannot be read") as error:
        before.check()
    assert "\n" not in str(error.value)


def test_every_stage_of_this_repository_is_read_in_no_time() -> None:
    begun = time.perf_counter()
    state = snapshot(ROOT, "image_train").state
    assert time.perf_counter() - begun < 0.3
    assert {"src/likeness/common/io.py", "src/likeness/image/train.py"} <= state.keys()
    assert state["params.yaml (image_train.rank)"] == 32


@pytest.mark.slow
def test_dvc_writes_no_lock_for_a_stage_whose_code_was_edited(root: Path) -> None:
    def dvc(*words: str, below: str = ".", **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return forked.dvc(root / below, *words, env={**library_env(), "PATH": path, **environment})

    assert dvc("init", "--no-scm").returncode == 0
    done = dvc("repro", EDIT="1")
    assert done.returncode != 0
    assert "src/common/io.py: changed while voice_train ran; run dvc repro again" in done.stderr
    assert not (root / "dvc.lock").exists()
    (root / "src/common/io.py").write_text("one")
    # From another folder DVC calls the stage `../dvc.yaml:voice_train`.
    done = dvc("repro", "../dvc.yaml:voice_train", below="src", EDIT="1")
    assert "src/common/io.py: changed while voice_train ran; run dvc repro again" in done.stderr
    assert dvc("repro", "../dvc.yaml:voice_train", below="src").returncode == 0
    assert "voice_train" in (root / "dvc.lock").read_text()
