"""The one exception that is shown to the user, and a helper for its line."""

from collections.abc import Sequence

AGAIN = "run its stage of models/dvc.yaml, or likeness fetch it, again"  # for a broken model


class LikenessError(Exception):
    """A failure that the user can fix. It says which file, key or id, what was found and what to do.

    `cli.run` prints it as one line and exits with 1; any other exception keeps its traceback.
    """


def shortened(names: Sequence[str], most: int = 5, joint: str = ", ") -> str:
    """The first few of a long list, for one line, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return joint.join(names[:most]) + more


def one_line(error: BaseException) -> str:
    """What an error says, in one line of 200 letters at most, or its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__
