"""Rules that an item has to keep. Each bounds one measure; the first that is broken counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """The bounds of one measure, and the reason that an item outside them is rejected for."""

    reason: str
    measure: str
    least: float | None = None
    most: float | None = None

    def broken(self, value: float) -> float | None:
        """The bound that a value misses, or None."""
        if self.least is not None and value < self.least:
            return self.least
        if self.most is not None and value > self.most:
            return self.most
        return None

    def bounds(self) -> list[float]:
        return [bound for bound in (self.least, self.most) if bound is not None]


def first_broken(rules: Sequence[Rule], values: Mapping[str, Any]) -> tuple[Rule, float] | None:
    """The first rule that an item's values break, and the bound that they miss."""
    for rule in rules:
        bound = rule.broken(values[rule.measure])
        if bound is not None:
            return rule, bound
    return None
