"""Loading bases and adapters, and drawing: one seed, one image."""

import json
import shutil
import weakref
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.common.precision import Precision, dtype_of
from likeness.image.checks import check_base
from likeness.image.diffusion import (
    ADAPTER,
    draw,
    draw_images,
    load_adapter,
    load_pipeline,
    noise,
    resident_pipeline,
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


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As wide as a mini base: kernels choose their way by the size of their input."""
    return build_base(tmp_path_factory.mktemp("wide") / "base", width=64)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "guidance"), [("base", 3.0), ("base", 1.0), ("dpm++", 3.0)])
def test_latents_are_bitwise_the_same_at_any_batch_size(
    wide: Path, sampler: str, guidance: float
) -> None:
    pipeline = load_pipeline(wide, "cpu")
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
    paint = partial(
        draw_images, base=tiny_base, adapter=None, device="cpu", precision="no", **OPTIONS
    )
    first, same, seed, prompt = (result.files["image.png"] for result in paint(rows))
    assert first == same
    assert len({first, seed, prompt}) == 3
    assert paint(rows[:1])[0].files["image.png"] == first


def adapter_parts(pipeline: Any) -> list[str]:
    return [name for name, _ in pipeline.unet.named_parameters() if "lora" in name]


def test_an_adapter_becomes_part_of_float32_weights_and_does_what_it_did_beside_them(
    tiny_base: Path, tiny_adapter: Path
) -> None:
    import torch

    base = prediction(load_pipeline(tiny_base, "cpu"))
    pipeline = load_pipeline(tiny_base, "cpu", adapter=tiny_adapter)
    added = prediction(pipeline)
    assert (added - base).abs().max() > 1e-3
    assert adapter_parts(pipeline) == []
    beside = load_pipeline(tiny_base, "cpu")
    load_adapter(beside, tiny_adapter)
    assert len(adapter_parts(beside)) > 0
    assert torch.allclose(prediction(beside), added, atol=1e-5)


# --- half precision, as on a GPU ------------------------------------------------------------------

HALF: tuple[Precision, ...] = ("bf16", "fp16")


@pytest.mark.parametrize("precision", HALF)
def test_a_base_in_half_precision_has_an_autoencoder_and_an_adapter_in_float32(
    tiny_base: Path, tiny_adapter: Path, precision: Precision
) -> None:
    import torch

    pipeline = load_pipeline(tiny_base, "cpu", precision, tiny_adapter)
    half = dtype_of(precision)
    assert len(adapter_parts(pipeline)) > 0
    for name, parameter in pipeline.unet.named_parameters():
        assert parameter.dtype == (torch.float32 if "lora_" in name else half), name
    assert {p.dtype for p in pipeline.text_encoder.parameters()} == {half}
    assert {p.dtype for p in pipeline.vae.parameters()} == {torch.float32}


def small_adapter(adapter: Path, folder: Path, share: float) -> Path:
    """The adapter with its effect on the weights made `share` of what it is."""
    from safetensors.torch import load_file, save_file

    folder.mkdir()
    weights = load_file(adapter / ADAPTER)
    scaled = {key: t * share if "lora_B" in key else t for key, t in weights.items()}
    save_file(scaled, folder / ADAPTER)
    return folder


@pytest.mark.parametrize("precision", HALF)
def test_half_precision_keeps_an_adapter_that_is_small_beside_the_weights(
    tiny_base: Path, tiny_adapter: Path, tmp_path: Path, precision: Precision
) -> None:
    import torch

    adapter = small_adapter(tiny_adapter, tmp_path / "small", 0.01)
    whole = load_pipeline(tiny_base, "cpu", adapter=adapter).unet
    plain = load_pipeline(tiny_base, "cpu").unet
    half = load_pipeline(tiny_base, "cpu", precision, adapter).unet
    kept, lost = 0.0, 0.0
    for name, layer in half.named_modules():
        if hasattr(layer, "get_delta_weight"):
            wanted = whole.get_parameter(f"{name}.weight") - plain.get_parameter(f"{name}.weight")
            kept += float((layer.get_delta_weight("default_0") - wanted).square().sum())
            rounded = (layer.base_layer.weight.float() + wanted).to(dtype_of(precision)).float()
            lost += float((rounded - layer.base_layer.weight.float() - wanted).square().sum())
    assert kept < 1e-6 * lost, (kept, lost)
    with torch.inference_mode():
        inputs = noise(1, (1, 4, 8, 8)), torch.tensor([500]), noise(2, (1, 77, 16))
        made = half(*(one.to(half.dtype) for one in inputs)).sample
    assert torch.isfinite(made).all()


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("tuned", [False, True])
def test_images_in_half_precision_are_about_those_in_float32(
    tiny_base: Path, tiny_adapter: Path, precision: Precision, tuned: bool
) -> None:
    adapter = tiny_adapter if tuned else None
    paint = partial(draw_images, base=tiny_base, adapter=adapter, device="cpu", **OPTIONS)
    rows = [{"prompt": "red", "seed": 1}, {"prompt": "blue shoes", "seed": 2}]

    def drawn(precision: Precision) -> np.ndarray:
        pngs = (result.files["image.png"] for result in paint(rows, precision=precision))
        return np.stack([np.asarray(Image.open(BytesIO(png)), np.float64) for png in pngs])

    whole, half = drawn("no"), drawn(precision)
    assert np.abs(whole - half).mean() < 4, "8-bit levels"
    assert not np.array_equal(whole, half)
    assert np.abs(whole[0] - whole[1]).mean() > 8


def test_one_pipeline_is_in_memory_at_a_time(tiny_base: Path, tiny_adapter: Path) -> None:
    tuned = weakref.ref(resident_pipeline(tiny_base, "cpu", "no", tiny_adapter).unet)
    assert resident_pipeline(tiny_base, "cpu", "no", tiny_adapter).unet is tuned()
    base = weakref.ref(resident_pipeline(tiny_base, "cpu", "no").unet)
    assert tuned() is None
    resident_pipeline.release()
    assert base() is None


def test_the_autoencoder_takes_one_image_at_a_time(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load_pipeline(tiny_base, "cpu")
    sizes: list[int] = []
    decoder = pipeline.vae.decoder.forward

    def counted(latents: Any, *args: Any, **keywords: Any) -> Any:
        sizes.append(len(latents))
        return decoder(latents, *args, **keywords)

    monkeypatch.setattr(pipeline.vae.decoder, "forward", counted)
    draw(pipeline, PROMPTS, SEEDS, **OPTIONS)
    assert sizes == [1] * len(PROMPTS)


# --- what is no base, no adapter ------------------------------------------------------------------


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
        load_pipeline(tiny_base, "cpu", adapter=tmp_path)
    assert "\n" not in str(caught.value)


def test_an_adapter_of_other_shapes_is_an_error(tiny_adapter: Path, tmp_path: Path) -> None:
    wider = build_base(tmp_path / "wider", width=32)
    with pytest.raises(LikenessError, match="does not fit this base") as caught:
        load_pipeline(wider, "cpu", adapter=tiny_adapter)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_adapter_is_an_error(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / ADAPTER).write_bytes(b"not safetensors")
    with pytest.raises(LikenessError, match=ADAPTER):
        load_pipeline(tiny_base, "cpu", adapter=tmp_path)


def test_a_wrong_base_folder_says_what_is_missing(tmp_path: Path) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(LikenessError, match=r"model_index\.json is missing.*inputs\.diffusion"):
            check_base(folder)


def test_a_pipeline_of_another_kind_is_named(tmp_path: Path) -> None:
    index = {"_class_name": "StableDiffusionXLImg2ImgPipeline"}  # of XL's refiner
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(
        LikenessError, match="'StableDiffusionXLImg2ImgPipeline'; image_train takes"
    ):
        check_base(tmp_path)


def lose_unet(folder: Path) -> None:
    shutil.rmtree(folder / "unet")


def lose_weights(folder: Path) -> None:
    next((folder / "unet").glob("*.safetensors")).unlink()


def cut_weights(folder: Path) -> None:
    path = next((folder / "unet").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])


def break_config(folder: Path) -> None:
    (folder / "vae" / "config.json").write_text("{")


def lose_tokenizer(folder: Path) -> None:
    shutil.rmtree(folder / "tokenizer")


def change(part: str, key: str, value: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / part / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return write


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lose_unet, r"unet/config\.json: no such file"),
        (lose_weights, r"unet: no weights"),
        (cut_weights, r"unet/diffusion_pytorch_model\.safetensors: \d+ bytes of \d+"),
        (break_config, r"vae/config\.json: not JSON"),
        (lose_tokenizer, r"tokenizer/ is missing"),
        (
            change("vae", "latent_channels", 16),
            r"vae: decoder\.conv_in\.weight is .*, 4, .* vae/config\.json asks for \[any, 16,",
        ),
        (
            change("unet", "in_channels", 9),
            r"unet: conv_in\.weight is .*, 4, .* unet/config\.json asks for \[any, 9,",
        ),
        (
            change("unet", "cross_attention_dim", 768),
            r"final_layer_norm\.weight is \[16\].* unet/config\.json asks for \[768\]",
        ),
    ],
)
def test_a_damaged_base_is_one_line_before_it_is_loaded(
    tiny_base: Path, tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    check_base(folder)
    damage(folder)
    with pytest.raises(LikenessError, match=why) as caught:
        check_base(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_their_config_are_one_line(tiny_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_base, folder)
    change("unet", "layers_per_block", 2)(folder)
    with pytest.raises(LikenessError, match="cannot be loaded as Stable Diffusion") as caught:
        load_pipeline(folder, "cpu")
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
