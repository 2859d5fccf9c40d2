"""The sizes of the stand-ins' files against those of the published ones, which models/hub.yaml has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likeness.repository.fetch import read_bases
from tests.conftest import ROOT

HEADER = 8  # bytes up to which safetensors fills its header today, and did not always
# Bytes of an archive of PyTorch beside those of a tensor: entries, padding, its part of the pickle.
# Each version has its own; the tensors' bytes are the same in all.
BESIDE = 1024
# Shares of a size by which what is made up may differ from it.
SHARES = {
    "model.bin": 0.002,  # another version of CTranslate2 wrote it
    "vocab.json": 0.2,  # other tokens, as many
    "tokenizer.json": 0.6,
    "config.json": 0.1,  # labels, and values of no use
    "preprocessor_config.json": 0.0,
}


def unlike_published(name: str, sizes: Mapping[str, int], folder: Path) -> list[str]:
    """What of models/hub.yaml's files has another size.

    Args:
        name: of the base.
        sizes: of its files as they were published here.
        folder: where they have been brought.
    """
    pins = {file: pin.bytes for file, pin in read_bases(ROOT)[name].files.items()}
    return [
        f"{file}: {sizes[file]} bytes, published with {pinned}"
        for file, pinned in pins.items()
        if not alike(folder / file, sizes[file], pinned)
    ]


def alike(path: Path, size: int, published: int) -> bool:
    if path.suffix == ".pth":
        count, content = tensors(path)
        return all(content < one < content + BESIDE * (count + 1) for one in (size, published))
    allowed = HEADER if path.suffix == ".safetensors" else SHARES[path.name] * published
    return abs(size - published) <= allowed


def tensors(path: Path) -> tuple[int, int]:
    """The number of tensors in an archive, and the bytes of them all."""
    import torch

    def found(value: Any) -> list[torch.Tensor]:
        if isinstance(value, torch.Tensor):
            return [value]
        return [tensor for part in value.values() for tensor in found(part)]

    every = found(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    return len(every), sum(tensor.numel() * tensor.element_size() for tensor in every)
