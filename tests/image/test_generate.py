"""As many images as asked for, of the attributes asked for, each by the rules."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.common.io import link, read_json, write_json
from likeness.common.manifest import Rejection, read_manifest
from likeness.common.runtime import Runtime
from likeness.image.diffusion import ADAPTER
from likeness.image.generate import ImageGenerate, Inspector, choose_products, generate
from likeness.image.rows import COLUMNS, PreparedImage, SyntheticImage
from tests.conftest import SIDE, build_adapter, files_of, prepared, runtime, section, square

# A random base draws noise, so the rules let everything pass unless a test says otherwise.
LOOSE: dict[str, Any] = {
    "count": 8,
    "baseline": 3,
    "shares": {},
    "negative_prompt": "",
    "steps": 2,
    "guidance": 2.0,
    "batch": 8,
    "max_attempts": 2,
    "min_clean_background": 0.0,
    "max_cut_off": 1.0,
    "min_coverage": 0.0,
    "outlier_factor": 1e9,
    "copy_factor": 0.0,
    "max_rejected_share": 0.5,
}


@pytest.fixture(scope="module")
def rows() -> list[PreparedImage]:
    """A train split of two genders and three colours in uneven shares."""
    counts = {
        ("Men", "Red"): 25,
        ("Men", "Blue"): 12,
        ("Men", "Black"): 2,
        ("Women", "Red"): 7,
        ("Women", "Blue"): 3,
        ("Women", "Black"): 1,
    }
    return [
        prepared(f"{gender}{colour}{at:02d}", gender=gender, baseColour=colour)
        for (gender, colour), count in counts.items()
        for at in range(count)
    ]


def cells(rows: Any) -> Counter[tuple[str, str]]:
    return Counter((row.gender, row.baseColour) for row in rows)


# --- choosing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 10, 50, 333])
def test_products_match_the_joint_distribution_to_within_one(
    rows: list[PreparedImage], rt: Runtime, count: int
) -> None:
    chosen = choose_products(rows, count, {}, rt)
    assert list(chosen) == [f"{at:06d}" for at in range(count)]
    wanted, found = cells(rows), cells(chosen.values())
    for cell, number in wanted.items():
        assert abs(found[cell] - count * number / len(rows)) <= 1, cell


def test_the_order_is_random_but_fixed(rows: list[PreparedImage], tmp_path: Path) -> None:
    first = choose_products(rows, 40, {}, runtime(tmp_path, seed=1))
    again = choose_products(rows[::-1], 40, {}, runtime(tmp_path, seed=1))
    other = choose_products(rows, 40, {}, runtime(tmp_path, seed=2))
    assert first == again != other
    captions = [row.caption for row in first.values()]
    assert captions != sorted(captions)


def test_explicit_shares_are_kept(rows: list[PreparedImage], rt: Runtime) -> None:
    shares = {"gender": {"Men": 0.6, "Women": 0.4}}
    found = cells(choose_products(rows, 100, shares, rt).values())
    by_gender = Counter({"Men": 0, "Women": 0})
    for (gender, _), number in found.items():
        by_gender[gender] += number
    assert by_gender == {"Men": 60, "Women": 40}
    # Within a gender, colours keep their shares.
    assert abs(found["Women", "Red"] - 40 * 7 / 11) <= 1


def test_what_shares_do_not_name_is_left_out(rows: list[PreparedImage], rt: Runtime) -> None:
    shares = {"baseColour": {"Red": 3.0, "Blue": 1.0}, "gender": {"Women": 1.0}}
    found = cells(choose_products(rows, 40, shares, rt).values())
    assert {gender for gender, _ in found} == {"Women"}
    assert found["Women", "Black"] == 0
    assert abs(found["Women", "Red"] - 30) <= 1


def test_shares_of_two_attributes_are_both_kept(rows: list[PreparedImage], rt: Runtime) -> None:
    shares = {"gender": {"Men": 0.5, "Women": 0.5}, "baseColour": {"Red": 0.5, "Blue": 0.5}}
    chosen = choose_products(rows, 100, shares, rt).values()
    genders = Counter(row.gender for row in chosen)
    colours = Counter(row.baseColour for row in chosen)
    assert abs(genders["Men"] - 50) <= 2, genders
    assert abs(colours["Red"] - 50) <= 2, colours


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ({"gender": {"Mne": 0.6}}, r"shares\.gender: Mne: the train split has Men, Women"),
        ({"gender": {"Men": 0.0}}, r"shares\.gender: .*add up to 0"),
        ({"gender": {}}, r"shares\.gender: .*add up to 0"),
        ({"size": {"40": 1.0}}, r"shares\.size"),
        (
            {"gender": {"Women": 1.0}, "baseColour": {"Green": 1.0}},
            r"shares\.baseColour: Green: the train split has Black, Blue, Red",
        ),
    ],
)
def test_an_unknown_share_is_one_line(
    rows: list[PreparedImage], rt: Runtime, shares: Any, says: str
) -> None:
    with pytest.raises(LikenessError, match=says) as caught:
        choose_products(rows, 10, shares, rt)
    assert "\n" not in str(caught.value)


def test_shares_that_nothing_meets_are_one_line(rt: Runtime) -> None:
    apart = [prepared("a", gender="Men", baseColour="Red"), prepared("b", gender="Women")]
    apart[1] = prepared("b", gender="Women", baseColour="Blue")
    with pytest.raises(LikenessError, match="shares"):
        choose_products(apart, 10, {"gender": {"Men": 1.0}, "baseColour": {"Blue": 1.0}}, rt)


# --- drawing --------------------------------------------------------------------------------------


@pytest.fixture
def inputs(
    tiny_base: Path, tiny_dataset: Path, tiny_adapter: Path, tiny_extractor: Path
) -> dict[str, Path]:
    return {
        "base": tiny_base,
        "dataset": tiny_dataset,
        "adapter": tiny_adapter,
        "extractor": tiny_extractor,
    }


def run(inputs: dict[str, Path], out: Path, rt: Runtime, **changes: Any) -> dict[str, float]:
    return generate(
        section(ImageGenerate, **{**LOOSE, **changes}),
        **inputs,
        out_dir=out / "data",
        plots_dir=out / "plots",
        timings=out / "timings.json",
        rt=rt,
    )


@pytest.mark.slow
def test_every_image_has_its_row_prompt_and_product(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(inputs, tmp_path, rt)
    assert metrics == {
        "kept": 8,
        "drawn": 8,
        "baseline": 3,
        "rejected_share": 0,
        **dict.fromkeys(
            [
                f"rejected_{reason}"
                for reason in ("blank", "background", "cut_off", "outlier", "copy")
            ],
            0,
        ),
    }
    out = tmp_path / "data"
    rows = read_manifest(out / "manifest.jsonl", SyntheticImage)
    assert {row.file_name for row in rows} == {
        f"images/{path.name}" for path in (out / "images").iterdir()
    }
    assert len({row.seed for row in rows}) == len(rows) == 8
    with Image.open(out / rows[0].file_name) as image:
        assert (image.size, image.format) == ((SIDE, SIDE), "PNG")
    prompts = (out / "prompts.txt").read_text().splitlines()
    assert prompts == [f"{row.id}\t{row.prompt}" for row in rows]
    with (out / "styles.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [tuple(line) for line in table] == [COLUMNS] * 8
    for row, line in zip(rows, table, strict=True):
        one = read_json(out / "styles" / f"{row.id}.json")
        assert one == line == row.model_dump(include=set(COLUMNS))
        assert one["baseColour"] in row.prompt
    base = sorted(path.name for path in (out / "base").iterdir())
    assert base == ["000000.png", "000001.png", "000002.png"]
    assert (out / "base" / base[0]).read_bytes() != (out / "images" / base[0]).read_bytes()
    assert read_manifest(out / "rejected.jsonl", Rejection) == []
    assert set(read_json(tmp_path / "timings.json")) == {"seconds_per_image", "n"}
    assert sorted(files_of(tmp_path / "plots")) == ["rejected.png", "samples.png"]


@pytest.mark.slow
def test_images_do_not_depend_on_the_batch_size_or_on_a_killed_run(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    run(inputs, tmp_path / "a", runtime(tmp_path / "c1"), batch=8)
    run(inputs, tmp_path / "b", runtime(tmp_path / "c2"), batch=3)
    shared = runtime(tmp_path / "c3")
    # What a killed run leaves: some of the images in the store.
    run(inputs, tmp_path / "killed", shared, batch=3, count=4, baseline=1)
    run(inputs, tmp_path / "c", shared, batch=5)
    for name in ("b", "c"):
        assert files_of(tmp_path / "a" / "data") == files_of(tmp_path / name / "data")
        assert files_of(tmp_path / "a" / "plots") == files_of(tmp_path / name / "plots")


def test_a_second_run_draws_nothing(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    run(inputs, tmp_path / "a", rt)
    # An image depends on its adapter, and not on what lies beside that.
    alone = tmp_path / "adapter" / ADAPTER
    for name in (ADAPTER, "training.json"):
        link(inputs["adapter"] / name, alone.with_name(name))
    capsys.readouterr()
    run({**inputs, "adapter": alone.parent}, tmp_path / "b", rt)
    shown = capsys.readouterr().err
    assert "image_draw: 0 of 8 to do" in shown
    assert "image_draw: 0 of 3 to do" in shown


def distances(out: Path) -> list[float]:
    rows = read_manifest(out / "data" / "manifest.jsonl", SyntheticImage)
    return sorted(row.train_distance for row in rows)


def reach(inputs: dict[str, Path], rt: Runtime) -> float:
    """The real distance that the outlier limit is a multiple of."""
    rows = read_manifest(inputs["dataset"] / "manifest.jsonl", PreparedImage)
    cfg = section(ImageGenerate, **{**LOOSE, "outlier_factor": 1.0})
    rules = Inspector(cfg, inputs["dataset"], rows, inputs["extractor"], rt).rules
    return next(rule.most for rule in rules if rule.reason == "outlier" and rule.most)


@pytest.mark.slow
def test_rejected_images_are_drawn_again_up_to_the_count(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    run(inputs, tmp_path / "loose", rt)
    middle = float(np.median(distances(tmp_path / "loose")))
    factor = middle / reach(inputs, rt)
    metrics = run(
        inputs,
        tmp_path / "strict",
        rt,
        outlier_factor=factor,
        max_attempts=40,
        max_rejected_share=0.95,
    )
    assert metrics["kept"] == 8
    assert metrics["rejected_outlier"] == metrics["drawn"] - 8 >= 4
    assert metrics["rejected_share"] == pytest.approx(1 - 8 / metrics["drawn"], abs=1e-4)
    out = tmp_path / "strict" / "data"
    rows = read_manifest(out / "manifest.jsonl", SyntheticImage)
    assert max(row.attempt for row in rows) > 0
    assert all(row.train_distance <= middle * 1.001 for row in rows)
    rejected = read_manifest(out / "rejected.jsonl", Rejection)
    assert len(rejected) == metrics["rejected_outlier"]
    for row in rejected:
        assert row.reason == "outlier"
        assert row.value > row.threshold == pytest.approx(middle, rel=1e-3)
    attempts = Counter(row.id.split("-")[0] for row in rejected)
    assert all(attempts[row.id] == row.attempt for row in rows), "a number for every attempt"
    assert len(list((out / "images").iterdir())) == 8


def test_fewer_images_than_asked_for_is_an_error(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    run(inputs, tmp_path / "loose", rt)
    factor = float(np.median(distances(tmp_path / "loose"))) / reach(inputs, rt)
    with pytest.raises(LikenessError, match="4 of 8") as caught:
        run(
            inputs,
            tmp_path / "strict",
            rt,
            outlier_factor=factor,
            max_attempts=1,
            max_rejected_share=0.9,
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"min_coverage": 1.0}, "blank"),
        ({"min_clean_background": 1.0}, "background"),
        ({"outlier_factor": 1e-9}, "outlier"),
        ({"copy_factor": 1e9}, "copy"),
    ],
)
def test_past_the_rejected_share_is_one_line_with_reasons(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime, changes: Any, reason: str
) -> None:
    with pytest.raises(
        LikenessError, match=rf"8 of 8 items rejected.*\({reason} 8; first "
    ) as caught:
        run(inputs, tmp_path, rt, max_attempts=1, **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data" / "manifest.jsonl").exists()


def test_rules_judge_drawn_squares(inputs: dict[str, Path], tmp_path: Path, rt: Runtime) -> None:
    rows = read_manifest(inputs["dataset"] / "manifest.jsonl", PreparedImage)
    changes = {
        "min_clean_background": 0.9,
        "max_cut_off": 0.02,
        "min_coverage": 0.04,
        "outlier_factor": 1e6,
    }
    inspect = Inspector(
        section(ImageGenerate, **{**LOOSE, **changes}),
        inputs["dataset"],
        rows,
        inputs["extractor"],
        rt,
    )
    drawn = {
        "fine": square(),
        "blank": square(box=(0, 0, 2, 2)),
        "cut_off": square(box=(0, 8, 16, 24)),
        "background": square(paper=(120, 130, 140)),
    }
    paths = {name: tmp_path / f"{name}.png" for name in drawn}
    for name, image in drawn.items():
        image.save(paths[name])
    found = inspect(paths)
    assert {name: broken and broken[0].reason for name, (_, broken) in found.items()} == {
        "fine": None,
        **{name: name for name in ("blank", "cut_off", "background")},
    }
    assert found["fine"].values["coverage"] == pytest.approx(0.25)


def test_a_copy_of_a_train_image_is_found(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    rows = read_manifest(inputs["dataset"] / "manifest.jsonl", PreparedImage)
    cfg = section(ImageGenerate, **{**LOOSE, "copy_factor": 0.5})
    inspect = Inspector(cfg, inputs["dataset"], rows, inputs["extractor"], rt)
    train = next(row for row in rows if row.split == "train")
    test = next(row for row in rows if row.split == "test")
    paths = {row.id: inputs["dataset"] / row.file_name for row in (train, test)}
    found = inspect(paths)
    assert found[train.id].values["train_distance"] == pytest.approx(0, abs=1e-3)
    assert found[train.id].broken is not None
    assert found[train.id].broken[0].reason == "copy"
    assert found[test.id].broken is None


def test_an_image_s_json_is_a_row_of_the_catalogue(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    run(inputs, tmp_path, rt, count=2, baseline=0)
    value = json.loads((tmp_path / "data" / "styles" / "000001.json").read_text())
    assert tuple(value) == COLUMNS
    assert value["id"] == "000001"
    assert value["productDisplayName"].startswith(value["gender"])


# --- adapters of values ---------------------------------------------------------------------------


@pytest.fixture
def of_men(inputs: dict[str, Path], tiny_base: Path, tmp_path: Path) -> dict[str, Path]:
    """The inputs with an adapter of their own for men, beside the one for all."""
    folder = tmp_path / "adapter"
    link(inputs["adapter"] / ADAPTER, folder / ADAPTER)
    own = build_adapter(tiny_base, tmp_path / "men", seed=2)
    link(own / ADAPTER, folder / "per" / "Men" / ADAPTER)
    training = read_json(inputs["adapter"] / "training.json")
    listed = [{"value": "Men", "folder": "per/Men"}, {"value": "Women", "folder": None}]
    write_json(folder / "training.json", {**training, "per": "gender", "own": listed})
    return {**inputs, "adapter": folder}


def drawn(out: Path, folder: str) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (out / "data" / folder).glob("*.png")}


@pytest.mark.slow
def test_each_product_is_drawn_with_its_value_s_adapter(
    inputs: dict[str, Path], of_men: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(of_men, tmp_path / "own", rt, baseline=6)
    assert metrics == run(inputs, tmp_path / "all", rt, baseline=6)
    rows = read_manifest(tmp_path / "own" / "data" / "manifest.jsonl", SyntheticImage)
    men = {row.id for row in rows if row.gender == "Men"}
    assert men
    assert men != {row.id for row in rows}
    own, shared = drawn(tmp_path / "own", "images"), drawn(tmp_path / "all", "images")
    assert {name for name in own if own[name] != shared[name]} == men
    # The first prompts of men again: by their own adapter, which is what was kept, and by the other.
    first = {name for name in men if name < "000006"}
    assert drawn(tmp_path / "own", "own") == {name: own[name] for name in first}
    assert drawn(tmp_path / "own", "shared") == {name: shared[name] for name in first}
    assert drawn(tmp_path / "own", "base") == drawn(tmp_path / "all", "base")
    for folder in ("own", "shared", "blend"):
        assert not (tmp_path / "all" / "data" / folder).exists()


@pytest.mark.slow
def test_a_blend_draws_every_product(of_men: dict[str, Path], tmp_path: Path, rt: Runtime) -> None:
    run(of_men, tmp_path / "one", rt, baseline=2, blend={"Men": 1.0})
    men = of_men["adapter"] / "per" / "Men"
    training = read_json(of_men["adapter"] / "training.json")
    write_json(men / "training.json", {**training, "own": []})
    run({**of_men, "adapter": men}, tmp_path / "alone", rt, baseline=2)
    assert drawn(tmp_path / "one", "images") == drawn(tmp_path / "alone", "images")
    assert set(drawn(tmp_path / "one", "shared")) == {"000000", "000001"}
    blend = tmp_path / "one" / "data" / "blend" / ADAPTER
    assert blend.read_bytes() == (men / ADAPTER).read_bytes()


def test_a_blend_of_an_unknown_value_is_one_line(
    of_men: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    with pytest.raises(LikenessError, match=r"blend: Women has no adapter of its own.*: Men") as at:
        run(of_men, tmp_path, rt, blend={"Men": 0.5, "Women": 0.5})
    assert "\n" not in str(at.value)
