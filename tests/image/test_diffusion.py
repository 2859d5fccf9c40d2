"""Loading bases and adapters, and drawing: one seed, one image."""

import json
import shutil
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.image.diffusion import (
    ADAPTER,
    check_base,
    draw,
    draw_images,
    load_adapter,
    load_pipeline,
    noise,
    scale_of,
)
from tests.conftest import SIDE, build_base

PROMPTS = [f"A photo of {name} shoes" for name in ("red", "blue", "black", "", "a", "b", "c", "d")]
SEEDS = [11, 12, 13, 2**62, 15, 16, 17, 18]
OPTIONS: dict[str, Any] = {
    "resolution": SIDE,
    "sampler": "base",
    "steps": 3,
    "guidance": 3.0,
    "negative_prompt": "blurred",
}


def prediction(pipeline: Any) -> Any:
    import torch

    inputs = noise(1, (1, 4, 8, 8)), torch.tensor([500]), noise(2, (1, 77, 16))
    with torch.inference_mode():
        return pipeline.unet(*inputs).sample


def latents_at(pipeline: Any, size: int, options: dict[str, Any]) -> list[str]:
    """The latents of eight prompts drawn `size` at a time: rounding to pixels would hide a change."""
    found: list[str] = []
    decode = pipeline.vae.decode

    def keep(latents: Any, *args: Any, **keywords: Any) -> Any:
        found.extend(sha256(row.numpy().tobytes()).hexdigest() for row in latents)
        return decode(latents, *args, **keywords)

    pipeline.vae.decode = keep
    kept: list[str] = []
    for at in range(0, 8, size):
        images = draw(pipeline, PROMPTS[at : at + size], SEEDS[at : at + size], **options)
        kept += found[: len(images)]
        found.clear()
    pipeline.vae.decode = decode
    return kept


@pytest.mark.parametrize(("sampler", "guidance"), [("base", 3.0), ("base", 1.0), ("dpm++", 3.0)])
def test_latents_are_bitwise_the_same_at_any_batch_size(
    tmp_path: Path, sampler: str, guidance: float
) -> None:
    # As wide and as large as a mini base: kernels choose their way by the size of their input.
    pipeline = load_pipeline(build_base(tmp_path / "base", width=64), "cpu")
    options = {**OPTIONS, "sampler": sampler, "guidance": guidance}
    options |= {"resolution": 64, "steps": 2}
    whole = latents_at(pipeline, 8, options)
    assert len(set(whole)) == len(whole) == 8
    same = {size: latents_at(pipeline, size, options) == whole for size in (1, 5)}
    assert all(same.values()), same


def test_the_other_sampler_is_diffusers_own_and_the_base_keeps_its_scheduler(
    tiny_base: Path,
) -> None:
    from diffusers import DPMSolverMultistepScheduler

    pipeline = load_pipeline(tiny_base, "cpu")
    own = pipeline.scheduler

    def drawn(sampler: str) -> np.ndarray:
        return np.stack(draw(pipeline, PROMPTS, SEEDS, **{**OPTIONS, "sampler": sampler}))

    images = drawn("dpm++")
    assert pipeline.scheduler is own
    assert not np.array_equal(images, drawn("base"))
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        own.config, timestep_spacing="trailing"
    )
    assert np.array_equal(images, drawn("base"))


def test_images_are_the_same_at_any_batch_size(tiny_base: Path) -> None:
    pipeline = load_pipeline(tiny_base, "cpu")

    def drawn(size: int) -> list[np.ndarray]:
        images: list[Image.Image] = []
        for at in range(0, 8, size):
            images += draw(pipeline, PROMPTS[at : at + size], SEEDS[at : at + size], **OPTIONS)
        return [np.asarray(image) for image in images]

    whole = drawn(8)
    assert len({image.tobytes() for image in whole}) == 8
    assert whole[0].shape == (SIDE, SIDE, 3)
    for size in (1, 3):
        for left, right in zip(whole, drawn(size), strict=True):
            assert np.array_equal(left, right), size


def test_an_image_follows_its_seed_and_its_prompt(tiny_base: Path) -> None:
    rows = [
        {"prompt": "red", "seed": 1},
        {"prompt": "red", "seed": 1},
        {"prompt": "red", "seed": 2},
        {"prompt": "blue shoes", "seed": 1},
    ]
    paint = partial(draw_images, base=tiny_base, adapter=None, device="cpu", **OPTIONS)
    first, same, seed, prompt = (result.files["image.png"] for result in paint(rows))
    assert first == same
    assert len({first, seed, prompt}) == 3
    assert paint(rows[:1])[0].files["image.png"] == first


