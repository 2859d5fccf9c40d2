"""Real bases: pinned and checked, tracked by DVC, and had from the cache or a remote before the hub."""

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml

from likeness.common.bases import describe
from likeness.common.errors import LikenessError
from likeness.common.io import digest, read_json
from likeness.image.features import extractor_kind
from likeness.repository import fetch
from likeness.repository.experiments import git
from likeness.repository.fetch import HubBase, InceptionBase, XttsBase, download
from likeness.repository.runs import Run, Runner
from tests.conftest import ROOT, files_of
from tests.repository import forked

FILES = {"a.safetensors": b"weights", "unet/b.safetensors": b"more weights"}
CONFIGS = {"config.json": b"{}", "unet/config.json": b"{}"}
Hub = dict[str, bytes]


def pins(files: Hub) -> dict[str, object]:
    return {
        "description": "some model",
        "repository": "some/model",
        "revision": "0" * 40,
        "license": "openrail",
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
    }


BASE = HubBase.model_validate(pins(FILES) | {"configs": ["config.json", "*/*.json"]})


@pytest.fixture
def asked() -> list[str]:
    """The patterns that a hub was asked for."""
    return []


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> Callable[[Hub | None], None]:
    """A hub that has these files; None: one that cannot be reached."""

    def put(files: Hub | None) -> None:
        def snapshot_download(
            repository: str, *, revision: str, local_dir: Path, allow_patterns: Sequence[str]
        ) -> None:
            if files is None:
                raise OSError("cannot\nconnect")
            assert (repository, revision) == (BASE.repository, BASE.revision)
            asked.extend(allow_patterns)
            for name, data in files.items():
                path = local_dir / name
                if any(Path(name).match(pattern) for pattern in allow_patterns):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
            (local_dir / ".cache").mkdir(exist_ok=True)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)

    return put


Serve = Callable[[Hub | None], None]


# --- the download ---------------------------------------------------------------------------------


def test_what_is_pinned_is_brought_and_the_folder_says_where_it_is_from(
    tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(FILES | CONFIGS | {"pickle.bin": b"not asked for"})
    download(BASE, tmp_path / "m")
    assert set(files_of(tmp_path / "m")) == {*FILES, *CONFIGS, "source.json"}
    assert describe(tmp_path / "m")["base_id"] == "some/model"
    assert describe(tmp_path / "m")["base_license"] == "openrail"
    assert capsys.readouterr().out.startswith("m: 0.0 GB from some/model@0000")


def test_the_size_is_told_in_gigabytes() -> None:
    base = fetch.read_bases(ROOT)["sd15"]
    assert base.size == "4.3 GB"


def test_a_file_that_is_there_and_right_is_not_asked_for_again(
    tmp_path: Path, serve: Serve, asked: list[str]
) -> None:
    (tmp_path / "a.safetensors").write_bytes(FILES["a.safetensors"])
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "b.safetensors").write_bytes(b"cut off")
    serve(FILES | CONFIGS)
    download(BASE, tmp_path)
    assert set(asked) == {"unet/b.safetensors", "config.json", "*/*.json"}
    assert (tmp_path / "unet" / "b.safetensors").read_bytes() == FILES["unet/b.safetensors"]


def test_other_bytes_are_refused_and_leave_no_whole_folder(tmp_path: Path, serve: Serve) -> None:
    serve(FILES | CONFIGS | {"a.safetensors": b"other"})
    with pytest.raises(LikenessError, match=r"a\.safetensors: SHA-256 is .*, models/hub\.yaml has"):
        download(BASE, tmp_path)
    assert not fetch.is_whole(BASE, tmp_path)


def test_of_a_file_without_a_known_hash_the_size_is_checked(tmp_path: Path, serve: Serve) -> None:
    values = BASE.model_dump()
    values["files"]["a.safetensors"]["sha256"] = None
    base = HubBase.model_validate(values)
    same = b"x" * len(FILES["a.safetensors"])
    serve(FILES | CONFIGS | {"a.safetensors": same})
    download(base, tmp_path / "same")
    assert fetch.is_whole(base, tmp_path / "same")
    serve(FILES | CONFIGS | {"a.safetensors": same + b"x"})
    with pytest.raises(LikenessError, match=r"a\.safetensors: \d+ bytes, models/hub\.yaml has \d+"):
        download(base, tmp_path / "longer")


