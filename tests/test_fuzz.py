"""Damaged inputs through the data stages: nothing is lost, nothing is fatal, and reasons are true.

A thousand inputs are damaged from one seed: photos, rows of a catalogue, recordings and params. The
readers of other libraries say whether a file could have been read.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.params import check_params
from likeness.common.runtime import Runtime
from likeness.image.analyze import ImageAnalyze, analyze
from likeness.image.prepare import ImagePrepare, prepare
from likeness.image.rows import PreparedImage, Product
from likeness.stage import SCHEMA
from likeness.voice.rows import Recording
from likeness.voice.segment import VoiceSegment, segment
from tests.conftest import ROOT, encoded, mixed, photo, section, write_catalog
from tests.voice.sounds import babble, file_bytes

pytestmark = pytest.mark.slow

SEED = 20261128
RATE = 22050
PHOTOS, ROWS, RECORDINGS, PARAMS = 400, 300, 120, 180


# --- damage ---------------------------------------------------------------------------------------


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))]


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for at in rng.integers(len(data), size=int(rng.integers(1, 9))):
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def blot(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    length = int(rng.integers(1, max(len(data) // 4, 2)))
    filler = rng.bytes(length) if rng.random() < 0.5 else bytes(length)
    return data[:start] + filler[: len(data) - start] + data[start + length :]


def drop(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, max(len(data) // 4, 2))) :]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    part = data[start : start + int(rng.integers(1, max(len(data) // 4, 2)))]
    return data[:start] + part + data[start:]


def append(data: bytes, rng: np.random.Generator) -> bytes:
    return data + (rng.bytes(300) if rng.random() < 0.5 else bytes(300))


DAMAGE: Sequence[Callable[[bytes, np.random.Generator], bytes]] = (
    cut,
    flip,
    blot,
    drop,
    repeat,
    append,
)


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    return DAMAGE[rng.integers(len(DAMAGE))](data, rng)


def analyzed(catalog: Path, out_dir: Path, rt: Runtime) -> dict[str, float]:
    """What image_analyze counts where any share may be rejected."""
    return analyze(
        section(ImageAnalyze, max_rejected_share=1.0),
        catalog=catalog,
        out_dir=out_dir,
        plots_dir=out_dir / "plots",
        report=out_dir / "analysis.md",
        rt=rt,
    )


# --- photos ---------------------------------------------------------------------------------------


def pillow_reads(data: bytes) -> bool:
    """Whether Pillow decodes all of an image that is no longer than it says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                image.load()
    except Exception:
        return False
    return True


def test_damaged_photos_are_kept_or_set_aside_for_what_is_wrong(
    tmp_path: Path, tiny_extractor: Path, rt: Runtime
) -> None:
    rng = np.random.default_rng(SEED)
    products = mixed(PHOTOS)
    forms = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
    files = {
        row.id: damage(encoded(photo(at, row.baseColour), forms[at % len(forms)]), rng)
        for at, row in enumerate(products)
    }
    catalog = write_catalog(tmp_path / "catalog", products, files)
    analyzed(catalog, tmp_path / "products", rt)
    prepare(
        section(
            ImagePrepare,
            resolution=32,
            min_side=16,
            near_hash_bits=0,
            max_rejected_share=1.0,
            subset=0,
        ),
        catalog=catalog,
        products=tmp_path / "products",
        extractor=tiny_extractor,
        out_dir=tmp_path / "out",
        plots_dir=tmp_path / "plots",
        rt=rt,
    )
    kept = {row.id for row in read_manifest(tmp_path / "out" / "manifest.jsonl", PreparedImage)}
    rejected = {
        row.id: row for row in read_manifest(tmp_path / "out" / "rejected.jsonl", Rejection)
    }
    assert kept | set(rejected) == set(files)
    assert not kept & set(rejected)
    assert {row.reason for row in rejected.values()} <= {
        *("not_an_image", "unknown_format", "truncated", "too_small", "too_large"),
        *("blank", "duplicate"),
    }
    for name, row in rejected.items():
        if row.reason in ("not_an_image", "truncated"):
            assert not pillow_reads(files[name]), (name, row)
    for name in kept:
        assert pillow_reads(files[name]), name
    assert 100 < len(kept) < 350  # the damage is neither nothing nor everything


# --- rows -----------------------------------------------------------------------------------------


