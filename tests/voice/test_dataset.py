"""Clips become an LJSpeech folder that Coqui reads, in splits that do not leak."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import write_bytes
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.runtime import Runtime
from likeness.common.sampling import SPLITS
from likeness.voice.audio import encode, read
from likeness.voice.dataset import (
    VoiceDataset,
    build_dataset,
    make_units,
    split_units,
    table_cell,
)
from likeness.voice.rows import Clip, Utterance
from tests.conftest import files_of, runtime, section

RATE = 22050
SECONDS = 2.0


def clip(recording: str, number: int, **changes: Any) -> Clip:
    values: dict[str, Any] = {
        "id": f"{recording}-{number:04d}",
        "file_name": f"clips/{recording}-{number:04d}.flac",
        "recording": recording,
        "start": 2.5 * number,
        "end": 2.5 * number + SECONDS,
        "heard": f"Item {number} of {recording}.",
        "text": f"Item {number} of {recording}.",
        "words": [],
        "language": "en",
        "snr_db": 40.0,
        "silence_ratio": 0.1,
        "clipped_share": 0.01,
        "bandwidth_hz": 8000.0,
        "speaker_spread": 0.1,
        "speaker_distance": 0.1,
        "dnsmos": 3.2,
        "words_per_second": 3.0,
        "confidence": 0.9,
        "compression_ratio": 1.0,
        "repeated": 0.0,
        **changes,
    }
    return Clip(**values)


def recording(name: str, count: int) -> list[Clip]:
    return [clip(name, number) for number in range(1, count + 1)]


def write_clips(folder: Path, clips: Sequence[Clip], rate: int = RATE) -> Path:
    for at, row in enumerate(clips):
        time = np.arange(round((row.end - row.start) * rate)) / rate
        samples = 0.3 * np.sin(2 * np.pi * (200 + 10 * at) * time)
        write_bytes(folder / "clips" / row.file_name, encode(samples, rate, "FLAC"))
    write_manifest(folder / "clips" / "manifest.jsonl", clips)
    return folder


def run(folder: Path, rt: Runtime, out: str = "out", **changes: Any) -> dict[str, float]:
    options = {"block_seconds": 4.0, **changes}
    return build_dataset(
        section(VoiceDataset, **options),
        clips=folder / "clips",
        out_dir=folder / out,
        plots_dir=folder / f"{out}_plots",
        rt=rt,
    )


def rows_of(folder: Path, out: str = "out") -> list[Utterance]:
    rows = read_manifest(folder / out / "manifest.jsonl", Utterance)
    assert all(len(read(folder / out / row.file_name)[0]) for row in rows)
    return rows


def table(path: Path) -> list[list[str]]:
    return [line.split("|") for line in path.read_text().rstrip("\n").split("\n")]


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.plots
def test_clips_become_a_dataset(tmp_path: Path, rt: Runtime) -> None:
    folder = write_clips(tmp_path, [*recording("a", 30), *recording("b", 30)])
    metrics = run(folder, rt)
    rows = rows_of(folder)
    counts = Counter(row.split for row in rows)
    assert metrics == {
        "clips": 60,
        **{split: counts[split] for split in SPLITS},
        **{f"seconds_{split}": counts[split] * SECONDS for split in SPLITS},
        "augmented": 0,
        "units": 30,
        "words": sum(len(row.normalized.split()) for row in rows),
        "mended_texts": 0,
        "texts_in_train_too": 0,
        "rejected_no_text": 0,
        "rejected_unknown_symbols": 0,
        "rejected_error": 0,
    }
    assert rows[11].text == "Item 12 of a."
    assert rows[11].normalized == "Item twelve of a."
    assert set(files_of(folder / "out")) == {
        "manifest.jsonl",
        "rejected.jsonl",
        "metadata.csv",
        *(f"{split}.csv" for split in SPLITS),
        *(row.file_name for row in rows),
    }
    assert set(files_of(folder / "out_plots")) == {"durations.png", "words.png"}
    assert table(folder / "out/metadata.csv") == [
        [row.id, row.text, row.normalized] for row in rows
    ]
    for split in SPLITS:
        wanted = [row.id for row in rows if row.split == split]
        assert [columns[0] for columns in table(folder / f"out/{split}.csv")] == wanted


def test_wavs_are_16_bit_mono_at_the_rate_that_was_asked_for(tmp_path: Path, rt: Runtime) -> None:
    import soundfile

    folder = write_clips(tmp_path, recording("a", 30), rate=16000)
    run(folder, rt)
    for row in rows_of(folder):
        info = soundfile.info(folder / "out" / row.file_name)
        assert (info.format, info.subtype, info.channels) == ("WAV", "PCM_16", 1)
        assert info.samplerate == 22050
        assert row.seconds == pytest.approx(SECONDS, abs=0.001)
        assert info.frames / 22050 == pytest.approx(row.seconds, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a|b", "a,b"),
        ("one | two", "one , two"),
        ("two\nlines", "two lines"),
        ("\r\n a\u2028b\x85c\x0b ", "a b c"),
        ("Fine as it is.", "Fine as it is."),
    ],
)
def test_a_text_is_one_line_without_bars(text: str, line: str) -> None:
    assert table_cell(text) == line


def test_every_row_has_three_columns_whatever_the_text_holds(tmp_path: Path, rt: Runtime) -> None:
    """9 % of the rows of a public dataset have another number, as the text holds `|`."""
    texts = ["Left | right", "a|b|c", "new\nline", "tab\tand \r\n return", '"quoted|text"', "#|#1"]
    clips = recording("a", 30)
    clips[:6] = [clip("a", at + 1, text=text) for at, text in enumerate(texts)]
    folder = write_clips(tmp_path, clips)
    metrics = run(folder, rt)
    for name in ("metadata", *SPLITS):
        rows = table(folder / f"out/{name}.csv")
        assert {len(row) for row in rows} == {3}
        assert all(all(column.strip() for column in row) for row in rows)
    assert len(table(folder / "out/metadata.csv")) == 30
    assert metrics["mended_texts"] == 6


@pytest.mark.slow
def test_coqui_reads_the_folder(tmp_path: Path, rt: Runtime) -> None:
    formatters = pytest.importorskip("TTS.tts.datasets.formatters")
    clips = recording("a", 30)
    clips[3] = clip("a", 4, text="It costs $5 | in all.")
    folder = write_clips(tmp_path, clips)
    run(folder, rt, augment_copies=1)
    rows = rows_of(folder)
    for name in ("metadata", *SPLITS):
        wanted = [row for row in rows if name in ("metadata", row.split)]
        samples = formatters.ljspeech(folder / "out", f"{name}.csv")
        # It leaves each line's end on the text.
        assert [sample["text"].rstrip("\n") for sample in samples] == [
            row.normalized for row in wanted
        ]
        paths = [Path(sample["audio_file"]) for sample in samples]
        assert paths == [folder / "out" / row.file_name for row in wanted]
        assert all(path.is_file() for path in paths)


@pytest.mark.parametrize(
    ("reason", "text"), [("no_text", "... !"), ("unknown_symbols", "One hat 😀")]
)
def test_a_text_that_cannot_be_spoken_is_rejected(
    reason: str, text: str, tmp_path: Path, rt: Runtime
) -> None:
    clips = recording("a", 30)
    clips[4] = clip("a", 5, text=text)
    folder = write_clips(tmp_path, clips)
    metrics = run(folder, rt)
    (row,) = read_manifest(folder / "out/rejected.jsonl", Rejection)
    assert (row.id, row.reason, row.value) == ("a-0005", reason, text)
    assert metrics[f"rejected_{reason}"] == 1
    assert len(rows_of(folder)) == 29


# --- splits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [50, 200])
def test_the_shares_are_kept_to_within_a_block(count: int, tmp_path: Path) -> None:
    cfg = section(VoiceDataset, block_seconds=10.0)
    clips = [row for name in "abcd" for row in recording(name, count)]
    for seed in range(5):
        found = split_units(make_units(cfg, clips), 0.8, 0.1, runtime(tmp_path, seed=seed))
        sizes = Counter(found.values())
        for split, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
            assert abs(sizes[split] - share * len(clips)) <= 6, (seed, sizes)


def test_a_block_is_a_stretch_of_neighbours_in_one_split(tmp_path: Path, rt: Runtime) -> None:
    cfg = section(VoiceDataset, block_seconds=9.0, split_by="block")
    clips = [*recording("a", 57), *recording("b", 3)]
    units = make_units(cfg, clips[::-1])
    assert sorted(row.id for unit in units.values() for row in unit) == [row.id for row in clips]
    for unit in units.values():
        numbers = [int(row.id.split("-")[1]) for row in unit]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len({row.recording for row in unit}) == 1
    # Five clips of 2 s reach 9 s; the two clips that are left join the last block.
    assert [len(unit) for unit in units.values()] == [5] * 10 + [7] + [3]
    found = split_units(units, 0.6, 0.2, rt)
    for unit in units.values():
        assert len({found[row.id] for row in unit}) == 1


def test_neighbours_are_in_other_splits_only_where_blocks_meet(tmp_path: Path, rt: Runtime) -> None:
    folder = write_clips(tmp_path, recording("a", 100))
    run(folder, rt, block_seconds=10.0)
    rows = rows_of(folder)
    changes = sum(before.split != after.split for before, after in pairwise(rows))
    # 20 blocks of five: six of them are val and test, with two neighbours each.
    assert 2 <= changes <= 12
    for before, after in pairwise(sorted(rows, key=lambda row: row.start)):
        assert before.end <= after.start


@pytest.mark.slow
def test_enough_recordings_are_split_whole(tmp_path: Path, rt: Runtime) -> None:
    clips = [row for name in "abcdefghij" for row in recording(name, 4)]
    folder = write_clips(tmp_path, clips)
    metrics = run(folder, rt, min_recordings=10)
    assert metrics["units"] == 10
    where: dict[str, set[str]] = {}
    for row in rows_of(folder):
        where.setdefault(row.recording, set()).add(row.split)
    assert all(len(splits) == 1 for splits in where.values())
    assert Counter(split for splits in where.values() for split in splits) == {
        "train": 7,
        "val": 1,
        "test": 2,
    }
    assert run(folder, rt, "blocks", min_recordings=11)["units"] == 20
    assert run(folder, rt, "forced", min_recordings=11, split_by="recording")["units"] == 10


def test_what_is_said_in_train_too_is_counted(tmp_path: Path, rt: Runtime) -> None:
    clips = [clip("a", at, text="The same again.") for at in range(1, 31)]
    folder = write_clips(tmp_path, clips)
    metrics = run(folder, rt)
    assert metrics["texts_in_train_too"] == metrics["val"] + metrics["test"] > 0


@pytest.mark.parametrize(
    ("clips", "changes", "says"),
    [
        (recording("a", 30), {"train_share": 0.9, "val_share": 0.1}, "leave nothing for test"),
        (
            recording("a", 4),
            {},
            "4 clips in 2 recordings or blocks: 0 in the val split, and voice_train needs 1",
        ),
        ([clip("a", 1, language="nl")], {}, "language 'nl': no table"),
        ([clip("a", 1, text="...")], {}, "1 of 1 items rejected"),
    ],
)
def test_what_makes_no_dataset_is_one_line(
    tmp_path: Path, rt: Runtime, clips: list[Clip], changes: dict[str, Any], says: str
) -> None:
    folder = write_clips(tmp_path, clips)
    with pytest.raises(LikenessError, match=says) as caught:
        run(folder, rt, **changes)
    assert "\n" not in str(caught.value)
    assert not (folder / "out" / "manifest.jsonl").exists()


# --- variations -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_train_rows_have_copies(tmp_path: Path, rt: Runtime) -> None:
    folder = write_clips(tmp_path, recording("a", 40))
    plain = run(folder, rt, "plain")
    metrics = run(folder, rt, augment_copies=2)
    rows = {row.id: row for row in rows_of(folder)}
    copies = [row for row in rows.values() if row.augmented_from]
    assert {row.split for row in copies} == {"train"}
    assert len(copies) == metrics["augmented"] == 2 * plain["train"]
    assert metrics["train"] == 3 * plain["train"]
    assert (metrics["val"], metrics["test"]) == (plain["val"], plain["test"])
    for row in copies:
        source = rows[row.augmented_from]
        assert re.fullmatch(rf"{source.id}-a[12]", row.id)
        assert (source.split, source.augmented_from, source.text) == ("train", "", row.text)
        assert (folder / "out" / row.file_name).read_bytes() != (
            folder / "out" / source.file_name
        ).read_bytes()
        assert row.seconds == pytest.approx(source.seconds, rel=0.06)
    files = files_of(folder / "out")
    for name, data in files_of(folder / "plain").items():
        if name.startswith("wavs/"):
            assert files[name] == data


@pytest.mark.slow
@pytest.mark.plots
def test_outputs_do_not_depend_on_the_store_but_on_the_seed(tmp_path: Path) -> None:
    folder = write_clips(tmp_path, recording("a", 30))
    run(folder, runtime(tmp_path / "c1"), "one", augment_copies=1)
    run(folder, runtime(tmp_path / "c1"), "two", augment_copies=1)
    run(folder, runtime(tmp_path / "c2"), "three", augment_copies=1)
    run(folder, runtime(tmp_path / "c1", seed=8), "other", augment_copies=1)
    for name in ("two", "three"):
        assert files_of(folder / "one") == files_of(folder / name)
        assert files_of(folder / "one_plots") == files_of(folder / f"{name}_plots")
    assert files_of(folder / "one") != files_of(folder / "other")


@pytest.mark.slow
def test_outputs_do_not_depend_on_workers(tmp_path: Path) -> None:
    folder = write_clips(tmp_path, recording("a", 80))
    run(folder, runtime(tmp_path / "c1"), "one", augment_copies=1)
    run(folder, runtime(tmp_path / "c2", workers=2), "two", augment_copies=1)
    assert files_of(folder / "one") == files_of(folder / "two")


def test_a_pattern_of_recordings_gives_one_speaker_s_dataset(tmp_path: Path, rt: Runtime) -> None:
    clips = [*recording("anna_1", 12), *recording("anna_2", 12), *recording("bert_1", 12)]
    write_clips(tmp_path, clips)
    assert run(tmp_path, rt, recordings="anna_*")["clips"] == 24
    rows = read_manifest(tmp_path / "out" / "manifest.jsonl", Utterance)
    assert {row.recording for row in rows} == {"anna_1", "anna_2"}
    with pytest.raises(
        LikenessError, match=r"carl matches no recording .*are anna_1, anna_2, bert_1"
    ):
        run(tmp_path, rt, "none", recordings="carl")
