"""Delete results of items and checkpoints of killed trainings that are older than some days.

Only what the pipeline can compute again is deleted; downloaded media in the same folder stay.
"""

import argparse
import shutil
import time
from pathlib import Path

from likeness.common.checkpoints import STATE
from likeness.common.evaluations import WEIGHTS
from likeness.repository.dvc import cache_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--days", type=float, default=30, help="age of what is deleted (default 30)"
    )


def main(args: argparse.Namespace, root: Path) -> int:
    print(prune(cache_folder(root), args.days), "results and checkpoints deleted")
    return 0


def prune(cache: Path, days: float) -> int:
    """Delete results and killed trainings' checkpoints older than `days` days; returns how many."""
    limit = time.time() - days * 86400

    def old(path: Path) -> bool:
        return path.is_file() and path.stat().st_mtime < limit

    results = [path.parent for path in (cache / "items").rglob("record.json") if old(path)]
    leftovers = [path for path in (cache / "scratch").rglob(STATE) if old(path)]
    for folder in results:
        shutil.rmtree(folder)
    for path in leftovers:
        path.unlink()
        shutil.rmtree(path.parent / WEIGHTS, ignore_errors=True)
    return len(results) + len(leftovers)