def test_no_hub_is_one_line(tmp_path: Path, serve: Serve) -> None:
    serve(None)
    with pytest.raises(
        LikenessError, match=r"cannot fetch some/model.* \(cannot connect\)"
    ) as told:
        download(BASE, tmp_path / "m")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "m").exists(), "an empty folder would pass for a base"


@pytest.mark.parametrize("lost", ["a.safetensors", "unet/config.json"])
def test_a_hub_that_gives_less_without_a_word_is_found(
    tmp_path: Path, serve: Serve, lost: str
) -> None:
    # As huggingface_hub does when the hub does not answer and the folder has some files.
    serve({name: data for name, data in (FILES | CONFIGS).items() if name != lost})
    with pytest.raises(LikenessError, match=r"cannot fetch some/model.* did not come"):
        download(BASE, tmp_path)
    assert not fetch.is_whole(BASE, tmp_path)


def test_a_full_disk_is_no_unreachable_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fill)
    with pytest.raises(OSError, match="No space left"):
        download(BASE, tmp_path)


class PickledConfig:
    """What the published checkpoint of XTTS has beside its weights."""


def test_xtts_loses_its_pickled_config(tmp_path: Path, serve: Serve) -> None:
    config = PickledConfig()
    torch.save({"config": config, "model": {"gpt.weight": torch.ones(2)}}, tmp_path / "published")
    files = {"model.pth": (tmp_path / "published").read_bytes()}
    serve(files)
    hashes = set()
    for folder in (tmp_path / "one", tmp_path / "two"):
        download(XttsBase.model_validate(pins(files) | {"configs": []}), folder)
        # weights_only refuses any class, as Coqui's loader does before it rewrites the file.
        state = torch.load(folder / "model.pth", weights_only=True)
        assert list(state) == ["model"]
        assert state["model"]["gpt.weight"].tolist() == [1, 1]
        hashes.add(digest(folder))
    assert len(hashes) == 1, "fetched again it is the same for DVC"


def test_inception_comes_with_the_config_of_the_extractor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download_url_to_file(url: str, path: str) -> None:
        assert url == "https://github.com/some/model/releases/download/v1/w.pth"
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr("torch.hub.download_url_to_file", download_url_to_file)
    download(
        InceptionBase.model_validate(pins({"w.pth": b"weights"}) | {"revision": "v1"}), tmp_path
    )
    assert extractor_kind(tmp_path) == "inception_v3"
    assert read_json(tmp_path / "config.json")["weights"] == "w.pth"


# --- models/hub.yaml ------------------------------------------------------------------------------


def test_every_base_is_ignored_by_git_and_no_stage_makes_it() -> None:
    names = list(fetch.read_bases(ROOT))
    assert len(names) >= 9
    folders = [f"models/{name}" for name in names]
    assert git(ROOT, "check-ignore", *folders).splitlines() == folders
    stages = yaml.safe_load((ROOT / "models" / "dvc.yaml").read_text())["stages"]
    assert not stages.keys() & set(names)


def test_pins_are_checked_as_a_whole(tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / fetch.PINS).read_text())
    del values["sdxl"]
    values["sd15"]["revision"] = "main"
    values["wavlm_sv"]["files"]["model.safetensors"]["sha256"] = "abc"
    (tmp_path / "models").mkdir()
    (tmp_path / fetch.PINS).write_text(yaml.safe_dump(values))
    with pytest.raises(LikenessError) as told:
        fetch.read_bases(tmp_path)
    assert "sdxl: missing section" in str(told.value)
    assert "sd15.revision: " in str(told.value)
    assert "wavlm_sv.files.model.safetensors.sha256: " in str(told.value)


def run(*names: str, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser()
    fetch.add_arguments(parser)
    return fetch.main(parser.parse_args(names), root)


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(fetch.SCHEMA)
    name, here, *rest = lines[1].split()
    assert (name, rest[:3]) == ("sd15", ["4.3", "GB", "creativeml-openrail-m"])
    assert here in ("yes", "no")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(LikenessError, match=r"sd16: no real base of models/hub\.yaml; it has sd15"):
        run("sd16")


# --- with DVC -------------------------------------------------------------------------------------

PIPELINE = """
stages:
  train:
    cmd: cat models/${base}/a.safetensors > out
    deps: ["models/${base}"]
    outs: [out]
"""


@pytest.fixture
def repo(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a pipeline on a bundled base, a real one that git ignores, and a remote."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Toy")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "toy@example.com")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    root = shutil.copytree(empty, tmp_path / "repo")
    (root / "models" / "mini").mkdir(parents=True)
    for name, text in {
        "dvc.yaml": PIPELINE,
        "params.yaml": "base: mini\n",
        "models/mini/a.safetensors": "mini",
        ".gitignore": "/models/real\n",
        ".dvc/config": f"[core]\n    remote = mine\n['remote \"mine\"']\n    url = {tmp_path}/remote\n",
    }.items():
        (root / name).write_text(text)
    dvc(root, "repro", "-q")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "toy")
    return root


