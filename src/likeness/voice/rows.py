"""The rows of the lane's manifests, from the recordings to the dataset. All times are in seconds."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import model_validator

from likeness.common.manifest import Rejection, Row
from likeness.voice.words import Word

SCRIPT = "script.jsonl"  # in a folder of recordings: the text that is read in them, if it is known


class Download(Row):
    """A file that was fetched from a URL.

    Attributes:
        id: the name of yt-dlp's extractor, and the site's own id.
        file_name: the media file; `info` is yt-dlp's JSON about it.
        version: of yt-dlp; another one may fetch another file from the same URL.
        sha256: of the media file.
    """

    file_name: str
    info: str
    url: str
    title: str
    format: str
    version: str
    sha256: str
    seconds: float | None


class Recording(Row):
    """A recording in the lane's own form: mono, all at the same rate and loudness.

    Attributes:
        file_name: `audio/<id>.flac`, 16 bit.
        source: the original's path relative to its folder.
        container, codec, source_rate, source_channels: of the original; the rate is in Hz.
        other_tracks: further audio tracks, which are not used, as `1: aac, por, Commentary`.
        loudness: of the original, in LUFS (ITU-R BS.1770); `gain_db` is the gain applied to it.
    """

    file_name: str
    source: str
    container: str
    codec: str
    source_rate: int
    source_channels: int
    other_tracks: list[str]
    seconds: float
    loudness: float
    gain_db: float


class Region(Row):
    """A stretch of speech in a recording."""

    recording: str
    start: float
    end: float


class Transcript(Row):
    """What is spoken in a region; `id` is the region's.

    Attributes:
        language: a code such as `en`; `language_probability` is the model's, or 1 if it was given.
        avg_logprob, no_speech_prob, compression_ratio: Whisper's indicators of a hallucination,
            for the whole window in which the region was decoded.
    """

    recording: str
    language: str
    language_probability: float
    text: str
    words: list[Word]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


class Clip(Row):
    """A piece of a recording with exactly the text that is spoken in it, and its measurements.

    Attributes:
        file_name: `clips/<id>.flac`.
        heard: the text as it was recognised; `words` are its words.
        text: what is spoken: `heard`, or what a person has corrected it to.
        silence_ratio, clipped_share: shares of the clip, 0 to 1.
        speaker_spread: the largest cosine distance between windows inside the clip.
        speaker_distance: cosine distance to the centroid of the recording's clips.
        bandwidth_hz: its highest audible frequency.
        dnsmos: DNSMOS P.835's overall score, 1 to 5.
        confidence: mean probability of the words, or 1 if a person has corrected the text.
        compression_ratio: of the text, by zlib; high for a loop.
        repeated: the largest share of words that lie in a repeated n-gram.
    """

    file_name: str
    recording: str
    start: float
    end: float
    heard: str
    text: str
    words: list[Word]
    language: str
    snr_db: float
    silence_ratio: float
    clipped_share: float
    bandwidth_hz: float
    speaker_spread: float
    speaker_distance: float
    dnsmos: float
    words_per_second: float
    confidence: float
    compression_ratio: float
    repeated: float


class RejectedClip(Rejection):
    """A stretch of a recording that was cut as a clip and set aside.

    Attributes:
        heard, text: as those of `Clip`.
        measure: the field of `Clip`, or another measurement, that broke the rule; empty for an
            error and for a person's verdict. `value` is its value.
    """

    recording: str
    start: float
    end: float
    heard: str
    text: str
    measure: str


Verdict = Literal["keep", "set_aside"]


class Correction(Row):
    """What a person has decided on a clip, whose `id` it has.

    Attributes:
        recording, start, end, heard: of the clip that it was made for, and holds for alone.
        text: what is spoken in place of `heard`; None leaves that as it is.
        verdict: `keep` or `set_aside`, whatever the rules say; None leaves it to them.
    """

    recording: str
    start: float
    end: float
    heard: str
    text: str | None = None
    verdict: Verdict | None = None

    @model_validator(mode="after")
    def _corrects(self) -> "Correction":
        if self.text is None and self.verdict is None:
            raise ValueError("should have a text or a verdict")
        if self.text is not None and not self.text.strip():
            raise ValueError("text should not be blank; the verdict set_aside drops a clip")
        return self


def cut_of(row: Any) -> tuple[str, str, float, float, str]:
    """What makes a clip the one that a correction was made for; of either, or of a rejected clip."""
    return row.id, row.recording, row.start, row.end, row.heard


class Utterance(Row):
    """A row of the dataset.

    Attributes:
        file_name: `wavs/<id>.wav`.
        text: the transcript; `normalized` has numbers and abbreviations written out.
        start, end: in the recording.
        split: `train`, `val` or `test`.
        augmented_from: id of the utterance that this is an augmented copy of, or empty.
    """

    file_name: str
    text: str
    normalized: str
    recording: str
    start: float
    end: float
    seconds: float
    split: str
    augmented_from: str


def choose_references(rows: Sequence[Utterance], count: int) -> list[Utterance]:
    """The `count` longest train clips that are not augmented: they hold the most of the voice."""
    train = [row for row in rows if row.split == "train" and not row.augmented_from]
    return sorted(train, key=lambda row: (-row.seconds, row.id))[:count]


class Speech(Row):
    """A sentence spoken by a model.

    Attributes:
        id: `<voice>/<sentence>-<take>`.
        file_name: `<id>.wav`, 16-bit mono at 24 kHz.
        voice: `base` or `tuned`, both from the same references; `other` is the base in one of its own
            speakers' voices.
        speaker: name of the base's own speaker, for `other`; else empty.
        sentence: id of the test utterance, or of the line of the text list.
        source: `test` or `list`.
        take: from 0; each take has its own seed, which all voices share.
        text: the model's input.
        seconds: length of the audio.
    """

    file_name: str
    voice: str
    speaker: str
    sentence: str
    source: str
    take: int
    text: str
    seed: int
    seconds: float


class Pair(Row):
    """The same sentence and seed by base and tuned, to be compared by ear.

    Attributes:
        first: which to play first, `base` or `tuned`, drawn at random for a blind comparison.
        real: the recording's path under the dataset, or empty if there is none.
    """

    text: str
    base: str
    tuned: str
    real: str
    first: str


class EvaluatedSpeech(Row):
    """The measurements of one synthetic or real clip; a real one has `take` 0.

    Attributes:
        voice: `base`, `tuned`, `real` or `other`.
        audio: the clip's path.
        heard: the recogniser's transcript.
        word_errors, words, character_errors, characters: of `heard`, after normalization.
        similarity: cosine to the centroid of the real test clips of other sentences.
        dnsmos: DNSMOS P.835's overall score, 1 to 5.
        duration_ratio: seconds divided by those of the real clip of the text; None without one.
        problems: names of what is worse than in every real clip.
    """

    voice: str
    sentence: str
    source: str
    take: int
    audio: str
    text: str
    heard: str
    word_errors: int
    words: int
    character_errors: int
    characters: int
    similarity: float
    dnsmos: float
    seconds: float
    duration_ratio: float | None
    problems: list[str]

    @property
    def wer(self) -> float:
        return self.word_errors / max(1, self.words)
