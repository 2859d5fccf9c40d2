"""What tests of a repository begin with."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.repository.forked import dvc


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of git and DVC to copy, as `dvc init` takes a second; nothing may write into it."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    dvc(folder, "init", "--quiet").check_returncode()
    return folder


@pytest.fixture(scope="session", autouse=True)
def _run_dvc_forks() -> Iterator[None]:
    """The library's `run_dvc` does without DVC's start too."""

    def run(command: list[str], cwd: Path, **_: Any) -> "subprocess.CompletedProcess[str]":
        return dvc(cwd, *command[3:])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("likeness.repository.dvc.subprocess", SimpleNamespace(run=run))
        yield
