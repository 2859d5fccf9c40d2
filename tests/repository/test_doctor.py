"""Each check is shown well and broken; what is read from a machine is read from toys."""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from likeness.repository import doctor, probes
from likeness.repository.doctor import GIB, Finding
from likeness.repository.probes import Machine

ROOT = Path(__file__).resolve().parents[2]
CPU = Machine(devices=("cpu",), gpu_memory=(), driver=False)


def told(found: Finding, level: str, *words: str) -> None:
    assert found.level == level, found
    assert [word for word in words if word not in found.text] == [], found


# --- checks ---------------------------------------------------------------------------------------


def test_python_is_the_one_that_the_project_wants() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (_, first), *_, (_, last) = doctor.PYTHONS
    assert wanted == f">=3.{first},<3.{last + 1}"
    told(doctor.check_python((3, 11, 7)), "ok", "3.11.7")
    told(doctor.check_python((3, 13, 0)), "ok", "3.13.0")
    told(doctor.check_python((3, 14, 1)), "error", "3.14.1", "3.11, 3.12, 3.13", "python3.11")
    told(doctor.check_python((3, 1, 1)), "error", "3.1.1")


def test_make_takes_the_first_python_that_runs(tmp_path: Path) -> None:
    def taken() -> str:
        for name in ("make", "sh"):
            (tmp_path / name).unlink(missing_ok=True)
            (tmp_path / name).symlink_to(shutil.which(name) or name)
        command = [tmp_path / "make", "-n", "-f", ROOT / "Makefile", "lock"]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True
        )
        return (done.stderr or done.stdout).splitlines()[0]

    assert "no python3.11, python3.12 or python3.13 that runs; install one" in taken()
    for name, code in (("python3.11", 1), ("python3.12", 0), ("python3.13", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    assert taken().startswith("python3.12 -m venv .venv")


def test_missing_packages_are_an_error() -> None:
    locked = dict.fromkeys("abcdefgh", "1")
    told(doctor.check_packages(locked, locked), "ok", "8")
    found = doctor.check_packages(locked, {"a": "1"})
    told(found, "error", "7 of 8", "b, c, d, e, f and 2 more", "requirements.lock")


def test_other_versions_are_a_warning() -> None:
    locked = {"torch": "2.14.1", "dvc": "3.67.1"}
    found = doctor.check_packages(locked, {"torch": "2.14.0", "dvc": "3.67.1", "more": "1"})
    told(found, "warning", "1 of 2", "torch 2.14.0 (locked: 2.14.1)")
    assert "dvc 3" not in found.text


def test_a_torch_for_cpus_needs_no_packages_of_cuda() -> None:
    locked = {"torch": "2.14.1", "nvidia-cudnn-cu13": "9", "triton": "3", "cuda-toolkit": "13"}
    told(doctor.check_packages(locked, {"torch": "2.14.1+cpu"}), "ok", "1")
    told(doctor.check_packages(locked, {"torch": "2.14.1"}), "error", "3 of 4")


@pytest.mark.parametrize(
    ("asked", "machine", "level", "words"),
    [
        ("auto", CPU, "ok", ["cpu"]),
        ("cpu", CPU, "ok", ["cpu"]),
        ("cuda", CPU, "error", ["base.device is cuda", "torch sees cpu", "auto"]),
        ("auto", Machine(("cpu",), (), driver=True), "warning", ["driver", "update"]),
        ("auto", Machine(("cuda", "cpu"), (24 * GIB,), True), "ok", ["cuda, 24 GiB"]),
        ("cpu", Machine(("cuda", "cpu"), (24 * GIB,), False), "ok", ["cpu"]),
        ("auto", Machine(("cuda", "cpu"), (24 * GIB, 4 * GIB), True), "ok", ["24 GiB, 4 GiB"]),
        ("auto", Machine(("mps", "cpu"), (), False), "ok", ["mps"]),
    ],
)
def test_device(asked: str, machine: Machine, level: str, words: list[str]) -> None:
    told(doctor.check_device(asked, machine), level, *words)


BUNDLED = {"image_train": {"sd_mini": 20_000_000}, "voice_train": {"xtts_mini": 30_000_000}}
# Bytes of the published files, and the peaks that were measured with them.
REAL = {
    "image_train": {"sd15": 4_270_000_000},
    "voice_train": {"xtts_v2": 2_086_000_000, "whisper_tiny_en": 48_000_000, "speaker": 6_000_000},
}


@pytest.mark.parametrize(
    ("size", "need", "bases", "level", "words"),
    [
        (4 * GIB, doctor.RAM, BUNDLED, "ok", ["4 GiB of RAM"]),
        (
            3 * GIB,
            doctor.RAM,
            BUNDLED,
            "warning",
            ["voice_train on a CPU wants 3.7", "voice_train.batch"],
        ),
        (16 * GIB, doctor.RAM, REAL, "ok", ["16 GiB"]),
        (
            8 * GIB,
            doctor.RAM,
            REAL,
            "warning",
            ["image_train on a CPU wants 11.6 with sd15", "accumulation"],
        ),
        (6 * GIB, doctor.GPU, REAL, "ok", ["6 GiB of GPU memory"]),
        (4 * GIB, doctor.GPU, REAL, "warning", ["image_train on a GPU wants 5.7 with sd15"]),
    ],
)
def test_memory_follows_the_bases(
    size: int,
    need: doctor.MemoryNeed,
    bases: dict[str, dict[str, int]],
    level: str,
    words: list[str],
) -> None:
    told(doctor.check_memory(size, need, bases, 512**2), level, *words)


def test_memory_wanted_is_what_was_measured() -> None:
    """Within a tenth of the peaks in GB of the two real bases on a CPU, and of XL's on a GPU."""
    for stage, peak in (("image_train", 12.6e9), ("voice_train", 8.0e9)):
        wanted = doctor.RAM.wanted(stage, sum(REAL[stage].values()), 512**2)
        assert wanted == pytest.approx(peak, rel=0.1)
    assert doctor.GPU.wanted("image_train", 7_100_000_000, 1024**2) == pytest.approx(
        10.5 * GIB, rel=0.05
    )


def test_a_base_that_is_not_here_is_not_counted_in_silence() -> None:
    found = doctor.check_memory(8 * GIB, doctor.RAM, {"voice_train": {"xtts_v2": 0, "asr": 5}}, 0)
    told(found, "ok", "8 GiB", "not in models/ yet: xtts_v2")
    assert "asr" not in found.text


def test_bases_are_those_of_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    inputs = params["inputs"] | {"tts": "big"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "inputs": inputs}))
    (tmp_path / "models/big/part").mkdir(parents=True)
    (tmp_path / "models/big/part/weights.bin").write_bytes(b"x" * 1000)
    gpu = Machine(("cuda", "cpu"), (GIB + 999,), driver=True)
    monkeypatch.setattr(probes, "machine", lambda: gpu)
    monkeypatch.setattr(doctor, "gpu_problem", lambda: "libcublas.so.12: cannot open; do this")
    device, memory, graphics, recogniser = doctor._machine(tmp_path)
    told(device, "ok", "cuda")
    told(memory, "ok", "not in models/ yet: sd_mini, whisper_tiny_en, speaker_encoder")
    told(
        graphics,
        "warning",
        "voice_train on a GPU wants 1.0 with big, whisper_tiny_en, speaker_encoder",
    )
    told(recogniser, "warning", "Whisper runs on the CPU: libcublas.so.12", "do this")
    monkeypatch.setattr(doctor, "gpu_problem", lambda: "")
    told(doctor._machine(tmp_path)[-1], "ok", "on the GPU")
    monkeypatch.setattr(probes, "machine", lambda: CPU)
    assert [one.check for one in doctor._machine(tmp_path)] == ["device", "memory"]


