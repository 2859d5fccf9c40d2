"""The state of a training on disk, so that a killed run continues from its last checkpoint."""

import pickle
from pathlib import Path
from typing import Any

from likeness.common.io import atomic_path

STATE = "state.pt"


class Checkpoints:
    """The newest state of one training, in a scratch folder (see `Runtime.scratch`)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / STATE

    def save(self, state: dict[str, Any]) -> None:
        """Replace the stored state; a killed process leaves the old one or the new one, never a part."""
        import torch

        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)

    def load(self) -> dict[str, Any] | None:
        """The stored state, on the CPU; None if there is no readable one."""
        import torch

        try:
            return torch.load(self.path, map_location="cpu", weights_only=False)  # type: ignore[no-any-return]
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            return None

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
