"""What a family says its UNet is told, and what its adapters' layers are called elsewhere."""

from pathlib import Path
from typing import Any

import pytest

from likeness.image.diffusion import load_pipeline
from likeness.image.families import FAMILIES, family_of
from likeness.image.kohya import stability_name
from likeness.repository.fetch import read_bases
from tests.conftest import ROOT
from tests.real_bases.published import sdxl_configs

pytestmark = pytest.mark.slow  # they load a pipeline of diffusers

PROMPT = "red shoes"


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The networks of the published XL, without their data."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    folder = tmp_path_factory.mktemp("published")
    sdxl_configs(folder)
    parts = {"unet": UNet2DConditionModel, "vae": AutoencoderKL}
    texts = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
    with torch.device("meta"):
        found = {
            name: kind.from_config(kind.load_config(folder / name)) for name, kind in parts.items()
        }
        for name, kind in texts.items():
            found[name] = kind(CLIPTextConfig.from_pretrained(folder / name))
    return found


@pytest.fixture(params=["tiny_base", "tiny_sdxl"])
def pipeline(request: pytest.FixtureRequest) -> Any:
    return load_pipeline(request.getfixturevalue(request.param), "cpu")


def told(pipeline: Any, side: int, **options: Any) -> dict[str, Any]:
    """What diffusers' own pipeline tells the UNet when it draws `PROMPT` with guidance."""
    import torch

    found: list[dict[str, Any]] = []
    forward = pipeline.unet.forward

    def keep(*inputs: Any, **keywords: Any) -> Any:
        found.append(keywords)
        return forward(*inputs, **keywords)

    pipeline.unet.forward = keep
    with torch.inference_mode():
        pipeline(
            PROMPT, height=side, width=side, num_inference_steps=1, output_type="latent", **options
        )
    return found[0]


def test_the_unet_is_told_what_diffusers_tells_it(pipeline: Any) -> None:
    import torch

    family = family_of(pipeline)
    with torch.inference_mode():
        embedded = family.embed(pipeline, ["", PROMPT])
    ours, theirs = family.conditions(embedded, [40, 40], 40), told(pipeline, 40)
    torch.testing.assert_close(ours["encoder_hidden_states"], theirs["encoder_hidden_states"])
    added = theirs["added_cond_kwargs"] or {}
    assert ours.get("added_cond_kwargs", {}).keys() == added.keys()
    for name in added:
        torch.testing.assert_close(ours["added_cond_kwargs"][name], added[name])


def test_xl_is_told_how_large_a_photo_was_and_that_nothing_was_cut_off(tiny_sdxl: Path) -> None:
    import torch

    pipeline = load_pipeline(tiny_sdxl, "cpu")
    family = family_of(pipeline)
    with torch.inference_mode():
        embedded = family.embed(pipeline, [PROMPT])
    ours = family.conditions(embedded, [600], 40)
    sizes = {"original_size": (600, 600), "target_size": (40, 40), "crops_coords_top_left": (0, 0)}
    theirs = told(pipeline, 40, **sizes)
    time_ids = theirs["added_cond_kwargs"]["time_ids"]
    torch.testing.assert_close(ours["added_cond_kwargs"]["time_ids"], time_ids[1:])


def test_the_empty_caption_is_zeros_only_where_the_base_was_trained_so(tiny_sdxl: Path) -> None:
    pipeline = load_pipeline(tiny_sdxl, "cpu")
    family = family_of(pipeline)
    assert all(
        not one[0].any() and one[1].any() for one in family.embed(pipeline, ["", PROMPT]).values()
    )
    pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    assert all(one[0].any() for one in family.embed(pipeline, [""]).values())


def test_layers_are_called_as_in_the_published_checkpoint(networks: dict[str, Any]) -> None:
    """Of our names, diffusers makes its own again: for all of XL's UNet, at its published depth."""
    import torch
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    unet = networks["unet"]
    layers = [
        name
        for name, module in unet.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    ]
    assert len(layers) == 794
    published = {
        f"model.diffusion_model.{stability_name(name, 2)}.{kind}": name
        for name in layers
        for kind in ("weight", "bias")
    }
    again = convert_ldm_unet_checkpoint(published, unet.config)
    assert again == {f"{name}.{kind}": name for name in layers for kind in ("weight", "bias")}


def test_its_files_are_those_of_half_precision(networks: dict[str, Any]) -> None:
    """What models/hub.yaml pins has two bytes for each weight, four for one of the autoencoder."""
    pins = read_bases(ROOT)["sdxl"].files
    found = {file.split("/")[0]: pin.bytes for file, pin in pins.items()}
    assert found.keys() == networks.keys()
    for part, network in networks.items():
        weights = list(network.parameters())
        size = sum(one.numel() for one in weights) * (4 if part == "vae" else 2)
        assert size < found[part] < size + 200 * len(weights), (
            part
        )  # each has its line in the header


def test_its_controlnet_is_as_large_as_the_published_one(networks: dict[str, Any]) -> None:
    import torch
    from diffusers import ControlNetModel

    with torch.device("meta"):
        network = ControlNetModel.from_unet(networks["unet"], load_weights_from_unet=False)
    (pin,) = read_bases(ROOT)["controlnet_canny_sdxl"].files.values()
    weights = list(network.parameters())
    size = 4 * sum(one.numel() for one in weights)
    assert size < pin.bytes < size + 200 * len(weights)


def test_each_family_is_known_by_its_pipeline() -> None:
    import diffusers

    assert all(hasattr(diffusers, name) for name in FAMILIES)
    assert all(hasattr(diffusers, family.controlled) for family in FAMILIES.values())
