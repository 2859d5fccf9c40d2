"""An adapter is trained, kept, resumed and written so that others can load it."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from likeness.common.checkpoints import Checkpoints
from likeness.common.errors import LikenessError
from likeness.common.evaluations import Evaluations
from likeness.common.io import read_json
from likeness.common.manifest import read_manifest
from likeness.common.precision import MixedPrecision, Precision
from likeness.common.runtime import Runtime
from likeness.image.diffusion import ADAPTER, load_adapter, load_pipeline, noise
from likeness.image.families import family_of
from likeness.image.rows import PreparedImage
from likeness.image.train import ImageTrain, Trainer, encode_splits, fold_branches, train
from tests.conftest import files_of, runtime, section, write_dataset

STEPS = 6
SMALL: dict[str, Any] = {
    "rank": 2,
    "alpha": 2,
    "dropout": 0.1,
    "targets": ["to_q", "to_v", "conv1"],
    "text_encoder": False,
    "epochs": 3,
    "batch": 2,
    "accumulation": 2,
    "learning_rate": 0.01,
    "warmup_steps": 1,
    "ema_decay": 0.5,
    "caption_dropout": 0.3,
    "noise_offset": 0.1,
    "evaluate_every": 2,
    "val_timesteps": 2,
    "patience": 0,
    "keep_adapters": 1,
    "checkpoint_every": 2,
    "sample_every": 4,
    "samples": 2,
    "sample_steps": 1,
}


def run(base: Path, dataset: Path, out: Path, rt: Runtime, **changes: Any) -> dict[str, float]:
    return train(
        section(ImageTrain, **{**SMALL, **changes}),
        dataset=dataset,
        base=base,
        out_dir=out / "adapter",
        plots_dir=out / "plots",
        timings_dir=out / "timings",
        rt=rt,
    )


@pytest.fixture(scope="module")
def trained(
    tiny_base: Path, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """One uninterrupted training: its folder and its metrics."""
    out = tmp_path_factory.mktemp("trained")
    return out, run(tiny_base, tiny_dataset, out, runtime(out / "cache"))


def prediction(pipeline: Any) -> Any:
    import torch

    inputs = noise(1, (1, 4, 8, 8)), torch.tensor([500]), noise(2, (1, 77, 16))
    with torch.inference_mode():
        return pipeline.unet(*inputs).sample


def weights(folder: Path, name: str = ADAPTER) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter" / name)


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    import torch

    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_the_output_is_this_set_of_files(trained: tuple[Path, dict[str, float]]) -> None:
    out, metrics = trained
    training = read_json(out / "adapter" / "training.json")
    best, kept = (row["name"] for row in training["evaluations"] if row["kept"])
    if metrics["best_step"] == int(kept):
        best, kept = kept, best
    assert sorted(files_of(out / "adapter")) == [
        f"adapters/{kept}/pytorch_lora_weights.safetensors",
        "kohya.safetensors",
        "pytorch_lora_weights.safetensors",
        "samples/000000.png",
        "samples/000004.png",
        "samples/000006.png",
        "training.json",
    ]
    assert metrics["best_step"] == int(best)
    assert training["base"] == "tiny_base"
    assert training["rank"] == 2
    assert training.items() >= metrics.items()


def test_metrics_and_curves(trained: tuple[Path, dict[str, float]]) -> None:
    out, metrics = trained
    assert metrics["steps"] == STEPS
    assert metrics["best_step"] in (0, 2, 4, 6)
    assert metrics["val_loss"] <= metrics["val_loss_base"]
    assert (metrics["train_n"], metrics["val_n"]) == (8, 2)
    assert 0 < metrics["trainable_share"] < 1
    plots = files_of(out / "plots")
    rows = plots["plots/metrics/val/loss.tsv"].decode().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["step", "0", "2", "4", "6"]
    assert "plots/metrics/train/loss.tsv" in plots
    pictures = [name for name in plots if name.endswith(".png")]
    assert len(pictures) == 3
    timings = files_of(out / "timings")
    assert "plots/metrics/seconds_per_step.tsv" in timings
    assert not any("seconds" in name for name in plots), "times differ from run to run"


@pytest.mark.slow
def test_training_lowers_the_validation_loss(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(tiny_base, tiny_dataset, tmp_path, rt, epochs=15, evaluate_every=10, dropout=0.0)
    assert metrics["best_step"] > 0
    assert metrics["val_loss"] < 0.98 * metrics["val_loss_base"]


def test_the_adapter_loads_and_changes_the_unet(
    tiny_base: Path, trained: tuple[Path, dict[str, float]]
) -> None:
    pipeline = load_pipeline(tiny_base, "cpu")
    base = prediction(pipeline)
    load_adapter(pipeline, trained[0] / "adapter")
    assert (prediction(pipeline) - base).abs().max() > 1e-5
    assert all("lora" in key for key in weights(trained[0]))


def test_folded_layers_compute_what_peft_s_branches_do(tiny_base: Path) -> None:
    import torch
    from peft import LoraConfig

    unet = load_pipeline(tiny_base, "cpu").unet
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "conv1", "conv2"]))
    weights = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    torch.manual_seed(0)
    for weight in weights:
        torch.nn.init.normal_(weight, std=0.1)  # peft's begin as zeros

    def step() -> Any:
        said = unet(noise(1, (2, 4, 8, 8)), torch.tensor([3, 500]), noise(2, (2, 77, 16))).sample
        return said, torch.autograd.grad(said.square().sum(), weights)

    output, gradients = step()
    fold_branches(unet)
    layers = [module for module in unet.modules() if hasattr(module, "lora_A")]
    folded = ["forward" in vars(layer) for layer in layers]
    assert any(folded)
    assert not all(folded)
    again, others = step()
    assert torch.allclose(again, output, rtol=1e-4, atol=1e-4)
    for one, other in zip(gradients, others, strict=True):
        assert (one - other).norm() < 1e-4 * one.norm()


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [2, 8])
def test_kohya_s_file_says_its_alpha_and_gives_the_same_output(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, rt: Runtime, alpha: int
) -> None:
    import torch

    run(tiny_base, tiny_dataset, tmp_path, rt, alpha=alpha, epochs=1)
    kohya = weights(tmp_path, "kohya.safetensors")
    downs = [key for key in kohya if key.endswith("lora_down.weight")]
    assert len(downs) == len(weights(tmp_path)) / 2
    for key in downs:
        assert key.startswith("lora_unet_"), key
        rank = kohya[key].shape[0]
        assert kohya[key.replace("lora_down.weight", "alpha")].item() == rank == 2
        assert key.replace("lora_down", "lora_up") in kohya
    ours, theirs = load_pipeline(tiny_base, "cpu"), load_pipeline(tiny_base, "cpu")
    load_adapter(ours, tmp_path / "adapter")
    theirs.load_lora_weights(tmp_path / "adapter", weight_name="kohya.safetensors")
    assert torch.allclose(prediction(ours), prediction(theirs), atol=1e-5)
    assert not torch.allclose(prediction(ours), prediction(load_pipeline(tiny_base, "cpu")))


def test_alpha_scales_what_the_adapter_does(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, rt: Runtime
) -> None:
    # In training, alpha / rank scales the adapter; the files carry the scale in their weights.
    out = tmp_path / "out"
    run(tiny_base, tiny_dataset, out, rt, alpha=8, epochs=1, dropout=0.0)
    pipeline = load_pipeline(tiny_base, "cpu", adapter=out / "adapter")
    trained_loss = read_json(out / "adapter" / "training.json")["val_loss"]
    loss = validation_loss(pipeline, tiny_dataset, rt)
    assert loss == pytest.approx(trained_loss, abs=1e-5)
    pipeline = load_pipeline(tiny_base, "cpu")
    base = read_json(out / "adapter" / "training.json")["val_loss_base"]
    assert validation_loss(pipeline, tiny_dataset, rt) == pytest.approx(base, abs=1e-5)
    assert abs(base - trained_loss) > 1e-4


def validation_loss(pipeline: Any, dataset: Path, rt: Runtime) -> float:
    """The validation loss by its definition: fixed noise and timesteps, one image at a time."""
    import numpy as np
    import torch
    from diffusers import DDPMScheduler
    from PIL import Image

    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    family = family_of(pipeline)
    losses = []
    with torch.inference_mode():
        for row in read_manifest(dataset / "manifest.jsonl", PreparedImage):
            if row.split != "val":
                continue
            pixels = np.asarray(Image.open(dataset / row.file_name).convert("RGB"), np.float32)
            tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
            latents = pipeline.vae.encode(tensor).latent_dist.mean
            latents = latents * pipeline.vae.config.scaling_factor
            for timestep in (250, 750):
                eps = noise(rt.seed_for("val", row.id, timestep), tuple(latents.shape[1:]))[None]
                steps = torch.tensor([timestep])
                noisy = scheduler.add_noise(latents, eps, steps)
                embedded = family.embed(pipeline, [row.caption])
                told = family.conditions(embedded, [row.original_size], tensor.shape[-1])
                made = pipeline.unet(noisy.to(pipeline.unet.dtype), steps, **told).sample
                losses.append(float((made.float() - eps).square().mean()))
    return sum(losses) / len(losses)


def test_merged_weights_are_the_base_s_plus_b_times_a(
    tiny_base: Path, trained: tuple[Path, dict[str, float]]
) -> None:
    import torch

    base = dict(load_pipeline(tiny_base, "cpu").unet.named_parameters())
    pipeline = load_pipeline(tiny_base, "cpu", adapter=trained[0] / "adapter")
    merged = dict(pipeline.unet.named_parameters())
    adapter = weights(trained[0])
    changed = 0
    for key, down in adapter.items():
        if "lora_A" in key:
            up = adapter[key.replace("lora_A", "lora_B")]
            name = key.removeprefix("unet.").replace(".lora_A", "")
            delta = (up.flatten(1) @ down.flatten(1)).reshape(base[name].shape)
            assert torch.allclose(merged[name], base[name] + delta, atol=1e-6), name
            changed += not torch.equal(merged[name], base[name])
    assert changed == len(adapter) / 2
    untouched = "conv_in.weight"
    assert torch.equal(merged[untouched], base[untouched])


def test_what_is_stored_for_an_image_does_not_depend_on_its_batch(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    import torch

    rows = read_manifest(tiny_dataset / "manifest.jsonl", PreparedImage)
    own, val = ([row for row in rows if row.split == name] for name in ("train", "val"))
    cfg = section(ImageTrain, **SMALL)
    together = encode_splits(rows, tiny_dataset, tiny_base, cfg, runtime(tmp_path / "a"))["train"]
    # As after a killed run: some are in the store, one by one.
    rt = runtime(tmp_path / "b")
    for some in (own[3:4], own[5:7], own):
        parts = encode_splits([*some, *val], tiny_dataset, tiny_base, cfg, rt)["train"]
    assert torch.equal(parts.moments(own), together.moments(own))
    captions = sorted(together.stored_embeddings)
    said, wanted = parts.embeddings(captions), together.embeddings(captions)
    assert torch.equal(said["states"], wanted["states"])


class Killed(Exception):
    """What stands for a kill: nothing after it runs."""


def kill_at(monkeypatch: pytest.MonkeyPatch, method: str, step: int) -> None:
    original = getattr(Trainer, method)

    def deadly(self: Trainer, *args: Any) -> Any:
        at = args[0] if method == "_optimize" else self.step
        if at == step:
            raise Killed
        return original(self, *args)

    monkeypatch.setattr(Trainer, method, deadly)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "step"),
    [("_optimize", 1), ("_optimize", 3), ("_optimize", 4), ("_evaluate", 4), ("_evaluate", 6)],
)
def test_a_killed_run_goes_on_to_the_same_bytes(
    tiny_base: Path,
    tiny_dataset: Path,
    trained: tuple[Path, dict[str, float]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: str,
    step: int,
) -> None:
    rt = runtime(tmp_path / "cache")
    kill_at(monkeypatch, method, step)
    with pytest.raises(Killed):
        run(tiny_base, tiny_dataset, tmp_path / "killed", rt)
    assert not (tmp_path / "killed" / "adapter" / ADAPTER).exists()
    monkeypatch.undo()
    capsys.readouterr()
    metrics = run(tiny_base, tiny_dataset, tmp_path / "resumed", rt)
    saved = (step - 1) // 2 * 2
    assert ("goes on from step" in capsys.readouterr().err) == (saved > 0)
    out, uninterrupted = trained
    assert metrics == uninterrupted
    assert files_of(tmp_path / "resumed" / "adapter") == files_of(out / "adapter")
    assert files_of(tmp_path / "resumed" / "plots") == files_of(out / "plots")


@pytest.mark.slow
def test_a_second_run_gives_the_same_bytes(
    tiny_base: Path, tiny_dataset: Path, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    out, metrics = trained
    # In the same store, whose scratch folder the first run left, and in an empty one.
    for name, cache in (("same", out / "cache"), ("empty", tmp_path / "cache")):
        assert run(tiny_base, tiny_dataset, tmp_path / name, runtime(cache)) == metrics
        assert files_of(tmp_path / name / "adapter") == files_of(out / "adapter")
        assert files_of(tmp_path / name / "plots") == files_of(out / "plots")


@pytest.mark.slow
def test_another_param_or_seed_starts_anew(
    tiny_base: Path,
    tiny_dataset: Path,
    trained: tuple[Path, dict[str, float]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kill_at(monkeypatch, "_optimize", 6)
    with pytest.raises(Killed):
        run(tiny_base, tiny_dataset, tmp_path / "killed", runtime(tmp_path / "cache"))
    monkeypatch.undo()
    capsys.readouterr()
    other = runtime(tmp_path / "cache", seed=8)
    run(tiny_base, tiny_dataset, tmp_path / "seed", other)
    run(tiny_base, tiny_dataset, tmp_path / "rate", runtime(tmp_path / "cache"), learning_rate=0.02)
    assert "goes on" not in capsys.readouterr().err
    assert not same(weights(tmp_path / "seed"), weights(trained[0]))
    assert not same(weights(tmp_path / "rate"), weights(trained[0]))


def test_a_training_that_becomes_nan_names_the_learning_rate(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, rt: Runtime
) -> None:
    # The decay is the learning rate's share of the weights: they grow by 1e30 a step.
    hot = {"learning_rate": 1.0, "weight_decay": 1e30, "warmup_steps": 0, "epochs": 10}
    says = r"image_train: the loss is nan at step \d .*lower image_train.learning_rate, .* 1$"
    with pytest.raises(LikenessError, match=says):
        run(tiny_base, tiny_dataset, tmp_path, rt, **hot)
    assert not (tmp_path / "adapter" / ADAPTER).exists()


def test_wrong_targets_are_one_line(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, rt: Runtime
) -> None:
    with pytest.raises(LikenessError, match=r"image_train\.targets: .*to_nothing") as caught:
        run(tiny_base, tiny_dataset, tmp_path, rt, targets=["to_nothing"])
    assert "\n" not in str(caught.value)


def test_one_wrong_target_among_right_ones_is_one_line(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, rt: Runtime
) -> None:
    with pytest.raises(LikenessError, match="to_nothing"):
        run(tiny_base, tiny_dataset, tmp_path, rt, targets=["to_q", "to_nothing"])


@pytest.mark.slow
def test_photos_of_another_size_than_the_base_s_are_told_in_one_line(
    tiny_base: Path,
    tiny_dataset: Path,
    tmp_path: Path,
    rt: Runtime,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(tiny_base, tiny_dataset, tmp_path / "same", rt, epochs=1)
    assert "image_prepare.resolution" not in capsys.readouterr().err
    larger = write_dataset(tmp_path / "larger", 2, 1, 1, side=64)
    run(tiny_base, larger, tmp_path / "other", rt, epochs=1)
    said = [line for line in capsys.readouterr().err.splitlines() if "resolution" in line]
    assert len(said) == 1
    assert "was trained at 32 pixels, the photos have 64" in said[0]


@pytest.mark.slow
def test_training_stops_early(
    tiny_base: Path,
    tiny_dataset: Path,
    tmp_path: Path,
    rt: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses = iter([1.0, 0.5, 0.7, 0.6, 0.1, 0.1, 0.1])
    monkeypatch.setattr(Trainer, "_val_loss", lambda self: next(losses))
    metrics = run(tiny_base, tiny_dataset, tmp_path, rt, epochs=6, patience=2)
    assert (metrics["steps"], metrics["best_step"], metrics["val_loss"]) == (6, 2, 0.5)
    pictures = [name for name in files_of(tmp_path / "adapter") if name.endswith(".png")]
    assert len(pictures) >= 1


@pytest.mark.slow
def test_the_best_step_s_weights_are_kept(
    tiny_base: Path,
    tiny_dataset: Path,
    trained: tuple[Path, dict[str, float]],
    tmp_path: Path,
    rt: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The weights of step 2, the best and then the second best, are those of a run that ends there.
    losses = iter([1.0, 0.1, 0.7, 0.6])
    monkeypatch.setattr(Trainer, "_val_loss", lambda self: next(losses))
    run(tiny_base, tiny_dataset, tmp_path / "a", rt, lr_schedule="constant")
    losses = iter([1.0, 0.1])
    run(tiny_base, tiny_dataset, tmp_path / "b", rt, lr_schedule="constant", epochs=1)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(trained[0]))
    losses = iter([0.3, 0.5, 0.7, 0.1])
    run(tiny_base, tiny_dataset, tmp_path / "c", rt, lr_schedule="constant")
    assert same(weights(tmp_path / "c", f"adapters/000002/{ADAPTER}"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "c"), weights(tmp_path / "b"))
    rows = read_json(tmp_path / "c" / "adapter" / "training.json")["evaluations"]
    assert rows[1] == {"step": 2, "name": "000002", "kept": True, "figures": {"loss": 0.5}}
    assert [row["kept"] for row in rows] == [False, True, False, True]


@pytest.mark.slow
def test_the_best_alone_is_kept_if_asked_for(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, rt: Runtime
) -> None:
    run(tiny_base, tiny_dataset, tmp_path, rt, keep_adapters=0, epochs=1)
    assert not (tmp_path / "adapter" / "adapters").exists()
    assert not list(rt.cache.glob("scratch/image_train/*/*/*.safetensors"))


@pytest.mark.slow
def test_the_validation_loss_is_the_same_when_computed_twice(
    tiny_base: Path,
    tiny_dataset: Path,
    tmp_path: Path,
    rt: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    original = Trainer._val_loss
    found: list[tuple[float, float]] = []

    def twice(self: Trainer) -> float:
        first = original(self)
        torch.manual_seed(len(found))
        found.append((first, original(self)))
        return first

    monkeypatch.setattr(Trainer, "_val_loss", twice)
    run(tiny_base, tiny_dataset, tmp_path, rt)
    assert len(found) == 4
    assert all(first == second for first, second in found)
    assert len({first for first, _ in found}) == 4


@pytest.mark.slow
def test_the_text_encoder_is_adapted_when_asked_for(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, rt: Runtime
) -> None:
    import torch

    run(tiny_base, tiny_dataset, tmp_path, rt, text_encoder=True, epochs=8, evaluate_every=8)
    layers = [
        f"layers.{at}.self_attn.{name}_proj" for at in range(2) for name in ("q", "k", "v", "out")
    ]
    # As ComfyUI and kohya's tools name them (networks/lora.py), and diffusers before transformers 5.
    diffusers = {
        f"text_encoder.text_model.encoder.{layer}.lora_{part}.weight"
        for layer in layers
        for part in "AB"
    }
    kohya = {
        f"lora_te_text_model_encoder_{layer.replace('.', '_')}.{part}"
        for layer in layers
        for part in ("lora_down.weight", "lora_up.weight", "alpha")
    }
    names = {ADAPTER: diffusers, "kohya.safetensors": kohya}
    base = text_states(load_pipeline(tiny_base, "cpu"))
    for name, wanted in names.items():
        found = weights(tmp_path, name)
        assert {key for key in found if "unet" not in key} == wanted
        stock = load_pipeline(tiny_base, "cpu")
        stock.load_lora_weights(tmp_path / "adapter", weight_name=name)
        tuned = load_pipeline(tiny_base, "cpu", adapter=tmp_path / "adapter")
        assert torch.allclose(text_states(stock), text_states(tuned), atol=1e-5)
        assert not torch.allclose(text_states(stock), base, atol=1e-5)


def text_states(pipeline: Any) -> Any:
    import torch

    tokens = pipeline.tokenizer("a red shoe", return_tensors="pt").input_ids
    with torch.inference_mode():
        return pipeline.text_encoder(tokens)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"ema_decay": 0.0},
        {"min_snr_gamma": 0.0},
        {"gradient_checkpointing": True},
        {"lr_schedule": "linear"},
        {"caption_dropout": 1.0},
        {"mixed_precision": "bf16"},
        {"batch": 3, "accumulation": 1},
        {"batch": 16, "accumulation": 1},
    ],
    ids=str,
)
def test_every_option_trains_to_finite_weights(
    tiny_base: Path,
    tiny_dataset: Path,
    trained: tuple[Path, dict[str, float]],
    tmp_path: Path,
    rt: Runtime,
    changes: dict[str, Any],
) -> None:
    import torch

    run(tiny_base, tiny_dataset, tmp_path, rt, **changes)
    found = weights(tmp_path)
    assert all(torch.isfinite(tensor).all() for tensor in found.values())
    if "gradient_checkpointing" not in changes:
        assert not same(found, weights(trained[0]))


@pytest.mark.slow
def test_a_state_goes_back_to_the_device_that_trains() -> None:
    import torch
    from diffusers.training_utils import EMAModel

    def trainer(device: str) -> Trainer:
        made = Trainer.__new__(Trainer)
        parameter = torch.nn.Parameter(torch.ones(2, device=device))
        made.parameters = {"unet.a": parameter}
        made.optimizer = torch.optim.AdamW([parameter], foreach=False)
        made.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(made.optimizer)
        made.ema = EMAModel([parameter])
        made.mixed = MixedPrecision("no", "cpu")
        made.accelerator = type("One", (), {"device": torch.device(device)})()
        made.step, made.stale, made.history = 1, 0, []
        made.evaluations = Evaluations(Path(), 0)
        parameter.grad = torch.ones_like(parameter)
        made.optimizer.step()
        return made

    resumed = trainer("meta")  # as another device than the one that a checkpoint is read to
    resumed._restore(trainer("cpu")._state())
    (shadow,) = resumed.ema.shadow_params
    assert shadow.device.type == "meta"
    (state,) = resumed.optimizer.state.values()
    assert state["exp_avg"].device.type == "meta"


# --- half precision, as on a GPU ------------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, True], ids=["unet", "text encoder"])
def exact(
    request: pytest.FixtureRequest,
    tiny_base: Path,
    tiny_dataset: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Params of a training with and without the text encoder, and its metrics in float32."""
    changes = {"epochs": 15, "evaluate_every": 10, "dropout": 0.0, "text_encoder": request.param}
    out = tmp_path_factory.mktemp("exact")
    return changes, run(tiny_base, tiny_dataset, out, runtime(out / "cache"), **changes)


