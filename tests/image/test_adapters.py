"""Adapters of an attribute's values: which one a product is drawn with, and sums of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.image.adapters import (
    Adapters,
    count_values,
    folder_names,
    read_adapters,
    write_blend,
)
from likeness.image.diffusion import ADAPTER, load_pipeline
from tests.conftest import build_adapter, prepared


@pytest.fixture(scope="module")
def adapters(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapters:
    """Of men, of women, and for all."""
    root = tmp_path_factory.mktemp("adapters")
    shared, men, women = (
        build_adapter(tiny_base, root / name, seed=seed) / ADAPTER
        for seed, name in enumerate(("shared", "men", "women"))
    )
    return Adapters(shared, "gender", {"Men": men, "Women": women})


def load(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


def update(weights: dict[str, Any], key: str) -> Any:
    """What a layer's two factors add to its weights."""
    down, up = weights[key], weights[key.replace("lora_A", "lora_B")]
    return up.flatten(1) @ down.flatten(1)


def test_a_product_has_the_adapter_of_its_value_or_the_one_for_all(adapters: Adapters) -> None:
    assert adapters.of(prepared("a", gender="Women")) == adapters.own["Women"]
    assert adapters.of(prepared("a", gender="Girls")) == adapters.shared
    alone = Adapters(adapters.shared, "", {})
    assert alone.of(prepared("a", gender="Women")) == adapters.shared


def test_adapters_are_read_as_image_train_lists_them(tmp_path: Path) -> None:
    own = [{"value": "Men", "folder": "per/Men"}, {"value": "Girls", "folder": None}]
    (tmp_path / "training.json").write_text(json.dumps({"per": "gender", "own": own}))
    wanted = {"Men": tmp_path / "per/Men" / ADAPTER}
    assert read_adapters(tmp_path) == Adapters(tmp_path / ADAPTER, "gender", wanted)


def test_a_blend_of_one_with_weight_1_is_that_one(adapters: Adapters, tmp_path: Path) -> None:
    import torch

    blend = load(write_blend(adapters, {"Men": 1.0}, tmp_path / ADAPTER))
    men = load(adapters.own["Men"])
    assert blend.keys() == men.keys()
    assert all(torch.equal(blend[key], men[key]) for key in men)


def test_a_blend_is_the_weighted_sum_of_the_updates(adapters: Adapters, tmp_path: Path) -> None:
    import torch

    weights = {"Men": 0.7, "Women": 0.3}
    blend = load(write_blend(adapters, weights, tmp_path / ADAPTER))
    parts = [(load(adapters.own[value]), weight) for value, weight in weights.items()]
    layers = [key for key in blend if "lora_A" in key]
    assert any(blend[key].dim() == 4 for key in layers), "convolutions too"
    for key in layers:
        assert blend[key].shape[0] == sum(part[key].shape[0] for part, _ in parts)
        wanted = sum(weight * update(part, key) for part, weight in parts)
        assert torch.allclose(update(blend, key), wanted, atol=1e-6), key


def test_a_blend_changes_the_base_by_the_mean_of_its_parts(
    adapters: Adapters, tiny_base: Path, tmp_path: Path
) -> None:
    import torch

    def merged(folder: Path) -> dict[str, Any]:
        return dict(load_pipeline(tiny_base, "cpu", adapter=folder).unet.named_parameters())

    half = write_blend(adapters, {"Men": 0.5, "Women": 0.5}, tmp_path / ADAPTER)
    men, women, both = (
        merged(path.parent) for path in (adapters.own["Men"], adapters.own["Women"], half)
    )
    for name, one in both.items():
        assert torch.allclose(one, (men[name] + women[name]) / 2, atol=1e-5), name


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (True, r"image_generate\.blend: Girls has no adapter of its own; .*: Men, Women"),
        (False, r"image_generate\.blend: Girls .*: none; set image_train\.per"),
    ],
)
def test_a_blend_of_an_unknown_value_is_one_line(
    adapters: Adapters, tmp_path: Path, own: bool, says: str
) -> None:
    known = Adapters(adapters.shared, adapters.attribute, adapters.own if own else {})
    with pytest.raises(LikenessError, match=says) as caught:
        write_blend(known, {"Girls": 1.0}, tmp_path / ADAPTER)
    assert "\n" not in str(caught.value)


def test_values_are_counted_by_split() -> None:
    rows = [
        prepared("a", "train", usage="Sports"),
        prepared("b", "train", usage="Casual"),
        prepared("c", "val", usage="Sports"),
        prepared("d", "train", usage="", extra={"sole": "rubber"}),
    ]
    assert count_values(rows, "usage") == {
        "Casual": {"train": 1},
        "Sports": {"train": 1, "val": 1},
    }
    assert count_values(rows, "sole") == {"rubber": {"train": 1}}
    assert count_values(rows, "") == {}


def test_names_of_values_are_safe_and_differ() -> None:
    values = ["Navy Blue", "navy/blue", "../x", "Men", "..", "男"]
    assert list(folder_names(values).values()) == [
        "Navy_Blue",
        "navy_blue_2",
        "x",
        "Men",
        "value",
        "男",
    ]
