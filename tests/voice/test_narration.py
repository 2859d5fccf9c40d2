"""The sample narration through the real models, against its script: what the lane must show.

The narration and the models come with the repository (`make repro` fetches them); without them these
tests are skipped.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from likeness.common.io import read_jsonl
from likeness.common.manifest import read_manifest, write_manifest
from likeness.repository.dvc import open_cache_folder
from likeness.voice.clips import VoiceClips, make_clips
from likeness.voice.rows import Clip, Recording, RejectedClip
from likeness.voice.segment import VoiceSegment, segment
from likeness.voice.transcribe import VoiceTranscribe, transcribe
from likeness.voice.wer import word_errors
from tests.conftest import ROOT, absent, runtime, section

NARRATION = ROOT / "data" / "raw" / "sample_voice"
MODELS = {name: ROOT / "models" / name for name in ("whisper_tiny_en", "speaker_encoder", "dnsmos")}
NEEDED = [NARRATION / "script.jsonl", *(folder / "config.json" for folder in MODELS.values())]

pytestmark = pytest.mark.slow

# What each flaw may be rejected for.
TRUE_REASONS = {
    "noise": {"snr"},
    "music": {"snr"},
    "second_speaker": {"several_speakers"},
    "clipped": {"clipping"},
    "near_silence": {"silence"},
    "telephone": {"narrowband"},
}
FAINT_NOISE = {"02_prices-0008", "02_prices-0009"}  # at 20 dB, which is less than the limit
SLACK = 0.05  # seconds to which the script's times are exact


@dataclass(frozen=True)
class Made:
    """The script by recording, how well it was heard, and what became of the recordings."""

    script: dict[str, list[dict[str, Any]]]
    heard: Mapping[str, Any]
    kept: list[Clip]
    rejected: list[RejectedClip]
    metrics: dict[str, float]

    def sentences(self, row: Clip | RejectedClip) -> list[dict[str, Any]]:
        """The sentences of which at least a tenth is in a clip."""
        return [
            sentence
            for sentence in self.script.get(row.recording, [])
            if overlap(row, sentence) > 0.1 * (sentence["end"] - sentence["start"])
        ]

    def clean(self, row: Clip | RejectedClip) -> bool:
        """Whether a clip holds sentences, and none with a flaw."""
        found = self.sentences(row)
        return bool(found) and all(sentence["flaw"] == "" for sentence in found)


def overlap(row: Clip | RejectedClip, sentence: dict[str, Any]) -> float:
    return max(0.0, min(row.end, sentence["end"]) - max(row.start, sentence["start"]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    if not all(path.is_file() for path in NEEDED):
        absent("the narration or a model is not here; `make repro` brings them")
    folder = tmp_path_factory.mktemp("narration")
    # The pipeline's own item store: what `make repro` computed with this code is not computed again.
    rt = runtime(open_cache_folder(ROOT), workers=2)
    write_manifest(folder / "downloads/manifest.jsonl", [])
    segment(
        section(VoiceSegment),
        recordings=NARRATION,
        downloads=folder / "downloads",
        out_dir=folder / "segment",
        plots_dir=folder / "plots",
        rt=rt,
    )
    heard = transcribe(
        section(VoiceTranscribe),
        segments=folder / "segment",
        recordings=NARRATION,
        asr=MODELS["whisper_tiny_en"],
        out_dir=folder / "transcribe",
        plots_dir=folder / "plots",
        report=folder / "transcripts.md",
        timings=folder / "timings.json",
        rt=rt,
    )
    metrics = make_clips(
        section(VoiceClips),
        recordings=folder / "segment",
        transcripts=folder / "transcribe",
        corrections=folder / "corrections.jsonl",
        speaker=MODELS["speaker_encoder"],
        mos=MODELS["dnsmos"],
        out_dir=folder / "clips",
        plots_dir=folder / "plots",
        report=folder / "clips.md",
        rt=rt,
    )
    names = {
        Path(row.source).name: row.id
        for row in read_manifest(folder / "segment/manifest.jsonl", Recording)
    }
    script: dict[str, list[dict[str, Any]]] = {}
    for row in read_jsonl(NARRATION / "script.jsonl"):
        if row["file"] in names:
            script.setdefault(names[row["file"]], []).append(row)
    kept = read_manifest(folder / "clips/manifest.jsonl", Clip)
    rejected = read_manifest(folder / "clips/rejected.jsonl", RejectedClip)
    return Made(script, heard, kept, rejected, metrics)


def test_the_narration_is_understood(made: Made) -> None:
    assert made.heard["wer"] <= 0.06
    assert made.heard["wer_low"] <= made.heard["wer"] <= made.heard["wer_high"]
    assert made.heard["wer_n"] > 500


def test_no_boundary_is_inside_a_word(made: Made) -> None:
    inside = [
        (clip.id, time, word)
        for clip in made.kept
        for sentence in made.script[clip.recording]
        for word, start, end in sentence["words"]
        for time in (clip.start, clip.end)
        if start + SLACK < time < end - SLACK
    ]
    assert inside == []


def test_no_pile_at_the_maximum(made: Made) -> None:
    assert made.metrics["at_maximum"] < 0.05
    limits = section(VoiceClips)
    lengths = [clip.end - clip.start for clip in made.kept]
    assert limits.min_seconds <= min(lengths)
    assert max(lengths) <= limits.max_seconds


def test_nine_tenths_of_the_clean_speech_are_kept(made: Made) -> None:
    clean = [
        (name, sentence)
        for name, sentences in made.script.items()
        for sentence in sentences
        if sentence["flaw"] == ""
    ]
    total = sum(sentence["end"] - sentence["start"] for _, sentence in clean)
    kept = sum(
        overlap(clip, sentence)
        for name, sentence in clean
        for clip in made.kept
        if clip.recording == name
    )
    assert kept / total >= 0.9


def test_at_most_one_clean_clip_of_twenty_is_rejected(made: Made) -> None:
    rejected = [row for row in made.rejected if made.clean(row)]
    kept = [clip for clip in made.kept if made.clean(clip)]
    told = [(row.id, row.reason, row.measure, row.value, row.text) for row in rejected]
    assert len(rejected) <= 0.05 * (len(rejected) + len(kept)), told


def test_no_flaw_is_kept(made: Made) -> None:
    flawed = [
        (clip.id, sentence["id"], sentence["flaw"])
        for clip in made.kept
        for sentence in made.sentences(clip)
        if sentence["flaw"] and sentence["id"] not in FAINT_NOISE
    ]
    assert flawed == []


def test_each_flaw_is_rejected_for_its_true_reason(made: Made) -> None:
    wrong, found = [], Counter()
    for row in made.rejected:
        flaws = {sentence["flaw"] for sentence in made.sentences(row)} - {""}
        if not flaws:
            continue
        if row.reason in set.union(*(TRUE_REASONS[flaw] for flaw in flaws)):
            found.update(flaws)
        else:
            wrong.append((row.id, flaws, row.reason, row.measure, row.value))
    assert wrong == []
    # Near silence is mostly not heard as speech at all, so it may make no clip.
    assert set(found) >= set(TRUE_REASONS) - {"near_silence"}


def test_the_text_is_what_is_spoken(made: Made) -> None:
    errors = [
        word_errors(spoken_between(made.script[clip.recording], clip), clip.text, "english")
        for clip in made.kept
        if made.clean(clip)
    ]
    assert sum(one.errors for one in errors) / sum(one.words for one in errors) <= 0.06


def spoken_between(sentences: Sequence[dict[str, Any]], clip: Clip) -> str:
    """The script's words whose middles are in a clip."""
    return " ".join(
        word
        for sentence in sentences
        for word, start, end in sentence["words"]
        if clip.start < (start + end) / 2 < clip.end
    )
