"""Stable Diffusion XL through the whole lane, with both of its text encoders adapted."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from likeness.common.io import read_json
from likeness.common.manifest import read_manifest, write_manifest
from likeness.common.precision import Precision
from likeness.common.runtime import Runtime
from likeness.image.checks import check_base
from likeness.image.diffusion import ADAPTER, load_pipeline
from likeness.image.drawing import draw_with
from likeness.image.evaluate import ImageEvaluate, evaluate
from likeness.image.families import family_of
from likeness.image.generate import ImageGenerate, generate
from likeness.image.prepare import ImagePrepare, prepare
from likeness.image.rows import PreparedImage, SyntheticImage
from likeness.studio.models import side_of
from tests.conftest import SIDE, files_of, mixed, runtime, section, write_catalog
from tests.image import test_evaluate, test_generate, test_train
from tests.image.test_train import Killed, kill_at, validation_loss, weights

PREPARE: dict[str, Any] = {"resolution": SIDE, "near_hash_bits": 0}
TRAIN: dict[str, Any] = {"text_encoder": True, "dropout": 0.0, "caption_dropout": 0.1}
PARTS = ("unet", "text_encoder", "text_encoder_2")


def train(base: Path, dataset: Path, out: Path, rt: Runtime) -> dict[str, float]:
    return test_train.run(base, dataset, out, rt, **TRAIN)


@pytest.fixture(scope="module")
def measured(
    tiny_sdxl: Path,
    tiny_extractor: Path,
    tiny_clip: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, Any]]:
    """The lane's folder, with `dataset`, `adapter` and `generated`, and the metrics of all stages."""
    root = tmp_path_factory.mktemp("sdxl")
    rt, products = runtime(root / "cache"), mixed(16)
    write_manifest(root / "products" / "manifest.jsonl", products)
    plots = {"plots_dir": root / "plots"}
    check_base(tiny_sdxl)
    metrics = prepare(
        section(ImagePrepare, **PREPARE),
        catalog=write_catalog(root / "catalog", products),
        products=root / "products",
        extractor=tiny_extractor,
        out_dir=root / "dataset",
        **plots,
        rt=rt,
    )
    metrics |= train(tiny_sdxl, root / "dataset", root, rt)
    inputs = {
        "dataset": root / "dataset",
        "base": tiny_sdxl,
        "adapter": root / "adapter",
        "extractor": tiny_extractor,
    }
    metrics |= generate(
        section(ImageGenerate, **test_generate.LOOSE),
        **inputs,
        out_dir=root / "generated",
        **plots,
        timings=root / "timings.json",
        rt=rt,
    )
    metrics |= evaluate(
        section(ImageEvaluate, **test_evaluate.SMALL),
        **inputs,
        generated=root / "generated",
        clip=tiny_clip,
        out_dir=root / "evaluated",
        **plots,
        intervals=root / "intervals.json",
        rt=rt,
    )
    return root, metrics


def test_every_stage_measures_it(measured: tuple[Path, dict[str, Any]]) -> None:
    _, metrics = measured
    assert (metrics["kept"], metrics["baseline"]) == (8, 3)
    assert metrics["tuned_n"] == 8
    assert all(math.isfinite(one) for one in metrics.values() if isinstance(one, float))


def test_the_adapter_changes_what_is_drawn(measured: tuple[Path, dict[str, Any]]) -> None:
    root, _ = measured
    for base in sorted((root / "generated" / "base").glob("*.png")):
        assert base.read_bytes() != (root / "generated" / "images" / base.name).read_bytes()


def test_the_studio_draws_it_as_the_stage_does(
    measured: tuple[Path, dict[str, Any]], tiny_sdxl: Path
) -> None:
    root, _ = measured
    row = read_manifest(root / "generated" / "manifest.jsonl", SyntheticImage)[0]
    cfg = section(ImageGenerate, **test_generate.LOOSE)
    asked = {name: getattr(cfg, name) for name in ("sampler", "steps", "guidance")}
    (drawn,) = draw_with(
        [{"prompt": row.prompt, "seed": row.seed}],
        base=tiny_sdxl,
        adapter=root / "adapter" / ADAPTER,
        resolution=side_of(tiny_sdxl),
        negative_prompt="",
        device="cpu",
        precision="no",
        **asked,
    )
    assert drawn.files["image.png"] == (root / "generated" / row.file_name).read_bytes()