def test_what_downloads_call_is_never_an_error() -> None:
    told(doctor.check_ffmpeg("/bin/ffmpeg"), "ok", "/bin/ffmpeg")
    told(doctor.check_ffmpeg(None), "warning", "voice_download")
    told(doctor.check_javascript({"node": (22, 1)}, scripts=True), "ok", "node 22.1")
    told(doctor.check_javascript({"deno": (2, 3, 0), "node": (20,)}, True), "ok", "deno 2.3.0")
    told(doctor.check_javascript({"node": (20, 1)}, True), "warning", "node 20.1 is too old")
    told(doctor.check_javascript({}, True), "warning", "no runtime", "deno 2.3 or node 22")
    told(doctor.check_javascript({"node": (24,)}, scripts=False), "warning", "yt-dlp-ejs")


def test_runtimes_are_those_that_downloads_enable_and_yt_dlp_takes() -> None:
    from yt_dlp.utils import _jsruntime

    source = (ROOT / "src/likeness/voice/download.py").read_text()
    for name, least in doctor.RUNTIMES.items():
        assert f'"{name}": {{}}' in source
        own = getattr(_jsruntime, f"{name.title()}JsRuntime").MIN_SUPPORTED_VERSION
        assert own[: len(least)] == least
        assert not any(own[len(least) :])


