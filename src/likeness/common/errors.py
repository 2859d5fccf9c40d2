"""The one exception that reaches the user."""


class LikenessError(Exception):
    """A failure that its reader can mend: which file, key or id, what was found, what to do.

    `cli.run` prints it as one line and exits with 1; everything else keeps its traceback.
    """
