"""The image lane as `-S image=sd15` runs it, on photos of the sample."""

import csv
import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from likeness.common.io import read_json, read_jsonl
from likeness.image.control import load_controlnet
from likeness.image.diffusion import ADAPTER, load_pipeline
from tests.conftest import ROOT
from tests.real_bases.checkout import Checkout, Lane, not_finite, stand_ins
from tests.real_bases.sizes import unlike_published

if TYPE_CHECKING:
    import torch

pytestmark = pytest.mark.real_bases

BASES = ("sd15", "controlnet_canny_sd15", "clip_vit_l14", "inception_v3", "dinov2")
PRODUCTS = 24  # of the sample, 10 of them to train on
MEMORY = (
    8.0  # GiB that a stage may take: one Stable Diffusion is 4, and there is never a second one
)
OPTIONS = (
    "base.device=cpu",
    "image=sd15",
    "inputs.catalog=few_photos",
    # Pixels are a param, not a width of the networks. At 512, a sheet of samples takes minutes: a CPU
    # draws 16 images at a time, however many are asked for.
    "image_prepare.resolution=128",
    "image_prepare.train_share=0.4",
    "image_prepare.val_share=0.3",
    "image_prepare.near_hash_bits=0",  # to networks with random weights all photos are alike
    "image_train.text_encoder=true",
    "image_train.epochs=1",
    "image_train.warmup_steps=0",
    "image_train.val_timesteps=1",
    "image_train.samples=2",
    "image_train.sample_steps=1",
    "image_generate.steps=1",
    "image_generate.count=8",
    "image_generate.baseline=4",
    # Noise breaks every rule for product photos.
    "image_generate.min_clean_background=0",
    "image_generate.max_cut_off=1",
    "image_generate.min_coverage=0",
    "image_generate.outlier_factor=1e9",
    "image_generate.copy_factor=0",
    "image_recolour.count=2",
    "image_recolour.steps=1",
    "image_recolour.rounds=10",
    "image_recolour.min_clean_background=0",
    "image_recolour.max_cut_off=1",
    "image_recolour.min_coverage=0",
    "image_recolour.min_overlap=0",
    "image_evaluate.neighbours=2",
    "image_evaluate.rounds=10",
)
STAGES = (
    "image_analyze",
    "image_prepare",
    "image_train",
    "image_generate",
    "image_recolour",
    "image_evaluate",
    "image_failures",
)


@pytest.fixture(scope="module")
def lane(checkout: Checkout) -> Iterator[Lane]:
    write_few(checkout.folder / "data" / "raw" / "few_photos")
    with stand_ins(checkout, BASES) as sizes:
        yield Lane(checkout, sizes, STAGES, OPTIONS)


