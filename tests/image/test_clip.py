"""CLIP scores of pairs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.runtime import Runtime
from likeness.image.checks import check_clip
from likeness.image.evaluate import clip_scores
from tests.conftest import runtime, saved_photos


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return saved_photos(tmp_path_factory.mktemp("pictures"), 4)


CAPTIONS = {"p3": "a blue shoe", "p2": "a red shoe", "p1": "a black shoe", "p0": "a red shoe"}


def test_rows_are_unit_vectors_in_the_order_of_the_images(
    tiny_clip: Path, pictures: dict[str, Path], rt: Runtime
) -> None:
    images, texts = clip_scores(pictures, CAPTIONS, clip=tiny_clip, rt=rt)
    assert images.shape == texts.shape == (4, 8)
    for rows in (images, texts):
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.array_equal(texts[0], texts[2]), "equal captions, equal vectors"
    assert not np.array_equal(texts[0], texts[1])
    turned = dict(reversed(pictures.items()))
    again = clip_scores(turned, CAPTIONS, clip=tiny_clip, rt=rt)
    assert np.array_equal(again[0], images[::-1])
    assert np.array_equal(again[1], texts[::-1])


def test_a_vector_does_not_depend_on_its_batch(
    tiny_clip: Path, pictures: dict[str, Path], tmp_path: Path
) -> None:
    together = clip_scores(pictures, CAPTIONS, clip=tiny_clip, rt=runtime(tmp_path / "a"))
    rt = runtime(tmp_path / "b")
    for names in (["p3"], ["p1", "p2"], list(pictures)):
        images = {name: pictures[name] for name in names}
        captions = {name: CAPTIONS[name] for name in names}
        parts = clip_scores(images, captions, clip=tiny_clip, rt=rt)
    assert np.array_equal(parts[0], together[0])
    assert np.array_equal(parts[1], together[1])


def test_scores_agree_with_the_model_s_own(
    tiny_clip: Path, pictures: dict[str, Path], rt: Runtime
) -> None:
    import torch
    from PIL import Image
    from transformers import CLIPModel, CLIPProcessor

    images, texts = clip_scores(pictures, CAPTIONS, clip=tiny_clip, rt=rt)
    model, processor = (
        CLIPModel.from_pretrained(tiny_clip),
        CLIPProcessor.from_pretrained(tiny_clip),
    )
    inputs = processor(
        text=[CAPTIONS[name] for name in pictures],
        images=[Image.open(path) for path in pictures.values()],
        return_tensors="pt",
        padding=True,
    )
    with torch.inference_mode():
        logits = model.eval()(**inputs).logits_per_image / model.logit_scale.exp()
    assert np.allclose((images * texts).sum(1), logits.diagonal().numpy(), atol=1e-4)


def test_a_long_caption_is_cut_not_refused(
    tiny_clip: Path, pictures: dict[str, Path], rt: Runtime
) -> None:
    captions = dict.fromkeys(pictures, "a very long caption " * 40)
    assert clip_scores(pictures, captions, clip=tiny_clip, rt=rt)[1].shape == (4, 8)


@pytest.mark.parametrize("lost", ["image", "caption"])
def test_an_unpaired_image_or_caption_is_named(
    tiny_clip: Path, pictures: dict[str, Path], rt: Runtime, lost: str
) -> None:
    images, captions = dict(pictures), dict(CAPTIONS)
    del (images if lost == "image" else captions)["p2"]
    with pytest.raises(LikenessError, match="p2") as caught:
        clip_scores(images, captions, clip=tiny_clip, rt=rt)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_clip_is_one_line(tmp_path: Path, tiny_clip: Path) -> None:
    with pytest.raises(LikenessError, match=r"config\.json: it is missing.*inputs\.clip"):
        check_clip(tmp_path)
    shutil.copytree(tiny_clip, tmp_path / "part")
    (tmp_path / "part" / "model.safetensors").unlink()
    with pytest.raises(LikenessError, match="part: no weights"):
        check_clip(tmp_path / "part")


def lose_words(folder: Path) -> None:
    for name in ("tokenizer.json", "vocab.json"):
        (folder / name).unlink(missing_ok=True)


def another_model(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "siglip"}')


def another_half(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({**weights, "text_projection.weight": torch.zeros(12, 16)}, path)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lose_words, r"tokenizer\.json is missing"),
        (another_model, r"model_type is 'siglip'.*inputs\.clip"),
        (another_half, r"text_projection\.weight is \[12, 16\].* asks for \[8, any\]"),
    ],
)
def test_another_or_a_damaged_clip_is_one_line(
    tiny_clip: Path, tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip, folder)
    check_clip(folder)
    damage(folder)
    with pytest.raises(LikenessError, match=why) as caught:
        check_clip(folder)
    assert "\n" not in str(caught.value)
