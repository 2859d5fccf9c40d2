"""What tests of a repository begin with."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of git and DVC to copy, as `dvc init` takes a second; nothing may write into it."""
    folder = tmp_path_factory.mktemp("empty")
    for program in (["git"], [sys.executable, "-m", "dvc"]):
        subprocess.run([*program, "init", "--quiet"], cwd=folder, check=True)
    return folder
