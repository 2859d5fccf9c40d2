"""Where a recording is cut: in pauses between words, so that a clip holds whole words and all of them.

Whisper's word times drift by some tenths of a second, so they only say which words a pause lies
between; where it begins and ends is read off the energy of the recording.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from likeness.voice.rows import Word
from likeness.voice.text import ABBREVIATIONS

Array = np.ndarray

HOP = 0.01  # seconds between frames
WINDOW = 0.03  # seconds of a frame
FLOOR = -70.0  # dB of full scale; what is quieter is silence, however quiet
NEIGHBOURHOOD = 4.0  # seconds to either side within which noise and speech levels are taken
QUIET = 0.3  # of the way from the noise level up to the speech level, in dB, a pause begins
DRIFT = 0.3  # seconds by which a pause may miss the gap between two words' times
COMMA = 0.15  # seconds that a comma is worth when the longest pause of a sentence is sought

SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
CLAUSE_ENDS = (",", ";", ":", "—", "–")
CLOSING = "\"'”’»)]"


@dataclass(frozen=True)
class Pause:
    """A stretch without speech, and where in it to cut; seconds in the recording."""

    start: float
    end: float
    cut: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


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


@dataclass(frozen=True)
class Limits:
    """What a clip may be; seconds.

    Attributes:
        min_seconds, max_seconds: length of a clip.
        join_seconds: a sentence shorter than this is joined with a neighbour.
        max_pause: a longer pause is always cut.
        padding: most silence that is left before the first word and after the last.
    """

    min_seconds: float
    max_seconds: float
    join_seconds: float
    max_pause: float
    padding: float


def frame_levels(samples: Array, rate: int) -> Array:
    """Level of each frame in dB of full scale, not below `FLOOR`; frame i is centred at i * `HOP`."""
    size, hop = round(WINDOW * rate), round(HOP * rate)
    half = size // 2
    total = np.concatenate([[0.0], np.cumsum(np.pad(samples.astype(np.float64), half) ** 2)])
    at = np.arange(0, len(samples), hop)
    power = (total[at + 2 * half] - total[at]) / (2 * half)
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10))))


def find_pauses(levels: Array, min_pause: float) -> list[Pause]:
    """Stretches of at least `min_pause` seconds that are quiet beside what is around them.

    The limit between quiet and loud follows the noise (5th percentile of the neighbourhood) and the
    speech (90th), so that a pause is found in a noisy recording as well.
    """
    if not len(levels):
        return []
    noise, speech = _local_levels(levels)
    quiet = levels < noise + QUIET * np.maximum(speech - noise, 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    pauses = []
    for first, after in edges.reshape(-1, 2):
        if (after - first) * HOP >= min_pause:
            pauses.append(Pause(first * HOP, after * HOP, _quietest(levels, first, after) * HOP))
    return pauses


def _local_levels(levels: Array) -> tuple[Array, Array]:
    """Noise and speech level around each frame, (N,) each, read every second and interpolated."""
    half, step = round(NEIGHBOURHOOD / HOP), round(1 / HOP)
    centres = np.arange(0, len(levels) + step, step)
    around = [levels[max(0, at - half) : at + half] for at in centres]
    around = [some if len(some) else levels for some in around]
    low, high = np.array([np.percentile(some, [5, 90]) for some in around]).T
    frames = np.arange(len(levels))
    return np.interp(frames, centres, low), np.interp(frames, centres, high)


def _quietest(levels: Array, first: int, after: int) -> float:
    """The frame to cut at: the quietest 50 ms of a pause's middle half, or else its middle."""
    middle = (first + after - 1) / 2
    quarter = (after - first) / 4
    smooth = np.convolve(np.pad(levels[first:after], 2, "edge"), np.full(5, 0.2), "valid")
    at = np.arange(first, after)
    inside = np.abs(at - middle) <= quarter
    # Half a decibel counts as equal, so that the middle is left only for something to avoid.
    best = smooth[inside].min() + 0.5
    candidates = at[inside & (smooth <= best)]
    return float(candidates[np.abs(candidates - middle).argmin()])


