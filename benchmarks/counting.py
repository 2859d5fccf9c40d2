"""Memory counted without data: networks whose tensors have shapes alone, and a count of those alive.

CUDA's context (0.3 to 0.5 GiB) and the workspaces of its kernels come on top of what is counted.
"""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Counter(TorchDispatchMode):
    """The bytes of all tensors alive, and the most that there were at a time."""

    def __init__(self, *networks: torch.nn.Module) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()
        for network in networks:
            for tensor in (*network.parameters(), *network.buffers()):
                self._add(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor)
        return out

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._seen:
            self._seen.add(storage)
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._drop, storage.nbytes())

    def _drop(self, size: int) -> None:
        self.live -= size


def without_data(network: torch.nn.Module) -> None:
    """Give a network parameters and buffers of the same shapes, inside a `FakeTensorMode`."""
    for module in network.modules():
        for name, one in list(module._parameters.items()):
            if one is not None:
                made = torch.empty(one.shape, dtype=one.dtype)
                module._parameters[name] = torch.nn.Parameter(made, one.requires_grad)
        for name, one in list(module._buffers.items()):
            if one is not None:
                module._buffers[name] = torch.empty(one.shape, dtype=one.dtype)
