"""From transcribed recordings to clips of whole sentences, each measured and kept or set aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.io import write_text
from likeness.common.items import Result, Stored, map_items
from likeness.common.manifest import (
    check_rejected_share,
    count_reasons,
    read_manifest,
    write_manifest,
)
from likeness.common.runtime import Runtime
from likeness.voice.audio import encode, read
from likeness.voice.cuts import Cutter, Limits, find_gaps, refine, spoken_text
from likeness.voice.levels import HOP, Pause, find_pauses, frame_levels, speech_level
from likeness.voice.mos import predict_mos
from likeness.voice.quality import (
    centroid,
    clipped_share,
    compression_ratio,
    repeated_share,
    silence_ratio,
    snr_db,
    spread,
)
from likeness.voice.rows import Clip, Recording, Region, RejectedClip, Transcript, Word
from likeness.voice.speaker import embed_windows
from likeness.voice.text import check_language, count_words

Array = np.ndarray

EXAMPLES = 4  # of a reason in the report
# In the order in which they are looked at: what spoils the measures that follow comes first.
REASONS = (
    "error",
    "no_words",
    "too_short",
    "too_long",
    "silence",
    "clipping",
    "snr",
    "several_speakers",
    "dnsmos",
    "language",
    "repetition",
    "confidence",
    "speaking_rate",
)


class VoiceClips(Limits):
    language: str
    max_silence_ratio: Annotated[float, Field(ge=0, le=1)]
    max_clipped_share: Annotated[float, Field(ge=0, le=1)]
    min_snr_db: float
    max_speaker_spread: Annotated[float, Field(ge=0, le=2)]
    max_speaker_distance: Annotated[float, Field(ge=0, le=2)]
    min_dnsmos: Annotated[float, Field(ge=0, le=5)]
    min_language_probability: Annotated[float, Field(ge=0, le=1)]
    max_repeated: Annotated[float, Field(ge=0, le=1)]
    max_compression_ratio: Annotated[float, Field(gt=0)]
    min_confidence: Annotated[float, Field(ge=0, le=1)]
    max_rate_ratio: Annotated[float, Field(ge=1)]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


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

    def rejected(self, reason: str, measure: str, value: Any, threshold: Any) -> RejectedClip:
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


def make_clips(
    cfg: VoiceClips,
    *,
    recordings: Path,
    transcripts: Path,
    speaker: Path,
    mos: Path,
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    rt: Runtime,
) -> dict[str, float]:
    """Cut every recording between its words, measure the clips, and set aside what breaks a rule.

    Writes to `out_dir`: `clips/` (FLAC), `manifest.jsonl` (a `Clip` a row) and `rejected.jsonl` (a
    `RejectedClip` a row: each stretch that is not a clip, under the first rule of `REASONS` that it
    breaks); histograms to `plots_dir`; counts and examples to `report`.

    Raises:
        LikenessError: the language has no table, no clip is left, or more than
            `max_rejected_share` of them were rejected.
    """
    check_language(cfg.language)
    candidates, rejected = _cut(cfg, recordings, transcripts, rt)
    total = len(candidates) + len(rejected)
    fit: dict[str, Candidate] = {}
    for candidate in candidates:
        broken = _check_length(cfg, candidate)
        if broken:
            rejected.append(broken)
        else:
            fit[candidate.id] = candidate
    clips, failed = _measure(cfg, fit, speaker, mos, rt)
    rejected += failed
    kept, broken_rules = _judge(cfg, clips, fit)
    rejected += broken_rules
    check_rejected_share("voice_clips", list(rejected), total, cfg.max_rejected_share)
    if not kept:
        raise LikenessError(
            f"{transcripts / 'words.jsonl'}: none of {total} clips is kept; loosen the limits of "
            "params.yaml: voice_clips, or use other recordings"
        )
    for clip in kept:
        stored = fit[clip.id].audio
        Stored(stored.parent, {}).link(stored.name, out_dir / clip.file_name)
    _draw(cfg, plots_dir, kept, clips, rejected)
    write_text(report, _report(cfg, kept, rejected, total))
    write_manifest(out_dir / "rejected.jsonl", rejected)
    write_manifest(out_dir / "manifest.jsonl", kept)
    lengths = [clip.end - clip.start for clip in kept]
    reasons = count_reasons(rejected)
    return {
        "candidates": total,
        "kept": len(kept),
        "kept_seconds": round(sum(lengths), 2),
        "rejected_seconds": round(sum(row.end - row.start for row in rejected), 2),
        "at_maximum": _at_maximum(cfg, lengths),
        **{f"rejected_{reason}": reasons.get(reason, 0) for reason in REASONS},
    }


# --- cutting --------------------------------------------------------------------------------------


def _cut(
    cfg: VoiceClips, recordings: Path, transcripts: Path, rt: Runtime
) -> tuple[list[Candidate], list[RejectedClip]]:
    """Every recording's clips, and a rejection for each recording that cannot be cut."""
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
    limits = Limits(**cfg.model_dump(include=set(Limits.model_fields)))
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
    text = spoken_text(words)
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


