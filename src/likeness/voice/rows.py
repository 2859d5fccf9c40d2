"""The rows of the lane's manifests, from the recordings to the dataset. All times are in seconds."""

from collections.abc import Sequence

from likeness.common.manifest import Rejection, Row
from likeness.voice.words import Word

SCRIPT = "script.jsonl"  # what is read in a folder of recordings, where somebody wrote it down


class Download(Row):
    """A file that was fetched from a URL.

    Attributes:
        id: the extractor's name and the id that the site gives it.
        file_name: the media; `info` is the JSON that describes it.
        version: of yt-dlp, as sites change and what it fetches changes with it.
        sha256: of the media.
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
    """A recording as the lane works on it: mono, at one rate, at one loudness.

    Attributes:
        file_name: `audio/<id>.flac`, 16 bit.
        source: path of the original under its folder.
        container, codec, source_rate, source_channels: of the original; the rate is in Hz.
        other_tracks: its audio tracks that are not taken, as `1: aac, por, Commentary`.
        loudness: of the original, in LUFS (ITU-R BS.1770); `gain_db` was added to it.
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
        language: a code such as `en`, and the model's confidence in it (1 where it was given).
        avg_logprob, no_speech_prob, compression_ratio: Whisper's own signs of a hallucination, of
            the text around the region that was decoded together.
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
    """A piece of a recording with exactly the text that is spoken in it, and what was measured.

    Attributes:
        file_name: `clips/<id>.flac`.
        silence_ratio, clipped_share: shares of the clip, 0 to 1.
        speaker_spread: the largest cosine distance between windows inside the clip.
        speaker_distance: cosine distance to the centroid of the recording's clips.
        bandwidth_hz: the highest frequency that is heard in it.
        dnsmos: DNSMOS P.835's overall score, 1 to 5.
        confidence: mean probability of the words.
        compression_ratio: of the text, by zlib; loops compress well.
        repeated: the largest share of words that lie in a repeated n-gram.
    """

    file_name: str
    recording: str
    start: float
    end: float
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
        measure: the field of `Clip` that broke the rule, or what else was measured; empty for an
            error. `value` is what was found.
    """

    recording: str
    start: float
    end: float
    text: str
    measure: str


class Utterance(Row):
    """A row of the dataset.

    Attributes:
        file_name: `wavs/<id>.wav`.
        text: as spoken and written; `normalized` spells numbers and abbreviations out.
        start, end: in the recording.
        split: `train`, `val` or `test`.
        augmented_from: id of the utterance that this one is a changed copy of, or empty.
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
    """The longest recorded train clips: the model hears most of the voice in them."""
    train = [row for row in rows if row.split == "train" and not row.augmented_from]
    return sorted(train, key=lambda row: (-row.seconds, row.id))[:count]


class Speech(Row):
    """A sentence as a model said it.

    Attributes:
        id: `<voice>/<sentence>-<take>`.
        file_name: `<id>.wav`, 16-bit mono at 24 kHz.
        voice: `base` or `tuned`, both from the same references; `other` is the base in one of its own
            speakers' voices.
        speaker: whose, for `other`; else empty.
        sentence: id of the test utterance, or of the line of the text list.
        source: `test` or `list`.
        take: 0 and up; every take has a seed of its own, which all voices share.
        text: as it was given to the model.
        seconds: of audio.
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
        first: whom to play first, `base` or `tuned`, by lot: a listener should not know.
        real: the recording's path under the dataset, or empty where nobody read the sentence.
    """

    text: str
    base: str
    tuned: str
    real: str
    first: str


class EvaluatedSpeech(Row):
    """What was measured of one clip; of a real one too, whose `take` is 0.

    Attributes:
        voice: `base`, `tuned`, `real` or `other`.
        audio: its path.
        heard: what the recogniser understood.
        word_errors, words, character_errors, characters: of `heard`, after normalization.
        similarity: cosine to the centroid of the real test clips of other sentences.
        dnsmos: DNSMOS P.835's overall score, 1 to 5.
        duration_ratio: seconds by those of the real clip of the same text; None without one.
        problems: what is worse than in any real clip; empty if nothing is.
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
