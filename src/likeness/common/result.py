"""What a function makes of one item. It imports nothing, so that it adds nothing to an item's key."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """What a function makes of one item: a JSON-able record and named files."""

    record: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)


class Rejected(Exception):
    """Raised, or returned in an item's place, by a function that sets its item aside."""

    def __init__(self, reason: str, value: Any = None, threshold: Any = None) -> None:
        super().__init__(reason, value, threshold)
        self.reason, self.value, self.threshold = reason, value, threshold