def place_pauses(words: Sequence[Word], pauses: Sequence[Pause]) -> dict[int, Pause]:
    """The pause after word i, by i, for each gap between words that has one.

    A pause belongs to the gap that its middle is nearest to by the words' times, if within `DRIFT`;
    of several in one gap the longest counts. What is left over is a stop inside a word.
    """
    if len(words) < 2:
        return {}
    starts = np.array([word.end for word in words[:-1]])
    ends = np.maximum(np.array([word.start for word in words[1:]]), starts)
    placed: dict[int, Pause] = {}
    for pause in pauses:
        apart = np.maximum(np.maximum(starts - pause.end, pause.start - ends), 0)
        centre = (pause.start + pause.end) / 2
        # Among gaps that it overlaps, the one with a sentence's end, then the nearest.
        order = sorted(
            np.flatnonzero(apart <= apart.min() + HOP),
            key=lambda at: (
                not ends_sentence(words[at].word),
                abs((starts[at] + ends[at]) / 2 - centre),
            ),
        )
        at = int(order[0])
        if apart[at] <= DRIFT and (at not in placed or pause.seconds > placed[at].seconds):
            placed[at] = pause
    return _in_order(placed)


def _in_order(placed: Mapping[int, Pause]) -> dict[int, Pause]:
    """Pauses whose order is that of their words; of two that cross, the longer stays."""
    kept: list[tuple[int, Pause]] = []
    for at, pause in sorted(placed.items()):
        while kept and pause.start < kept[-1][1].end and pause.seconds > kept[-1][1].seconds:
            kept.pop()
        if not kept or pause.start >= kept[-1][1].end:
            kept.append((at, pause))
    return dict(kept)


def refine(words: Sequence[Word], pauses: Mapping[int, Pause]) -> list[Word]:
    """The words with the times beside a pause moved to where speech ends and begins."""
    refined = []
    for at, word in enumerate(words):
        start = pauses[at - 1].end if at - 1 in pauses else word.start
        end = pauses[at].start if at in pauses else word.end
        refined.append(
            word.model_copy(update={"start": round(start, 3), "end": round(max(start, end), 3)})
        )
    return refined


def ends_sentence(word: str) -> bool:
    """Whether a sentence ends with this word, as far as its punctuation tells."""
    bare = word.strip().rstrip(CLOSING)
    initial = len(bare) == 2 and bare[0].isupper()
    return bare.endswith(SENTENCE_ENDS) and bare.lower() not in ABBREVIATIONS and not initial


def ends_clause(word: str) -> bool:
    return word.strip().rstrip(CLOSING).endswith((*CLAUSE_ENDS, *SENTENCE_ENDS))


class Cutter:
    """Divides the words of a recording into clips at some of its pauses.

    Every word is in one span, whatever its length; spans that break the limits are for the caller
    to set aside. Nothing is ever cut to a length: a sentence that is too long is divided at its
    longest pause, again and again, as in Emilia (He et al. 2024), and one without a pause stays
    whole.
    """

    def __init__(
        self, words: Sequence[Word], pauses: Mapping[int, Pause], seconds: float, limits: Limits
    ) -> None:
        """Args: refined words, the pause after each word that has one, the recording's length."""
        self._words, self._pauses, self._limits = words, pauses, limits
        self._seconds = seconds

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
        return at in self._pauses and self._pauses[at].seconds > self._limits.max_pause

    def _ends_sentence(self, at: int) -> bool:
        return at in self._pauses and ends_sentence(self._words[at].word)

    @staticmethod
    def _split_where(first: int, last: int, cut: Callable[[int], bool]) -> list[tuple[int, int]]:
        starts = [first, *(at + 1 for at in range(first, last) if cut(at))]
        return [(a, b - 1) for a, b in zip(starts, [*starts[1:], last + 1], strict=True)]

    def _span(self, first: int, last: int) -> Span:
        """The clip of some words: out to the cuts around them, with no more than the padding."""
        start, end = self._words[first].start, self._words[last].end
        before = self._pauses[first - 1].cut if first - 1 in self._pauses else 0.0
        after = self._pauses[last].cut if last in self._pauses else self._seconds
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
        inside = [at for at in range(first, last) if at in self._pauses]
        if not inside:
            return [whole]

        def worth(at: int) -> tuple[bool, float]:
            parts = self._span(first, at), self._span(at + 1, last)
            usable = min(part.seconds for part in parts) >= self._limits.min_seconds
            comma = COMMA if ends_clause(self._words[at].word) else 0.0
            return usable, self._pauses[at].seconds + comma

        at = max(inside, key=worth)
        return self._divide(first, at) + self._divide(at + 1, last)

    def _join(self, pieces: list[Span]) -> list[Span]:
        """Join the shortest piece with the neighbour that is nearer, until none is short."""
        pieces = list(pieces)
        while True:
            options = [
                (piece.seconds, self._pauses[pieces[left].last].seconds, left)
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