@pytest.mark.slow
@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_auto_trains_as_the_gpu_would_and_draws_what_the_loss_chose(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, half: Precision, exact: Any
) -> None:
    import torch

    rt = replace(runtime(tmp_path / "cache"), half=half)
    changes, exact = exact
    metrics = run(tiny_base, tiny_dataset, tmp_path / half, rt, **changes)
    assert metrics["best_step"] > 0
    for loss in ("val_loss", "val_loss_base"):
        assert metrics[loss] == pytest.approx(exact[loss], rel=0.02), loss
    found = weights(tmp_path / half)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert all(torch.isfinite(tensor).all() for tensor in found.values())
    adapter = tmp_path / half / "adapter"
    assert len(list((adapter / "samples").glob("*.png"))) >= 2
    loaded = load_pipeline(tiny_base, "cpu", half, adapter)
    loss = validation_loss(loaded, tiny_dataset, rt)
    assert loss == pytest.approx(metrics["val_loss"], rel=2e-3)


@pytest.mark.slow
def test_a_killed_run_in_fp16_goes_on_with_its_scale(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    growing = partial(torch.amp.GradScaler, growth_interval=2)  # it doubles within this training
    monkeypatch.setattr(torch.amp, "GradScaler", growing)
    whole, resumed = (
        replace(runtime(tmp_path / name), half="fp16") for name in ("whole", "resumed")
    )
    run(tiny_base, tiny_dataset, tmp_path / "a", whole)
    with monkeypatch.context() as killing:
        kill_at(killing, "_optimize", 5)
        with pytest.raises(Killed):
            run(tiny_base, tiny_dataset, tmp_path / "killed", resumed)
    state = Checkpoints(next(resumed.cache.glob("scratch/image_train/*"))).load()
    assert state is not None
    assert state["mixed"]["scale"] == 4 * 2**16
    run(tiny_base, tiny_dataset, tmp_path / "b", resumed)
    assert files_of(tmp_path / "a" / "adapter") == files_of(tmp_path / "b" / "adapter")


def test_every_epoch_sees_every_image(tiny_base: Path, tiny_dataset: Path, rt: Runtime) -> None:
    trainer = Trainer.__new__(Trainer)
    trainer.cfg, trainer.rt = section(ImageTrain, **{**SMALL, "batch": 3, "accumulation": 1}), rt
    trainer.train_split = type("Rows", (), {"rows": list(range(8))})()
    trainer.steps_per_epoch = 3
    trainer.accelerator = type("One", (), {"process_index": 0, "num_processes": 1})()
    epochs = [
        [row for step in range(at * 3 + 1, at * 3 + 4) for row in trainer._batch(step, 0)]
        for at in range(2)
    ]
    for rows in epochs:
        assert len(rows) == 9
        assert set(rows) == set(range(8))
    assert epochs[0] != epochs[1]


# --- adapters of values ---------------------------------------------------------------------------

OWN_FILES = ["kohya.safetensors", ADAPTER]
PER: dict[str, Any] = {"per": "gender", "per_epochs": 2, "per_least": 1}


@pytest.fixture(scope="module")
def by_gender(
    tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """One uninterrupted training with an adapter for each gender, on a dataset beside it."""
    out = tmp_path_factory.mktemp("trained")
    dataset = write_dataset(out / "dataset", train=8, val=4, test=1)
    return out, run(tiny_base, dataset, out, runtime(out / "cache"), **PER)


def test_a_value_goes_on_from_the_adapter_for_all(
    by_gender: tuple[Path, dict[str, float]],
) -> None:
    out, metrics = by_gender
    training = read_json(out / "adapter" / "training.json")
    assert [row["value"] for row in training["own"]] == ["Men", "Women"]
    losses = {row["value"]: row["evaluations"][0]["figures"]["loss"] for row in training["own"]}
    photos = {row["value"]: row["val_n"] for row in training["own"]}
    # The mean over all val photos, of both values, is the loss of the best step for all.
    mean = sum(losses[value] * photos[value] for value in photos) / sum(photos.values())
    assert mean == pytest.approx(training["val_loss"], abs=2e-6)
    for row in training["own"]:
        name = row["value"]
        assert row["own_loss"] <= row["shared_loss"] == losses[name]
        steps = [one["step"] for one in row["evaluations"]]
        epoch = math.ceil(row["train_n"] / 4)  # two batches of two are a step
        assert steps == [0, epoch, 2 * epoch]
        assert row["best_step"] in steps
        assert metrics[f"per_own_loss_{name}"] == row["own_loss"]
        assert metrics[f"per_train_n_{name}"] == row["train_n"]
        assert sorted(files_of(out / "adapter" / row["folder"])) == OWN_FILES
        curve = out / "plots" / row["folder"] / "plots/metrics/val/loss.tsv"
        assert len(curve.read_text().splitlines()) == 4
        moved = not same(weights(out), weights(out, f"{row['folder']}/{ADAPTER}"))
        assert moved == (row["best_step"] > 0)
    assert (out / "plots" / "per.png").is_file()
    left = [path for path in out.glob("cache/scratch/**/*") if path.is_file()]
    assert {path.suffix for path in left} == {".png"}, "checkpoints go, samples stay"


def test_the_adapter_for_all_is_the_same_with_and_without_values(
    by_gender: tuple[Path, dict[str, float]], tiny_base: Path, tmp_path: Path, rt: Runtime
) -> None:
    out, metrics = by_gender
    alone = run(tiny_base, out / "dataset", tmp_path, rt)
    assert alone == {name: one for name, one in metrics.items() if not name.startswith("per_")}
    for folder in ("adapter", "plots"):
        files = files_of(tmp_path / folder)
        files.pop("training.json", None)
        more = files_of(out / folder)
        assert files.items() <= more.items()
        assert {name.split("/")[0] for name in more.keys() - files.keys()} <= {
            "per",
            "per.png",
            "training.json",
        }


@pytest.mark.slow
def test_a_run_that_is_killed_at_a_value_goes_on_to_the_same_bytes(
    by_gender: tuple[Path, dict[str, float]],
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, uninterrupted = by_gender
    rt = runtime(tmp_path / "cache")
    original = Trainer._optimize

    def deadly(self: Trainer, step: int) -> float:
        if (self.title, step) == ("image_train: Women", 2):
            raise Killed
        return original(self, step)

    monkeypatch.setattr(Trainer, "_optimize", deadly)
    with pytest.raises(Killed):
        run(tiny_base, out / "dataset", tmp_path / "killed", rt, **PER)
    monkeypatch.undo()
    capsys.readouterr()
    assert run(tiny_base, out / "dataset", tmp_path / "resumed", rt, **PER) == uninterrupted
    said = capsys.readouterr().err
    assert "image_train: goes on from step 6 of 6" in said
    assert "image_train: Women: goes on from step 1 of 2" in said
    for folder in ("adapter", "plots"):
        assert files_of(tmp_path / "resumed" / folder) == files_of(out / folder)


def test_a_value_of_too_few_photos_keeps_the_adapter_for_all(
    by_gender: tuple[Path, dict[str, float]],
    tiny_base: Path,
    tmp_path: Path,
    rt: Runtime,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset = by_gender[0] / "dataset"
    metrics = run(tiny_base, dataset, tmp_path, rt, epochs=1, **{**PER, "per_least": 3})
    assert "image_train: gender Men keeps the adapter for all: 5 train and 1 val" in (
        capsys.readouterr().err
    )
    own = read_json(tmp_path / "adapter" / "training.json")["own"]
    assert own[0] == {"value": "Men", "folder": None, "train_n": 5, "val_n": 1}
    assert (own[1]["value"], own[1]["folder"]) == ("Women", "per/Women")
    assert not any(name.endswith("Men") for name in metrics)
    assert not (tmp_path / "adapter" / "per" / "Men").exists()


def test_an_unknown_attribute_is_one_line(
    tiny_base: Path, tiny_dataset: Path, tmp_path: Path, rt: Runtime
) -> None:
    with pytest.raises(LikenessError, match=r"image_train\.per: no attribute 'size'.*gender") as at:
        run(tiny_base, tiny_dataset, tmp_path, rt, per="size")
    assert "\n" not in str(at.value)
    assert not {"caption", "crop", "file_name", "group", "split"} & set(
        str(at.value).replace(",", "").split()
    )
