"""Blind tests as files: what is asked, and what raters answer.

A test is a folder with `test.json` and a file `<rater>.jsonl` for each rater, so that the answers of two
people never meet in one file of a pull request.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.manifest import Row, checked

Lane = Literal["voice", "image"]
Kind = Literal["real_or_synthetic", "preference", "opinion", "classes"]

KINDS: dict[Lane, tuple[Kind, ...]] = {
    "voice": ("real_or_synthetic", "preference", "opinion"),
    "image": ("real_or_synthetic", "preference", "classes"),
}
# What may be answered, in the order of the number keys from 1.
CHOICES: dict[Kind, dict[str, str]] = {
    "real_or_synthetic": {"real": "real", "synthetic": "synthetic"},
    "preference": {"a": "A is better", "b": "B is better", "tie": "no difference"},
    # The words of absolute category rating (ITU-T P.800, annex B).
    "opinion": {"1": "bad", "2": "poor", "3": "fair", "4": "good", "5": "excellent"},
    # The gravest fault counts.
    "classes": {
        "good": "could stand in the catalogue",
        "background": "not clean, or the item is cut off",
        "colour": "not the colour that was asked for",
        "shape": "deformed, or not the item that was asked for",
        "artifact": "smudges, noise, or parts that belong to nothing",
    },
}


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _inside(path: str) -> str:
    """A test may come from elsewhere, in a pull request."""
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError("a path under data/")
    return path


class File(Strict):
    """What a rater hears or sees: its path under `data/`, and the MD5 of its bytes."""

    path: Annotated[str, AfterValidator(_inside)]
    md5: str


class Item(Row):
    """What one trial asks about.

    Attributes:
        text: what is shown with it: the sentence, or the prompt; may be empty.
        files: by version: `real`, `base` or `tuned`; both of a pair.
    """

    text: str
    files: dict[str, File]

    @property
    def version(self) -> str:
        """Of an item with one file."""
        return next(iter(self.files))


class BlindTest(Row):
    """What is fixed when a test is begun.

    Attributes:
        seed: with the name of a rater it gives the order.
        commit: that was checked out.
        model: name of the base, and the MD5 of the adapter.
        resolution: of all that is played (Hz) or shown (pixels of a side).
    """

    kind: Kind
    lane: Lane
    seed: int
    commit: str
    model: dict[str, str]
    resolution: int
    items: list[Item]


class Answer(Strict):
    """A line of a rater's file.

    Attributes:
        trial: from 1, in the order in which they were asked.
        sides: the version of each side, as shown; one for an item with one file.
        answer: a key of `CHOICES`.
    """

    trial: int
    item: str
    sides: list[str]
    answer: str


class Judged(NamedTuple):
    """An answer and what it is about."""

    item: Item
    answer: Answer
    rater: str
    test: str


# --- read -----------------------------------------------------------------------------------------


def read_test(folder: Path) -> BlindTest:
    """Raises `LikenessError` if it is missing or broken."""
    path = folder / "test.json"
    test = checked(BlindTest, read_json(path), str(path))
    if test.id != folder.name:
        raise LikenessError(f"{path}: id: should be the folder's name (got {test.id!r})")
    return test


def read_tests(ratings: Path, lane: Lane | None = None) -> list[BlindTest]:
    """All tests, or those of a lane, by id."""
    tests = [read_test(path.parent) for path in sorted(ratings.glob("*/test.json"))]
    return [test for test in tests if lane in (None, test.lane)]


def raters(folder: Path) -> list[str]:
    """Who has answered anything in a test."""
    return sorted(path.stem for path in folder.glob("*.jsonl"))


def read_answers(folder: Path, test: BlindTest, rater: str) -> list[Answer]:
    """What a rater has answered so far.

    Raises:
        LikenessError: `path:line: rule`: a line that is no answer of this test.
    """
    path = folder / f"{rater}.jsonl"
    items = {item.id: item for item in test.items}
    found = []
    for number, line in enumerate(whole_lines(path), start=1):
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise LikenessError(f"{where}: not JSON ({error})") from error
        answer = checked(Answer, value, where)
        item = items.pop(answer.item, None)
        if item is None or set(answer.sides) != set(item.files) or answer.trial != number:
            raise LikenessError(f"{where}: {answer.item}: this test does not ask it there")
        if answer.answer not in CHOICES[test.kind]:
            raise LikenessError(
                f"{where}: {answer.item}: answer: should be one of {', '.join(CHOICES[test.kind])} "
                f"(got {answer.answer!r})"
            )
        found.append(answer)
    return found


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file without what a full disk may have left of a last one; none without a file."""
    return path.read_bytes().split(b"\n")[:-1] if path.is_file() else []


def judged(test: BlindTest, rater: str, answers: Sequence[Answer]) -> list[Judged]:
    items = {item.id: item for item in test.items}
    return [Judged(items[answer.item], answer, rater, test.id) for answer in answers]


def md5_of(path: Path) -> str:
    """Of a file's bytes, as DVC has it; empty if there is none."""
    return hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else ""