def test_an_adapter_becomes_part_of_the_weights_and_changes_the_output_as_it_did_beside_them(
    tiny_base: Path, tiny_adapter: Path
) -> None:
    import torch

    pipeline = load_pipeline(tiny_base, "cpu")
    base = prediction(pipeline)
    load_adapter(pipeline, tiny_adapter)
    added = prediction(pipeline)
    assert (added - base).abs().max() > 1e-3
    assert not [name for name, _ in pipeline.unet.named_parameters() if "lora" in name]
    beside = load_pipeline(tiny_base, "cpu")
    beside.load_lora_weights(tiny_adapter, weight_name=ADAPTER)
    assert torch.allclose(prediction(beside), added, atol=1e-5)


def test_an_adapter_is_loaded_with_the_pipeline(tiny_base: Path, tiny_adapter: Path) -> None:
    import torch

    pipeline = load_pipeline(tiny_base, "cpu")
    load_adapter(pipeline, tiny_adapter)
    assert torch.equal(
        prediction(load_pipeline(tiny_base, "cpu", tiny_adapter)), prediction(pipeline)
    )


def test_an_adapter_that_is_not_there_is_one_line(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match="no such file; run image_train"):
        load_adapter(load_pipeline(tiny_base, "cpu"), tmp_path)


def renamed(weights: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {key.replace(old, new): tensor for key, tensor in weights.items()}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("unet.", "transformer."),
        ("down_blocks", "stages"),
        ("mid_block.resnets.0.", "mid_block.resnets.7."),
        ("lora_A", "lora_C"),
    ],
)
def test_keys_that_match_nothing_are_an_error(
    tiny_base: Path, tiny_adapter: Path, tmp_path: Path, old: str, new: str
) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(tiny_adapter / ADAPTER)
    changed = renamed(weights, old, new)
    assert changed.keys() != weights.keys()
    save_file(changed, tmp_path / ADAPTER)
    with pytest.raises(LikenessError, match=r"keys match this base|does not fit") as caught:
        load_pipeline(tiny_base, "cpu", tmp_path)
    assert "\n" not in str(caught.value)


def test_an_adapter_of_other_shapes_is_an_error(tiny_adapter: Path, tmp_path: Path) -> None:
    wider = build_base(tmp_path / "wider", width=32)
    with pytest.raises(LikenessError, match="does not fit this base") as caught:
        load_pipeline(wider, "cpu", tiny_adapter)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_adapter_is_an_error(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / ADAPTER).write_bytes(b"not safetensors")
    with pytest.raises(LikenessError, match=ADAPTER):
        load_pipeline(tiny_base, "cpu", tmp_path)


def test_a_wrong_base_folder_says_what_is_missing(tmp_path: Path) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(LikenessError, match=r"model_index\.json is missing.*inputs\.diffusion"):
            load_pipeline(folder, "cpu")


def test_a_pipeline_of_another_kind_is_named(tmp_path: Path) -> None:
    index = {"_class_name": "StableDiffusionXLPipeline"}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(LikenessError, match="StableDiffusionXLPipeline"):
        check_base(tmp_path)


def lose_unet(folder: Path) -> None:
    shutil.rmtree(folder / "unet")


def lose_weights(folder: Path) -> None:
    next((folder / "unet").glob("*.safetensors")).unlink()


def cut_weights(folder: Path) -> None:
    path = next((folder / "unet").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:1000])


def break_config(folder: Path) -> None:
    (folder / "vae" / "config.json").write_text("{")


@pytest.mark.parametrize("damage", [lose_unet, lose_weights, cut_weights, break_config])
def test_a_damaged_base_is_one_line(tiny_base: Path, tmp_path: Path, damage: Any) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    damage(folder)
    with pytest.raises(LikenessError, match="cannot be loaded") as caught:
        load_pipeline(folder, "cpu")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_latent_s_scale_follows_the_vae(tiny_base: Path) -> None:
    assert scale_of(load_pipeline(tiny_base, "cpu").vae) == 4


def test_noise_is_a_function_of_its_seed() -> None:
    import torch

    torch.manual_seed(1)
    left = noise(5, (4, 8, 8))
    torch.manual_seed(2)
    assert torch.equal(left, noise(5, (4, 8, 8)))
    assert not torch.equal(left, noise(6, (4, 8, 8)))
