"""Push, pull, share, get and import over servers that really run, with the connection cut half-way.

The toy repository has Likeness's shape: a stage that trains an adapter, a stage that makes a dataset,
inputs kept in a remote `bundled` inside the repository, and artifacts.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conftest import files_of
from tests.repository.forked import dvc
from tests.repository.servers import Remote, path_remote, s3_remote, ssh_remote, webdav_remote

SERVERS: dict[str, Callable[[Path, Path], AbstractContextManager[Remote]]] = {
    "path": path_remote,
    "ssh": ssh_remote,
    "webdav": webdav_remote,
    "s3": s3_remote,
}
ADAPTER = "data/image_train/pytorch_lora_weights.safetensors"
DATASET = "data/image_generate"
CACHE = Path(".dvc/cache")
BIG = 2_000_000  # bytes of the adapter, and of the dataset's largest file
HALF_WAY = 2_500_000  # bytes after which a connection is cut: in the middle of a file
FILES_BEFORE_KILL = 20

STAGES = """\
import json, random, sys
from pathlib import Path

verb, seed, out = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
draw = random.Random(f"{verb} {seed}").randbytes
out.mkdir(parents=True)
if verb == "train":
    (out / "pytorch_lora_weights.safetensors").write_bytes(draw(BIG))
    (out / "training.json").write_text(json.dumps({"seed": seed}))
else:
    (out / "images").mkdir()
    for at in range(50):
        (out / "images" / f"{at:03d}.png").write_bytes(draw(3000))
    (out / "sheet.png").write_bytes(draw(BIG))
Path("metrics").mkdir(exist_ok=True)
Path(f"metrics/{out.name}.json").write_text(json.dumps({"seed": seed}))
""".replace("BIG", str(BIG))

PIPELINE = """\
stages:
  image_train:
    cmd: python stages.py train ${image_train.seed} data/image_train
    deps: [stages.py, data/raw/sample]
    params: [image_train]
    outs: [data/image_train]
    metrics: [metrics/image_train.json: {cache: false}]
  image_generate:
    cmd: python stages.py generate ${image_train.seed} data/image_generate
    deps: [stages.py, data/image_train]
    params: [image_train]
    outs: [data/image_generate]
    metrics: [metrics/image_generate.json: {cache: false}]
artifacts:
  image-adapter:
    path: data/image_train/pytorch_lora_weights.safetensors
    type: model
    desc: LoRA on the diffusion base
    labels: [image, lora]
  image-synthetic:
    path: data/image_generate
    type: dataset
    desc: synthetic photos
    labels: [image, synthetic]
"""


def said(done: "subprocess.CompletedProcess[str]", fails: bool) -> str:
    assert (done.returncode != 0) == fails, f"{done.args}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@dataclass(frozen=True)
class User:
    """A person with a home: DVC's and git's settings, caches and keys are this user's own."""

    home: Path

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.home / "site"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def run(self, cwd: Path, *command: str, fails: bool = False) -> str:
        """What a command says; `fails` expects that it does."""
        done = subprocess.run(
            command, cwd=cwd, env=self.environment(), capture_output=True, text=True, timeout=60
        )
        return said(done, fails)

    def dvc(self, cwd: Path, *arguments: str, fails: bool = False) -> str:
        return said(dvc(cwd, *arguments, env=self.environment()), fails)

    def git(self, cwd: Path, *arguments: str) -> str:
        return self.run(cwd, "git", *arguments)


@dataclass(frozen=True)
class Shared:
    """A project, its git origin and its DVC remote, and the user who works with them."""

    user: User
    project: Path
    origin: Path
    remote: Remote

    def dvc(self, *arguments: str, fails: bool = False) -> str:
        return self.user.dvc(self.project, *arguments, fails=fails)

    def clone(self, name: str) -> Path:
        self.user.git(self.user.home, "clone", "--quiet", str(self.origin), name)
        return self.user.home / name


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def md5s(folder: Path) -> dict[str, str]:
    """The hash of every data file by its path."""
    names = (f"data/{name}" for name in files_of(folder / "data"))
    return {
        name: md5_of(folder / name) for name in names if not name.endswith((".gitignore", ".dvc"))
    }


