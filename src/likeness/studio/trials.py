"""What a blind test asks about, in which order, and how it is heard or seen.

A rater must know an item by the item alone. So the sounds of a test have one rate, one loudness and one
length of silence around them, its images one size, and no file has a word of metadata.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import digest_of, read_json
from likeness.common.manifest import read_manifest
from likeness.common.ratings import KINDS, BlindTest, File, Item, Kind, Lane, md5_of
from likeness.image.diffusion import ADAPTER as IMAGE_ADAPTER
from likeness.image.rows import PreparedImage, SyntheticImage
from likeness.repository.experiments import git
from likeness.studio.problems import Problem
from likeness.voice.audio import encode, read, resample
from likeness.voice.levels import HOP, frame_levels
from likeness.voice.loudness import LoudnessMeter
from likeness.voice.rows import Pair
from likeness.voice.streams import length
from likeness.voice.xtts import ADAPTER as VOICE_ADAPTER

T = TypeVar("T")

# LUFS by ITU-R BS.1770. ITU-T P.800 plays speech at -26 dBov, which leaves room for its peaks.
LOUDNESS = -26.0
AUDIBLE = 40.0  # dB below the loudest frame from which a clip begins and ends
EDGE = 0.05  # seconds before and after it that are faded, so that no noise begins at once
SILENCE = 0.2  # seconds of digital silence at both ends

# The least common number of items, so that each version is equally frequent, as is each side.
STEP: dict[Kind, int] = {"real_or_synthetic": 2, "preference": 2, "opinion": 3, "classes": 1}
TRAINED: dict[Lane, tuple[str, str]] = {
    "voice": ("voice_train", VOICE_ADAPTER),
    "image": ("image_train", IMAGE_ADAPTER),
}


class Trial(NamedTuple):
    """An item, and the version that each side has."""

    item: Item
    sides: list[str]


def begin(root: Path, id: str, kind: Kind, lane: Lane, n: int, seed: int) -> BlindTest:
    """A test of n items drawn from the workspace, with equal numbers of each version.

    Raises:
        Problem: the lane has no such test, or n is no multiple of the number of versions, or more
            than there is.
        LikenessError: a stage has not run.
    """
    if kind not in KINDS[lane]:
        known = ", ".join(KINDS[lane])
        raise Problem(400, "wrong_kind", f"{kind}: tests of {lane} are {known}", param="kind")
    step, data = STEP[kind], root / "data"
    if n % step:
        line = f"n {n}: take a multiple of {step}, for equal numbers of what is compared"
        raise Problem(400, "wrong_n", line, param="n")
    groups = (_speech if lane == "voice" else _images)(data, kind, np.random.default_rng(seed))
    if n > (most := step * len(groups)):
        line = f"n {n}: the stages have made enough for {most}; take fewer, or let them make more"
        raise Problem(400, "too_many", line, param="n", value=n, limit=most)
    items = [_item(data, *one) for group in groups[: n // step] for one in group]
    stage, adapter = TRAINED[lane]
    base = read_json(data / stage / "training.json").get("base", "")
    measure = _rate if lane == "voice" else _side
    return BlindTest(
        id=id,
        kind=kind,
        lane=lane,
        seed=seed,
        commit=git(root, "rev-parse", "HEAD"),
        model={"base": base, "adapter": md5_of(data / stage / adapter)},
        resolution=min(measure(data / file.path) for item in items for file in item.files.values()),
        items=items,
    )


def order(test: BlindTest, rater: str) -> list[Trial]:
    """The trials of a rater: all items in an order of their own, the sides of pairs equally often."""
    rng = np.random.default_rng(int(digest_of((test.seed, rater)), 16))
    items = [test.items[at] for at in rng.permutation(len(test.items))]
    swapped = rng.permutation(len(items)) % 2
    return [
        Trial(item, sorted(item.files, reverse=bool(swap)))
        for item, swap in zip(items, swapped, strict=True)
    ]


def media(root: Path, test: BlindTest, trial: Trial, side: int) -> bytes:
    """What a side of a trial plays or shows: a WAV or a PNG.

    Raises:
        Problem: the file is not that of the test's begin any more.
    """
    file = trial.item.files[trial.sides[side]]
    path = root / "data" / file.path
    if md5_of(path) != file.md5:
        raise Problem(
            409, "changed", "what this test asks about was made anew since; begin another test"
        )
    return (sound if test.lane == "voice" else picture)(path, test.resolution)


def sound(path: Path, rate: int) -> bytes:
    """The audible part of a clip at `rate` Hz and at `LOUDNESS`, as 16-bit mono WAV."""
    samples, source = read(path)
    samples = samples if source == rate else resample(samples, source, rate)
    edge = round(EDGE * rate)
    samples = np.pad(samples, edge)  # a clip may begin with its first sound
    levels = frame_levels(samples, rate)
    loud = np.flatnonzero(levels > levels.max() - AUDIBLE) * HOP * rate
    samples = samples[max(0, round(loud[0]) - edge) : round(loud[-1]) + edge]
    fade = np.minimum(1.0, np.arange(1, len(samples) + 1) / edge)
    silence = np.zeros(round(SILENCE * rate))
    played = np.concatenate([silence, samples * fade * fade[::-1], silence])
    meter = LoudnessMeter(rate)
    meter.add(played)
    # A silent clip has no loudness, and stays as it is.
    loudness = meter.integrated()
    gain = 10 ** ((LOUDNESS - loudness) / 20) if np.isfinite(loudness) else 1.0
    return encode(played * gain, rate, "WAV")


def picture(path: Path, side: int) -> bytes:
    """A square image of `side` pixels as PNG, of its pixels alone."""
    from PIL import Image

    with Image.open(path) as image:
        pixels = image.convert("RGB")
        if pixels.size != (side, side):
            pixels = pixels.resize((side, side), Image.Resampling.LANCZOS)
    # A new image: the opened one carries its colour profile and comments along.
    Image.fromarray(np.asarray(pixels)).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


# --- items ----------------------------------------------------------------------------------------

# An item's id, its text, and the path of each version. A group of them has each version once.
Draft = tuple[str, str, dict[str, str]]


def _speech(data: Path, kind: Kind, rng: np.random.Generator) -> list[list[Draft]]:
    """All groups that there are, in random order."""
    pairs = read_manifest(data / "voice_synthesize" / "pairs.jsonl", Pair)
    rng.shuffle(pairs)
    files = {
        row.id: {
            "base": f"voice_synthesize/{row.base}",
            "tuned": f"voice_synthesize/{row.tuned}",
            "real": f"voice_dataset/{row.real}",
        }
        for row in pairs
    }
    if kind == "preference":
        both = [{name: files[row.id][name] for name in ("base", "tuned")} for row in pairs]
        return _chunks([(row.id, row.text, each) for row, each in zip(pairs, both)], 2)
    # Of a sentence that was said several times the first take is heard.
    sentences = [row.id for row in pairs if row.real and row.id.endswith("-0")]

    def single(sentence: str, version: str) -> Draft:
        return f"{version}/{sentence}", "", {version: files[sentence][version]}

    if kind == "opinion":
        return [
            [single(one, version) for version in ("real", "base", "tuned")] for one in sentences
        ]
    # A sentence is heard once, since a second voice would give away the first one.
    return [[single(one, "real"), single(other, "tuned")] for one, other in _chunks(sentences, 2)]


def _images(data: Path, kind: Kind, rng: np.random.Generator) -> list[list[Draft]]:
    """All groups that there are, in random order."""
    folder = "image_generate"
    rows = read_manifest(data / folder / "manifest.jsonl", SyntheticImage)
    rng.shuffle(rows)
    tuned = {row.id: {"tuned": f"{folder}/{row.file_name}"} for row in rows}
    if kind == "classes":
        return [[(f"tuned/{row.id}", row.prompt, tuned[row.id])] for row in rows]
    if kind == "preference":
        # A later attempt has another seed than the base's image.
        same = [row for row in rows if not row.attempt and (data / _base(folder, row)).is_file()]
        return _chunks(
            [(row.id, row.prompt, {**tuned[row.id], "base": _base(folder, row)}) for row in same], 2
        )
    test = [
        row
        for row in read_manifest(data / "image_prepare" / "manifest.jsonl", PreparedImage)
        if row.split == "test"
    ]
    rng.shuffle(test)
    return [
        [
            (f"real/{real.id}", "", {"real": f"image_prepare/{real.file_name}"}),
            (f"tuned/{row.id}", "", tuned[row.id]),
        ]
        for real, row in zip(test, rows)
    ]


def _base(folder: str, row: SyntheticImage) -> str:
    return f"{folder}/base/{row.id}.png"


def _chunks(rows: Sequence[T], size: int) -> list[list[T]]:
    """Rows in groups of `size`; what is left over is not asked about."""
    return [[*rows[at : at + size]] for at in range(0, len(rows) - size + 1, size)]


def _item(data: Path, id: str, text: str, paths: dict[str, str]) -> Item:
    """Raises `LikenessError` if a file is missing."""
    files = {}
    for version, path in sorted(paths.items()):
        if not (md5 := md5_of(data / path)):
            raise LikenessError(f"{data / path}: no such file; run the stage that writes it")
        files[version] = File(path=path, md5=md5)
    return Item(id=id, text=text, files=files)


def _rate(path: Path) -> int:
    return length(path)[1]


def _side(path: Path) -> int:
    from PIL import Image

    with Image.open(path) as image:
        return min(image.size)