def test_the_loss_is_that_of_the_files_with_what_the_rows_say(
    measured: tuple[Path, dict[str, Any]], tiny_sdxl: Path
) -> None:
    root, metrics = measured
    rows = read_manifest(root / "dataset" / "manifest.jsonl", PreparedImage)
    # Each item is 36 x 48 pixels of its photo, with a margin of 5.
    assert all(abs(row.original_size - 58) <= 2 for row in rows)
    rt = runtime(root / "cache")
    for adapter, name in ((None, "val_loss_base"), (root / "adapter", "val_loss")):
        pipeline = load_pipeline(tiny_sdxl, "cpu", adapter=adapter)
        loss = validation_loss(pipeline, root / "dataset", rt)
        assert loss == pytest.approx(metrics[name], abs=2e-5)
    assert metrics["best_step"] > 0
    assert metrics["val_loss"] < metrics["val_loss_base"]


def test_other_programs_read_both_files(
    measured: tuple[Path, dict[str, Any]], tiny_sdxl: Path
) -> None:
    import torch
    from diffusers import StableDiffusionXLPipeline

    root, _ = measured
    files = {name: weights(root, name) for name in (ADAPTER, "kohya.safetensors")}
    layer = "text_model_encoder_layers_0_self_attn_q_proj"
    block = "middle_block_1_transformer_blocks_0_attn1_to_q"
    for name in (f"lora_te1_{layer}", f"lora_te2_{layer}", f"lora_unet_{block}"):
        assert f"{name}.lora_down.weight" in files["kohya.safetensors"]
        assert files["kohya.safetensors"][f"{name}.alpha"].item() == 2
    pipeline = StableDiffusionXLPipeline.from_pretrained(tiny_sdxl, variant="fp16")
    found = {}
    for name in files:
        pipeline.load_lora_weights(root / "adapter", weight_name=name)
        found[name] = deltas(pipeline)
        pipeline.unload_lora_weights()
    one, other = found.values()
    assert len(one) == len(files[ADAPTER]) / 2
    assert {key.split(".")[0] for key in one} == set(PARTS)
    assert one.keys() == other.keys()
    for key, delta in one.items():
        torch.testing.assert_close(other[key], delta)


def deltas(pipeline: Any) -> dict[str, Any]:
    """What an adapter on a pipeline adds to each weight."""
    return {
        f"{part}.{name}": layer.get_delta_weight("default_0").detach().clone()
        for part in PARTS
        for name, layer in getattr(pipeline, part).named_modules()
        if getattr(layer, "lora_A", None)
    }


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 5])
def test_a_killed_training_goes_on_to_the_same_bytes(
    measured: tuple[Path, dict[str, Any]],
    tiny_sdxl: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    step: int,
) -> None:
    root, _ = measured
    rt = runtime(tmp_path / "cache")
    with monkeypatch.context() as killing:
        kill_at(killing, "_optimize", step)
        with pytest.raises(Killed):
            train(tiny_sdxl, root / "dataset", tmp_path, rt)
    capsys.readouterr()
    train(tiny_sdxl, root / "dataset", tmp_path, rt)
    assert "goes on from step" in capsys.readouterr().err
    assert files_of(tmp_path / "adapter") == files_of(root / "adapter")


@pytest.mark.slow
@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_half_precision_trains_to_about_the_same_loss(
    measured: tuple[Path, dict[str, Any]], tiny_sdxl: Path, tmp_path: Path, half: Precision
) -> None:
    root, exact = measured
    rt = replace(runtime(tmp_path / "cache"), half=half)
    metrics = train(tiny_sdxl, root / "dataset", tmp_path, rt)
    for name in ("val_loss", "val_loss_base"):
        assert metrics[name] == pytest.approx(exact[name], rel=0.02), name
    loaded = load_pipeline(tiny_sdxl, "cpu", half, tmp_path / "adapter")
    loss = validation_loss(loaded, root / "dataset", rt)
    assert loss == pytest.approx(metrics["val_loss"], rel=5e-3)


def test_a_model_s_parts_are_loaded_alone(tiny_sdxl: Path) -> None:
    pipeline = load_pipeline(tiny_sdxl, "cpu", only=("text_encoder", "text_encoder_2"))
    assert pipeline.unet is None
    assert pipeline.vae is None
    assert family_of(pipeline).embed(pipeline, ["red"])["states"].shape == (1, 77, 40)
    assert load_pipeline(tiny_sdxl, "cpu", only=("vae",)).text_encoder_2 is None


def test_what_was_trained_says_so(measured: tuple[Path, dict[str, Any]]) -> None:
    training = read_json(measured[0] / "adapter" / "training.json")
    assert training["base"] == "tiny_sdxl"
    assert training["text_encoder"] is True
