"""What DVC's config says of the cache, for one user and for several, and settings that clones share."""

import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from likeness.common.cli import RIGHTS, run
from likeness.common.errors import LikenessError
from likeness.common.items import map_items
from likeness.common.result import Result
from likeness.repository.dvc import cache_folder, open_cache_folder, read_config, share_settings
from tests.conftest import runtime

TEAM = 20_000  # a group of the users below


def repository(folder: Path, config: str = "", local: str = "") -> Path:
    dvc = folder / ".dvc"
    dvc.mkdir(parents=True)
    (dvc / "config").write_text(config)
    if local:
        (dvc / "config.local").write_text(local)
    return folder


def test_the_cache_lies_beside_dvc_s(tmp_path: Path) -> None:
    root = repository(tmp_path / "a")
    assert cache_folder(root) == root / ".dvc" / "likeness"


def test_the_cache_follows_the_config_and_its_local_one(tmp_path: Path) -> None:
    elsewhere = f"[cache]\n    dir = {tmp_path}/shared/cache\n"
    root = repository(tmp_path / "a", elsewhere)
    assert cache_folder(root) == tmp_path / "shared" / "likeness"
    local = f"[cache]\n    dir = {tmp_path}/mine/cache\n"
    root = repository(tmp_path / "b", elsewhere, local)
    assert cache_folder(root) == tmp_path / "mine" / "likeness"


def test_a_relative_cache_is_relative_to_the_config(tmp_path: Path) -> None:
    root = repository(tmp_path / "a", "[cache]\n    dir = ../../shared/cache\n")
    assert cache_folder(root).resolve() == tmp_path / "shared" / "likeness"


def test_the_cache_does_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path / "a")
    repository(tmp_path / "b")
    monkeypatch.chdir(tmp_path / "b")
    assert cache_folder(root) == root / ".dvc" / "likeness"
    monkeypatch.chdir(root)
    assert cache_folder(Path(".")) == root / ".dvc" / "likeness"


def test_a_clone_gets_the_settings_and_the_cache_also_below_letters_beyond_ascii(
    tmp_path: Path,
) -> None:
    root = repository(tmp_path / "Été 漢字" / "a", local="[core]\n    remote = mine\n")
    clone = repository(root / ".dvc" / "tmp" / "clone")
    share_settings(root, clone)
    assert cache_folder(clone).resolve() == cache_folder(root)
    assert read_config(clone)["core"]["remote"] == "mine"


def test_a_cache_that_dvc_cannot_write_down_is_one_line(tmp_path: Path) -> None:
    root = repository(tmp_path / "a", local=f"[cache]\n    dir = {tmp_path}/été/cache\n")
    clone = repository(root / ".dvc" / "tmp" / "clone")
    with pytest.raises(LikenessError, match=r"config\.local: DVC writes .* ASCII.*été") as error:
        share_settings(root, clone)
    assert "\n" not in str(error.value)


# --- several users --------------------------------------------------------------------------------


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the group TEAM that every user can reach."""
    before = os.umask(0o022)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", name)  # root's own is not every user's to read
        folder.chmod(0o755)
        (folder / "team").mkdir()
        if os.geteuid() == 0:
            os.chown(folder / "team", -1, TEAM)
        (folder / "team").chmod(0o2775)
        yield folder
    os.umask(before)


def working(folder: Path, sharing: str) -> Path:
    """A repository below `folder` whose cache is the team's."""
    config = f"[cache]\n    dir = {folder}/team/cache\n{sharing}"
    return repository(folder / "repository", config)


GROUP = "    shared = group\n"


@contextmanager
def user(number: int) -> Iterator[None]:
    """This process as another user, of the group TEAM."""
    os.setegid(TEAM)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def doubled(numbers: Sequence[int]) -> list[Result]:
    return [Result({"n": 2 * n}, {"text": str(n).encode()}) for n in numbers]


def compute(root: Path, count: int) -> list[int]:
    rt = runtime(open_cache_folder(root))
    found, _ = map_items(doubled, {f"{n}": n for n in range(count)}, what="test", rt=rt)
    return [stored.record["n"] for stored in found.values()]


needs_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")


def test_a_shared_cache_is_written_with_the_rights_that_dvc_gives(shared: Path) -> None:
    root = working(shared, GROUP)
    assert compute(root, 2) == [0, 2]
    for path in (cache_folder(root), *cache_folder(root).rglob("*")):
        mode, wanted = path.stat().st_mode, 0o2775 if path.is_dir() else 0o664
        assert stat.S_IMODE(mode) == wanted, path


def test_the_cache_of_one_user_follows_the_umask(shared: Path) -> None:
    root = working(shared, "")
    os.umask(0o027)
    compute(root, 1)
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o777 for path in cache_folder(root).rglob("*")}
    assert modes == {0o750, 0o640}


@needs_users
def test_two_users_share_a_cache(shared: Path) -> None:
    root = working(shared, GROUP)
    with user(10_001):
        assert compute(root, 300) == [2 * n for n in range(300)]
    with user(10_002):
        assert compute(root, 600) == [2 * n for n in range(600)]
    with user(10_001):
        assert compute(root, 601)[-1] == 1200


@needs_users
@pytest.mark.parametrize("first", ["another user's", "nobody's"])
def test_a_cache_that_a_user_may_not_write_is_one_line(
    shared: Path, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = working(shared, "")
    if first == "another user's":
        with user(10_001):
            compute(root, 1)
    else:
        (shared / "team").chmod(0o755)
    with user(10_002), pytest.raises(SystemExit) as stopped:
        run(lambda _: compute(root, 300) and None)
    assert str(stopped.value).startswith(f"error: {shared}/team/likeness")
    assert str(stopped.value).endswith(RIGHTS)
