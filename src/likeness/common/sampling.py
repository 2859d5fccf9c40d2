"""Parts of what there is: a few rows from all over a list, and the splits of a dataset."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

SPLITS = ("train", "val", "test")


def evenly(rows: Sequence[T], count: int) -> list[T]:
    """`count` rows at equal distances in the list, or all rows if there are fewer."""
    count = min(count, len(rows))
    return [rows[at * len(rows) // count] for at in range(count)]


def split_by_share(sizes: Mapping[str, float], train: float, val: float) -> dict[str, str]:
    """The split of each group by name; a group is never divided.

    The groups are taken in their order, and each goes to the split that is furthest behind its share
    so far. So every stretch of the order is divided by the shares.

    Args:
        sizes: of the groups, in any unit.
        train, val: shares, 0 to 1; what they leave is that of the test split.
    """
    shares = dict(zip(SPLITS, (train, val, 1 - train - val), strict=True))
    taken = dict.fromkeys(SPLITS, 0.0)
    splits: dict[str, str] = {}
    for name, size in sizes.items():
        total = sum(taken.values()) + size
        splits[name] = max(SPLITS, key=lambda split: shares[split] * total - taken[split])
        taken[splits[name]] += size
    return splits