# --- measuring ------------------------------------------------------------------------------------


def _measure(
    cfg: VoiceClips, candidates: Mapping[str, Candidate], speaker: Path, mos: Path, rt: Runtime
) -> tuple[list[Clip], list[RejectedClip]]:
    """A row for each candidate, and a rejection for each that cannot be measured."""
    items = {
        name: {"audio": candidate.audio, "level": candidate.level}
        for name, candidate in candidates.items()
    }
    function = partial(measure_clips, speaker=speaker, mos=mos)
    stored, failed = map_items(
        function, items, what="voice_clips", rt=rt, batch=8, workers=rt.workers
    )
    distances = _distances(candidates, stored)
    clips = []
    for name, found in stored.items():
        candidate, measured = candidates[name], found.record
        spoken = candidate.seconds * (1 - measured["silence_ratio"])
        rate = count_words(candidate.text, cfg.language) / max(spoken, 0.01)
        clips.append(
            Clip(
                id=name,
                file_name=f"clips/{name}.flac",
                recording=candidate.recording,
                start=candidate.start,
                end=candidate.end,
                text=candidate.text,
                words=candidate.words,
                language=candidate.language,
                speaker_distance=round(distances[name], 4),
                words_per_second=round(rate, 3),
                confidence=round(float(np.mean([word.probability for word in candidate.words])), 4),
                compression_ratio=candidate.compression_ratio,
                repeated=round(repeated_share(candidate.text), 4),
                **measured,
            )
        )
    errors = [
        candidates[row.id].rejected(row.reason, "", row.value, row.threshold) for row in failed
    ]
    return clips, errors


def measure_clips(
    payloads: Sequence[Mapping[str, Any]], *, speaker: Path, mos: Path
) -> list[Result]:
    """What a clip's samples show; `speaker.f32` is the unit mean of its windows' embeddings.

    A payload has `audio` and `level`, the dB of full scale of its recording's speech.
    """
    results = []
    for payload in payloads:
        samples, rate = read(payload["audio"])
        windows = embed_windows(samples, rate, speaker)
        mean = windows.mean(0)
        record = {
            "snr_db": round(snr_db(samples, rate), 2),
            "silence_ratio": round(silence_ratio(samples, rate, payload["level"]), 4),
            "clipped_share": round(clipped_share(samples), 5),
            "speaker_spread": round(spread(windows), 4),
            "dnsmos": round(predict_mos(samples, rate, mos).ovrl, 3),
        }
        vector = (mean / np.linalg.norm(mean)).astype(np.float32)
        results.append(Result(record, {"speaker.f32": vector.tobytes()}))
    return results


