"""What every entry script shares: path flags, `--help`, and errors as one line."""

import argparse
import errno
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from likeness.common.errors import LikenessError

FULL = "the disk is full; free some space and run the same command again"
RIGHTS = "this user may not read or write it; ask its owner, and see docs/share.md if it is a cache"
# What the user can mend, by the system's number of the error.
ADVICE = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: RIGHTS,
}


def path_parser(description: str | None, *names: str) -> argparse.ArgumentParser:
    """It takes one required `--name PATH` flag for each name (`out_dir` is `--out-dir`), as `Path`s."""
    parser = argparse.ArgumentParser(description=description)
    for name in names:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, metavar="PATH")
    return parser


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main` with the command line; a mistake of the user's is one line and exit code 1."""
    # An exception and not the end at once, so that programs and workers which it started end too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        main(sys.argv[1:])
    except LikenessError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno not in ADVICE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{ADVICE[error.errno]}")
