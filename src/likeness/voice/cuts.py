"""Cuts recordings in the pauses between words, so that no word is split or lost.

Whisper's word times are off by a few tenths of a second, so they only tell which words a pause lies
between. Where the pause begins and ends is measured on the energy of the recording.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from likeness.common.result import Result
from likeness.voice.audio import encode, read
from likeness.voice.levels import HOP, Pause, find_pauses, levels_of, speech_level
from likeness.voice.streams import blocks, length
from likeness.voice.words import Word, ends_clause

Array = np.ndarray

DRIFT = 0.3  # seconds, largest distance of a pause from the gap between two words' times
COMMA = 0.15  # seconds added to a pause after a comma when a sentence's longest is chosen


@dataclass(frozen=True)
class Span:
    """Words `first` to `last` (inclusive) of a recording, and the clip that holds them, in seconds."""

    first: int
    last: int
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


class ClipLimits(BaseModel):
    """Limits of a clip, all in seconds.

    Attributes:
        min_seconds, max_seconds: length of a clip.
        join_seconds: a sentence shorter than this is joined with a neighbour.
        min_pause: no cut is made in a shorter pause.
        max_pause: a cut is always made in a longer pause.
        padding: the most silence kept before the first word and after the last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    min_seconds: Annotated[float, Field(gt=0)]
    max_seconds: Annotated[float, Field(gt=0, le=30)]
    join_seconds: Annotated[float, Field(ge=0)]
    min_pause: Annotated[float, Field(gt=0)]
    max_pause: Annotated[float, Field(gt=0)]
    padding: Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Gap:
    """What lies between two words: the pause after the first and the pause before the second.

    Usually these are the same pause. If not, there is a sound without words between them.
    """

    after: Pause
    before: Pause

    @property
    def seconds(self) -> float:
        return self.before.end - self.after.start


def find_gaps(
    words: Sequence[Word], pauses: Sequence[Pause], seconds: float, ends: Sequence[bool]
) -> dict[int, Gap]:
    """The gap after each word that a pause follows, by the word's index; -1 is before the first word.

    A pause belongs to the two words between whose times it lies, or else to the nearest two within
    `DRIFT`. If several belong to the same words, the longest is used on each side. A pause farther
    away lies inside a word and is ignored.

    Args:
        words: the words of a recording, in order.
        pauses: its pauses.
        seconds: its length.
        ends: for each word, whether a sentence ends with it.
    """
    if not words:
        return {}
    starts = np.array([0.0, *(word.end for word in words)])
    stops = np.array([*(word.start for word in words), seconds])
    stops = np.maximum(stops, starts)
    there: dict[int, list[Pause]] = {}
    for pause in pauses:
        apart = np.maximum(np.maximum(starts - pause.end, pause.start - stops), 0)
        centre = (pause.start + pause.end) / 2

        def rank(at: int, centre: float = centre) -> tuple[bool, float]:
            sentence = at == 0 or ends[at - 1]
            return not sentence, abs((starts[at] + stops[at]) / 2 - centre)

        if apart.min() <= DRIFT:
            at = min(np.flatnonzero(apart <= apart.min() + HOP).tolist(), key=rank)
            there.setdefault(at - 1, []).append(pause)
    found = {
        at: Gap(_longest(group, starts[at + 1]), _longest(group, stops[at + 1]))
        for at, group in there.items()
    }
    return _in_order(found)


def _longest(pauses: Sequence[Pause], time: float) -> Pause:
    """The longest pause within `DRIFT` of a time in seconds, or the nearest if there is none."""

    def apart(pause: Pause) -> float:
        return max(pause.start - time, time - pause.end, 0.0)

    near = [pause for pause in pauses if apart(pause) <= DRIFT]
    return max(near, key=lambda pause: pause.seconds) if near else min(pauses, key=apart)


def _in_order(gaps: Mapping[int, Gap]) -> dict[int, Gap]:
    """The gaps that follow each other in time as their words do; of two that overlap, the longer."""
    kept: list[tuple[int, Gap]] = []
    for at, gap in sorted(gaps.items()):
        if gap.before.end < gap.after.start:
            continue
        while (
            kept and gap.after.start < kept[-1][1].before.end and gap.seconds > kept[-1][1].seconds
        ):
            kept.pop()
        if not kept or gap.after.start >= kept[-1][1].before.end:
            kept.append((at, gap))
    return dict(kept)


def refine(words: Sequence[Word], gaps: Mapping[int, Gap]) -> list[Word]:
    """The words, whose times next to a pause are replaced by the pause's own start and end."""
    refined = []
    for at, word in enumerate(words):
        start = gaps[at - 1].before.end if at - 1 in gaps else word.start
        end = gaps[at].after.start if at in gaps else word.end
        times = {"start": round(start, 3), "end": round(max(start, end), 3)}
        refined.append(word.model_copy(update=times))
    return refined


