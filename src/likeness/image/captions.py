"""Captions from a product's attributes."""

from collections.abc import Mapping, Sequence
from string import Formatter

from likeness.common.errors import LikenessError


def caption(attributes: Mapping[str, str], template: str, extras: Sequence[str]) -> str:
    """The template filled in, then each extra whose attributes are all present and not empty.

    >>> caption({"baseColour": "Red", "usage": "Sports"}, "A {baseColour} shoe", [", {usage} use"])
    'A Red shoe, Sports use'

    Raises:
        LikenessError: the template asks for an attribute that no product has, or is malformed.
    """
    try:
        return template.format_map(attributes) + "".join(
            extra.format_map(attributes)
            for extra in extras
            if all(map(attributes.get, fields(extra)))
        )
    except KeyError as error:
        known = ", ".join(sorted(attributes))
        raise LikenessError(f"caption: unknown attribute {error}; known are {known}") from error
    except (ValueError, IndexError) as error:
        raise LikenessError(f"caption: {error} in {template!r} or its extras") from error


def fields(template: str) -> list[str]:
    """The attribute names that a template uses."""
    return [name for _, name, _, _ in Formatter().parse(template) if name]
