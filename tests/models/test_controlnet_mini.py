"""The small ControlNet: it begins by adding nothing, learns beside a frozen base, and follows edges."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likeness.common.io import read_json
from likeness.common.params import load_params
from likeness.common.runtime import Runtime
from likeness.image.checks import check_controlnet, check_fit
from likeness.image.diffusion import load_pipeline
from models.controlnet_mini import as_condition, build, train
from models.render import sample_products
from models.settings import ROOT, SCHEMA, ControlnetMini
from tests.models.tiny import Dying, Killed, Watching, same_weights

MODELS = ROOT / "models"


@pytest.fixture
def cfg() -> ControlnetMini:
    real = load_params(MODELS / "params.yaml", SCHEMA, ControlnetMini)
    small = {"edge_channels": [8, 8, 8], "batch": 4, "steps": 60, "save_seconds": 0}
    return real.model_copy(update=small)


@pytest.fixture
def tiny(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base for images of 32 pixels, and four photos."""
    photos = np.full((4, 32, 32, 3), 255, np.uint8)
    for at, photo in enumerate(photos):
        photo[8:24, 4 + 2 * at : 28] = (160, 40, 40)
    products = sample_products(4, 1, ["Boots", "Heels"])
    pipeline = load_pipeline(tiny_base, "cpu")
    monkeypatch.setattr("models.controlnet_mini.rendered", lambda *_: (products, photos))
    monkeypatch.setattr(
        "models.controlnet_mini.load_text", lambda _: (pipeline.tokenizer, pipeline.text_encoder)
    )
    # The tokenizer is of letters, which real captions have too many of.
    monkeypatch.setattr("models.controlnet_mini.describe", lambda *_: "red boots")
    monkeypatch.setattr("models.controlnet_mini.digest", lambda _: "")
    monkeypatch.setattr("torch.compile", lambda network: network)
    return tiny_base


def test_it_begins_as_the_base_s_own_encoder_and_adds_nothing(
    cfg: ControlnetMini, tiny_base: Path
) -> None:
    unet = load_pipeline(tiny_base, "cpu").unet
    controlnet = build(cfg, unet)
    assert same_weights(controlnet.mid_block, unet.mid_block)
    edges = as_condition([np.full((32, 32), 255, np.uint8)])
    assert edges.shape == (1, 3, 32, 32)
    assert edges.max() == 1
    inputs = torch.randn(1, 4, 8, 8), 5, torch.randn(1, 77, 16)
    with torch.inference_mode():
        down, middle = controlnet(*inputs, controlnet_cond=edges, return_dict=False)
    assert not any(one.any() for one in (*down, middle))


@pytest.mark.slow
def test_its_loss_falls_and_a_killed_training_goes_on(
    cfg: ControlnetMini, tiny: Path, rt: Runtime, tmp_path: Path
) -> None:
    watching = Watching(**vars(replace(rt, cache=tmp_path / "whole")))
    whole, _ = train(cfg, tiny, tiny, watching)
    losses = watching.losses["controlnet"]
    assert np.mean(losses[-20:]) < 0.95 * np.mean(losses[:20])
    short = cfg.model_copy(update={"steps": 6})
    unbroken, _ = train(short, tiny, tiny, replace(rt, cache=tmp_path / "unbroken"))
    killed = replace(rt, cache=tmp_path / "killed")
    with pytest.raises(Killed):
        train(short, tiny, tiny, Dying(**vars(killed), kill="controlnet"))
    resumed, _ = train(short, tiny, tiny, killed)
    assert same_weights(unbroken, resumed)
    assert not same_weights(unbroken, whole)


controlnet_mini = pytest.mark.parametrize(
    "model", [pytest.param("controlnet_mini", marks=pytest.mark.slow)], indirect=True
)


@controlnet_mini
def test_it_is_small_and_fits_its_base(model: Path) -> None:
    check_controlnet(model)
    check_fit(model, MODELS / "sd_mini")
    files: list[Any] = [path for path in model.iterdir() if path.suffix == ".safetensors"]
    assert sum(path.stat().st_size for path in files) < 5e6


@controlnet_mini
def test_outlines_are_followed_and_colours_kept(model: Path) -> None:
    quality = read_json(model / "quality.json")
    assert quality["n"] >= 100
    assert quality["edges_overlap"] > quality["plain_overlap"] + 0.05
    assert quality["edges_colour_accuracy"] > quality["plain_colour_accuracy"] - 0.1
