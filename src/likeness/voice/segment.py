"""From recordings as they come to one form of audio, and where in it somebody speaks."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.items import map_items
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    count_reasons,
    read_manifest,
    write_manifest,
)
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.voice.rows import SCRIPT, Download, Recording, Region
from likeness.voice.vad import segment_recordings

REASONS = ("empty_file", "not_audio", "truncated", "too_short", "no_speech", "duplicate", "error")


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

    Each file of `recordings` but `script.jsonl` counts as one, and each row of the manifest in
    `downloads`. Writes to `out_dir`: `audio/` (FLAC), `manifest.jsonl` (a `Recording` a row),
    `regions.jsonl` (a `Region` a row) and `rejected.jsonl`; to `plots_dir`: timelines and lengths.

    Raises:
        LikenessError: no recordings, none with speech, or more than `max_rejected_share` rejected.
    """
    sources = list_recordings(recordings, downloads)
    listen = partial(segment_recordings, **cfg.model_dump(exclude={"max_rejected_share"}))
    # FFmpeg knows headerless formats by the end of their name, so that is part of the content.
    payloads = {
        name: {"path": path, "suffix": path.suffix.lower()} for name, path in sources.items()
    }
    stored, rejected = map_items(listen, payloads, what="voice_segment", rt=rt, workers=rt.workers)
    kept: list[Recording] = []
    regions: list[Region] = []
    first: dict[str, str] = {}
    for name, item in stored.items():
        record = dict(item.record)
        spans = record.pop("regions")
        original = first.setdefault(record.pop("sha256"), name)
        if original != name:
            rejected.append(Rejection(id=name, reason="duplicate", value=original))
            continue
        source = _source(sources[name], recordings, downloads)
        file_name = f"audio/{name}.flac"
        item.link("audio.flac", out_dir / file_name)
        kept.append(Recording(id=name, file_name=file_name, source=source, **record))
        regions += [
            Region(id=f"{name}-{number:04d}", recording=name, start=start, end=end)
            for number, (start, end) in enumerate(spans, start=1)
        ]
    check_rejected_share(str(recordings), rejected, len(sources), cfg.max_rejected_share)
    if not kept:
        check_rejected_share(str(recordings), rejected, len(sources), 0)
    _draw(plots_dir, kept, regions)
    write_manifest(out_dir / "rejected.jsonl", rejected)
    write_manifest(out_dir / "regions.jsonl", regions)
    write_manifest(out_dir / "manifest.jsonl", kept)
    seconds = sum(row.seconds for row in kept)
    speech = sum(row.end - row.start for row in regions)
    reasons = count_reasons(rejected)
    return {
        "recordings": len(kept),
        "seconds": round(seconds, 2),
        "regions": len(regions),
        "speech_seconds": round(speech, 2),
        "speech_ratio": round(speech / seconds, 4),
        **{f"rejected_{reason}": reasons.get(reason, 0) for reason in REASONS},
    }


def list_recordings(recordings: Path, downloads: Path) -> dict[str, Path]:
    """Every file that should be a recording, by the id made of its name.

    Raises:
        LikenessError: the folder is not there, or there is nothing in either.
    """
    if not recordings.is_dir():
        raise LikenessError(f"{recordings}: no such folder; inputs.recordings names it")
    stems = {
        path: path.relative_to(recordings).with_suffix("").as_posix()
        for path in recordings.rglob("*")
        if path.is_file() and path.name != SCRIPT
    }
    fetched = read_manifest(downloads / "manifest.jsonl", Download)
    stems |= {downloads / row.file_name: row.id for row in fetched}
    if not stems:
        raise LikenessError(f"{recordings}: no files; put recordings there, of any audio format")
    slugs = {path: _slug(stem) for path, stem in stems.items()}
    shared = Counter(slugs.values())
    named: dict[str, Path] = {}
    for path, slug in slugs.items():
        # `a.wav` and `a.mp3` are two recordings.
        source = _source(path, recordings, downloads)
        mark = f"-{sha256(source.encode()).hexdigest()[:6]}" if shared[slug] > 1 else ""
        named[slug + mark] = path
    return dict(sorted(named.items()))


def _source(path: Path, recordings: Path, downloads: Path) -> str:
    """The path under whichever of the folders it is in."""
    folder = recordings if path.is_relative_to(recordings) else downloads
    return path.relative_to(folder).as_posix()


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name).strip("_") or "recording"


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
