"""Rows from all over a list, and groups that are split by shares."""

from likeness.common.sampling import SPLITS, evenly, split_by_share


def test_rows_are_from_all_over_the_list() -> None:
    assert evenly(range(10), 3) == [0, 3, 6]
    assert evenly("abc", 64) == ["a", "b", "c"]
    assert evenly([], 3) == []


def test_every_stretch_of_the_order_is_split_by_the_shares() -> None:
    found = split_by_share({str(at): 1 for at in range(100)}, 0.7, 0.1)
    assert list(found) == [str(at) for at in range(100)]
    for first in range(0, 100, 20):
        stretch = [found[str(at)] for at in range(first, first + 20)]
        for split, share in zip(SPLITS, (0.7, 0.1, 0.2), strict=True):
            assert abs(stretch.count(split) - 20 * share) <= 1


def test_a_large_group_goes_where_most_is_missing() -> None:
    found = split_by_share({"a": 60.0, "b": 30.0, "c": 10.0}, 0.6, 0.1)
    assert found == {"a": "train", "b": "test", "c": "val"}
