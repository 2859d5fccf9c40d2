"""Muon for the weight matrices of a network, and AdamW for everything else.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) makes the momentum of a matrix
orthogonal before it is applied. It needs far fewer steps than AdamW. It is not meant for the first
and the last layers of a network, nor for biases, norms and embeddings.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class MuonAndAdamW:
    """The two optimisers as one, with one learning rate.

    Muon's steps are scaled to the size of AdamW's (Liu et al. 2025, arXiv 2502.16982), so that the same
    learning rate and weight decay suit both. A convolution's weight (out, in, h, w) is to Muon a matrix
    (out, in * h * w).
    """

    def __init__(
        self, model: "torch.nn.Module", lr: float, weight_decay: float, except_of: Collection[str]
    ) -> None:
        """`except_of` names the modules (`conv_in`) whose weights AdamW trains, biases aside.

        Raises:
            ValueError: the model has no module of such a name.
        """
        import torch

        modules = dict(model.named_modules())
        if unknown := sorted(name for name in except_of if name not in modules):
            raise ValueError(f"no module {unknown[0]}")
        excepted = {id(own) for name in except_of for own in modules[name].parameters()}
        chosen = [own for own in model.parameters() if own.ndim > 1 and id(own) not in excepted]
        ids = {id(own) for own in chosen}
        # torch's Muon takes matrices only, so it is given views, which share the weights' memory.
        self._matrices = [(own, torch.nn.Parameter(own.detach().flatten(1))) for own in chosen]
        self._muon = torch.optim.Muon(
            [view for _, view in self._matrices], lr=lr, weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )  # fmt: skip
        self._adamw = torch.optim.AdamW(
            [own for own in model.parameters() if id(own) not in ids], lr=lr,
            weight_decay=weight_decay,
        )  # fmt: skip

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [*self._muon.param_groups, *self._adamw.param_groups]

    def zero_grad(self) -> None:
        for own, _ in self._matrices:
            own.grad = None
        self._adamw.zero_grad()

    def step(self) -> None:
        for own, view in self._matrices:
            view.grad = None if own.grad is None else own.grad.flatten(1)
        self._muon.step()
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._muon.load_state_dict(state["muon"])
        self._adamw.load_state_dict(state["adamw"])