def dvc(root: Path, *command: str, fails: bool = False) -> str:
    done = forked.dvc(root, *command)
    assert (done.returncode != 0) == fails, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def shared(repo: Path) -> None:
    """What the command's last line asks for."""
    dvc(repo, "push", "models/real.dvc")
    git(repo, "add", "models/real.dvc")
    git(repo, "commit", "--quiet", "-m", "a real base")


@pytest.mark.slow
def test_a_fetched_base_is_tracked_and_comes_back_without_the_hub(
    repo: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "up to date" in dvc(repo, "status"), "what was never fetched is not missing"
    serve(FILES | CONFIGS)
    fetch.fetch(BASE, repo, "real")
    assert "`git add models/real.dvc` shares it" in capsys.readouterr().out
    assert git(repo, "status", "--porcelain") == "?? models/real.dvc"
    brought = files_of(repo / "models" / "real")
    shutil.rmtree(repo / "models" / "real")
    serve(None)
    fetch.fetch(BASE, repo, "real")
    assert files_of(repo / "models" / "real") == brought


@pytest.mark.slow
def test_a_teammate_has_it_from_the_remote(repo: Path, serve: Serve, tmp_path: Path) -> None:
    serve(FILES | CONFIGS)
    fetch.fetch(BASE, repo, "real")
    shared(repo)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repo), str(clone))
    # Whoever wants it and has not got it is told by DVC alone; docs/troubleshooting.md has the way out.
    (clone / "params.yaml").write_text("base: real\n")
    told = dvc(clone, "repro", fails=True)
    assert (
        "ERROR: failed to reproduce 'models/real.dvc': missing data 'source': models/real" in told
    )
    serve(None)
    fetch.fetch(BASE, clone, "real")
    assert files_of(clone / "models" / "real") == files_of(repo / "models" / "real")
    dvc(clone, "repro", "-q")
    assert (clone / "out").read_bytes() == FILES["a.safetensors"]


@pytest.mark.slow
def test_what_the_remote_has_not_is_fetched_from_the_hub_as_it_was(
    repo: Path, serve: Serve, tmp_path: Path
) -> None:
    serve(FILES | CONFIGS)
    fetch.fetch(BASE, repo, "real")
    git(repo, "add", "models/real.dvc")
    git(repo, "commit", "--quiet", "-m", "tracked, and never pushed")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repo), str(clone))
    fetch.fetch(BASE, clone, "real")
    assert set(files_of(clone / "models" / "real")) == {*FILES, *CONFIGS, "source.json"}
    assert git(clone, "status", "--porcelain") == ""


@pytest.mark.slow
def test_another_revision_than_the_pinned_one_is_not_taken_from_the_remote(
    repo: Path, serve: Serve
) -> None:
    serve(FILES | CONFIGS)
    fetch.fetch(BASE, repo, "real")
    shared(repo)
    newer = {"a.safetensors": b"newer weights"}
    moved = HubBase.model_validate(pins(newer) | {"configs": [], "license": "mit"})
    serve(newer)
    fetch.fetch(moved, repo, "real")
    assert (repo / "models" / "real" / "a.safetensors").read_bytes() == b"newer weights"
    assert git(repo, "status", "--porcelain") == "M models/real.dvc"


@pytest.mark.slow
def test_experiments_in_copies_find_it(repo: Path, serve: Serve, tmp_path: Path) -> None:
    serve(FILES | CONFIGS)
    fetch.fetch(BASE, repo, "real")
    git(repo, "add", "models/real.dvc")
    dvc(repo, "exp", "run", "--temp", "-S", "base=real")  # staged is enough
    git(repo, "commit", "--quiet", "-m", "a real base")
    runner = Runner(repo, tmp_path / "runs")
    runner.run(Run("searched", ("base=real",), {"base": "real"}, ("train",)))
    found = git(repo, "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/*").splitlines()
    assert len(found) == 2
    for experiment in found:
        lock = yaml.safe_load(git(repo, "show", f"{experiment}:dvc.lock"))
        assert lock["stages"]["train"]["outs"][0]["size"] == len(FILES["a.safetensors"])
