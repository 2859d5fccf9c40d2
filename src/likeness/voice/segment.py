"""Recordings of any format converted to one form of audio, and the regions of speech in them."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from likeness.common import figures
from likeness.common.items import Stored, map_all, map_items
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    write_manifest,
    write_rejected,
)
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.voice.listing import list_recordings, source_of, told
from likeness.voice.prints import print_recordings, shared_frames
from likeness.voice.rows import Recording, Region
from likeness.voice.vad import segment_recordings

REASONS = (
    "empty_file",
    "not_audio",
    "truncated",
    "not_finite",
    "too_short",
    "no_speech",
    "duplicate",
    "error",
)
COPIED = 0.75  # share of the shorter recording that must be in the longer one to make it a copy


class VoiceSegment(Section):
    sample_rate: Annotated[int, Field(ge=8000, le=48000)]
    min_recording_seconds: Annotated[float, Field(ge=0)]
    loudness: Annotated[float, Field(ge=-70, le=0)]
    peak: Annotated[float, Field(ge=-20, le=0)]
    vad_threshold: Annotated[float, Field(gt=0, lt=1)]
    min_speech_seconds: Annotated[float, Field(ge=0)]
    min_silence_seconds: Annotated[float, Field(ge=0)]
    max_seconds: Annotated[float, Field(ge=2, le=29)]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def segment(
    cfg: VoiceSegment,
    *,
    recordings: Path,
    downloads: Path,
    out_dir: Path,
    plots_dir: Path,
    rt: Runtime,
) -> dict[str, float]:
    """Open every recording and find the speech in it.

    Recordings are the files of `recordings`, but for hidden ones, texts, covers and playlists, and
    the rows of the manifest in `downloads`. Writes to `out_dir`: `audio/` (FLAC), `manifest.jsonl`
    (a `Recording` a row), `regions.jsonl` (a `Region` a row) and `rejected.jsonl`; to `plots_dir`:
    timelines and lengths.

    Raises:
        LikenessError: no recordings, none with speech, or more than `max_rejected_share` rejected.
    """
    sources, beside = list_recordings(recordings, downloads)
    if beside:
        rt.log(f"voice_segment: {recordings}: {told(beside)} beside the recordings are ignored")
    listen = partial(segment_recordings, **cfg.model_dump(exclude={"max_rejected_share"}))
    # FFmpeg recognises headerless formats by their suffix, so the suffix counts as content.
    payloads = {
        name: {"path": path, "suffix": path.suffix.lower()} for name, path in sources.items()
    }
    stored, rejected = map_items(listen, payloads, what="voice_segment", rt=rt, workers=rt.workers)
    copies = find_copies(stored, {name: path.stat().st_size for name, path in sources.items()}, rt)
    rejected += [Rejection(id=name, reason="duplicate", value=of) for name, of in copies.items()]
    kept: list[Recording] = []
    regions: list[Region] = []
    for name, item in stored.items():
        if name in copies:
            continue
        record = dict(item.record)
        spans = record.pop("regions")
        source = source_of(sources[name], recordings, downloads)
        file_name = f"audio/{name}.flac"
        item.link("audio.flac", out_dir / file_name)
        kept.append(Recording(id=name, file_name=file_name, source=source, **record))
        if tracks := record["other_tracks"]:
            rt.log(f"voice_segment: {source}: audio tracks that are not used: {'; '.join(tracks)}")
        regions += [
            Region(id=f"{name}-{number:04d}", recording=name, start=start, end=end)
            for number, (start, end) in enumerate(spans, start=1)
        ]
    check_rejected_share(str(recordings), rejected, len(sources), cfg.max_rejected_share)
    if not kept:
        check_rejected_share(str(recordings), rejected, len(sources), 0)
    _draw(plots_dir, kept, regions)
    counts = write_rejected(out_dir, rejected, REASONS)
    write_manifest(out_dir / "regions.jsonl", regions)
    write_manifest(out_dir / "manifest.jsonl", kept)
    seconds = sum(row.seconds for row in kept)
    speech = sum(row.end - row.start for row in regions)
    return {
        "recordings": len(kept),
        "seconds": round(seconds, 2),
        "regions": len(regions),
        "speech_seconds": round(speech, 2),
        "speech_ratio": round(speech / seconds, 4),
        **counts,
    }


def find_copies(
    stored: Mapping[str, Stored], sizes: Mapping[str, int], rt: Runtime
) -> dict[str, str]:
    """The recordings that are copies of another one, each with the one that is kept.

    `COPIED` of the shorter one must be in the other. The longer one is kept, and of two that are
    equally long the larger file, which was compressed less.
    """
    audio = {name: item.folder / "audio.flac" for name, item in stored.items()}
    found = map_all(
        print_recordings,
        audio,
        problem="cannot be compared with others",
        what="voice_prints",
        rt=rt,
        workers=rt.workers,
    )
    prints = {
        name: np.frombuffer(item.read("prints.u32"), "<u4").astype(np.uint32)
        for name, item in found.items()
    }
    copies: dict[str, str] = {}
    for pair, frames in sorted(shared_frames(prints).items()):
        shorter, longer = sorted(map(len, map(prints.__getitem__, pair)))
        if frames >= COPIED * shorter and not copies.keys() & set(pair):
            lengths = {name: len(prints[name]) for name in pair}
            rank = sizes if frames >= COPIED * longer else lengths
            copy, kept = sorted(pair, key=lambda name: (rank[name], name == pair[0]))
            copies[copy] = kept
    return copies


def _draw(plots_dir: Path, recordings: Sequence[Recording], regions: Sequence[Region]) -> None:
    rows = recordings[:60]
    height = 0.3 * len(rows) + 1.2
    with figures.figure(plots_dir / "timelines.png", size=(10, height)) as axis:
        for at, row in enumerate(rows):
            spans = [
                (region.start, region.end - region.start)
                for region in regions
                if region.recording == row.id
            ]
            axis.broken_barh([(0, row.seconds)], (at - 0.04, 0.08), color=figures.QUIET)
            axis.broken_barh(spans, (at - 0.35, 0.7), color=figures.ACCENT)
        axis.set_yticks(range(len(rows)), [row.id for row in rows])
        axis.invert_yaxis()
        more = (
            f", the first {len(rows)} of {len(recordings)}" if len(rows) < len(recordings) else ""
        )
        axis.set(xlabel="seconds", title=f"Speech in the recordings{more}")
    with figures.figure(plots_dir / "lengths.png", size=(6, 3.5)) as axis:
        axis.hist([region.end - region.start for region in regions], bins=30, color=figures.ACCENT)
        axis.set(xlabel="seconds", ylabel="regions", title="Length of the regions of speech")
