"""The lane in the half precision that a GPU computes in, on the CPU, with the bundled bases."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness.common.precision import Precision
from likeness.image import diffusion
from likeness.image.evaluate import ImageEvaluate, evaluate
from likeness.image.generate import ImageGenerate, generate
from likeness.image.train import ImageTrain, train
from tests.conftest import bundled_model, runtime, section, write_dataset
from tests.image.test_evaluate import SMALL
from tests.image.test_generate import LOOSE

# Half precision is slow on a CPU: as little as shows that every part computes in it.
SIDE = 64  # half of what sd_mini's images have
IMAGES = 4
TRAIN: dict[str, Any] = {
    "epochs": 1,
    "batch": 2,
    "warmup_steps": 0,
    "val_timesteps": 1,
    "samples": 1,
    "sample_steps": 1,
    "guidance": 1.0,
}
DRAW: dict[str, Any] = {**LOOSE, "count": IMAGES, "baseline": IMAGES, "steps": 1, "guidance": 1.0}


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory, tiny_extractor: Path) -> Iterator[Any]:
    """Runs train, generate and evaluate in a precision, once; gives its folder and its metrics."""
    root = tmp_path_factory.mktemp("lane")
    dataset = write_dataset(root / "dataset", train=4, val=2, test=IMAGES, side=SIDE)
    base = bundled_model("sd_mini", root / "sd_mini")
    clip = bundled_model("clip_mini", root / "clip_mini")
    done: dict[str, tuple[Path, dict[str, Any]]] = {}

    def run(half: Precision) -> tuple[Path, dict[str, Any]]:
        if half in done:
            return done[half]
        out, rt = root / half, replace(runtime(root / half / "cache"), half=half)
        trained = train(
            section(ImageTrain, **TRAIN),
            dataset=dataset,
            base=base,
            out_dir=out / "train",
            plots_dir=out / "plots",
            timings_dir=out / "timings",
            rt=rt,
        )
        drawn = generate(
            section(ImageGenerate, **DRAW),
            dataset=dataset,
            base=base,
            adapter=out / "train",
            extractor=tiny_extractor,
            out_dir=out / "generate",
            plots_dir=out / "plots",
            timings=out / "timings.json",
            rt=rt,
        )
        measured = evaluate(
            section(ImageEvaluate, **SMALL),
            dataset=dataset,
            generated=out / "generate",
            base=base,
            adapter=out / "train",
            extractor=tiny_extractor,
            clip=clip,
            out_dir=out / "evaluate",
            plots_dir=out / "plots",
            intervals=out / "intervals.json",
            rt=rt,
        )
        done[half] = out, {**trained, **drawn, **measured}
        return done[half]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffusion, "FEWEST_ROWS", IMAGES)  # no batch has to be like a larger one here
        yield run


def images(folder: Path) -> np.ndarray:
    return np.stack(
        [np.asarray(Image.open(path), np.float64) for path in sorted(folder.glob("*.png"))]
    )


@pytest.mark.slow
@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_the_lane_gives_in_half_precision_about_what_it_gives_in_float32(
    lane: Any, half: Precision
) -> None:
    out, found = lane(half)
    exact_out, exact = lane("no")
    assert found["kept"] == found["baseline"] == IMAGES
    assert found["steps"] == 2
    assert found["val_loss_base"] == pytest.approx(exact["val_loss_base"], rel=0.01)
    assert found["val_loss"] == pytest.approx(exact["val_loss"], rel=0.02)
    assert found["tuned_clip"] == pytest.approx(exact["tuned_clip"], abs=2)
    for folder in ("generate/images", "generate/base"):
        made, wanted = images(out / folder), images(exact_out / folder)
        assert made.shape == (IMAGES, SIDE, SIDE, 3)
        assert np.abs(made - wanted).mean() < 4, "8-bit levels"
    sheet = Image.open(next(iter(sorted((out / "train" / "samples").glob("*.png")))))
    assert np.asarray(sheet).std() > 1
