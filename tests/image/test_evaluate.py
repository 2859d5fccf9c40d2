"""Every figure is measured on pairs of image and prompt, at equal n, with its interval."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.common.io import link, read_json, write_json
from likeness.common.manifest import read_manifest, write_manifest
from likeness.common.runtime import Runtime
from likeness.image import autoencoder, fidelity
from likeness.image.evaluate import ImageEvaluate, ImageSet, Scores, evaluate
from likeness.image.extract import Features
from likeness.image.quality import measure
from likeness.image.rows import EvaluatedImage, SyntheticImage
from likeness.repository.metrics import find
from tests.conftest import (
    SIDE,
    files_of,
    mixed,
    photo,
    runtime,
    section,
    square,
    synthetic,
    write_dataset,
)

SMALL: dict[str, Any] = {"rounds": 10, "neighbours": 2, "classify": "baseColour"}
DISTANCES = ("frechet", "kernel", "precision", "recall", "density", "coverage", "diversity")
POOLS = ("tuned", "base", "autoencoder", "floor")
SETS = ("tuned", "base", "autoencoder", "real")
Measured = tuple[Path, dict[str, Any]]
PER_IMAGE = ("colour_agreement", "clean_background", "realism", "sharpness", "copy_share", "clip")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), train=18, val=2, test=12)


def write_generated(folder: Path, count: int = 14, baseline: int = 10) -> Path:
    """Synthetic photos like the real ones, and noise in place of the base's."""
    rows = []
    for at, source in enumerate(mixed(count)):
        rows.append(synthetic(source.id, baseColour=source.baseColour, gender=source.gender))
        path = folder / rows[-1].file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(500 + at, source.baseColour, (SIDE, SIDE)).save(path)
        if at < baseline:
            noise = np.random.default_rng(at).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            (folder / "base").mkdir(exist_ok=True)
            Image.fromarray(noise).save(folder / "base" / f"{source.id}.png")
    write_manifest(folder / "manifest.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def folders(
    dataset: Path, tiny_base: Path, tiny_adapter: Path, tiny_extractor: Path, tiny_clip: Path
) -> dict[str, Path]:
    """What an evaluation reads, but for the images that it measures."""
    return {
        "dataset": dataset,
        "base": tiny_base,
        "adapter": tiny_adapter,
        "extractor": tiny_extractor,
        "clip": tiny_clip,
    }


