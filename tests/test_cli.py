"""The command `likeness`: what it knows, and that it ends quietly or in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from likeness.cli import COMMANDS, find_root, main
from likeness.common.errors import LikenessError
from tests.conftest import ROOT, library_env

ENTRY = "from likeness.cli import entry; entry()"


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert f"usage: likeness {name}" in capsys.readouterr().out


def test_a_folder_inside_finds_the_repository_and_one_outside_is_one_line(tmp_path: Path) -> None:
    assert find_root(ROOT / "src" / "likeness") == ROOT
    with pytest.raises(LikenessError, match="not inside a DVC repository"):
        find_root(tmp_path)


@pytest.mark.slow
def test_who_reads_along_may_stop() -> None:
    command = [sys.executable, "-c", ENTRY, "search", "image", "--dry"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=library_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    process.stdout.close()
    _, told = process.communicate()
    assert (process.returncode, told) == (0, b"")
