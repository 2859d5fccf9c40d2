"""Cuts recordings into clips of whole sentences, which have not been measured yet."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from likeness.common.items import map_items
from likeness.common.manifest import read_manifest
from likeness.common.runtime import Runtime
from likeness.voice.cuts import ClipLimits, cut_recordings
from likeness.voice.repetition import compression_ratio
from likeness.voice.rows import Recording, Region, RejectedClip, Transcript
from likeness.voice.tables.all import ABBREVIATIONS
from likeness.voice.words import Word, ends_sentence


@dataclass(frozen=True)
class Candidate:
    """A clip that has not been measured yet.

    Attributes:
        language_probability: the lowest among its transcripts.
        compression_ratio: the highest among its transcripts and its own text.
        heard: the text as it was recognised; `text` is that, or a person's correction.
        level: speech level of its recording, in dB relative to full scale.
        audio: its FLAC file in the store.
    """

    id: str
    recording: str
    start: float
    end: float
    heard: str
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
            heard=self.heard,
            text=self.text,
        )


def cut_all(
    limits: ClipLimits, *, recordings: Path, transcripts: Path, rt: Runtime
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
        words = transcript.words if transcript else []
        items[region.recording]["regions"].append(
            {
                "start": region.start,
                "end": region.end,
                "transcript": transcript.model_dump() if transcript else None,
                "sentence_ends": [ends_sentence(word.word, ABBREVIATIONS) for word in words],
            }
        )
    cut = partial(cut_recordings, limits=limits)
    stored, failed = map_items(cut, items, what="voice_cuts", rt=rt, workers=rt.workers)
    candidates: list[Candidate] = []
    for name, found in stored.items():
        for number, values in enumerate(found.record["clips"], start=1):
            words = [Word(**word) for word in values.pop("words")]
            text = " ".join(word.word for word in words)
            ratio = max(compression_ratio(text), values.pop("compression_ratio"))
            candidates.append(
                Candidate(
                    id=f"{name}-{number:04d}",
                    recording=name,
                    heard=text,
                    text=text,
                    words=words,
                    compression_ratio=round(ratio, 3),
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
            heard="",
            text="",
        )
        for row in failed
    ]