def test_disk() -> None:
    told(doctor.check_disk(50 * GIB, "copy"), "ok", "50 GiB", "copy")
    told(doctor.check_disk(50 * GIB, ""), "ok", "50 GiB")
    told(doctor.check_disk(5 * GIB, "copy"), "warning", "make prune", "cache.type")
    told(doctor.check_disk(1 * GIB, "hardlink"), "error", "make prune")
    assert "cache.type" not in doctor.check_disk(GIB, "hardlink").text


def test_remotes() -> None:
    found = doctor.check_remotes("mine", {"bundled": "", "mine": "no such bucket"})
    assert [one.level for one in found] == ["ok", "warning"]
    told(found[1], "warning", "mine: no such bucket", "rights")
    told(doctor.check_remotes(None, {"bundled": ""})[1], "warning", "no default", "remote add -d")
    told(doctor.check_remotes("gone", {})[0], "warning", "gone is the default one")


def test_git() -> None:
    assert [one.level for one in doctor.check_git("A", "a@b", [])] == ["ok", "ok"]
    told(doctor.check_git("A", "", [])[0], "warning", "user.email not set", "global user.email")
    told(doctor.check_git("", "", [])[0], "warning", "user.name and user.email")
    paths = [f"{n}.py" for n in range(7)]
    told(doctor.check_git("A", "a@b", paths)[1], "warning", "7 uncommitted", "4.py and 2 more")


def test_where_experiments_in_temporary_folders_fail() -> None:
    assert doctor.check_temporary(Path("/a/b"), shallow=False) == []
    (found,) = doctor.check_temporary(Path("/a/b"), shallow=True)
    told(found, "warning", "a shallow clone", "--temp", "git fetch --unshallow")
    (found,) = doctor.check_temporary(Path("/a/été"), shallow=False)
    told(found, "warning", "--temp", "/a/été", "likeness search")


def put(folder: Path, data: bytes, suffix: str = "") -> str:
    """Store an object as DVC does; its name."""
    md5 = hashlib.md5(data).hexdigest() + suffix
    path = folder / "files/md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return md5


def test_bundled(tmp_path: Path) -> None:
    file = put(tmp_path, b"one")
    entries = [{"md5": file, "relpath": "a"}, {"md5": file, "relpath": "b"}]
    listed = put(tmp_path, json.dumps(entries).encode(), ".dir")
    told(doctor.check_bundled(tmp_path, [listed, listed]), "ok", "all 2")
    path = tmp_path / "files/md5" / file[:2] / file[2:]
    path.write_bytes(b"on")
    told(doctor.check_bundled(tmp_path, [listed]), "error", f"{file} damaged", "git checkout")
    path.unlink()
    told(doctor.check_bundled(tmp_path, [listed]), "error", "1 of 2", f"{file} missing")
    told(doctor.check_bundled(tmp_path, ["ab" * 16]), "error", "1 of 1", "missing")
    told(doctor.check_bundled(tmp_path, []), "error", "names nothing")


# --- what is read ---------------------------------------------------------------------------------


def test_names_of_packages_are_compared_as_installers_do(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# pinned\nTorch_Fidelity==0.4.0\nzc.lockfile==4.0  # why\n\n"
        "tqdm==4.70.1 ; python_full_version >= '3.11'\npywin32==312 ; sys_platform == 'win32'\n"
    )
    assert probes.locked_versions(lock) == {
        "torch-fidelity": "0.4.0",
        "tqdm": "4.70.1",
        "zc-lockfile": "4.0",
    }


