"""What the routes of one server share."""

from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request

from likeness.studio.engine import Engine
from likeness.studio.models import Models
from likeness.studio.observe import Metrics
from likeness.studio.problems import Problem
from likeness.studio.security import Keys
from likeness.studio.worker import Kind


@dataclass(frozen=True)
class State:
    """Attributes:
    engines: by kind; a kind without a base has none.
    """

    root: Path
    keys: Keys
    models: Models
    engines: dict[Kind, Engine] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)

    def engine(self, kind: Kind) -> Engine:
        if kind not in self.engines:
            raise Problem(
                503, "not_ready", f"no base for {kind} under models/; make repro fetches one"
            )
        return self.engines[kind]

    def speakers(self, base: str) -> list[str]:
        """A base's own speakers. Raises `Problem` while the model of speech is being loaded."""
        engine = self.engine("speech")
        if engine.problem:
            raise Problem(503, "not_ready", engine.problem)
        if engine.loaded is None:
            line, soon = "the model is being loaded; ask again", {"Retry-After": "1"}
            raise Problem(503, "not_ready", line, headers=soon)
        return engine.loaded.speakers.get(base, [])


def state_of(request: Request) -> State:
    state: State = request.app.state.studio
    return state
