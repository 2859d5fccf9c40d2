"""Features do not depend on company, order or place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.runtime import Runtime
from likeness.image.checks import check_extractor
from likeness.image.extract import extract
from likeness.image.features import central_crop, extractor_kind
from tests.conftest import photo, runtime, saved_photos, square


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return saved_photos(tmp_path_factory.mktemp("pictures"), 6)


def test_a_vector_does_not_depend_on_its_batch(
    tiny_extractor: Path, pictures: dict[str, Path], tmp_path: Path
) -> None:
    together = extract(pictures, extractor=tiny_extractor, rt=runtime(tmp_path / "a"))
    assert len({row.tobytes() for row in together.vectors}) == 6
    # As after a killed run, or with some images known from before.
    rt = runtime(tmp_path / "b")
    for names in (["p3"], ["p1", "p2"], list(pictures)):
        parts = extract({name: pictures[name] for name in names}, extractor=tiny_extractor, rt=rt)
    assert np.array_equal(parts.vectors, together.vectors)
    assert np.array_equal(parts.probabilities, together.probabilities)


def test_rows_follow_the_ids(tiny_extractor: Path, pictures: dict[str, Path], rt: Runtime) -> None:
    forward = extract(pictures, extractor=tiny_extractor, rt=rt)
    assert forward.ids == list(pictures)
    assert forward.vectors.shape == (6, 1280)
    assert forward.probabilities.shape == (6, 1000)
    assert np.allclose(forward.probabilities.sum(1), 1, atol=1e-5)
    turned = dict(reversed(pictures.items()))
    backward = extract(turned, extractor=tiny_extractor, rt=rt)
    assert backward.ids == list(turned)
    assert np.array_equal(backward.vectors, forward.vectors[::-1])
    taken = forward.take(["p4", "p1"])
    assert taken.ids == ["p4", "p1"]
    assert np.array_equal(taken.vectors, forward.vectors[[4, 1]])
    assert np.array_equal(taken.probabilities, forward.probabilities[[4, 1]])


def test_a_copy_of_the_extractor_elsewhere_uses_the_same_results(
    tiny_extractor: Path,
    pictures: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rt = runtime(tmp_path / "cache")
    extract(pictures, extractor=tiny_extractor, rt=rt)
    shutil.copytree(tiny_extractor, tmp_path / "copy")
    capsys.readouterr()
    extract(pictures, extractor=tmp_path / "copy", rt=rt)
    assert "0 of 6 to do" in capsys.readouterr().err


def write_config(folder: Path, **values: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_an_unknown_extractor_is_named_with_the_known_ones(tmp_path: Path) -> None:
    folder = write_config(tmp_path, extractor="resnet", weights="w")
    with pytest.raises(LikenessError, match=r"'resnet'.*efficientnet_lite0, inception_v3, dinov2"):
        check_extractor(folder)


@pytest.mark.parametrize("kind", ["efficientnet_lite0", "inception_v3"])
def test_missing_weights_are_one_line(tmp_path: Path, kind: str) -> None:
    folder = write_config(tmp_path / "bare", extractor=kind, weights="w.pth", name=kind, layers=[])
    with pytest.raises(LikenessError, match=r"w\.pth: no such file; .*likeness fetch") as caught:
        check_extractor(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", [None, "{", '{"extractor": "efficientnet_lite0"}', "[]"])
def test_a_folder_without_a_right_config_is_one_line(tmp_path: Path, config: str | None) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(LikenessError, match=r"config\.json"):
        check_extractor(tmp_path)


def test_broken_weights_are_one_line(tiny_extractor: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_extractor, folder)
    path = folder / "w.safetensors"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(LikenessError, match=r"w\.safetensors"):
        check_extractor(folder)


@pytest.fixture(scope="module")
def tiny_dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the hub has it: the network's config, its weights, and the processor's config."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Dinov2Config(**sizes, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    processor = {
        **{"image_processor_type": "BitImageProcessor", "do_convert_rgb": True, "resample": 3},
        **{"do_resize": True, "size": {"shortest_edge": 32}, "do_rescale": True},
        **{"do_center_crop": True, "crop_size": {"height": 28, "width": 28}, "do_normalize": True},
        **{"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
        "rescale_factor": 1 / 255,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def lose_processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def promise_more(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "hidden_size": 768}))


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lose_processor, r"preprocessor_config\.json is missing"),
        (promise_more, r"cls_token is \[1, 1, 16\].* asks for \[1, 1, 768\]"),
        (cut_weights, r"model\.safetensors: \d+ bytes of \d+"),
    ],
)
def test_a_damaged_dinov2_is_one_line(
    tiny_dinov2: Path, tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    folder = tmp_path / "dinov2"
    shutil.copytree(tiny_dinov2, folder)
    check_extractor(folder)
    damage(folder)
    with pytest.raises(LikenessError, match=why) as caught:
        check_extractor(folder)
    assert "\n" not in str(caught.value)


def test_dinov2_sees_the_centre_and_has_no_classes(
    tiny_dinov2: Path, tmp_path: Path, rt: Runtime
) -> None:
    assert extractor_kind(tiny_dinov2) == "dinov2"
    paths: dict[str, Path] = {}
    for name, box in {
        "one": (40, 40, 90, 90),
        "edge": (0, 0, 128, 3),
        "none": (0, 0, 0, 0),
    }.items():
        paths[name] = tmp_path / f"{name}.png"
        square(side=128, box=box).save(paths[name])
    found = extract(paths, extractor=tiny_dinov2, rt=rt)
    assert found.vectors.shape == (3, 16)
    assert found.probabilities.shape == (3, 0)
    one, edge, none = found.vectors
    assert np.allclose(edge, none, atol=1e-4), "its processor crops the edge away"
    assert not np.allclose(one, none, atol=1e-2)


def test_a_broken_dinov2_is_one_line(tiny_dinov2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_dinov2, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(LikenessError, match=r"broken: no weights") as caught:
        check_extractor(folder)
    assert "\n" not in str(caught.value)


def test_an_image_that_cannot_be_read_is_named(
    tiny_extractor: Path, tmp_path: Path, rt: Runtime
) -> None:
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(LikenessError, match=r"a\.png: no features"):
        extract({"a": tmp_path / "a.png"}, extractor=tiny_extractor, rt=rt)


def test_the_central_crop_is_centred() -> None:
    image = square(side=40, box=(10, 10, 30, 30))
    crop = np.asarray(central_crop(image, 20, 0.5))
    assert crop.shape == (20, 20, 3)
    assert (crop == (200, 30, 30)).all()


def test_the_real_extractor_sees_what_a_photo_shows(
    vision_features: Path, tmp_path: Path, rt: Runtime
) -> None:
    paths: dict[str, Path] = {}
    for name, image in {
        "one": photo(1, "Red", (96, 128)),
        "one, brighter": photo(1, "Red", (96, 128)).point(lambda value: min(255, value + 12)),
        "another": photo(2, "Blue", (96, 128)),
    }.items():
        paths[name] = tmp_path / f"{name}.png"
        image.save(paths[name])
    found = extract(paths, extractor=vision_features, rt=rt)
    assert extractor_kind(vision_features) == "efficientnet_lite0"
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    near, far = float(unit[0] @ unit[1]), float(unit[0] @ unit[2])
    assert near > 0.9 > far
