"""Cuts transcribed recordings into clips of whole sentences, measures them and filters them."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.io import link, write_text
from likeness.common.items import Stored, map_items
from likeness.common.manifest import check_rejected_share, write_manifest, write_rejected
from likeness.common.rules import Rule, first_broken
from likeness.common.runtime import Runtime
from likeness.voice.candidates import Candidate, cut_all
from likeness.voice.corrections import correct, read_corrections
from likeness.voice.cuts import ClipLimits
from likeness.voice.languages import Language, check_language
from likeness.voice.quality import measure_clips
from likeness.voice.repetition import repeated_share
from likeness.voice.rows import Clip, Correction, RejectedClip
from likeness.voice.rules import (
    REASONS,
    Thresholds,
    cut_rules,
    measured_rules,
)
from likeness.voice.speaker import centroid
from likeness.voice.text import count_words

EXAMPLES = 4  # per reason in the report


class VoiceClips(ClipLimits, Thresholds):
    language: Language
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def make_clips(
    cfg: VoiceClips,
    *,
    recordings: Path,
    transcripts: Path,
    corrections: Path,
    speaker: Path,
    mos: Path,
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    rt: Runtime,
) -> dict[str, float]:
    """Cut every recording in pauses, measure the clips, and reject those that break a rule.

    Writes to `out_dir`: `clips/` (FLAC), `manifest.jsonl` (one `Clip` per row) and `rejected.jsonl`
    (one `RejectedClip` per row, with the first of `REASONS` that applies); histograms to
    `plots_dir`; counts and examples to `report`. What people have decided on clips is in the file
    `corrections` (one `Correction` per row).

    Raises:
        LikenessError: the language has no table, a correction is wrong, no clip is left, or more
            than `max_rejected_share` of them were rejected.
    """
    check_language(cfg.language)
    limits = ClipLimits(**cfg.model_dump(include=set(ClipLimits.model_fields)))
    rows = read_corrections(corrections)
    cut, rejected = cut_all(limits, recordings=recordings, transcripts=transcripts, rt=rt)
    total = len(cut) + len(rejected)
    candidates, keep, set_aside, unmatched = correct(cut, rows)
    lengths = {one.id: {"seconds": one.seconds} for one in candidates}
    fit, broken = _judge(candidates, lengths, cut_rules(limits), keep)
    rejected += broken
    clips, failed = _measure(cfg, {one.id: one for one in fit}, speaker, mos, rt)
    rejected += failed
    measured = [one for one in fit if one.id in clips]
    values = {one.id: _values(cfg, one, clips[one.id]) for one in measured}
    rates = [clip.words_per_second for clip in clips.values() if clip.text]
    rules = measured_rules(cfg, float(np.median(rates)) if rates else 0.0)
    whole, broken = _judge(measured, values, rules, keep)
    rejected += broken
    kept = [clips[one.id] for one in whole]
    # Without those set aside: what a person has decided is no sign that the input as a whole is wrong.
    check_rejected_share("voice_clips", rejected, total, cfg.max_rejected_share)
    rejected += set_aside
    if not kept:
        raise LikenessError(
            f"{transcripts / 'words.jsonl'}: none of {total} clips is kept; loosen the limits of "
            "params.yaml: voice_clips, or use other recordings"
        )
    for one in whole:
        link(one.audio, out_dir / clips[one.id].file_name)
    _draw_lengths(cfg, plots_dir / "lengths.png", kept, rejected)
    _draw_measures(rules, plots_dir / "measures.png", list(values.values()))
    write_text(report, _report(cfg, kept, rejected, total) + _told(rows, unmatched))
    counts = write_rejected(out_dir, rejected, REASONS)
    write_manifest(out_dir / "manifest.jsonl", kept)
    return {
        "candidates": total,
        "kept": len(kept),
        "kept_seconds": round(sum(clip.end - clip.start for clip in kept), 2),
        "rejected_seconds": round(sum(row.end - row.start for row in rejected), 2),
        "at_maximum": _at_maximum(cfg, kept),
        "corrections_applied": len(rows) - len(unmatched),
        "corrections_unmatched": len(unmatched),
        **counts,
    }


# --- measuring ------------------------------------------------------------------------------------


def _measure(
    cfg: VoiceClips, candidates: Mapping[str, Candidate], speaker: Path, mos: Path, rt: Runtime
) -> tuple[dict[str, Clip], list[RejectedClip]]:
    """The measured clips by id, and a rejection for each candidate that cannot be measured."""
    items = {
        name: {"audio": candidate.audio, "level": candidate.level}
        for name, candidate in candidates.items()
    }
    function = partial(measure_clips, speaker=speaker, mos=mos)
    stored, failed = map_items(
        function, items, what="voice_clips", rt=rt, batch=8, workers=rt.workers
    )
    distances = _distances(candidates, stored)
    clips: dict[str, Clip] = {}
    for name, found in stored.items():
        candidate, measured = candidates[name], found.record
        spoken = candidate.seconds * (1 - measured["silence_ratio"])
        rate = count_words(candidate.text, cfg.language) / max(spoken, 0.01)
        confidence = 1.0
        if candidate.text == candidate.heard:
            heard = [word.probability for word in candidate.words]
            confidence = sum(heard) / max(1, len(heard))
        clips[name] = Clip(
            id=name,
            file_name=f"clips/{name}.flac",
            recording=candidate.recording,
            start=candidate.start,
            end=candidate.end,
            heard=candidate.heard,
            text=candidate.text,
            words=candidate.words,
            language=candidate.language,
            speaker_distance=round(distances[name], 4),
            words_per_second=round(rate, 3),
            confidence=round(confidence, 4),
            compression_ratio=candidate.compression_ratio,
            repeated=round(repeated_share(candidate.text), 4),
            **measured,
        )
    return clips, [candidates[row.id].rejected(row.reason, row.value) for row in failed]


def _distances(
    candidates: Mapping[str, Candidate], stored: Mapping[str, Stored]
) -> dict[str, float]:
    """Cosine distance of each clip's speaker embedding to the centroid of its recording's clips."""
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


def _values(cfg: VoiceClips, candidate: Candidate, clip: Clip) -> dict[str, Any]:
    """The values that the rules check. A clip in another language has `language_probability` 0."""
    sure = candidate.language_probability if clip.language == cfg.language else 0.0
    return {**clip.model_dump(), "words": len(clip.text.split()), "language_probability": sure}


def _judge(
    candidates: Sequence[Candidate],
    values: Mapping[str, Mapping[str, Any]],
    rules: Sequence[Rule],
    keep: Collection[str],
) -> tuple[list[Candidate], list[RejectedClip]]:
    """The candidates that break no rule; the others as rejections by the first rule they break.

    Those whose ids are in `keep` pass, whatever their values.
    """
    fine, rejected = [], []
    for candidate in candidates:
        broken = None if candidate.id in keep else first_broken(rules, values[candidate.id])
        if broken is None:
            fine.append(candidate)
        else:
            rule, bound = broken
            value = values[candidate.id][rule.measure]
            rejected.append(candidate.rejected(rule.reason, value, rule.measure, bound))
    return fine, rejected


def _at_maximum(cfg: VoiceClips, kept: Sequence[Clip]) -> float:
    """Share of clips within 0.1 s of the maximum. Many of them would mean that cuts ignore pauses."""
    longest = sum(clip.end - clip.start > cfg.max_seconds - 0.1 for clip in kept)
    return round(longest / len(kept), 4)


# --- figures and report ---------------------------------------------------------------------------


def _draw_lengths(
    cfg: VoiceClips, path: Path, kept: Sequence[Clip], rejected: Sequence[RejectedClip]
) -> None:
    lengths = [[row.end - row.start for row in rows] for rows in (kept, rejected)]
    longest = max(cfg.max_seconds, *lengths[0], *lengths[1])
    with figures.figure(path, size=(8, 3.2)) as axis:
        axis.hist(
            lengths,
            bins=np.arange(0, longest + 0.25, 0.25).tolist(),
            stacked=True,
            color=[figures.ACCENT, figures.QUIET],
            label=["kept", "rejected"],
        )
        for limit in (cfg.min_seconds, cfg.max_seconds):
            axis.axvline(limit, color=figures.INK, linewidth=1, linestyle="--")
        axis.set(xlabel="seconds", ylabel="clips", title="Length of clips, and its limits")
        axis.legend(frameon=False)


def _draw_measures(rules: Sequence[Rule], path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    """Histograms of each measure over all measured clips, with the bounds of its rule."""
    rows = -(-len(rules) // 3)
    with figures.figure(path, rows, 3, (11, 2.3 * rows)) as axes:
        for axis, rule in zip(axes.flat, rules, strict=False):
            axis.hist([one[rule.measure] for one in values], bins=40, color=figures.ACCENT)
            for bound in rule.bounds():
                axis.axvline(bound, color=figures.INK, linewidth=1, linestyle="--")
            axis.set(title=rule.measure, ylabel="clips")
        for axis in axes.flat[len(rules) :]:
            axis.axis("off")


def _report(
    cfg: VoiceClips, kept: Sequence[Clip], rejected: Sequence[RejectedClip], total: int
) -> str:
    lengths = [clip.end - clip.start for clip in kept]
    lines = [
        f"# {len(kept)} of {total} clips kept, {sum(lengths):.0f} s",
        "",
        f"From {min(lengths):.1f} to {max(lengths):.1f} s, half of them longer than "
        f"{np.median(lengths):.1f} s; {_at_maximum(cfg, kept):.1%} within 0.1 s of the maximum.",
        "",
        "A clip is rejected under the first rule that it breaks, in this order; `set_aside` is what a "
        "person has decided.",
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
        # Spread evenly over the rows: the first few would all come from one place.
        for row in rows[:: max(1, -(-len(rows) // EXAMPLES))]:
            measured = "" if row.value is None else f"{row.measure} {row.value}"
            limit = "" if row.threshold is None else row.threshold
            lines.append(
                f"| {row.id} | {row.start:.1f}–{row.end:.1f} | {row.reason} | "
                f"{measured} | {limit} | {_cell(row.text)} |"
            )
    return "\n".join(lines) + "\n"


def _told(rows: Sequence[Correction], unmatched: Sequence[Correction]) -> str:
    """The part of the report on corrections; empty if there are none."""
    if not rows:
        return ""
    lines = [
        "",
        "## Corrections",
        "",
        f"{len(rows) - len(unmatched)} of {len(rows)} were applied. One is not if its clip is cut or "
        "recognised otherwise by now, or is of other recordings.",
        "",
        "| clip | seconds | heard | text | verdict | applied |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {row.id} | {row.start:.1f}–{row.end:.1f} | {_cell(row.heard)} | "
            f"{_cell(row.text or '')} | {row.verdict or ''} | {'no' if row in unmatched else 'yes'} |"
        )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """A text of one line in which no table's cell ends."""
    return " ".join(text.replace("|", "/").split())
