"""DVC's commands without its start, as its imports take several times as long as what tests ask of it.

Each command is a fork of one process that has imported DVC, which Python's own fork server is: it runs
nothing but these imports, so it has no threads and no state of a repository.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

LIMIT = 120  # seconds for one command, on a busy machine
FORKS = get_context("forkserver")
# Of what init, add, repro, push, pull, get and `exp run` import when they need it.
FORKS.set_forkserver_preload(
    [
        *("dvc.cli.parser", "dvc.cachemgr", "dvc.data_cloud", "dvc.stage.run"),
        "dvc.dependency.repo",
        *("dvc.repo.artifacts", "dvc.repo.brancher", "dvc.repo.graph", "dvc.repo.init"),
        *("dvc.repo.trie", "dvc.repo.worktree", "dvc.utils.hydra", "dvc.utils.strictyaml"),
        *("dvc.repo.experiments.queue.celery", "dvc.repo.experiments.queue.workspace"),
        *("dvc_data.index.checkout", "dvc_data.index.fetch", "dvc_data.index.push", "dvc_render"),
        *("dvc_data.hashfile.db.index", "dvc_http", "dvc_ssh", "dvc_webdav", "aiohttp_retry"),
        *("dulwich.porcelain", "dulwich.stash", "dulwich.worktree", "scmrepo.git.lfs"),
        *("hydra.compose", "networkx", "platformdirs", "pygit2", "pyparsing", "ruamel.yaml"),
        "tests.repository.forked",
    ]
)


def dvc(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command of DVC in a folder, as `subprocess.run` would with captured text."""
    with TemporaryDirectory() as place:
        said = [Path(place) / "stdout", Path(place) / "stderr"]
        process = FORKS.Process(
            target=_call, args=(arguments, folder, dict(env or os.environ), said)
        )
        process.start()
        process.join(LIMIT)
        process.kill()  # if it hangs
        process.join()
        command = [sys.executable, "-m", "dvc", *arguments]
        out, err = (path.read_text() for path in said)
        return subprocess.CompletedProcess(command, process.exitcode or 0, out, err)


def _call(arguments: tuple[str, ...], folder: Path, env: dict[str, str], said: list[Path]) -> None:
    from dvc.cli import main

    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.exit(main(list(arguments)))
