"""One model in memory at a time: a GPU may have no room for two."""

import gc
from collections.abc import Callable
from inspect import signature
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OneAtATime(Generic[P, T]):
    """A function that loads a model, and keeps it until it is called with other arguments."""

    def __init__(self, load: Callable[P, T]) -> None:
        self._load = load
        self._held: dict[object, T] = {}

    def __call__(self, *args: P.args, **keywords: P.kwargs) -> T:
        asked = signature(self._load).bind(*args, **keywords)
        asked.apply_defaults()
        key = tuple(asked.arguments.values())
        if key not in self._held:
            self.release()
            self._held[key] = self._load(*args, **keywords)
        return self._held[key]

    def release(self) -> None:
        """Give back the model's memory."""
        self._held.clear()
        gc.collect()  # a model's parts refer to each other