def only_raw(hashes: dict[str, str]) -> dict[str, str]:
    return {name: md5 for name, md5 in hashes.items() if name.startswith("data/raw/")}


def objects(store: Path) -> list[Path]:
    """The files that a DVC cache or a folder remote keeps under their hashes."""
    return [path for path in (store / "files" / "md5").glob("??/*") if path.suffix != ".tmp"]


def named(path: Path) -> str:
    """The hash that an object's path promises."""
    return path.parent.name + path.name.removesuffix(".dir")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a project was made, with one commit and no remote but `bundled`."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(
        "[user]\nname = Me\nemail = me@example.org\n[init]\ndefaultBranch = main\n"
        "[advice]\ndetachedHead = false\n[safe]\ndirectory = *\n"
    )
    user, project = User(home), home / "project"
    (project / "data" / "raw" / "sample").mkdir(parents=True)
    (project / "data" / "raw" / "sample" / "styles.csv").write_text("id\n1\n")
    (project / "stages.py").write_text(STAGES)
    (project / "dvc.yaml").write_text(PIPELINE)
    (project / "params.yaml").write_text("image_train: {seed: 1}\n")
    user.git(project, "init", "--quiet")
    user.dvc(project, "init", "--quiet")
    user.dvc(project, "remote", "add", "bundled", "bundled")
    user.dvc(project, "add", "--quiet", "data/raw/sample")
    pointer = project / "data" / "raw" / "sample.dvc"
    tracked = yaml.safe_load(pointer.read_text())
    tracked["outs"][0]["remote"] = "bundled"
    pointer.write_text(yaml.safe_dump(tracked))
    user.dvc(project, "push", "--quiet", "--remote", "bundled", "data/raw/sample")
    user.dvc(project, "repro", "--quiet")
    user.git(project, "add", ".")
    user.git(project, "commit", "--quiet", "-m", "One result")
    return home


def written(name: str, url: str, options: dict[str, str]) -> str:
    """A remote as `dvc remote add` and `dvc remote modify` write it down."""
    lines = [f"    {key} = {value}\n" for key, value in {"url": url, **options}.items()]
    return f"['remote \"{name}\"']\n{''.join(lines)}"


def share(home: Path, name: str, place: Path) -> Iterator[Shared]:
    """The project in a home of its own, with a bare git origin and `name`'s remote as default."""
    user = User(place / "home")
    shutil.copytree(home, user.home, symlinks=True)
    project, origin = user.home / "project", place / "origin.git"
    (place / "server").mkdir()
    with SERVERS[name](place / "server", user.home) as remote:
        shown = f"[core]\n    remote = mine\n{written('mine', remote.url, remote.options)}"
        with (project / ".dvc" / "config").open("a") as file:
            file.write(shown)
        if remote.secrets:
            hidden = user.home / ".config" / "dvc" / "config"
            hidden.parent.mkdir(parents=True)
            hidden.write_text(written("mine", remote.url, remote.secrets))
        user.git(project, "commit", "--quiet", "-am", "A remote")
        user.git(place, "clone", "--quiet", "--bare", str(project), str(origin))
        user.git(project, "remote", "add", "origin", str(origin))
        yield Shared(user, project, origin, remote)