def _distances(
    candidates: Mapping[str, Candidate], stored: Mapping[str, Stored]
) -> dict[str, float]:
    """Cosine distance of each clip to the centre of its recording's clips."""
    distances: dict[str, float] = {}
    by_recording: dict[str, list[str]] = {}
    for name in stored:
        by_recording.setdefault(candidates[name].recording, []).append(name)
    for names in by_recording.values():
        vectors = np.stack(
            [np.frombuffer(stored[name].read("speaker.f32"), np.float32) for name in names]
        )
        values = 1 - vectors @ centroid(vectors)
        distances |= dict(zip(names, values.tolist(), strict=True))
    return distances


# --- judging --------------------------------------------------------------------------------------


def _check_length(cfg: VoiceClips, candidate: Candidate) -> RejectedClip | None:
    if not candidate.words:
        return candidate.rejected("no_words", "seconds", candidate.seconds, None)
    if candidate.seconds < cfg.min_seconds:
        return candidate.rejected("too_short", "seconds", candidate.seconds, cfg.min_seconds)
    if candidate.seconds > cfg.max_seconds:
        return candidate.rejected("too_long", "seconds", candidate.seconds, cfg.max_seconds)
    return None


def _judge(
    cfg: VoiceClips, clips: Sequence[Clip], candidates: Mapping[str, Candidate]
) -> tuple[list[Clip], list[RejectedClip]]:
    """The clips that break no rule, and a rejection for each other under the first that it breaks."""
    typical = float(np.median([clip.words_per_second for clip in clips])) if clips else 0.0
    kept, rejected = [], []
    for clip in clips:
        candidate = candidates[clip.id]
        for reason, measure, value, threshold, fine in rules(cfg, clip, candidate, typical):
            if not fine:
                rejected.append(candidate.rejected(reason, measure, value, threshold))
                break
        else:
            kept.append(clip)
    return kept, rejected


def rules(
    cfg: VoiceClips, clip: Clip, candidate: Candidate, typical: float
) -> list[tuple[str, str, Any, Any, bool]]:
    """Reason, measure, value, threshold, and whether the clip is within it, in `REASONS`' order.

    Args:
        typical: the median of all clips' words per second.
    """

    def most(reason: str, measure: str, limit: float) -> tuple[str, str, Any, Any, bool]:
        value = getattr(clip, measure)
        return reason, measure, value, limit, value <= limit

    def least(reason: str, measure: str, limit: float) -> tuple[str, str, Any, Any, bool]:
        value = getattr(clip, measure)
        return reason, measure, value, limit, value >= limit

    sure = candidate.language_probability
    slowest, fastest = typical / cfg.max_rate_ratio, typical * cfg.max_rate_ratio
    return [
        most("silence", "silence_ratio", cfg.max_silence_ratio),
        most("clipping", "clipped_share", cfg.max_clipped_share),
        least("snr", "snr_db", cfg.min_snr_db),
        most("several_speakers", "speaker_distance", cfg.max_speaker_distance),
        most("several_speakers", "speaker_spread", cfg.max_speaker_spread),
        least("dnsmos", "dnsmos", cfg.min_dnsmos),
        ("language", "language", clip.language, cfg.language, clip.language == cfg.language),
        (
            "language",
            "language_probability",
            sure,
            cfg.min_language_probability,
            sure >= cfg.min_language_probability,
        ),
        most("repetition", "repeated", cfg.max_repeated),
        most("repetition", "compression_ratio", cfg.max_compression_ratio),
        least("confidence", "confidence", cfg.min_confidence),
        (
            "speaking_rate",
            "words_per_second",
            clip.words_per_second,
            [round(slowest, 3), round(fastest, 3)],
            slowest <= clip.words_per_second <= fastest,
        ),
    ]


def _at_maximum(cfg: VoiceClips, lengths: Sequence[float]) -> float:
    """Share of clips within a tenth of a second of the maximum: a pile there is a blind cut."""
    return round(sum(length > cfg.max_seconds - 0.1 for length in lengths) / len(lengths), 4)