def write_few(catalog: Path) -> None:
    """A catalogue of the first casual shoes of the sample that nothing is wrong with."""
    sample = ROOT / "data" / "raw" / "sample_catalog"
    broken = {row["id"] for row in read_jsonl(sample / "flaws.jsonl")}
    with (sample / "styles.csv").open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    kind = head.index("articleType")
    rows = [row for row in lines if row[kind] == "Casual Shoes" and row[0] not in broken]
    (catalog / "images").mkdir(parents=True)
    with (catalog / "styles.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows[:PRODUCTS]])
    for row in rows[:PRODUCTS]:
        shutil.copy(sample / "images" / f"{row[0]}.jpg", catalog / "images")


@pytest.mark.parametrize("name", BASES)
def test_the_files_are_as_large_as_the_published_ones(lane: Lane, name: str) -> None:
    assert unlike_published(name, lane.sizes[name], lane.checkout.folder / "models" / name) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs(lane: Lane, stage: str) -> None:
    lane.reach(stage)
    assert not_finite(lane.checkout.metrics(stage)) == []
    assert lane.checkout.measured[stage].memory < MEMORY


def test_the_judges_are_those_of_papers(lane: Lane) -> None:
    lane.reach("image_evaluate")
    metrics = lane.checkout.metrics("image_evaluate")
    assert metrics["extractor"] == "inception_v3"
    assert metrics["clip_model"] == "clip_vit_l14"
    assert {"tuned_fid", "base_fid", "floor_fid", "tuned_kid"} <= set(metrics)


def test_another_extractor_judges_too(lane: Lane) -> None:
    lane.reach("image_failures")
    options = (*OPTIONS, "inputs.extractor=dinov2")
    lane.checkout.run("image_evaluate", options, "image_evaluate by dinov2")
    metrics = lane.checkout.metrics("image_evaluate")
    assert metrics["extractor"] == "dinov2"
    assert not_finite(metrics) == []


def test_what_is_loaded_is_what_the_files_hold(lane: Lane) -> None:
    """A layer whose name a loader does not know is left at random, and only a warning says so."""
    from safetensors.torch import load_file

    base = lane.checkout.folder / "models" / "sd15"
    pipeline = load_pipeline(base, "cpu")
    for part in ("unet", "vae", "text_encoder"):
        (file,) = (base / part).glob("*.safetensors")
        stored = load_file(file)
        stored.pop("text_model.embeddings.position_ids", None)
        loaded = getattr(pipeline, part).state_dict()
        # By their bytes: names are others today.
        assert hashes(loaded.values()) == hashes(stored.values())


def test_what_the_controlnet_adds_is_what_its_file_holds(lane: Lane) -> None:
    from safetensors.torch import load_file

    folder = lane.checkout.folder / "models" / "controlnet_canny_sd15"
    (file,) = folder.glob("*.safetensors")
    stored = (tensor.float() for tensor in load_file(file).values())
    loaded = load_controlnet(folder, "cpu", "no").state_dict().values()
    assert hashes(loaded) == hashes(stored)
    data = lane.reach("image_recolour") / "data" / "image_recolour"
    drawn = sorted((data / "images").glob("*.png"))
    assert len(drawn) == 2
    for path in drawn:
        assert path.read_bytes() != (data / "plain" / path.name).read_bytes()


def hashes(tensors: "Iterable[torch.Tensor]") -> list[str]:
    return sorted(hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for tensor in tensors)


def test_nothing_is_left_at_random_in_the_judges(lane: Lane) -> None:
    from transformers import CLIPModel, Dinov2Model

    for name, network in (("clip_vit_l14", CLIPModel), ("dinov2", Dinov2Model)):
        folder = lane.checkout.folder / "models" / name
        _, report = network.from_pretrained(folder, output_loading_info=True)
        assert not report["missing_keys"]
        assert not report["mismatched_keys"]


def test_the_adapter_says_which_base_it_is_for(lane: Lane) -> None:
    training = read_json(lane.reach("image_train") / "data" / "image_train" / "training.json")
    assert training["base_id"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert training["base_license"] == "creativeml-openrail-m"


def test_other_tools_load_the_adapter(lane: Lane) -> None:
    """diffusers' own loader takes each file whole, and both give the layers what was trained."""
    import torch
    from diffusers import StableDiffusionPipeline
    from safetensors.torch import load_file

    folder = lane.reach("image_train")
    trained = folder / "data" / "image_train"
    files = {name: load_file(trained / name) for name in (ADAPTER, "kohya.safetensors")}
    # As ComfyUI, sd-scripts and diffusers look for them.
    layer = "encoder{0}layers{0}0{0}self_attn{0}q_proj"
    assert f"text_encoder.text_model.{layer.format('.')}.lora_A.weight" in files[ADAPTER]
    assert f"lora_te_text_model_{layer.format('_')}.lora_down.weight" in files["kohya.safetensors"]

    pipeline = StableDiffusionPipeline.from_pretrained(
        folder / "models" / "sd15", safety_checker=None, local_files_only=True
    )
    loaded = {}
    for name in files:
        pipeline.load_lora_weights(trained, weight_name=name)
        loaded[name] = deltas(pipeline)
        pipeline.unload_lora_weights()
    first, second = loaded.values()
    assert len(first) == len(second) == len(files[ADAPTER]) / 2
    assert {key.split(".")[0] for key in first} == {"unet", "text_encoder"}
    for key, delta in first.items():
        torch.testing.assert_close(second[key], delta)
    down = files[ADAPTER][f"text_encoder.text_model.{layer.format('.')}.lora_A.weight"]
    up = files[ADAPTER][f"text_encoder.text_model.{layer.format('.')}.lora_B.weight"]
    (found,) = (
        delta for key, delta in first.items() if key.endswith(layer.format(".")) and "text" in key
    )
    torch.testing.assert_close(found, up @ down)


def deltas(pipeline: Any) -> "dict[str, torch.Tensor]":
    """What the adapter on a pipeline adds to each weight."""
    return {
        f"{part}.{name}": layer.get_delta_weight("default_0").detach().clone()
        for part in ("unet", "text_encoder")
        for name, layer in getattr(pipeline, part).named_modules()
        if getattr(layer, "lora_A", None)
    }
