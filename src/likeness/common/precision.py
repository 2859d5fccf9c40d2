"""Half precision: the type of a base's weights, and mixed-precision training.

Accelerate has this too, but it refuses fp16 on a CPU, where our tests of half precision run, and it
returns a network's outputs in float32, which the half-precision decoder after it does not accept.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from likeness.common.errors import LikenessError

if TYPE_CHECKING:
    import torch

Precision = Literal["no", "fp16", "bf16"]  # "no" is float32


def dtype_of(precision: Precision) -> "torch.dtype":
    import torch

    return {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]


class MixedPrecision:
    """Trains float32 weights with computation in half precision (Micikevicius et al. 2018).

    In fp16 small gradients are lost, so losses are scaled up before their gradients are computed.
    """

    def __init__(self, precision: Precision, device: str) -> None:
        import torch

        self._precision, self._device = precision, device
        self._scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        import torch

        on = self._precision != "no"
        return torch.autocast(self._device, dtype_of(self._precision) if on else None, enabled=on)

    def scaled(self, loss: "torch.Tensor") -> "torch.Tensor":
        """The loss to call `backward` on."""
        return self._scaler.scale(loss)

    def step(
        self, optimizer: Any, parameters: "Sequence[torch.Tensor]", max_grad_norm: float
    ) -> None:
        """An optimiser step with gradients clipped to `max_grad_norm`; skipped where fp16 overflowed."""
        import torch

        self._scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
        self._scaler.step(optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The loss scale, for a resumed training. Empty unless the precision is fp16."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self._scaler.load_state_dict(state)


def check_finite(
    loss: float,
    weights: "Iterable[torch.Tensor]",
    *,
    stage: str,
    step: int,
    learning_rate: float,
) -> None:
    """Stop a training whose weights are NaN or infinite, as no later step repairs them.

    If only the loss is, it may come from one fp16 step that overflowed, which is skipped.
    """
    if math.isfinite(loss) or all(bool(weight.isfinite().all()) for weight in weights):
        return
    raise LikenessError(
        f"{stage}: the loss is {loss} at step {step} and the adapter's weights are not finite; "
        f"lower {stage}.learning_rate, which is {learning_rate:g}"
    )