def damage_line(line: str, rng: np.random.Generator) -> str:
    """A line of a table with some characters put in, taken out or exchanged."""
    letters = list(line)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(letters)))
        letter = list(",\"';\t\\ \0é\u200b")[rng.integers(10)]
        kind = rng.integers(4)
        if kind == 0:
            letters.insert(at, letter)
        elif kind == 1:
            del letters[at : at + int(rng.integers(1, 12))]
            letters = letters or ["x"]
        elif kind == 2:
            letters[at] = letter
        else:
            letters = letters[: at + 1]
    return "".join(letters)


def test_damaged_rows_cost_no_other_row(tmp_path: Path, rt: Runtime) -> None:
    rng = np.random.default_rng(SEED + 1)
    good = mixed(2 * ROWS)
    catalog = write_catalog(tmp_path / "catalog", good)
    table = catalog / "styles.csv"
    header, *lines = table.read_text().splitlines()
    damaged = [damage_line(line, rng) for line in lines[:ROWS]]
    # In turns, so that what a line swallows would be missed.
    mixed_lines = [line for pair in zip(damaged, lines[ROWS:], strict=True) for line in pair]
    table.write_text("\n".join([header, *mixed_lines]) + "\n")
    metrics = analyzed(catalog, tmp_path / "out", rt)
    kept = {row.id: row for row in read_manifest(tmp_path / "out" / "manifest.jsonl", Product)}
    rejected = read_manifest(tmp_path / "out" / "rejected.jsonl", Rejection)
    for row in good[ROWS:]:
        assert kept[row.id] == row
    assert metrics["rows"] == len([line for line in mixed_lines if line.strip()])
    assert {row.reason for row in rejected} <= {
        *("malformed_row", "unsafe_id", "repeated_id", "missing_file", "no_id"),
    }


# --- recordings -----------------------------------------------------------------------------------


def test_damaged_recordings_are_kept_or_set_aside(tmp_path: Path, rt: Runtime) -> None:
    import av

    rng = np.random.default_rng(SEED + 2)
    forms = ("wav", "flac", "mp3", "m4a", "webm", "ogg")
    folder = tmp_path / "recordings"
    folder.mkdir()
    files: dict[str, Path] = {}
    for at in range(RECORDINGS):
        form = forms[at % len(forms)]
        files[f"{at:03d}"] = folder / f"{at:03d}.{form}"
        # Each says something else, as two recordings of one talk are duplicates.
        whole = file_bytes(babble(3.0, RATE, seed=at), RATE, form)
        files[f"{at:03d}"].write_bytes(damage(whole, rng))
    write_manifest(tmp_path / "downloads" / "manifest.jsonl", [])
    segment(
        section(VoiceSegment, max_rejected_share=1.0),
        recordings=folder,
        downloads=tmp_path / "downloads",
        out_dir=tmp_path / "out",
        plots_dir=tmp_path / "plots",
        rt=rt,
    )
    recordings = read_manifest(tmp_path / "out" / "manifest.jsonl", Recording)
    rejected = read_manifest(tmp_path / "out" / "rejected.jsonl", Rejection)
    assert sorted(row.id[:3] for row in [*recordings, *rejected]) == sorted(files)
    assert not [row for row in rejected if row.reason == "error"]
    for row in rejected:
        if row.reason in ("not_audio", "empty_file"):
            with pytest.raises(av.FFmpegError), av.open(str(files[row.id[:3]])) as file:
                next(file.decode(audio=0))
    assert len(recordings) > RECORDINGS // 4


# --- params ---------------------------------------------------------------------------------------

VALUES: Sequence[Any] = (
    *(None, True, -1, 0, 1e309, "", "x", [], {}, [1], {"a": 1}, "1", 10**30, "\u200b", -0.5),
)


def test_damaged_params_are_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED + 3)
    text = (ROOT / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    refused = 0
    for at in range(PARAMS):
        if at % 2:
            path.write_bytes(damage(text.encode(), rng))
        else:
            values = yaml.safe_load(text)
            part = values[list(values)[rng.integers(len(values))]]
            part[list(part)[rng.integers(len(part))]] = VALUES[rng.integers(len(VALUES))]
            path.write_text(yaml.safe_dump(values))
        message = refusal(path)
        refused += message is not None
        assert message is None or re.fullmatch(rf"{re.escape(str(path))}: [^\n]+", message)
    assert refused > PARAMS // 2


def refusal(params: Path) -> str | None:
    """What is wrong with a params file, if anything is."""
    try:
        check_params(params, SCHEMA)
    except LikenessError as error:
        return str(error)
    return None


def test_a_thousand_inputs_are_damaged() -> None:
    assert PHOTOS + ROWS + RECORDINGS + PARAMS == 1000