class Cutter:
    """Divides the words of a recording into clips at some of its pauses.

    Every word is in exactly one span; the caller rejects the spans that break the limits. A sentence
    that is too long is divided at its longest pause until every part is short enough, as in Emilia
    (He et al. 2024). A sentence without a pause stays whole: cuts are made nowhere else.
    """

    def __init__(
        self,
        words: Sequence[Word],
        gaps: Mapping[int, Gap],
        seconds: float,
        ends: Sequence[bool],
        limits: ClipLimits,
    ) -> None:
        """Arguments are as in `find_gaps`, with words from `refine` and the gaps that were found."""
        self._words, self._gaps, self._limits = words, gaps, limits
        self._seconds, self._ends = seconds, ends

    def spans(self) -> list[Span]:
        if not self._words:
            return []
        spans: list[Span] = []
        for first, last in self._split_where(0, len(self._words) - 1, self._must_cut):
            pieces: list[Span] = []
            for sentence in self._split_where(first, last, self._ends_sentence):
                pieces += self._divide(*sentence)
            spans += self._join(pieces)
        return spans

    def _must_cut(self, at: int) -> bool:
        return at in self._gaps and self._gaps[at].seconds > self._limits.max_pause

    def _ends_sentence(self, at: int) -> bool:
        return at in self._gaps and self._ends[at]

    @staticmethod
    def _split_where(first: int, last: int, cut: Callable[[int], bool]) -> list[tuple[int, int]]:
        starts = [first, *(at + 1 for at in range(first, last) if cut(at))]
        return [(a, b - 1) for a, b in zip(starts, [*starts[1:], last + 1], strict=True)]

    def _span(self, first: int, last: int) -> Span:
        """The clip of words `first` to `last`, padded up to `padding` but not past other cuts."""
        start, end = self._words[first].start, self._words[last].end
        before = self._gaps[first - 1].before.cut if first - 1 in self._gaps else 0.0
        after = self._gaps[last].after.cut if last in self._gaps else self._seconds
        padding = self._limits.padding
        return Span(
            first,
            last,
            round(max(before, start - padding, 0.0), 3),
            round(min(after, end + padding, self._seconds), 3),
        )

    def _divide(self, first: int, last: int) -> list[Span]:
        """A sentence as it is, or divided at its longest pauses until every part is short enough."""
        whole = self._span(first, last)
        if whole.seconds <= self._limits.max_seconds:
            return [whole]
        inside = [at for at in range(first, last) if at in self._gaps]
        if not inside:
            return [whole]

        def worth(at: int) -> tuple[bool, float]:
            parts = self._span(first, at), self._span(at + 1, last)
            usable = min(part.seconds for part in parts) >= self._limits.min_seconds
            comma = COMMA if ends_clause(self._words[at].word) else 0.0
            return usable, self._gaps[at].seconds + comma

        at = max(inside, key=worth)
        return self._divide(first, at) + self._divide(at + 1, last)

    def _join(self, pieces: list[Span]) -> list[Span]:
        """Join short pieces, the shortest first, to the nearer neighbour, if the result fits."""
        pieces = list(pieces)
        while True:
            options = [
                (piece.seconds, self._gaps[pieces[left].last].seconds, left)
                for number, piece in enumerate(pieces)
                if piece.seconds < self._limits.join_seconds
                for left in (number - 1, number)
                if 0 <= left < len(pieces) - 1
                and self._span(pieces[left].first, pieces[left + 1].last).seconds
                <= self._limits.max_seconds
            ]
            if not options:
                return pieces
            _, _, left = min(options)
            joined = self._span(pieces[left].first, pieces[left + 1].last)
            pieces[left : left + 2] = [joined]


def cut_recordings(payloads: Sequence[Mapping[str, Any]], *, limits: ClipLimits) -> list[Result]:
    """The clips of each recording in order of time: `0001.flac` and so on, with their words.

    A payload has `audio` and its `regions` in order, each with `start`, `end`, `transcript` (the
    fields of a `Transcript`, or None where it was rejected) and `sentence_ends` (for each word, whether
    a sentence ends with it). A region whose transcript has no words becomes a clip without words,
    which the caller rejects.
    """
    return [_cut_recording(payload["audio"], payload["regions"], limits) for payload in payloads]


def _cut_recording(audio: Path, regions: Sequence[Mapping[str, Any]], limits: ClipLimits) -> Result:
    seconds, rate = length(audio)
    levels = levels_of(blocks(audio, rate), rate)
    heard = [region["transcript"] for region in regions if region["transcript"]]
    words = [Word(**word) for transcript in heard for word in transcript["words"]]
    origin = [transcript for transcript in heard for _ in transcript["words"]]
    ends = [end for region in regions for end in region["sentence_ends"]]
    times = [(region["start"], region["end"]) for region in regions]
    pauses = find_pauses(levels, limits.min_pause)
    pauses += _between(times, pauses)
    gaps = find_gaps(words, pauses, seconds, ends)
    words = refine(words, gaps)
    clips = [
        _values(
            span.start,
            span.end,
            words[span.first : span.last + 1],
            origin[span.first : span.last + 1],
        )
        for span in Cutter(words, gaps, seconds, ends, limits).spans()
    ]
    for region in regions:
        if region["transcript"] and not region["transcript"]["words"]:
            clips.append(_values(region["start"], region["end"], [], [region["transcript"]]))
    clips.sort(key=lambda clip: (clip["start"], clip["end"]))
    files = {
        f"{number:04d}.flac": encode(*read(audio, clip["start"], clip["end"]), "FLAC")
        for number, clip in enumerate(clips, start=1)
    }
    return Result({"level": round(_level(levels, times), 2), "clips": clips}, files)


def _between(times: Sequence[tuple[float, float]], pauses: Sequence[Pause]) -> list[Pause]:
    """The times between speech regions in which `find_pauses` found no pause."""
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
    """The fields of a `Candidate` that can be computed for one clip alone."""
    languages = [one["language"] for one in origin]
    return {
        "start": start,
        "end": end,
        "words": [word.model_dump() for word in words],
        "language": max(sorted(set(languages)), key=languages.count),
        "language_probability": min(one["language_probability"] for one in origin),
        "compression_ratio": max(one["compression_ratio"] for one in origin),
    }