def test_versions_of_programs_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert probes.program_version("likeness-toy") is None
    program = tmp_path / "likeness-toy"
    program.write_text("#!/bin/sh\necho 'toy 2.3.10 (release)'\n")
    program.chmod(0o755)
    assert probes.program_version("likeness-toy") == (2, 3, 10)
    program.write_text("#!/bin/sh\nexit 1\n")
    assert probes.program_version("likeness-toy") is None


@pytest.fixture
def toy(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC repository without an identity, a cache or a remote that is there."""
    for scope in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{scope}", "/dev/null")
    root = shutil.copytree(empty, tmp_path / "toy")
    (root / ".dvc/config").write_text(
        "[core]\n    remote = mine\n"
        "['remote \"mine\"']\n    url = ../../there\n"
        "['remote \"far\"']\n    url = ../../gone\n"
    )
    (tmp_path / "there").mkdir()
    return root


@pytest.mark.slow
def test_a_toy_repository_is_read(toy: Path) -> None:
    found = {str(one).split()[2]: one for one in doctor._remotes(toy)}
    assert {name: one.level for name, one in found.items()} == {"mine": "ok", "far:": "warning"}
    told(found["far:"], "warning", "does not exist", "gone")
    identity, state = doctor._git(toy)
    told(identity, "warning", "user.name and user.email")
    told(state, "warning", ".dvc/config")
    (disk,) = doctor._disk(toy)
    assert "GiB free for the cache" in disk.text


def test_a_shallow_clone_is_told(toy: Path, tmp_path: Path) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
    for message in ("one", "two"):
        commit = ["git", *identity, "commit", "-q", "--allow-empty", "-m", message]
        subprocess.run(commit, cwd=toy, check=True)
    shallow = tmp_path / "shallow"
    clone = ["git", "clone", "-q", "--depth", "1", toy.as_uri(), str(shallow)]
    subprocess.run(clone, check=True)
    assert not any("shallow" in one.text for one in doctor._git(toy))
    assert any("a shallow clone" in one.text for one in doctor._git(shallow))


@pytest.mark.slow
def test_the_link_of_a_cache_is_the_first_that_works(toy: Path) -> None:
    assert probes.cache_link(toy) == ""  # no cache yet
    (toy / ".dvc/cache/files/md5").mkdir(parents=True)
    assert probes.cache_link(toy) in ("reflink", "copy")
    with (toy / ".dvc/config").open("a") as config:
        config.write("[cache]\n    type = symlink,copy\n")
    assert probes.cache_link(toy) == "symlink"


def test_a_folder_without_git_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (found,) = doctor._git(tmp_path)
    told(found, "error", "in no git repository")


def test_what_is_promised_of_a_remote_is_read_from_the_lock(tmp_path: Path) -> None:
    pipeline = tmp_path / "dvc.yaml"
    outs = ["plain", {"kept": {"remote": "bundled"}}, {"other": {"remote": "mine"}}]
    pipeline.write_text(yaml.safe_dump({"stages": {"a": {"outs": outs}, "b": {"outs": outs}}}))
    assert probes.promised(pipeline, "bundled") == []  # no lock
    locked = [{"path": name, "md5": name * 2} for name in ("kept", "other", "plain")]
    lock = {"stages": {"a": {"outs": locked}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert probes.promised(pipeline, "bundled") == ["keptkept"]


# --- the command ----------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> int:
    monkeypatch.setattr(doctor, "CHECKS", [lambda root, one=one: [one] for one in findings])
    return doctor.main(argparse.Namespace(), Path())


def test_only_errors_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fine, warning = Finding("a", "ok", "fine"), Finding("b", "warning", "slow; do x")
    assert run(monkeypatch, fine, warning) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "warning  b          slow; do x",
        "0 errors, 1 warnings",
    ]
    assert run(monkeypatch, fine, Finding("c", "error", "broken"), warning) == 1


def test_a_missing_package_is_a_line_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(doctor, "CHECKS", [doctor._machine])
    assert doctor.main(argparse.Namespace(), ROOT) == 1
    assert "error    packages   import of torch halted" in capsys.readouterr().out


def test_this_clone_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    (bundled,) = doctor._bundled(ROOT)
    told(bundled, "ok")
    assert int(bundled.text.split()[1]) > 1000
