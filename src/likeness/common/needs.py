"""What later stages need of a dataset's splits, asked for by the stage that makes the splits.

Nobody should train for an hour to be told by the stage after it that there are too few test items. A
lane lists what its stages need; a stage that could fail for want of items checks the same list.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from likeness.common.errors import LikenessError


@dataclass(frozen=True)
class Need:
    """The fewest items of a split that a stage can work with."""

    stage: str
    split: str
    least: int


def check_needs(what: str, needs: Iterable[Need], found: Mapping[str, int], advice: str) -> None:
    """Raise `LikenessError` at the first need of a split in `found` that is not met.

    Args:
        what: is checked, for the message, as `voice_dataset: 6 clips`.
        found: items by split.
        advice: what makes the splits larger.
    """
    for need in needs:
        if found.get(need.split, need.least) < need.least:
            raise LikenessError(
                f"{what}: {found[need.split]} in the {need.split} split, and {need.stage} needs "
                f"{need.least}; {advice}"
            )
