"""What later stages need is asked for at once, in one line."""

import pytest

from likeness.common.errors import LikenessError
from likeness.common.needs import Need, check_needs
from likeness.image.needs import NEEDS as IMAGE
from likeness.stage import SCHEMA
from likeness.voice.needs import NEEDS as VOICE


def test_the_first_need_that_is_not_met_is_named() -> None:
    needs = (Need("a_train", "train", 2), Need("a_judge", "test", 3))
    check_needs("six", needs, {"train": 2, "val": 0, "test": 3}, "use more")
    with pytest.raises(LikenessError) as caught:
        check_needs("six", needs, {"train": 2, "val": 2, "test": 2}, "use more")
    assert str(caught.value) == "six: 2 in the test split, and a_judge needs 3; use more"
    check_needs("six", needs, {"train": 2}, "use more")


@pytest.mark.parametrize("needs", [IMAGE, VOICE])
def test_every_split_is_asked_for_by_a_stage_that_exists(needs: tuple[Need, ...]) -> None:
    assert {need.split for need in needs} == {"train", "val", "test"}
    assert {need.stage for need in needs} <= set(SCHEMA)
