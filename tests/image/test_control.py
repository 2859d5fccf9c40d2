"""Drawing by a ControlNet, in both families: weight, batch, precision, and what does not fit."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.common.precision import Precision, dtype_of
from likeness.image.checks import check_controlnet, check_fit
from likeness.image.control import draw_controlled, with_controlnet
from likeness.image.diffusion import draw, load_pipeline
from tests.conftest import SIDE, build_controlnet, square

pytestmark = pytest.mark.slow  # they load a pipeline of diffusers

PROMPTS = ["red shoes", "blue shoes", "black", ""]
SEEDS = [11, 12, 13, 14]
OPTIONS: dict[str, Any] = {
    "resolution": SIDE,
    "sampler": "base",
    "steps": 3,
    "guidance": 3.0,
    "negative_prompt": "",
}
CONDITIONS = [square(SIDE, (at, 4, SIDE - at, 28)) for at in range(4)]


@pytest.fixture(scope="module", params=["tiny_base", "tiny_sdxl"])
def base(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture(scope="module")
def controlnet(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_controlnet(base, tmp_path_factory.mktemp("controlnet") / "controlnet")


@pytest.fixture(scope="module")
def pipeline(base: Path, controlnet: Path) -> Any:
    return with_controlnet(load_pipeline(base, "cpu"), controlnet, "no")


def drawn(pipeline: Any, at: slice = slice(None), **options: Any) -> list[bytes]:
    given = {**OPTIONS, "conditions": CONDITIONS[at], **options}
    return [image.tobytes() for image in draw(pipeline, PROMPTS[at], SEEDS[at], **given)]


def test_without_weight_it_draws_as_the_base_does(base: Path, pipeline: Any) -> None:
    plain = drawn(load_pipeline(base, "cpu"), conditions=[])
    assert drawn(pipeline, scale=0.0) == plain
    controlled = drawn(pipeline)
    assert all(one != other for one, other in zip(controlled, plain, strict=True))
    assert drawn(pipeline, conditions=CONDITIONS[::-1]) != controlled


def test_it_fits_the_base_that_it_was_made_for(base: Path, controlnet: Path) -> None:
    check_controlnet(controlnet)
    check_fit(controlnet, base)


def test_images_are_the_same_at_any_batch_size(pipeline: Any) -> None:
    whole = drawn(pipeline)
    assert len(set(whole)) == len(whole)
    for at in range(len(whole)):
        assert drawn(pipeline, slice(at, at + 1)) == [whole[at]]


def test_it_keeps_an_adapter(tiny_base: Path, tiny_adapter: Path, tiny_controlnet: Path) -> None:
    plain = load_pipeline(tiny_base, "cpu", adapter=tiny_adapter)
    tuned = with_controlnet(plain, tiny_controlnet, "no")
    untuned = with_controlnet(load_pipeline(tiny_base, "cpu"), tiny_controlnet, "no")
    assert drawn(tuned) != drawn(untuned)
    assert drawn(tuned, scale=0.0) == drawn(plain, conditions=[])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_in_half_precision_it_draws_about_the_same(
    base: Path, controlnet: Path, tmp_path: Path, precision: Precision
) -> None:
    import torch

    pipeline = with_controlnet(load_pipeline(base, "cpu", precision), controlnet, precision)
    assert {one.dtype for one in pipeline.controlnet.parameters()} == {dtype_of(precision)}
    assert {one.dtype for one in pipeline.vae.parameters()} == {torch.float32}
    CONDITIONS[0].save(tmp_path / "edges.png")
    row = {"prompt": "red", "seed": 1, "condition": tmp_path / "edges.png"}
    paint = partial(
        draw_controlled,
        [row],
        base=base,
        adapter=None,
        device="cpu",
        controlnet=controlnet,
        scale=1.0,
        **OPTIONS,
    )

    def pixels(precision: Precision) -> np.ndarray:
        (result,) = paint(precision=precision)
        return np.asarray(Image.open(BytesIO(result.files["image.png"])), np.float64)

    assert 0 < np.abs(pixels("no") - pixels(precision)).mean() < 6, "8-bit levels"


def test_files_in_half_precision_are_taken(controlnet: Path, base: Path, tmp_path: Path) -> None:
    from diffusers import ControlNetModel

    network = ControlNetModel.from_pretrained(controlnet).half()
    network.save_pretrained(tmp_path, variant="fp16")
    assert [path.name for path in tmp_path.glob("*.safetensors")] == [
        "diffusion_pytorch_model.fp16.safetensors"
    ]
    check_controlnet(tmp_path)
    pipeline = with_controlnet(load_pipeline(base, "cpu"), tmp_path, "no")
    assert pipeline.controlnet.dtype == dtype_of("no")


# --- what is no ControlNet, and what is none of this base -----------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"block_out_channels": (32, 64)},
            r"block_out_channels is \[32, 64\], and \[16, 32\]",
        ),
        ({"in_channels": 8}, "in_channels is 8, and 4"),
        ({"layers_per_block": 2}, "layers_per_block is 2, and 1"),
        ({"cross_attention_dim": 24}, "cross_attention_dim is 24, and 16"),
    ],
)
def test_one_of_another_base_is_one_line(
    tiny_base: Path, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    other = build_controlnet(tiny_base, tmp_path / "other", **change)
    check_controlnet(other)
    with pytest.raises(LikenessError, match=rf"does not fit .* \({why} there\); set") as caught:
        check_fit(other, tiny_base)
    assert "\n" not in str(caught.value)


def test_one_for_latents_of_another_size_is_one_line(
    tiny_base: Path, tiny_controlnet: Path, tmp_path: Path
) -> None:
    from diffusers import ControlNetModel

    config = {
        **ControlNetModel.load_config(tiny_controlnet),
        "conditioning_embedding_out_channels": (8, 8, 8, 8),
    }
    ControlNetModel.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(LikenessError, match="pixels per latent is 8, and 4 there"):
        check_fit(tmp_path, tiny_base)


def lose_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def lose_weights(folder: Path) -> None:
    next(folder.glob("*.safetensors")).unlink()


def cut_weights(folder: Path) -> None:
    path = next(folder.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])


def rename(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "_class_name": "MotionAdapter"}))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (
            lose_config,
            r"no ControlNet here \(config\.json: it is missing\); set inputs\.controlnet",
        ),
        (rename, "_class_name is 'MotionAdapter'"),
        (lose_weights, "no weights"),
        (cut_weights, r"\d+ bytes of \d+"),
    ],
)
def test_a_damaged_one_is_one_line_before_it_is_loaded(
    tiny_controlnet: Path, tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    folder = tmp_path / "controlnet"
    shutil.copytree(tiny_controlnet, folder)
    check_controlnet(folder)
    damage(folder)
    with pytest.raises(LikenessError, match=why) as caught:
        check_controlnet(folder)
    assert "\n" not in str(caught.value)