# --- figures and report ---------------------------------------------------------------------------


def _draw(
    cfg: VoiceClips,
    plots_dir: Path,
    kept: Sequence[Clip],
    measured: Sequence[Clip],
    rejected: Sequence[RejectedClip],
) -> None:
    with figures.figure(plots_dir / "lengths.png", size=(8, 3.2)) as axis:
        lengths = [[row.end - row.start for row in rows] for rows in (kept, rejected)]
        longest = max(cfg.max_seconds, *lengths[0], *lengths[1]) + 0.5
        axis.hist(
            lengths,
            bins=np.arange(0, longest, 0.25).tolist(),
            stacked=True,
            color=[figures.ACCENT, figures.QUIET],
            label=["kept", "rejected"],
        )
        for limit in (cfg.min_seconds, cfg.max_seconds):
            axis.axvline(limit, color=figures.INK, linewidth=1, linestyle="--")
        axis.set(xlabel="seconds", ylabel="clips", title="Length of clips, and its limits")
        axis.legend(frameon=False)
    with figures.figure(plots_dir / "measures.png", 5, 2, (9, 11)) as axes:
        for axis, (measure, limits) in zip(axes.flat, _limits(cfg, measured).items(), strict=True):
            axis.hist([getattr(clip, measure) for clip in measured], bins=40, color=figures.ACCENT)
            for limit in limits:
                axis.axvline(limit, color=figures.INK, linewidth=1, linestyle="--")
            axis.set(title=measure, ylabel="clips")


def _limits(cfg: VoiceClips, measured: Sequence[Clip]) -> dict[str, list[float]]:
    """The thresholds of each measure that has a histogram."""
    typical = float(np.median([clip.words_per_second for clip in measured]))
    return {
        "snr_db": [cfg.min_snr_db],
        "silence_ratio": [cfg.max_silence_ratio],
        "clipped_share": [cfg.max_clipped_share],
        "dnsmos": [cfg.min_dnsmos],
        "speaker_distance": [cfg.max_speaker_distance],
        "speaker_spread": [cfg.max_speaker_spread],
        "confidence": [cfg.min_confidence],
        "words_per_second": [typical / cfg.max_rate_ratio, typical * cfg.max_rate_ratio],
        "repeated": [cfg.max_repeated],
        "compression_ratio": [cfg.max_compression_ratio],
    }


def _report(
    cfg: VoiceClips, kept: Sequence[Clip], rejected: Sequence[RejectedClip], total: int
) -> str:
    lengths = [clip.end - clip.start for clip in kept]
    lines = [
        f"# {len(kept)} of {total} clips kept, {sum(lengths):.0f} s",
        "",
        f"From {min(lengths):.1f} to {max(lengths):.1f} s, half of them longer than "
        f"{np.median(lengths):.1f} s; {_at_maximum(cfg, lengths):.1%} within 0.1 s of the maximum.",
        "",
        "A clip is set aside under the first rule that it breaks, in this order:",
        "",
        "| reason | clips | seconds | share of clips |",
        "| --- | ---: | ---: | ---: |",
    ]
    by_reason = {reason: [row for row in rejected if row.reason == reason] for reason in REASONS}
    for reason, rows in by_reason.items():
        seconds = sum(row.end - row.start for row in rows)
        lines.append(f"| {reason} | {len(rows)} | {seconds:.1f} | {len(rows) / total:.1%} |")
    lines += ["", "## Examples", ""]
    lines += [
        "| clip | seconds | reason | measure | limit | text |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for rows in by_reason.values():
        # The worst are not the most telling: take them from the whole recording.
        for row in rows[:: max(1, -(-len(rows) // EXAMPLES))]:
            text = row.text.replace("|", "/")
            lines.append(
                f"| {row.id} | {row.start:.1f}–{row.end:.1f} | {row.reason} | "
                f"{row.measure} {row.value} | {row.threshold} | {text} |"
            )
    return "\n".join(lines) + "\n"
