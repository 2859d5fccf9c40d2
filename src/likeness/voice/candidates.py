"""Recordings cut into clips of whole sentences, before anything is measured on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.items import map_items
from likeness.common.manifest import read_manifest
from likeness.common.result import Result
from likeness.common.runtime import Runtime
from likeness.voice.audio import encode, read
from likeness.voice.cuts import Cutter, Limits, find_gaps, refine
from likeness.voice.levels import HOP, Pause, find_pauses, frame_levels, speech_level
from likeness.voice.quality import compression_ratio
from likeness.voice.rows import Recording, Region, RejectedClip, Transcript, Word

Array = np.ndarray


@dataclass(frozen=True)
class Candidate:
    """A clip before it was measured.

    Attributes:
        language_probability: the least among its transcripts.
        compression_ratio: the largest among its transcripts and its own text.
        level: dB of full scale of its recording's speech.
        audio: its samples in the store.
    """

    id: str
    recording: str
    start: float
    end: float
    text: str
    words: list[Word]
    language: str
    language_probability: float
    compression_ratio: float
    level: float
    audio: Path

    @property
    def seconds(self) -> float:
        return round(self.end - self.start, 3)

    def rejected(
        self, reason: str, value: Any, measure: str = "", threshold: Any = None
    ) -> RejectedClip:
        return RejectedClip(
            id=self.id,
            reason=reason,
            value=value,
            threshold=threshold,
            measure=measure,
            recording=self.recording,
            start=self.start,
            end=self.end,
            text=self.text,
        )


def cut_all(
    limits: Limits, *, recordings: Path, transcripts: Path, rt: Runtime
) -> tuple[list[Candidate], list[RejectedClip]]:
    """Every recording's clips by time, and a rejection for each recording that cannot be cut."""
    rows = read_manifest(recordings / "manifest.jsonl", Recording)
    regions = read_manifest(recordings / "regions.jsonl", Region)
    spoken = {row.id: row for row in read_manifest(transcripts / "words.jsonl", Transcript)}
    items: dict[str, dict[str, Any]] = {
        row.id: {"audio": recordings / row.file_name, "regions": []} for row in rows
    }
    for region in sorted(regions, key=lambda row: (row.recording, row.start)):
        transcript = spoken.get(region.id)
        found = transcript.model_dump() if transcript else None
        items[region.recording]["regions"].append(
            {"start": region.start, "end": region.end, "transcript": found}
        )
    cut = partial(cut_recordings, limits=limits)
    stored, failed = map_items(cut, items, what="voice_cuts", rt=rt, workers=rt.workers)
    candidates: list[Candidate] = []
    for name, found in stored.items():
        for number, values in enumerate(found.record["clips"], start=1):
            words = [Word(**word) for word in values.pop("words")]
            candidates.append(
                Candidate(
                    id=f"{name}-{number:04d}",
                    recording=name,
                    words=words,
                    level=found.record["level"],
                    audio=found.folder / f"{number:04d}.flac",
                    **values,
                )
            )
    lengths = {row.id: row.seconds for row in rows}
    return candidates, [
        RejectedClip(
            **row.model_dump(),
            measure="",
            recording=row.id,
            start=0.0,
            end=lengths[row.id],
            text="",
        )
        for row in failed
    ]


def cut_recordings(payloads: Sequence[Mapping[str, Any]], *, limits: Limits) -> list[Result]:
    """The clips of each recording: `0001.flac` and so on, with text and words, by time.

    A payload has `audio` and its `regions` in order, each with `start`, `end` and `transcript` (the
    fields of a `Transcript`, or None where it was rejected). A region that was transcribed without a
    word is a clip without words, for the caller to set aside.
    """
    return [_cut_recording(payload["audio"], payload["regions"], limits) for payload in payloads]


def _cut_recording(audio: Path, regions: Sequence[Mapping[str, Any]], limits: Limits) -> Result:
    samples, rate = read(audio)
    levels = frame_levels(samples, rate)
    seconds = len(samples) / rate
    heard = [region["transcript"] for region in regions if region["transcript"]]
    words = [Word(**word) for transcript in heard for word in transcript["words"]]
    origin = [transcript for transcript in heard for _ in transcript["words"]]
    times = [(region["start"], region["end"]) for region in regions]
    pauses = find_pauses(levels, limits.min_pause)
    pauses += _between(times, pauses)
    gaps = find_gaps(words, pauses, seconds)
    words = refine(words, gaps)
    clips = [
        _values(
            span.start,
            span.end,
            words[span.first : span.last + 1],
            origin[span.first : span.last + 1],
        )
        for span in Cutter(words, gaps, seconds, limits).spans()
    ]
    for region in regions:
        if region["transcript"] and not region["transcript"]["words"]:
            clips.append(_values(region["start"], region["end"], [], [region["transcript"]]))
    clips.sort(key=lambda clip: (clip["start"], clip["end"]))
    files = {
        f"{number:04d}.flac": encode(
            samples[round(clip["start"] * rate) : round(clip["end"] * rate)], rate, "FLAC"
        )
        for number, clip in enumerate(clips, start=1)
    }
    return Result({"level": round(_level(levels, times), 2), "clips": clips}, files)


def _between(times: Sequence[tuple[float, float]], pauses: Sequence[Pause]) -> list[Pause]:
    """The time between two speech regions where no pause was found by its level."""
    found = []
    for (_, end), (start, _) in pairwise(times):
        if start > end and not any(one.start < start and one.end > end for one in pauses):
            found.append(Pause(end, start, (start + end) / 2))
    return found


def _level(levels: Array, times: Sequence[tuple[float, float]]) -> float:
    speech = [levels[round(start / HOP) : round(end / HOP)] for start, end in times]
    return speech_level(np.concatenate(speech) if times else levels)


def _values(
    start: float, end: float, words: Sequence[Word], origin: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The fields of a `Candidate` that do not depend on its place among others."""
    text = " ".join(word.word for word in words)
    ratios = [compression_ratio(text), *(one["compression_ratio"] for one in origin)]
    languages = [one["language"] for one in origin]
    return {
        "start": start,
        "end": end,
        "text": text,
        "words": [word.model_dump() for word in words],
        "language": max(sorted(set(languages)), key=languages.count),
        "language_probability": min(one["language_probability"] for one in origin),
        "compression_ratio": round(max(ratios), 3),
    }
