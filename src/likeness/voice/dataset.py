"""Turns clips into an LJSpeech folder, split so that test clips are not heard in training."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError, shortened
from likeness.common.io import write_text
from likeness.common.items import Stored, map_all, map_items
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    read_manifest,
    write_manifest,
    write_rejected,
)
from likeness.common.needs import check_needs
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.common.sampling import SPLITS, split_by_share
from likeness.voice.augment import augment_clips, convert_clips
from likeness.voice.languages import check_language
from likeness.voice.needs import ADVICE, NEEDS
from likeness.voice.rows import Clip, Utterance
from likeness.voice.text import normalize, unspoken_reason

REASONS = ("no_text", "unknown_symbols", "error")


class VoiceDataset(Section):
    recordings: Annotated[str, Field(min_length=1)]
    sample_rate: Annotated[int, Field(ge=8000, le=48000)]
    train_share: Annotated[float, Field(gt=0, lt=1)]
    val_share: Annotated[float, Field(gt=0, lt=1)]
    split_by: Literal["auto", "recording", "block"]
    min_recordings: Annotated[int, Field(ge=3)]
    block_seconds: Annotated[float, Field(gt=0)]
    augment_copies: Annotated[int, Field(ge=0)]
    augment_speed: Annotated[float, Field(ge=0, lt=0.5)]
    augment_noise_db: float
    augment_gain_db: Annotated[float, Field(ge=0)]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def build_dataset(
    cfg: VoiceDataset, *, clips: Path, out_dir: Path, plots_dir: Path, rt: Runtime
) -> dict[str, float]:
    """Normalise the texts, split the clips, convert them to WAV, and augment the train split.

    Writes to `out_dir`: `wavs/` (16-bit mono), `manifest.jsonl` (one `Utterance` per row),
    `rejected.jsonl`, `metadata.csv` (`id|text|normalized`, as LJSpeech) and the same for each split
    as `train.csv`, `val.csv` and `test.csv`. With `split_by: auto`, at least `min_recordings` recordings
    are split whole; fewer are split in blocks of neighbouring clips, which hold about `block_seconds`
    of speech, so that few clips have a neighbour in another split.

    Raises:
        LikenessError: no clip's recording is wanted, a language has no table, there are too few clips for
            three splits, or more than `max_rejected_share` of them were rejected.
    """
    if cfg.train_share + cfg.val_share >= 1:
        raise LikenessError(
            "params.yaml: voice_dataset: train_share and val_share leave nothing for test "
            f"(got {cfg.train_share} + {cfg.val_share}); make their sum less than 1"
        )
    found = clips_of(cfg.recordings, clips / "manifest.jsonl")
    for language in sorted({clip.language for clip in found}):
        check_language(language)
    texts = {clip.id: table_cell(clip.text) for clip in found}
    spoken = {clip.id: normalize(clip.text, clip.language) for clip in found}
    rejected = [
        Rejection(id=clip.id, reason=reason, value=clip.text)
        for clip in found
        if (reason := unspoken_reason(spoken[clip.id]))
    ]
    unspoken = {row.id for row in rejected}
    sources = {clip.id: clip for clip in found if clip.id not in unspoken}
    convert = partial(convert_clips, sample_rate=cfg.sample_rate)
    audio = {name: clips / clip.file_name for name, clip in sources.items()}
    wavs, failed = map_items(
        convert, audio, what="voice_dataset", rt=rt, batch=32, workers=rt.workers
    )
    rejected += failed
    check_rejected_share(str(clips), rejected, len(found), cfg.max_rejected_share)

    units = make_units(cfg, [clip for clip in found if clip.id in wavs])
    splits = split_units(units, cfg.train_share, cfg.val_share, rt)
    what = f"voice_dataset: {len(wavs)} clips in {len(units)} recordings or blocks"
    check_needs(
        what, NEEDS, {split: list(splits.values()).count(split) for split in SPLITS}, ADVICE
    )
    rows, files = [], dict(wavs)
    copies = _augment(cfg, [name for name in wavs if splits[name] == "train"], audio, rt)
    files |= {name: stored for name, (_, stored) in copies.items()}
    origin = {name: source for name, (source, _) in copies.items()}
    for name, stored in files.items():
        clip = sources[origin.get(name, name)]
        rows.append(
            Utterance(
                id=name,
                file_name=f"wavs/{name}.wav",
                text=texts[clip.id],
                normalized=spoken[clip.id],
                recording=clip.recording,
                start=clip.start,
                end=clip.end,
                seconds=stored.record["seconds"],
                split=splits[clip.id],
                augmented_from=origin.get(name, ""),
            )
        )
        stored.link("audio.wav", out_dir / "wavs" / f"{name}.wav")
    rows.sort(key=lambda row: row.id)
    _write_tables(out_dir, rows)
    _draw(plots_dir, rows)
    counts = write_rejected(out_dir, rejected, REASONS)
    write_manifest(out_dir / "manifest.jsonl", rows)
    return {
        "clips": len(found),
        **{split: sum(row.split == split for row in rows) for split in SPLITS},
        **{
            f"seconds_{split}": round(sum(row.seconds for row in rows if row.split == split), 2)
            for split in SPLITS
        },
        "augmented": len(copies),
        "units": len(units),
        "words": sum(len(row.normalized.split()) for row in rows),
        "mended_texts": sum(texts[clip.id] != clip.text for clip in found),
        "texts_in_train_too": _shared_texts(rows),
        **counts,
    }


def clips_of(pattern: str, manifest: Path) -> list[Clip]:
    """The clips of the recordings whose ids match a pattern of the shell, such as `anna_*`."""
    clips = read_manifest(manifest, Clip)
    if found := [clip for clip in clips if fnmatchcase(clip.recording, pattern)]:
        return found
    known = shortened(sorted({clip.recording for clip in clips}))
    raise LikenessError(
        f"params.yaml: voice_dataset.recordings: {pattern} matches no recording with clips; "
        f"there are {known}"
    )


def table_cell(text: str) -> str:
    """The text without what would break a row of the table: `|`, line breaks and tabs."""
    return " ".join(text.replace("|", ",").split())


# --- splits ---------------------------------------------------------------------------------------


def make_units(cfg: VoiceDataset, clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """The units that are assigned to splits, by name: whole recordings, or blocks of clips."""
    recordings: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: (clip.recording, clip.start)):
        recordings.setdefault(clip.recording, []).append(clip)
    enough = len(recordings) >= cfg.min_recordings
    if cfg.split_by == "recording" or (cfg.split_by == "auto" and enough):
        return recordings
    units: dict[str, list[Clip]] = {}
    for name, members in recordings.items():
        for number, block in enumerate(_blocks(members, cfg.block_seconds), start=1):
            units[f"{name}-block-{number:04d}"] = block
    return units


def _blocks(clips: Sequence[Clip], seconds: float) -> list[list[Clip]]:
    """Consecutive clips in blocks of at least `seconds` of speech; a short remainder joins the last."""
    blocks: list[list[Clip]] = [[]]
    for clip in clips:
        if _length(blocks[-1]) >= seconds:
            blocks.append([])
        blocks[-1].append(clip)
    if len(blocks) > 1 and _length(blocks[-1]) < seconds / 2:
        rest = blocks.pop()
        blocks[-1] += rest
    return blocks


def _length(clips: Sequence[Clip]) -> float:
    return sum(clip.end - clip.start for clip in clips)


def split_units(
    units: Mapping[str, Sequence[Clip]], train_share: float, val_share: float, rt: Runtime
) -> dict[str, str]:
    """The split of each clip by id; units are shuffled and never divided."""
    order = sorted(units, key=lambda name: rt.seed_for("split", name))
    split_of = split_by_share(
        {name: _length(units[name]) for name in order}, train_share, val_share
    )
    return {clip.id: split_of[name] for name in order for clip in units[name]}


# --- audio ----------------------------------------------------------------------------------------


def _augment(
    cfg: VoiceDataset, train: Sequence[str], audio: Mapping[str, Path], rt: Runtime
) -> dict[str, tuple[str, Stored]]:
    """For each augmented copy by id: the id of its source clip, and its stored result."""
    items: dict[str, dict[str, Any]] = {}
    origin: dict[str, str] = {}
    for name in train:
        for copy in range(1, cfg.augment_copies + 1):
            identity = f"{name}-a{copy}"
            origin[identity] = name
            items[identity] = {"audio": audio[name], "seed": rt.seed_for("augment", name, copy)}
    vary = partial(
        augment_clips,
        sample_rate=cfg.sample_rate,
        speed=cfg.augment_speed,
        noise_db=cfg.augment_noise_db,
        gain_db=cfg.augment_gain_db,
    )
    stored = map_all(
        vary,
        items,
        problem="cannot be augmented",
        what="voice_augment",
        rt=rt,
        batch=32,
        workers=rt.workers,
    )
    return {name: (origin[name], found) for name, found in stored.items()}


# --- tables and figures ---------------------------------------------------------------------------


def _write_tables(out_dir: Path, rows: Sequence[Utterance]) -> None:
    """Tables as in LJSpeech (three columns, no header, no quoting): all rows, and each split."""

    def table(members: Sequence[Utterance]) -> str:
        return "".join(f"{row.id}|{row.text}|{row.normalized}\n" for row in members)

    write_text(out_dir / "metadata.csv", table(rows))
    for split in SPLITS:
        write_text(out_dir / f"{split}.csv", table([row for row in rows if row.split == split]))


def _shared_texts(rows: Sequence[Utterance]) -> int:
    """The number of val and test rows whose text also occurs in train."""
    train = {row.normalized.lower() for row in rows if row.split == "train"}
    return sum(row.split != "train" and row.normalized.lower() in train for row in rows)


def _draw(plots_dir: Path, rows: Sequence[Utterance]) -> None:
    colours = dict(zip(SPLITS, (figures.INK, figures.QUIET, figures.ACCENT), strict=True))
    with figures.figure(plots_dir / "durations.png", size=(8, 3.2)) as axis:
        axis.hist(
            [[row.seconds for row in rows if row.split == split] for split in SPLITS],
            bins=30,
            stacked=True,
            color=list(colours.values()),
            label=list(colours),
        )
        axis.set(xlabel="seconds", ylabel="rows", title="Length of rows, by split")
        axis.legend(frameon=False)
    with figures.figure(plots_dir / "words.png", 1, 2, (11, 4)) as (left, right):
        words = Counter(
            word.strip(".,;:!?¿¡\"'()-").lower() for row in rows for word in row.normalized.split()
        )
        del words[""]
        figures.bars(left, dict(words.most_common(20)), "The commonest words", most=20)
        for split, colour in colours.items():
            members = [row for row in rows if row.split == split]
            counts = [len(row.normalized.split()) for row in members]
            right.scatter([row.seconds for row in members], counts, s=8, color=colour, label=split)
        right.set(xlabel="seconds", ylabel="words", title="Words by length")
        right.legend(frameon=False)
