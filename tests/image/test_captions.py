"""Captions from attributes."""

import pytest

from likeness.common.errors import LikenessError
from likeness.image.captions import caption, fields
from tests.conftest import product

ATTRIBUTES = product("1", usage="", extra={"material": "Canvas"}).attributes()


def test_the_template_is_filled_in() -> None:
    text = caption(ATTRIBUTES, "A {baseColour} {articleType}, {gender}", [])
    assert text == "A Red Casual Shoes, Men"


@pytest.mark.parametrize(
    ("absent", "wanted"),
    [
        (["baseColour"], "A photo of Casual Shoes, Summer collection, Men, centered on white"),
        (["season"], "A photo of Red Casual Shoes, Men, centered on white"),
        (["season", "gender"], "A photo of Red Casual Shoes, centered on white"),
        (["baseColour", "articleType"], "Summer collection, Men, centered on white"),
    ],
)
def test_the_phrase_of_an_absent_attribute_is_dropped(absent: list[str], wanted: str) -> None:
    template = (
        "A photo of {baseColour} {articleType}, {season} collection, {gender}, centered on white"
    )
    attributes = product("1", **dict.fromkeys(absent, "")).attributes()
    assert caption(attributes, template, []) == wanted


def test_an_extra_is_added_only_where_its_attributes_are_there() -> None:
    extras = [", {usage} use", ", of {material}", ", {lining} lined"]
    assert caption(ATTRIBUTES, "A shoe", extras) == "A shoe, of Canvas"


def test_an_unknown_attribute_is_named_with_the_known_ones() -> None:
    with pytest.raises(LikenessError, match=r"'colour'.*baseColour") as caught:
        caption(ATTRIBUTES, "A {colour} shoe", [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("template", ["A {baseColour shoe", "A {} shoe", "A {0} shoe", "A } shoe"])
def test_a_broken_template_is_an_error_of_one_line(template: str) -> None:
    with pytest.raises(LikenessError, match="caption"):
        caption(ATTRIBUTES, template, [])


def test_the_fields_of_a_template() -> None:
    assert fields("A {baseColour} {articleType}!") == ["baseColour", "articleType"]
    assert fields("plain") == []
