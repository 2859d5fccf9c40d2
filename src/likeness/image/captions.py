"""Captions from a product's attributes."""

from collections.abc import Mapping, Sequence
from string import Formatter

from likeness.common.errors import LikenessError


def caption(attributes: Mapping[str, str], template: str, extras: Sequence[str]) -> str:
    """The template filled in, then each extra whose attributes are all present and not empty.

    A phrase, which is what stands between commas, is dropped where all of its attributes are empty.

    >>> caption({"baseColour": "Red", "usage": "Sports"}, "A {baseColour} shoe", [", {usage} use"])
    'A Red shoe, Sports use'
    >>> caption({"baseColour": "", "kind": "shoe", "season": ""}, "A {baseColour} {kind}, {season}", [])
    'A shoe'

    Raises:
        LikenessError: the template asks for an attribute that no product has, or is malformed.
    """
    try:
        phrases = [_phrase(attributes, part) for part in template.split(",")]
        return ",".join(filter(None, phrases)).lstrip(" ,") + "".join(
            extra.format_map(attributes)
            for extra in extras
            if all(map(attributes.get, fields(extra)))
        )
    except KeyError as error:
        known = ", ".join(sorted(attributes))
        raise LikenessError(f"caption: unknown attribute {error}; known are {known}") from error
    except (ValueError, IndexError) as error:
        raise LikenessError(f"caption: {error} in {template!r} or its extras") from error


def _phrase(attributes: Mapping[str, str], part: str) -> str:
    names = fields(part)
    absent = [name for name in names if not attributes[name]]
    if absent and len(absent) == len(names):
        return ""
    filled = part.format_map(attributes)
    if not absent:
        return filled
    lead = filled[: len(filled) - len(filled.lstrip())]
    return lead + " ".join(filled.split())


def fields(template: str) -> list[str]:
    """The attribute names that a template uses."""
    return [name for _, name, _, _ in Formatter().parse(template) if name]
