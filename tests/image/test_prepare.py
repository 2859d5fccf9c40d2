"""From photos to a dataset: checked, grouped, split, captioned."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from likeness.common.errors import LikenessError
from likeness.common.items import map_items
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.runtime import Runtime
from likeness.common.sampling import evenly
from likeness.image import prepare as module
from likeness.image.photos import convert_photos
from likeness.image.prepare import (
    ImagePrepare,
    close_pairs,
    imbalance,
    prepare,
    split_groups,
    stratum,
)
from likeness.image.rows import PreparedImage, Product
from tests.conftest import (
    encoded,
    files_of,
    mixed,
    photo,
    prepared,
    product,
    runtime,
    section,
    write_catalog,
)

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


# --- splitting ------------------------------------------------------------------------------------


def strata(**counts: int) -> list[Product]:
    """Products in the order that the splitter wants: by gender, then colour."""
    return [
        product(f"{colour}{at:04d}", baseColour=colour)
        for colour, count in sorted(counts.items())
        for at in range(count)
    ]


def alone(rows: list[Product]) -> dict[str, str]:
    return {row.id: row.id for row in rows}


def split(rows: list[Product], groups: dict[str, str] | None = None) -> dict[str, str]:
    return split_groups(rows, groups or alone(rows), SHARES["train"], SHARES["val"])


@pytest.mark.parametrize("counts", [{"Red": 100}, {"Red": 200, "Blue": 60, "Grey": 40}])
def test_large_strata_are_split_by_the_shares_to_within_one_image(counts: dict[str, int]) -> None:
    rows = strata(**counts)
    found = Counter((row.baseColour, part) for row in rows for part in [split(rows)[row.id]])
    for colour, count in counts.items():
        for part, share in SHARES.items():
            assert abs(found[colour, part] - share * count) <= 1, (colour, part)


def test_rare_strata_spread_over_the_splits() -> None:
    rows = strata(**{f"C{at:02d}": 1 for at in range(40)})
    found = Counter(split(rows).values())
    for part, share in SHARES.items():
        assert abs(found[part] - share * 40) <= 1, part


def test_a_group_is_never_in_two_splits() -> None:
    rows = strata(Blue=90, Red=90)
    rng = np.random.default_rng(1)
    groups = {row.id: f"g{rng.integers(60)}" for row in rows}
    found = split(rows, groups)
    assert set(found) == {row.id for row in rows}
    parts = {
        group: {found[name] for name in found if groups[name] == group} for group in groups.values()
    }
    assert all(len(where) == 1 for where in parts.values())
    sizes = Counter(found.values())
    for part, share in SHARES.items():
        assert abs(sizes[part] - share * 180) <= 8, sizes


def test_a_group_of_everything_goes_to_train() -> None:
    rows = strata(Red=10)
    assert set(split(rows, dict.fromkeys(alone(rows), "one")).values()) == {"train"}


def test_a_subset_is_stratified(rt: Runtime) -> None:
    rows = strata(Red=200, Blue=60, Grey=40)
    chosen = evenly(module._by_stratum(rows, rt), 30)
    assert Counter(row.baseColour for row in chosen) == {"Red": 20, "Blue": 6, "Grey": 4}
    assert len({row.id for row in chosen}) == 30
    assert len(evenly(rows, 1000)) == 300


def test_the_order_in_a_stratum_is_random_but_fixed(tmp_path: Path) -> None:
    rows = strata(Red=50)
    first = module._by_stratum(rows, runtime(tmp_path, seed=1))
    assert first == module._by_stratum(rows[::-1], runtime(tmp_path, seed=1))
    assert first != rows
    assert first != module._by_stratum(rows, runtime(tmp_path, seed=2))


def test_imbalance_is_the_distance_between_shares() -> None:
    def rows(split: str, red: int, blue: int) -> list[PreparedImage]:
        colours = ["Red"] * red + ["Blue"] * blue
        return [
            prepared(f"{split}{at}", split, baseColour=colour) for at, colour in enumerate(colours)
        ]

    equal = rows("train", 6, 2) + rows("val", 3, 1)
    assert imbalance(equal, "train") == imbalance(equal, "val") == 0
    # All: 6 of 8 red. Val: 1 of 2.
    assert imbalance(rows("train", 5, 1) + rows("val", 1, 1), "val") == pytest.approx(0.25)
    # A split without one of the strata: half of all is blue, nothing in it.
    assert imbalance(rows("train", 0, 4) + rows("val", 4, 0), "val") == pytest.approx(0.5)
    assert stratum(product("1")) == "Men Red"


# --- near twins -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0, 10, 40])
def test_close_pairs_agree_with_brute_force(bits: int) -> None:
    rng = np.random.default_rng(3)
    seeds = rng.random((12, 64)) < 0.5
    flips = rng.random((60, 64)) < rng.choice([0.0, 0.05, 0.3], (60, 1))
    hashes = seeds[rng.integers(12, size=60)] ^ flips
    wanted = {
        (a, b) for a, b in combinations(range(60), 2) if (hashes[a] != hashes[b]).sum() <= bits
    }
    found = close_pairs(hashes, hashes, bits)
    assert {tuple(pair) for pair in found.tolist()} == wanted
    assert len(found) == len(wanted) > 0


def test_close_pairs_cross_the_blocks_of_the_search() -> None:
    rng = np.random.default_rng(3)
    hashes = rng.random((2100, 64)) < 0.5
    hashes[2090] = hashes[5]
    hashes[2099] = hashes[2098]
    assert close_pairs(hashes, hashes, 2).tolist() == [[5, 2090], [2098, 2099]]


def test_copies_are_told_by_the_whole_photo(
    tmp_path: Path, tiny_extractor: Path, rt: Runtime
) -> None:
    folder = write_inputs(tmp_path)
    run(folder, tiny_extractor, rt, out="whole")
    run(folder, tiny_extractor, rt, out="cropped", margin=0.1)
    whole, cropped = ((folder / out / "rejected.jsonl").read_text() for out in ("whole", "cropped"))
    assert whole == cropped
    images = [folder / out / "train" for out in ("whole", "cropped")]
    name = next(images[0].glob("*.png")).name
    assert (images[0] / name).read_bytes() != (images[1] / name).read_bytes()


def scene(seed: int, side: int = 240) -> Image.Image:
    """A photo whose item is no rectangle and no mirror image of itself."""
    page = photo(seed, ("Red", "Blue")[seed % 2], (side, side))
    page.paste("white", (side // 8, side // 8, side // 2, side // 3))
    return page


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda image: ImageOps.expand(image, 70, "white"),
        lambda image: image.crop((0, 10, 230, 230)),
        lambda image: ImageOps.expand(image, (0, 0, 90, 20), "white").resize((300, 240)),
        ImageOps.mirror,
        lambda image: ImageOps.mirror(ImageOps.expand(image, 50, "white")),
    ],
    ids=["border", "cropped", "border, squeezed", "mirrored", "mirrored, border"],
)
def test_the_same_photo_in_another_frame_is_linked(
    tmp_path: Path, vision_features: Path, rt: Runtime, change: Any
) -> None:
    rows = mixed(12)
    scenes = {row.id: scene(at) for at, row in enumerate(rows)}
    scenes["009"] = change(scenes["002"])
    files = {name: encoded(image, quality=92) for name, image in scenes.items()}
    write_catalog(tmp_path / "catalog", rows, files)
    write_manifest(tmp_path / "products" / "manifest.jsonl", rows)
    run(tmp_path, vision_features, rt, resolution=64, margin=0.1, near_cosine=0.95)
    kept = read_manifest(tmp_path / "out" / "manifest.jsonl", PreparedImage)
    assert [row.id for row in kept if row.group == "002"] == ["002", "009"]
    assert len({row.group for row in kept}) >= 9


def test_one_photo_has_no_pairs() -> None:
    assert close_pairs(*[np.ones((1, 64), bool)] * 2, 64).shape == (0, 2)


# --- the whole stage ------------------------------------------------------------------------------


def twin(image: Image.Image) -> Image.Image:
    """The same photo, lit brighter: near, but no copy."""
    return image.point(lambda value: min(255, round(value * 1.2)))


def write_inputs(folder: Path, count: int = 30) -> Path:
    """A catalogue with a copy (003), a re-encoded copy (004), a near twin (005) of 000 and flaws."""
    rows = mixed(count)
    original = photo(0, rows[0].baseColour)
    files = {
        "003": encoded(original, quality=95),
        "004": encoded(original, quality=70),
        "005": encoded(twin(original), quality=95),
        "010": encoded(photo(10))[:400],
        "011": b"404 Not Found",
        "012": encoded(photo(12, size=(20, 20))),
        "013": b"",
        "014": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "015": encoded(Image.new("RGB", (48, 64), (250, 250, 250))),
    }
    write_catalog(folder / "catalog", rows, files)
    write_manifest(folder / "products" / "manifest.jsonl", rows)
    return folder


def run(folder: Path, extractor: Path, rt: Runtime, out: str = "out", **changes: Any) -> Any:
    options = {
        "resolution": 32,
        "min_side": 32,
        "margin": None,
        "duplicate_difference": 3.0,
        "near_hash_bits": 30,
        "near_cosine": 0.5,
        "max_rejected_share": 0.3,
        "subset": 0,
        "caption": "A photo of {baseColour} {articleType}, {gender}",
        "caption_extras": [", {usage} use", ", of {material}"],
        **changes,
    }
    return prepare(
        section(ImagePrepare, **options),
        catalog=folder / "catalog",
        products=folder / "products",
        extractor=extractor,
        out_dir=folder / out,
        plots_dir=folder / f"{out}_plots",
        rt=rt,
    )


def test_a_catalogue_becomes_a_dataset(tmp_path: Path, tiny_extractor: Path, rt: Runtime) -> None:
    folder = write_inputs(tmp_path)
    metrics = run(folder, tiny_extractor, rt)
    out = folder / "out"
    rows = read_manifest(out / "manifest.jsonl", PreparedImage)
    assert all((out / row.file_name).is_file() for row in rows)
    rejected = read_manifest(out / "rejected.jsonl", Rejection)
    assert {row.id: row.reason for row in rejected} == {
        "003": "duplicate",
        "004": "duplicate",
        "010": "truncated",
        "011": "not_an_image",
        "012": "too_small",
        "013": "not_an_image",
        "014": "unknown_format",
        "015": "blank",
    }
    assert [row.value for row in rejected[-2:]] == ["HEIC", [250, 250, 250]]
    by_id = {row.id: row for row in rejected}
    assert by_id["003"].value == {"of": "000", "difference": 0.0}
    assert by_id["004"].value["of"] == "000"
    assert 0 < by_id["004"].value["difference"] <= by_id["004"].threshold == 3.0
    assert (by_id["012"].value, by_id["012"].threshold) == ([20, 20], 32)
    assert {row.id for row in rows} | set(by_id) == {row.id for row in mixed(30)}
    assert not {row.id for row in rows} & set(by_id)

    group = {row.id: row.group for row in rows}
    assert group["005"] == group["000"] == "000"
    assert len(set(group.values())) == len(rows) - 1
    where = {row.id: row.split for row in rows}
    assert where["005"] == where["000"]

    counts = Counter(row.split for row in rows)
    assert metrics == {
        "products": 30,
        **{part: counts[part] for part in SHARES},
        "near_duplicate_groups": 1,
        "rejected_not_an_image": 2,
        "rejected_unknown_format": 1,
        "rejected_truncated": 1,
        "rejected_too_small": 1,
        "rejected_too_large": 0,
        "rejected_blank": 1,
        "rejected_duplicate": 2,
        "rejected_error": 0,
        **{f"imbalance_{part}": imbalance(rows, part) for part in SHARES},
    }
    for part, share in SHARES.items():
        assert abs(counts[part] - share * 22) <= 1.5


def test_the_splits_are_imagefolders(tmp_path: Path, tiny_extractor: Path, rt: Runtime) -> None:
    folder = write_inputs(tmp_path)
    run(folder, tiny_extractor, rt)
    rows = read_manifest(folder / "out" / "manifest.jsonl", PreparedImage)
    for part in SHARES:
        lines = (folder / "out" / part / "metadata.jsonl").read_text().splitlines()
        listed = {value["file_name"]: value["text"] for value in map(json.loads, lines)}
        pictures = {path.name for path in (folder / "out" / part).glob("*.png")}
        assert set(listed) == pictures
        assert len(lines) == len(pictures) > 0
        for row in rows:
            if row.split == part:
                assert row.file_name == f"{part}/{row.id}.png"
                assert listed[f"{row.id}.png"] == row.caption
                assert row.caption == (
                    f"A photo of {row.baseColour} Casual Shoes, {row.gender}, Casual use"
                )
    with Image.open(folder / "out" / rows[0].file_name) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (32, 32))


def test_features_decide_where_hashes_cannot(
    tmp_path: Path, tiny_extractor: Path, rt: Runtime
) -> None:
    # Every photo is near every other by a hash of 256 bits; only the copy has the same features.
    folder = write_inputs(tmp_path)
    metrics = run(folder, tiny_extractor, rt, near_hash_bits=256, near_cosine=0.99999)
    assert metrics["rejected_duplicate"] == 1
    assert metrics["near_duplicate_groups"] == 0


def test_one_new_image_is_one_item_of_work(
    tmp_path: Path, tiny_extractor: Path, rt: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_inputs(tmp_path)
    run(folder, tiny_extractor, rt)
    assert "image_prepare: 30 of 30 to do" in capsys.readouterr().err
    rows = [*mixed(30), product("099")]
    (folder / "catalog" / "images" / "099.jpg").write_bytes(encoded(photo(99)))
    write_manifest(folder / "products" / "manifest.jsonl", rows)
    run(folder, tiny_extractor, rt, "again")
    assert "image_prepare: 1 of 31 to do" in capsys.readouterr().err
    before, after = files_of(folder / "out"), files_of(folder / "again")
    pictures = {name.split("/")[1]: data for name, data in before.items() if name.endswith("png")}
    for name, data in after.items():
        if name.endswith(".png") and not name.endswith("099.png"):
            assert pictures[name.split("/")[1]] == data


@pytest.mark.slow
@pytest.mark.plots
def test_outputs_do_not_depend_on_workers_or_the_store(
    tmp_path: Path, tiny_extractor: Path
) -> None:
    folder = write_inputs(tmp_path)
    run(folder, tiny_extractor, runtime(tmp_path / "c1"), "a")
    run(folder, tiny_extractor, runtime(tmp_path / "c1"), "b")
    run(folder, tiny_extractor, runtime(tmp_path / "c2", workers=2), "c")
    for name in ("b", "c"):
        assert files_of(folder / "a") == files_of(folder / name)
        assert files_of(folder / "a_plots") == files_of(folder / f"{name}_plots")


def test_a_subset_is_drawn_for_a_prototype(
    tmp_path: Path, tiny_extractor: Path, rt: Runtime
) -> None:
    folder = write_inputs(tmp_path)
    metrics = run(folder, tiny_extractor, rt, subset=12)
    rows = read_manifest(folder / "out" / "manifest.jsonl", PreparedImage)
    assert len(rows) == sum(metrics[part] for part in SHARES) == 12
    assert len(list((folder / "out").rglob("*.png"))) == 12
    assert len({stratum(row) for row in rows}) == 6


def damage_all(folder: Path) -> None:
    for path in (folder / "catalog" / "images").iterdir():
        path.write_bytes(b"text")


@pytest.mark.parametrize(
    ("count", "changes", "says"),
    [
        (30, {"max_rejected_share": 0.1}, "8 of 30 items rejected"),
        (30, {"train_share": 0.9, "val_share": 0.1}, "leave nothing for test"),
        (
            14,
            {"train_share": 0.97, "val_share": 0.01, "max_rejected_share": 1.0},
            r"photos: . in the (val|test) split, and image_\w+ needs [12]; use more photos",
        ),
        (30, {"caption": "A {colour} shoe"}, "unknown attribute 'colour'"),
    ],
)
def test_what_cannot_be_prepared_is_one_line(
    tmp_path: Path, tiny_extractor: Path, rt: Runtime, count: int, changes: Any, says: str
) -> None:
    folder = write_inputs(tmp_path, count)
    with pytest.raises(LikenessError, match=says) as caught:
        run(folder, tiny_extractor, rt, **changes)
    assert "\n" not in str(caught.value)
    assert not (folder / "out" / "manifest.jsonl").exists()


def test_a_catalogue_of_bad_files_is_one_line(
    tmp_path: Path, tiny_extractor: Path, rt: Runtime
) -> None:
    folder = write_inputs(tmp_path)
    damage_all(folder)
    with pytest.raises(LikenessError, match="30 of 30 items rejected"):
        run(folder, tiny_extractor, rt, max_rejected_share=1.0)


def test_a_catalogue_of_small_photos_says_their_size_and_the_wanted_one(
    tmp_path: Path, tiny_extractor: Path, rt: Runtime
) -> None:
    folder = write_inputs(tmp_path)
    for name in (f"{at:03d}" for at in range(20)):
        small = encoded(photo(1, size=(15, 20)))
        (folder / "catalog" / "images" / f"{name}.jpg").write_bytes(small)
    # "012" is 20 x 20.
    says = (
        r"2\d of 30 photos are too small, most of them 15 x 20 pixels, and .*min_side is 32; use a"
    )
    with pytest.raises(LikenessError, match=says):
        run(folder, tiny_extractor, rt)


def test_converting_counts_as_its_own_params(tmp_path: Path, rt: Runtime) -> None:
    from functools import partial

    (tmp_path / "a.jpg").write_bytes(encoded(photo(1)))
    items = {"a": tmp_path / "a.jpg"}
    for resolution in (32, 64):
        convert = partial(convert_photos, resolution=resolution, min_side=8, margin=None)
        found, _ = map_items(convert, items, what="image_prepare", rt=rt)
        with Image.open(found["a"].folder / "image.png") as image:
            assert image.size == (resolution, resolution)