@pytest.fixture(
    scope="module", params=["path", "ssh", "webdav", pytest.param("s3", marks=pytest.mark.slow)]
)
def pushed(
    home: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    """Each remote in turn, with the project's data: a push that was cut, and one that was not."""
    for shared in share(home, request.param, tmp_path_factory.mktemp(request.param)):
        interrupt(shared, shared.project, "push")
        assert "new: " in shared.dvc("status", "--cloud")
        shared.dvc("push")
        yield shared


@pytest.fixture
def on_path(home: Path, tmp_path: Path) -> Iterator[Shared]:
    """A remote that is a folder, with the project's data."""
    for shared in share(home, "path", tmp_path):
        shared.dvc("push")
        yield shared


def elsewhere(shared: Shared, name: str) -> Path:
    """Another project of the same user, which knows nothing of the first."""
    folder = shared.user.home / name
    folder.mkdir()
    shared.user.git(folder, "init", "--quiet")
    shared.user.dvc(folder, "init", "--quiet")
    return folder


def tag(shared: Shared, name: str, *options: str) -> None:
    shared.user.git(shared.project, "tag", *options, name)
    shared.user.git(shared.project, "push", "--quiet", "origin", name)


# --- a connection that is cut, a process that is killed -------------------------------------------

KILLED_HALF_WAY = """\
import os, signal, sys
from dvc.cli import main

folder, left = sys.argv[1], int(sys.argv[2])

def die_half_way(event, arguments):
    global left
    if event == "os.rename" and os.fspath(arguments[1]).startswith(folder):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die_half_way)
sys.exit(main(sys.argv[3:]))
"""


def interrupt(shared: Shared, clone: Path, verb: str) -> None:
    """`dvc push` or `dvc pull` in `clone` that does not come to its end."""
    wire = shared.remote.wire
    if wire is None:
        target = Path(shared.remote.url) if verb == "push" else clone / ".dvc" / "cache"
        command = [sys.executable, "-c", KILLED_HALF_WAY, str(target), str(FILES_BEFORE_KILL), verb]
        shared.user.run(clone, *command, fails=True)
        assert FILES_BEFORE_KILL <= len(objects(target)) < len(objects(shared.project / CACHE))
        return
    wire.cut_after(**{"up" if verb == "push" else "down": HALF_WAY})
    shared.user.dvc(clone, verb, fails=True)
    assert wire.is_cut
    wire.mend()


@pytest.mark.slow
def test_push_and_pull_end_well_after_a_cut(pushed: Shared) -> None:
    assert "are in sync" in pushed.dvc("status", "--cloud")
    second = pushed.clone("second")
    interrupt(pushed, second, "pull")
    assert md5s(second) != md5s(pushed.project)
    pushed.user.dvc(second, "pull")
    assert md5s(second) == md5s(pushed.project)
    assert all(md5_of(path) == named(path) for path in objects(second / CACHE))
    assert "are in sync" in pushed.user.dvc(second, "status", "--cloud")


@pytest.mark.slow
def test_only_verify_sees_a_truncated_file(on_path: Shared) -> None:
    whole = on_path.project / ADAPTER
    stored = next(p for p in objects(Path(on_path.remote.url)) if named(p) == md5_of(whole))
    stored.chmod(0o644)
    stored.write_bytes(whole.read_bytes()[:-1])
    second = on_path.clone("second")
    on_path.user.dvc(second, "remote", "modify", "--local", "mine", "verify", "true")
    on_path.user.dvc(second, "pull", fails=True)
    assert not (second / ADAPTER).exists()
    (second / ".dvc" / "config.local").unlink()
    on_path.user.dvc(second, "pull")
    assert md5_of(second / ADAPTER) == md5_of(stored) != md5_of(whole)


# --- an experiment, a dataset and an adapter for somebody else ------------------------------------


@pytest.mark.slow
def test_an_experiment_is_shared(pushed: Shared) -> None:
    before = md5s(pushed.project)
    pushed.dvc("exp", "run", "--quiet", "--name", "two", "-S", "image_train.seed=2")
    pushed.dvc("exp", "push", "origin", "two")
    second = pushed.clone("colleague")
    assert "two" in pushed.user.dvc(second, "exp", "list", "origin")
    pushed.user.dvc(second, "exp", "pull", "origin", "two")
    pushed.user.dvc(second, "exp", "apply", "two")
    assert "seed: 2" in (second / "params.yaml").read_text()
    assert {**md5s(second), **only_raw(before)} == md5s(pushed.project)
    assert md5s(second)[ADAPTER] != before[ADAPTER]
    pushed.user.git(pushed.project, "checkout", "--quiet", ".")
    pushed.dvc("checkout")
    assert md5s(pushed.project) == before


@pytest.mark.slow
def test_a_dataset_and_an_adapter_are_got_and_imported(pushed: Shared) -> None:
    other, origin, user = elsewhere(pushed, "reader"), str(pushed.origin), pushed.user
    for verb in ("get", "import"):
        user.dvc(other, verb, origin, DATASET, "-o", f"{verb}_dataset")
        user.dvc(other, verb, origin, ADAPTER, "-o", f"{verb}.safetensors")
        assert files_of(other / f"{verb}_dataset") == files_of(pushed.project / DATASET)
        assert (other / f"{verb}.safetensors").read_bytes() == (
            pushed.project / ADAPTER
        ).read_bytes()
    pointers = sorted(path.name for path in other.glob("*.dvc") if path.is_file())
    assert pointers == ["import.safetensors.dvc", "import_dataset.dvc"]
    assert "secret" not in "".join((other / name).read_text() for name in pointers)


def test_what_is_bundled_needs_no_server(home: Path, tmp_path: Path) -> None:
    user = User(home)
    user.git(tmp_path, "clone", "--quiet", str(home / "project"), "second")
    user.dvc(tmp_path / "second", "pull", "--remote", "bundled", "data/raw/sample")
    assert md5s(tmp_path / "second") == only_raw(md5s(home / "project")) != {}


# --- artifacts by name ----------------------------------------------------------------------------


@pytest.mark.slow
def test_an_artifact_is_got_by_the_version_of_an_annotated_tag(on_path: Shared) -> None:
    other, origin, user = elsewhere(on_path, "reader"), str(on_path.origin), on_path.user
    get = ("artifacts", "get", origin)

    assert "Unable to find" in user.dvc(other, *get, "image-adapter", fails=True)
    tag(on_path, "image-adapter@v1.0.0")  # a name without a message is not a version
    assert "Unable to find" in user.dvc(other, *get, "image-adapter", fails=True)

    first = (on_path.project / ADAPTER).read_bytes()
    tag(on_path, "image-adapter@v1.0.1", "-a", "-m", "First")
    tag(on_path, "image-synthetic@v1.0.0", "-a", "-m", "First")
    (on_path.project / "params.yaml").write_text("image_train: {seed: 2}\n")
    on_path.dvc("repro", "--quiet")
    user.git(on_path.project, "commit", "--quiet", "-am", "Another adapter")
    on_path.dvc("push")
    user.git(on_path.project, "push", "--quiet", "origin", "HEAD")
    tag(on_path, "image-adapter@v2.0.0", "-a", "-m", "Second")

    user.dvc(other, *get, "image-adapter", "-o", "newest")
    user.dvc(other, *get, "image-adapter", "--rev", "v1.0.1", "-o", "first")
    user.dvc(other, *get, "image-synthetic", "-o", "dataset")
    assert (other / "newest").read_bytes() == (on_path.project / ADAPTER).read_bytes()
    assert (other / "first").read_bytes() == first != (other / "newest").read_bytes()
    assert len(files_of(other / "dataset")) == 51
    # A git revision needs no tag, and a path no artifact.
    user.dvc(other, "get", origin, ADAPTER, "--rev", "HEAD~1", "-o", "before")
    assert (other / "before").read_bytes() == first


# --- space in a remote ----------------------------------------------------------------------------


@pytest.mark.slow
def test_gc_of_a_remote_keeps_what_is_committed_but_not_in_bundled(on_path: Shared) -> None:
    """docs/remotes.md has git bring back what `dvc gc --cloud` takes from `bundled`."""
    before = md5s(on_path.project)
    (on_path.project / "data" / "raw" / "sample" / "styles.csv").write_text("id\n2\n")
    on_path.dvc("add", "--quiet", "data/raw/sample")
    on_path.dvc("push", "--quiet", "data/raw/sample")
    (on_path.project / "params.yaml").write_text("image_train: {seed: 3}\n")
    on_path.dvc("repro", "--quiet")
    on_path.user.git(on_path.project, "add", ".")
    on_path.user.git(on_path.project, "commit", "--quiet", "-m", "Another input")
    on_path.dvc(
        "gc", "--all-commits", "--all-experiments", "--cloud", "--remote", "mine", "--force"
    )

    def kept(store: Path) -> set[str]:
        return set(before.values()) & {named(path) for path in objects(store)}

    raw, bundled = set(only_raw(before).values()), on_path.project / "bundled"
    assert kept(Path(on_path.remote.url)) == set(before.values()) - raw
    assert not kept(bundled)
    on_path.user.git(on_path.project, "restore", "bundled")
    assert kept(bundled) == raw
