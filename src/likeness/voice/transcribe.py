"""Transcripts of all regions of speech with word times, by a Whisper model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from likeness.common import figures
from likeness.common.estimates import Estimate
from likeness.common.io import write_json, write_text
from likeness.common.items import map_all, map_items
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    read_manifest,
    write_manifest,
)
from likeness.common.runtime import Runtime
from likeness.voice.languages import LANGUAGES, Language, check_language, code
from likeness.voice.rows import SCRIPT, Recording, Region, Transcript
from likeness.voice.wer import (
    Hearing,
    Normalizer,
    Sentence,
    WordErrors,
    pooled_rate,
    read_script,
    word_errors,
)
from likeness.voice.whisper import (
    CLIPS,
    RATE,
    callers,
    detect_languages,
    hearing_device,
    transcribe_clips,
)
from likeness.voice.whisper_files import check_model
from likeness.voice.windows import cut_windows
from likeness.voice.words import Word

Array = np.ndarray

NEAR = 0.5  # seconds; a region's first or last word this near to its edge is moved to the edge
PROBED = 3  # windows of a recording that its language is detected from


@dataclass(frozen=True)
class Piece:
    """A region with the silence around it that Whisper hears too: `start` to `end`, in seconds."""

    region: Region
    start: float
    end: float


class VoiceTranscribe(Hearing):
    language: Annotated[Language, Field(pattern=r"^(auto|[a-z]{2,3})$")]
    window_seconds: Annotated[float, Field(ge=5, le=30)]
    padding_seconds: Annotated[float, Field(ge=0, le=0.5)]
    parallel: Annotated[int, Field(ge=0)]
    rounds: Annotated[int, Field(ge=10, le=10000)]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def transcribe(
    cfg: VoiceTranscribe,
    *,
    segments: Path,
    recordings: Path,
    asr: Path,
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    timings: Path,
    rt: Runtime,
) -> dict[str, float | str | None]:
    """Transcribe the regions; word times are seconds in the recording.

    Neighbouring regions share a window of up to `window_seconds`, so that Whisper hears them in
    context; the silence between regions is left out. Writes `words.jsonl` (rows of `Transcript`) and
    `rejected.jsonl` to `out_dir`, and the text to `report`. With `language: auto`, recordings in a
    language without text rules are set aside before they are transcribed. Where `recordings` has a
    `script.jsonl`, its clean sentences give the word error rate.

    Raises:
        LikenessError: the language has no text rules, `asr` is not a faster-whisper model or does not
            know the language, the script is invalid, or more than `max_rejected_share` of the
            regions are rejected.
    """
    # Only voice_clips needs text rules, but a missing language is reported before hours of work.
    if cfg.language != "auto":
        check_language(cfg.language)
    check_model(asr, cfg.language, "voice_transcribe.language")
    device = hearing_device(rt.device)
    rows = read_manifest(segments / "manifest.jsonl", Recording)
    regions = _regions_of(segments)
    by_recording = {
        row.id: group(
            pad(regions.get(row.id, []), cfg.padding_seconds, row.seconds), cfg.window_seconds
        )
        for row in rows
    }
    started = time.monotonic()
    audio = _cut(segments, rows, by_recording, rt)
    languages = _languages(cfg, asr, device, audio, rt)
    windows: dict[str, list[Piece]] = {}
    jobs: dict[str, dict[str, Any]] = {}
    unknown: list[Rejection] = []
    for name, paths in audio.items():
        for path, window in zip(paths, by_recording[name], strict=True):
            first, language = window[0].region.id, languages[name][0]
            windows[first] = window
            if code(language) in LANGUAGES:
                jobs[first] = {"audio": path, "language": language}
            else:
                unknown.append(
                    Rejection(
                        id=first, reason="unknown_language", value=language, threshold=LANGUAGES
                    )
                )
    listen = partial(
        transcribe_clips,
        asr=asr,
        device=device,
        compute_type=cfg.compute_type,
        beam_size=cfg.beam_size,
    )
    stored, failed = map_items(
        listen,
        jobs,
        what="voice_transcribe",
        rt=rt,
        batch=CLIPS * (cfg.parallel or callers(device, rt.workers)),
    )
    wall = time.monotonic() - started
    transcripts = [
        row
        for name, item in stored.items()
        for row in place_words(
            windows[name], item.record, languages[windows[name][0].region.recording]
        )
    ]
    rejected = [
        one.model_copy(update={"id": piece.region.id})
        for one in (*unknown, *failed)
        for piece in windows[one.id]
    ]
    total = sum(map(len, windows.values()))
    check_rejected_share(str(segments), rejected, total, cfg.max_rejected_share)
    script = recordings / SCRIPT
    errors = sentence_errors(
        read_script(script) if script.is_file() else [],
        {row.source: row.id for row in rows},
        transcripts,
        cfg.normalizer,
    )
    every = [one for found in errors.values() for one in found]
    rate = pooled_rate(every, cfg.rounds, rt.seed_for("wer")).rounded()
    words = sum(one.words for one in every)
    _draw(plots_dir, transcripts, errors)
    write_text(report, _report(rows, transcripts, rate, words, errors))
    write_manifest(out_dir / "rejected.jsonl", rejected)
    write_manifest(out_dir / "words.jsonl", transcripts)
    seconds = sum(piece.end - piece.start for name in jobs for piece in windows[name])
    write_json(
        timings, {"seconds_per_second": round(wall / max(seconds, 1e-9), 4), "n": round(seconds, 1)}
    )
    return {
        "asr": asr.name,
        "regions": total,
        "windows": len(jobs),
        "words": sum(len(row.words) for row in transcripts),
        "regions_without_words": sum(not row.words for row in transcripts),
        **{
            f"rejected_{reason}": sum(row.reason == reason for row in rejected)
            for reason in ("unknown_language", "error")
        },
        "normalizer": f"whisper {cfg.normalizer}",
        "wer": rate.value,
        "wer_low": rate.low,
        "wer_high": rate.high,
        "wer_n": words,
        "wer_sentences": len(every),
    }


def _regions_of(segments: Path) -> dict[str, list[Region]]:
    found: dict[str, list[Region]] = {}
    for region in read_manifest(segments / "regions.jsonl", Region):
        found.setdefault(region.recording, []).append(region)
    return {name: sorted(regions, key=lambda row: row.start) for name, regions in found.items()}


def pad(regions: Sequence[Region], padding: float, seconds: float) -> list[Piece]:
    """Regions in order of time, with up to `padding` seconds of the silence on each side.

    Two neighbours share the silence between them, so none is heard twice. The recording has `seconds`.
    """
    edges = [0.0, *(time for row in regions for time in (row.start, row.end)), seconds]
    pieces: list[Piece] = []
    for at, row in enumerate(regions):
        before, after = row.start - edges[2 * at], edges[2 * at + 3] - row.end
        pieces.append(
            Piece(
                row,
                row.start - min(padding, before / 2 if at else before),
                row.end + min(padding, after / 2 if at + 1 < len(regions) else after),
            )
        )
    return pieces


def group(pieces: Sequence[Piece], limit: float) -> list[list[Piece]]:
    """Windows of neighbouring pieces of up to `limit` seconds in all; a longer piece is alone."""
    windows: list[list[Piece]] = []
    filled = 0.0
    for piece in pieces:
        length = piece.end - piece.start
        if not windows or filled + length > limit:
            windows.append([])
            filled = 0.0
        windows[-1].append(piece)
        filled += length
    return windows


def _cut(
    segments: Path,
    rows: Sequence[Recording],
    windows: Mapping[str, list[list[Piece]]],
    rt: Runtime,
) -> dict[str, list[Path]]:
    """The audio file of each window, by recording. Only a changed recording is cut again."""
    payloads = {
        row.id: {
            "audio": segments / row.file_name,
            "windows": [[[one.start, one.end] for one in window] for window in windows[row.id]],
        }
        for row in rows
    }
    cut = partial(cut_windows, rate=RATE)
    problem = f"does not open in {segments}; run voice_segment again"
    stored = map_all(
        cut, payloads, problem=problem, what="voice_windows", rt=rt, workers=rt.workers
    )
    return {
        name: [item.folder / f"{at:05d}.flac" for at in range(item.record["windows"])]
        for name, item in stored.items()
    }


def _languages(
    cfg: VoiceTranscribe, asr: Path, device: str, audio: Mapping[str, list[Path]], rt: Runtime
) -> dict[str, tuple[str, float]]:
    """Language of each recording, and its probability; a recording has one language throughout."""
    if cfg.language != "auto":
        return dict.fromkeys(audio, (cfg.language, 1.0))
    listen = partial(detect_languages, asr=asr, device=device, compute_type=cfg.compute_type)
    payloads = {name: paths[:: -(-len(paths) // PROBED)] for name, paths in audio.items() if paths}
    problem = f"{asr} cannot detect its language"
    stored = map_all(listen, payloads, problem=problem, what="voice_language", rt=rt)
    return {
        name: (item.record["language"], item.record["probability"]) for name, item in stored.items()
    }


def place_words(
    pieces: Sequence[Piece], record: Mapping[str, Any], language: tuple[str, float]
) -> list[Transcript]:
    """The transcripts of a window's regions, word times moved from the window to the recording.

    A word belongs to the region that most of it lies in. Whisper's times are off by a few tenths of a
    second, Silero's edges by less than one tenth. So a region's first word starts and its last word
    ends with the region, if they are within `NEAR` of its edge, and no word extends beyond it.
    """
    shifts = np.array([piece.start for piece in pieces])
    shifts -= np.cumsum([0.0, *(piece.end - piece.start for piece in pieces[:-1])])
    starts, ends = (
        np.array([getattr(piece.region, edge) for piece in pieces]) - shifts
        for edge in ("start", "end")
    )
    spoken: list[list[list[Any]]] = [[] for _ in pieces]
    for text, start, end, probability in record["words"]:
        inside = np.minimum(end, ends) - np.maximum(start, starts)  # below 0: a distance
        at = int(np.argmax(inside))
        region = pieces[at].region
        times = np.clip([start + shifts[at], end + shifts[at]], region.start, region.end)
        spoken[at].append([text, *times.tolist(), probability])
    for piece, words in zip(pieces, spoken, strict=True):
        if words and words[0][1] - piece.region.start < NEAR:
            words[0][1] = piece.region.start
        if words and piece.region.end - words[-1][2] < NEAR:
            words[-1][2] = piece.region.end
    return [
        Transcript(
            id=piece.region.id,
            recording=piece.region.recording,
            language=language[0],
            language_probability=language[1],
            text=" ".join(word[0] for word in words),
            words=[
                Word(
                    word=word, start=round(start, 3), end=round(end, 3), probability=round(sure, 4)
                )
                for word, start, end, sure in words
            ],
            avg_logprob=record["avg_logprob"],
            no_speech_prob=record["no_speech_prob"],
            compression_ratio=record["compression_ratio"],
        )
        for piece, words in zip(pieces, spoken, strict=True)
    ]


def sentence_errors(
    script: Sequence[Sentence],
    recordings: Mapping[str, str],
    transcripts: Sequence[Transcript],
    normalizer: Normalizer,
) -> dict[str, list[WordErrors]]:
    """Word errors of each clean sentence, by recording.

    Args:
        recordings: ids by the path that the script has for a file.
        transcripts: of all regions; every word belongs to the sentence nearest to its middle, whether
            clean or not, so that hallucinated words count as errors.
    """
    said: dict[str, list[Word]] = {}
    for row in transcripts:
        said.setdefault(row.recording, []).extend(row.words)
    found: dict[str, list[WordErrors]] = {}
    for file, name in sorted(recordings.items()):
        sentences = [row for row in script if row.file == file]
        if not sentences:
            continue
        heard: list[list[Word]] = [[] for _ in sentences]
        for word in sorted(said.get(name, []), key=lambda word: word.start):
            middle = (word.start + word.end) / 2
            away = [max(row.start - middle, middle - row.end, 0.0) for row in sentences]
            heard[int(np.argmin(away))].append(word)
        found[name] = [
            word_errors(row.text, " ".join(word.word for word in words), normalizer)
            for row, words in zip(sentences, heard, strict=True)
            if not row.flaw
        ]
    return found


def _draw(
    plots_dir: Path, transcripts: Sequence[Transcript], errors: Mapping[str, list[WordErrors]]
) -> None:
    with figures.figure(plots_dir / "words.png", columns=2, size=(10, 3.5)) as (left, right):
        words = [word for row in transcripts for word in row.words]
        left.hist(
            [word.probability for word in words], bins=np.linspace(0, 1, 41), color=figures.ACCENT
        )
        left.set(xlabel="probability", ylabel="words", title="Confidence of the words")
        seconds = [min(word.end - word.start, 1.5) for word in words]
        right.hist(seconds, bins=np.linspace(0, 1.5, 41), color=figures.ACCENT)
        right.set(xlabel="seconds (1.5 and more in the last)", title="Length of the words")
    shares = {
        name: round(
            100 * sum(one.errors for one in found) / max(1, sum(one.words for one in found)), 1
        )
        for name, found in errors.items()
        if found
    }
    with figures.figure(plots_dir / "wer.png", size=(7, 0.3 * len(shares) + 1.2)) as axis:
        title = "Word error rate of clean sentences, %" if shares else "No script to compare with"
        figures.bars(axis, shares, title, most=40)


def _report(
    recordings: Sequence[Recording],
    transcripts: Sequence[Transcript],
    rate: Estimate,
    words: int,
    errors: Mapping[str, list[WordErrors]],
) -> str:
    """A readable transcript: one line per region, with its time and mean word probability."""
    lines = ["# Transcripts", ""]
    if rate.n:
        interval = f"{rate.low:.1%} to {rate.high:.1%}"
        lines += [f"Word error rate {rate.value:.1%} ({interval}, {words} words).", ""]
    for recording in recordings:
        found = errors.get(recording.id, [])
        score = f", {sum(one.errors for one in found)} errors in {sum(one.words for one in found)} words"
        lines += [f"## {recording.source}{score if found else ''}", ""]
        rows = [row for row in transcripts if row.recording == recording.id and row.words]
        for row in sorted(rows, key=lambda row: row.words[0].start):
            minutes, seconds = divmod(row.words[0].start, 60)
            mean = sum(word.probability for word in row.words) / len(row.words)
            lines.append(f"- {minutes:02.0f}:{seconds:04.1f} ({mean:.2f}) {row.text}")
        lines.append("")
    return "\n".join(lines)
