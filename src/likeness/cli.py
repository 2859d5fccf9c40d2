"""The command `likeness`: what is done with the repository around `dvc repro` and `dvc exp run`."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from likeness.common.cli import run
from likeness.common.errors import LikenessError

# Each command is a module of likeness.repository, or of the package that PACKAGES names. It has
# `add_arguments(parser)` and `main(args, root) -> int`, its docstring is its help, and it is imported
# only when it is called.
COMMANDS = {
    "compare": "a table and plots of all experiments, and which is best",
    "doctor": "is this machine ready for the pipeline",
    "fetch": "download real base models to models/, from your remote or their hub, and track them by DVC",
    "gate": "are the reproduced metrics as good as a revision's, and is dvc.lock up to date",
    "jobs": "a queue of experiments that survives what started it: submit, stop, go on, read the log",
    "merge": "the base with the learnt voice inside, as Coqui's Xtts loads it",
    "papers": "the MVP's page in docs/ and its slides, with the figures of the working tree",
    "prune": "delete old results of items and checkpoints of killed trainings",
    "search": "run a search over params, and continue one that was interrupted",
    "studio": "an HTTP service that speaks, draws, and shows what was made",
}
PACKAGES = {"jobs": "studio", "merge": "voice", "studio": "studio"}


def main(argv: Sequence[str]) -> None:
    """Run one command; the process exits with the code that it returns."""
    parser = argparse.ArgumentParser(prog="likeness", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    chosen, rest = parser.parse_known_args(argv)
    part = PACKAGES.get(chosen.command, "repository")
    module = importlib.import_module(f"likeness.{part}.{chosen.command}")
    own = argparse.ArgumentParser(prog=f"likeness {chosen.command}", description=module.__doc__)
    module.add_arguments(own)
    code = module.main(own.parse_args(rest), find_root(Path.cwd()))
    if code:
        sys.exit(code)


def find_root(folder: Path) -> Path:
    """The DVC repository that a folder is in. Raises `LikenessError` if it is in none."""
    for root in (folder, *folder.parents):
        if (root / ".dvc").is_dir() and (root / "dvc.yaml").is_file():
            return root
    raise LikenessError(f"{folder}: not inside a DVC repository; run it in a clone of Likeness")


def entry() -> None:
    """The console script."""
    try:
        run(main)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