@pytest.fixture
def inputs(folders: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    return {**folders, "generated": write_generated(tmp_path / "generated")}


def run(inputs: dict[str, Path], out: Path, rt: Runtime, **changes: Any) -> dict[str, Any]:
    return evaluate(
        section(ImageEvaluate, **{**SMALL, **changes}),
        **inputs,
        out_dir=out / "data",
        plots_dir=out / "plots",
        intervals=out / "intervals.json",
        rt=rt,
    )


@pytest.fixture(scope="module")
def measured(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """One evaluation: its folder, which has the item store in `cache`, and its metrics."""
    root = tmp_path_factory.mktemp("measured")
    inputs = {**folders, "generated": write_generated(root / "generated")}
    return root, run(inputs, root / "out", runtime(root / "cache"))


@pytest.mark.slow
def test_every_figure_has_an_interval_and_its_n(measured: Measured) -> None:
    root, metrics = measured
    intervals = read_json(root / "out" / "intervals.json")
    wanted = {
        *(f"{name}_{figure}" for name in POOLS for figure in (*DISTANCES, "inception")),
        *(f"{name}_{figure}" for name in SETS for figure in PER_IMAGE),
        "shuffled_clip",
        "trained_on_real_accuracy",
        "trained_on_synthetic_accuracy",
    }
    assert set(intervals) == wanted
    stated = {"extractor", "clip_model", "distance_n", *(f"{name}_n" for name in SETS)}
    assert set(metrics) == wanted | stated
    assert metrics["extractor"] == "efficientnet_lite0"
    assert metrics["clip_model"] == "tiny_clip"
    assert [metrics[f"{name}_n"] for name in SETS] == [14, 10, 12, 12]
    for name, estimate in intervals.items():
        assert set(estimate) == {"value", "low", "high", "n"}, name
        assert estimate["low"] <= estimate["value"] + 1e-9, name
        assert estimate["value"] <= estimate["high"] + 1e-9, name
        assert metrics[name] == pytest.approx(estimate["value"], abs=1e-5)
    assert not any("fid" in name for name in metrics), "fid is InceptionV3's name"


def test_sets_are_compared_at_one_n(measured: Measured) -> None:
    root, metrics = measured
    intervals = read_json(root / "out" / "intervals.json")
    found = {intervals[f"{s}_{d}"]["n"] for s in POOLS for d in DISTANCES}
    assert found == {10} == {metrics["distance_n"]}
    assert intervals["tuned_clip"]["n"] == 14
    assert intervals["real_clip"]["n"] == 12
    assert intervals["trained_on_real_accuracy"]["n"] == 12


@pytest.mark.slow
def test_photos_like_the_real_ones_beat_noise(measured: Measured) -> None:
    _, metrics = measured
    assert metrics["tuned_frechet"] < metrics["base_frechet"]
    assert metrics["tuned_precision"] > metrics["base_precision"] == 0
    assert metrics["tuned_realism"] > metrics["base_realism"]
    assert metrics["tuned_clean_background"] == 1 > metrics["base_clean_background"]
    assert min(metrics["tuned_colour_agreement"], metrics["real_colour_agreement"]) > 0.9


@pytest.mark.slow
def test_keys_are_constant(
    inputs: dict[str, Path], measured: Measured, tmp_path: Path, rt: Runtime
) -> None:
    _, first = measured
    write_generated(tmp_path / "other", 9, 9)
    second = run({**inputs, "generated": tmp_path / "other"}, tmp_path / "b", rt)
    assert list(first) == list(second)
    assert first != second


@pytest.mark.slow
@pytest.mark.plots
def test_outputs_are_a_function_of_the_input(
    inputs: dict[str, Path], measured: Measured, tmp_path: Path
) -> None:
    run(inputs, tmp_path / "again", runtime(tmp_path / "cache", workers=2))
    assert files_of(tmp_path / "again") == files_of(measured[0] / "out")


def test_the_table_and_the_grids_are_written(measured: Measured) -> None:
    out = measured[0] / "out"
    rows = read_manifest(out / "data" / "manifest.jsonl", EvaluatedImage)
    assert len(rows) == 14 + 10 + 12 + 12
    assert all(row.id.startswith(f"{row.set}/") for row in rows)
    assert sorted(files_of(out / "plots")) == [
        "by_colour.png",
        "distances.png",
        "per_image.png",
        "real_and_synthetic.png",
        "training.png",
    ]


# --- adapters of values ---------------------------------------------------------------------------


def test_values_are_compared_where_their_adapters_have_drawn(
    inputs: dict[str, Path], measured: Measured, tmp_path: Path
) -> None:
    generated, adapter = inputs["generated"], tmp_path / "adapter"
    rows = read_manifest(generated / "manifest.jsonl", SyntheticImage)
    for row in rows[:10]:  # like the photos, and noise
        link(generated / row.file_name, generated / "own" / f"{row.id}.png")
        link(generated / "base" / f"{row.id}.png", generated / "shared" / f"{row.id}.png")
    training = read_json(inputs["adapter"] / "training.json")
    write_json(adapter / "training.json", {**training, "per": "gender"})
    rt = runtime(measured[0] / "cache")
    metrics = run({**inputs, "adapter": adapter}, tmp_path / "out", rt)
    more = {name: one for name, one in metrics.items() if name not in measured[1]}
    assert measured[1] == {name: one for name, one in metrics.items() if name not in more}
    intervals = read_json(tmp_path / "out" / "intervals.json")
    photos = {"test_n_Men": 6, "test_n_Women": 6}
    assert photos.items() <= more.items()
    assert more.keys() - photos.keys() == intervals.keys() - measured[1].keys()
    men = sum(row.gender == "Men" for row in rows[:10])
    assert intervals["difference_kernel_Men"]["n"] == men
    assert intervals["difference_kernel"]["n"] == 10
    assert intervals["difference_kernel"]["high"] < 0 < intervals["difference_clip"]["n"]
    assert more["own_colour_agreement_Men"] > more["shared_colour_agreement_Men"]
    assert [name for name in more if find(f"image_evaluate.{name}") is None] == []
    assert (tmp_path / "out" / "plots" / "per.png").is_file()


def test_a_pair_without_its_other_half_is_one_line(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    generated = inputs["generated"]
    link(generated / "images" / "003.png", generated / "own" / "003.png")
    with pytest.raises(LikenessError, match=r"003 is not in own/, shared/ and") as caught:
        run(inputs, tmp_path / "out", rt)
    assert "\n" not in str(caught.value)


# --- the autoencoder alone ------------------------------------------------------------------------


def through(change: Any) -> Any:
    """A pipeline whose autoencoder has pixels for latents, and decodes them changed."""
    vae = SimpleNamespace(
        config=SimpleNamespace(scaling_factor=2.0, shift_factor=0.5),
        device=torch.device("cpu"),
        dtype=torch.float32,
        encode=lambda pixels: SimpleNamespace(latent_dist=SimpleNamespace(mean=pixels)),
        decode=lambda latents: SimpleNamespace(sample=change(latents)),
    )
    return lambda *_, **__: SimpleNamespace(vae=vae)


def blurred(pixels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(pixels, 5, 1, 2, count_include_pad=False)


@pytest.mark.slow
def test_a_perfect_autoencoder_has_the_figures_of_the_photos_and_a_blurring_one_worse(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for name, change in (("perfect", torch.clone), ("blurring", blurred)):
        monkeypatch.setattr(autoencoder, "resident_pipeline", through(change))
        found[name] = run(inputs, tmp_path / name, runtime(tmp_path / f"cache_{name}"))
    perfect, blurring = found["perfect"], found["blurring"]
    for figure in (*DISTANCES, "inception"):
        assert perfect[f"autoencoder_{figure}"] == perfect[f"floor_{figure}"], figure
    for figure in PER_IMAGE:
        assert perfect[f"autoencoder_{figure}"] == perfect[f"real_{figure}"], figure
    assert blurring["autoencoder_frechet"] > 1.05 * blurring["floor_frechet"]
    assert blurring["autoencoder_sharpness"] < 0.8 * blurring["real_sharpness"]


# --- pairs ----------------------------------------------------------------------------------------


def lose_image(folder: Path) -> None:
    (folder / "images" / "003.png").unlink()


def lose_prompt(folder: Path) -> None:
    path = folder / "manifest.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"003"' not in line))


def add_base(folder: Path) -> None:
    square().save(folder / "base" / "003x.png")


def lose_base(folder: Path) -> None:
    for path in (folder / "base").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lose_image, "003 has no image"),
        (lose_prompt, "003 has no prompt"),
        (add_base, "003x"),
        (lose_base, r"no images of the base.*image_generate\.baseline"),
    ],
)
def test_a_missing_image_or_prompt_is_one_line(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime, damage: Any, says: str
) -> None:
    damage(inputs["generated"])
    with pytest.raises(LikenessError, match=says) as caught:
        run(inputs, tmp_path / "out", rt)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "data" / "manifest.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classify": "size"}, r"image_evaluate\.classify"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime, changes: Any, says: str
) -> None:
    with pytest.raises(LikenessError, match=says) as caught:
        run(inputs, tmp_path / "out", rt, **changes)
    assert "\n" not in str(caught.value)


