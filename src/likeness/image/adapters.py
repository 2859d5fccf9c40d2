"""The adapters that a training wrote: the one for all photos, and those of an attribute's values."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.common.errors import LikenessError
from likeness.common.evaluations import save_tensors
from likeness.common.io import read_json
from likeness.image.diffusion import ADAPTER
from likeness.image.rows import PreparedImage, Product

if TYPE_CHECKING:
    import torch

OWN = "per"  # folder for those of the values, in what a training writes


@dataclass(frozen=True)
class Adapters:
    """Files of adapters with diffusers' keys.

    Attributes:
        shared: the adapter for all.
        attribute: of the products, whose values have adapters of their own; empty if none have.
        own: those adapters, by value.
    """

    shared: Path
    attribute: str
    own: Mapping[str, Path]

    def of(self, product: Product) -> Path:
        """The product's own adapter if there is one, else the adapter for all."""
        return self.own.get(value_of(product, self.attribute), self.shared)


def read_adapters(folder: Path) -> Adapters:
    """The adapters in a folder that image_train wrote."""
    training = read_json(folder / "training.json")
    own = {
        row["value"]: folder / row["folder"] / ADAPTER for row in training["own"] if row["folder"]
    }
    return Adapters(folder / ADAPTER, training["per"], own)


def value_of(product: Product, attribute: str) -> str:
    """The product's value of an attribute; empty if it has none."""
    return product.attributes().get(attribute, "")


def count_values(rows: Sequence[PreparedImage], attribute: str) -> dict[str, Counter[str]]:
    """The photos of each value of an attribute, by split. Photos without a value are not counted.

    Raises:
        LikenessError: no product has the attribute, which may be empty: then there are no values.
    """
    known = sorted({name for row in rows for name in row.attributes()})
    if attribute and attribute not in known:
        raise LikenessError(
            f"params.yaml: image_train.per: no attribute {attribute!r}; known are {', '.join(known)}"
        )
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if value := value_of(row, attribute):
            counts[value][row.split] += 1
    return dict(sorted(counts.items()))


def folder_names(values: Iterable[str]) -> dict[str, str]:
    """A name for each value, of letters, digits, `_` and `-`, numbered where two would be the same."""
    names: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for value in values:
        name = re.sub(r"[^\w-]+", "_", value).strip("_") or "value"
        taken[name.casefold()] += 1  # some file systems do not distinguish `A` from `a`
        count = taken[name.casefold()]
        names[value] = name if count == 1 else f"{name}_{count}"
    return names


def plain_adapter(weights: "Mapping[str, torch.Tensor]", scale: float) -> "dict[str, torch.Tensor]":
    """An adapter with diffusers' keys, `lora_B` multiplied by `scale`, which is alpha / rank.

    Loaders assume different values of alpha where a file has none. After the multiplication alpha
    equals the rank, which gives a scale of 1 in all of them.
    """
    return {
        _published(name): (tensor * scale if "lora_B" in name else tensor)
        for name, tensor in weights.items()
    }


def _published(name: str) -> str:
    """A weight's name as files have it: with the level that transformers 5 took out of CLIP."""
    plain = name.replace(".default", "")
    return plain.replace("text_encoder.encoder.", "text_encoder.text_model.encoder.")


def write_blend(adapters: Adapters, weights: Mapping[str, float], path: Path) -> Path:
    """Write the weighted sum of values' adapters as one adapter, whose rank is the sum of theirs.

    The products of the stacked factors are the sum exactly: (w₁B₁ w₂B₂)(A₁ A₂)ᵀ = w₁B₁A₁ + w₂B₂A₂, as
    in the combination "cat" of peft's `add_weighted_adapter`.

    Args:
        weights: by value.

    Raises:
        LikenessError: a value has no adapter of its own.
    """
    import torch
    from safetensors.torch import load_file

    for value in weights:
        if value not in adapters.own:
            known = ", ".join(adapters.own) or "none; set image_train.per"
            raise LikenessError(
                f"params.yaml: image_generate.blend: {value} has no adapter of its own; those that "
                f"have one: {known}"
            )
    parts = [(load_file(adapters.own[value]), weight) for value, weight in weights.items()]
    first, _ = parts[0]
    save_tensors(
        path,
        {
            name: torch.cat([weight * part[name] for part, weight in parts], dim=1)
            if "lora_B" in name
            else torch.cat([part[name] for part, _ in parts])
            for name in first
        },
    )
    return path
