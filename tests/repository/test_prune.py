"""What `likeness prune` deletes, and what it leaves."""

import os
import subprocess
import sys
import time
from pathlib import Path

from likeness.common.runtime import Runtime
from likeness.repository.prune import prune
from tests.conftest import library_env, runtime

MONTH = 31 * 86400  # seconds


def fill(rt: Runtime) -> list[Path]:
    """Results of ten items in a store."""
    paths = [rt.cache / "items" / "test" / f"{at:02}" / "record.json" for at in range(10)]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    return paths


def age(path: Path) -> None:
    os.utime(path, (0, time.time() - MONTH))


def test_pruning_deletes_what_is_old(rt: Runtime) -> None:
    paths = fill(rt)
    checkpoints = [rt.scratch("train", key) / "state.pt" for key in ("old", "new")]
    for path in checkpoints:
        path.write_bytes(b"")
        (path.parent / "weights").mkdir()
    download = rt.scratch("download", "shelf") / "talk.opus"
    download.write_bytes(b"")
    for path in (*paths[:3], checkpoints[0], download):
        age(path)
    assert prune(rt.cache, 30) == 4
    for part in ("state.pt", "weights"):
        assert [path.with_name(part).exists() for path in checkpoints] == [False, True]
    assert sorted((rt.cache / "items").rglob("record.json")) == paths[3:]
    assert prune(rt.cache, 0) == 8
    assert download.exists()


def test_pruning_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("")
    (tmp_path / "dvc.yaml").write_text("")
    fill(runtime(tmp_path / ".dvc" / "likeness"))
    command = [sys.executable, "-c", "from likeness.cli import entry; entry()"]
    ran = subprocess.run(
        [*command, "prune", "--days", "0"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=library_env(),
    )
    assert (ran.returncode, ran.stdout) == (0, "10 results and checkpoints deleted\n"), ran.stderr