def test_few_images_have_few_neighbours_and_one_value_is_no_class(
    inputs: dict[str, Path],
    measured: Measured,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rt = runtime(measured[0] / "cache")
    lowered = run(inputs, tmp_path / "a", rt, neighbours=50, classify="usage")
    assert "image_evaluate: with 10 images neighbours is 5, not 50" in capsys.readouterr().err
    assert lowered["trained_on_real_accuracy"] is None
    assert lowered["trained_on_synthetic_accuracy"] is None
    own = run(inputs, tmp_path / "b", rt, neighbours=5)
    assert lowered.keys() == own.keys()
    assert lowered["tuned_coverage"] == own["tuned_coverage"]


# --- scores ---------------------------------------------------------------------------------------


def image_set(name: str, vectors: np.ndarray, colours: list[str]) -> ImageSet:
    ids = [f"{name}{at:02d}" for at in range(len(vectors))]
    shades = {"Red": (200, 30, 30), "Blue": (30, 30, 200)}
    return ImageSet(
        paths={name: Path(name) for name in ids},
        prompts=dict.fromkeys(ids, ""),
        products={name: {"baseColour": colour} for name, colour in zip(ids, colours, strict=True)},
        features=Features(ids, vectors.astype(np.float32), np.zeros((len(ids), 0), np.float32)),
        measures={
            name: measure(square(colour=shades[colour]))
            for name, colour in zip(ids, colours, strict=True)
        },
    )


@pytest.fixture
def scores() -> Scores:
    rng = np.random.default_rng(1)
    cfg = section(ImageEvaluate, **SMALL)
    colours = ["Red", "Blue"] * 6
    train = image_set("train", rng.normal(size=(12, 4)), colours)
    test = image_set("test", rng.normal(size=(12, 4)), colours)
    return Scores(cfg, train, test, seed=7)


def realism(vector: np.ndarray, others: np.ndarray, radii: np.ndarray) -> float:
    """The largest radius over distance (Kynkäänniemi et al. 2019)."""
    return float(max(radii / np.linalg.norm(others - vector, axis=1)))


def test_a_real_image_is_not_its_own_neighbour(scores: Scores) -> None:
    test = scores.test
    table = scores.table("real", test, np.zeros(12))
    vectors = test.vectors.astype(np.float64)
    within = fidelity.distances(vectors, vectors)
    radii = np.sort(within, axis=1)[:, 2]
    for at, row in enumerate(table):
        others = np.arange(12) != at
        assert row.realism == pytest.approx(
            realism(vectors[at], vectors[others], radii[others]), rel=1e-3
        )
    assert max(row.realism for row in table) < 100


def test_a_copy_of_a_real_image_is_as_real_as_can_be(scores: Scores) -> None:
    colours = ["Red"] * 12
    copies = image_set("tuned", scores.test.vectors, colours)
    table = scores.table("tuned", copies, np.zeros(12))
    assert min(row.realism for row in table) > 1e3
    assert [row.colour for row in table] == colours
    assert table[0].id == "tuned/tuned00"


def test_copies_of_train_images_are_counted(scores: Scores) -> None:
    colours = ["Red"] * 12
    copies = image_set("tuned", scores.train.vectors, colours)
    table = scores.table("tuned", copies, np.zeros(12))
    assert all(row.train_distance == pytest.approx(0, abs=1e-3) for row in table)
    assert scores.image_estimates("tuned", table)["tuned_copy_share"].value == 1
    real = scores.table("real", scores.test, np.zeros(12))
    # By its own measure, the copy_quantile (5 %) of the 12 test images: the nearest one.
    assert scores.image_estimates("real", real)["real_copy_share"].value == pytest.approx(1 / 12)


def test_colours_agree_by_the_images_that_were_asked_for_one(scores: Scores) -> None:
    table = scores.table("real", scores.test, np.zeros(12))
    assert [row.colour for row in table] == ["Red", "Blue"] * 6
    unasked = [row.model_copy(update={"colour_asked": ""}) for row in table[:10]]
    found = scores.image_estimates("real", [*unasked, *table[10:]])["real_colour_agreement"]
    assert (found.value, found.n) == (1, 2)


def test_a_classifier_trained_on_right_labels_beats_one_on_wrong_ones() -> None:
    rng = np.random.default_rng(2)
    cfg = section(ImageEvaluate, **SMALL)
    colours = ["Red", "Blue"] * 10
    place = np.array([[4.0, 0], [-4.0, 0]] * 10)

    def made(name: str, labels: list[str]) -> ImageSet:
        return image_set(name, place + rng.normal(size=(20, 2)), labels)

    train, test = made("train", colours), made("test", colours)
    wrong = made("tuned", ["Blue", "Red"] * 10)
    found = Scores(cfg, train, test, seed=7).trained_on(train, wrong)
    assert found["trained_on_real_accuracy"].value == 1
    assert found["trained_on_synthetic_accuracy"].value == 0
