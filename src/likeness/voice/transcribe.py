"""What is said in every region of speech, word by word, by a Whisper model."""

import time
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.io import read_json, write_json, write_text
from likeness.common.items import Result, map_items
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    read_manifest,
    write_manifest,
)
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.voice.audio import encode, read, resample
from likeness.voice.rows import Recording, Region, Transcript, Word
from likeness.voice.wer import (
    Normalizer,
    Rate,
    Sentence,
    WordErrors,
    pooled_rate,
    read_script,
    word_errors,
)

Array = np.ndarray

SCRIPT = "script.jsonl"
RATE = 16000  # Hz, what Whisper hears
FILES = ("config.json", "model.bin", "tokenizer.json")
LISTENED = 3  # windows of a recording from which its language is told
SLOT = 60  # seconds of the time line that a window of a batch gets
FRAMES = 100  # of Whisper's spectrogram in a second


class VoiceTranscribe(Section):
    language: Annotated[str, Field(pattern=r"^(auto|[a-z]{2,3})$")]
    window_seconds: Annotated[float, Field(ge=5, le=30)]
    beam_size: Annotated[int, Field(ge=1, le=20)]
    batch: Annotated[int, Field(ge=1)]
    compute_type: Literal["default", "int8", "int8_float16", "float16", "bfloat16", "float32"]
    normalizer: Normalizer
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
    """Transcribe the regions, with word times in the recording.

    Neighbouring regions share a window of up to `window_seconds`, so that Whisper hears them in
    context; the silence between regions is left out. Writes `words.jsonl` (a `Transcript` a row) and
    `rejected.jsonl` to `out_dir`, and the text to `report`. Where `recordings` has a `script.jsonl`,
    its clean sentences give the word error rate.

    Raises:
        LikenessError: `asr` is no faster-whisper model or does not know the language, a wrong
            script, or more than `max_rejected_share` of the regions rejected.
    """
    check_model(asr, cfg.language)
    rows = read_manifest(segments / "manifest.jsonl", Recording)
    regions = _regions_of(segments)
    by_recording = {
        row.id: group_regions(regions.get(row.id, []), cfg.window_seconds) for row in rows
    }
    started = time.monotonic()
    audio = _cut(segments, rows, by_recording, rt)
    languages = _languages(cfg, asr, audio, rt)
    windows: dict[str, list[Region]] = {}
    jobs: dict[str, dict[str, Any]] = {}
    for name, paths in audio.items():
        for path, group in zip(paths, by_recording[name], strict=True):
            windows[group[0].id] = group
            jobs[group[0].id] = {"audio": path, "language": languages[name][0]}
    listen = partial(
        transcribe_windows,
        asr=asr,
        device=rt.device,
        compute_type=cfg.compute_type,
        beam_size=cfg.beam_size,
    )
    stored, failed = map_items(
        listen,
        jobs,
        what="voice_transcribe",
        rt=rt,
        batch=cfg.batch,
        workers=rt.workers if rt.device == "cpu" else 0,
    )
    wall = time.monotonic() - started
    transcripts = [
        row
        for name, item in stored.items()
        for row in place_words(windows[name], item.record, languages[windows[name][0].recording])
    ]
    rejected = [
        Rejection(id=region.id, reason=one.reason, value=one.value)
        for one in failed
        for region in windows[one.id]
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
    rate = _rate(errors, cfg, rt)
    _draw(plots_dir, transcripts, errors)
    write_text(report, _report(rows, transcripts, rate, errors))
    write_manifest(out_dir / "rejected.jsonl", rejected)
    write_manifest(out_dir / "words.jsonl", transcripts)
    seconds = sum(region.end - region.start for group in windows.values() for region in group)
    write_json(timings, {"seconds_per_second": round(wall / seconds, 4), "n": round(seconds, 1)})
    return {
        "asr": asr.name,
        "regions": total,
        "windows": len(windows),
        "words": sum(len(row.words) for row in transcripts),
        "regions_without_words": sum(not row.words for row in transcripts),
        "rejected_error": len(rejected),
        "normalizer": f"whisper {cfg.normalizer}",
        "wer": rate and round(rate.value, 5),
        "wer_low": rate and round(rate.low, 5),
        "wer_high": rate and round(rate.high, 5),
        "wer_n": rate.n if rate else 0,
        "wer_sentences": sum(map(len, errors.values())),
    }


def check_model(asr: Path, language: str) -> None:
    """Raise `LikenessError` unless `asr` is a faster-whisper model that knows the language.

    Checked first, as faster-whisper looks for a missing tokenizer on a hub, and takes English for
    another language where the model knows no other.
    """
    missing = [name for name in FILES if not (asr / name).is_file()]
    if missing:
        raise LikenessError(
            f"{asr}: not a faster-whisper model ({', '.join(missing)} missing); inputs.asr names a "
            "folder under models/ that CTranslate2's converter wrote, with its tokenizer.json"
        )
    english_only = not read_json(asr / "config.json").get("lang_ids", True)
    added = read_json(asr / "tokenizer.json").get("added_tokens", [])
    known = {token["content"] for token in added}
    if language not in ("auto", "en") and (english_only or f"<|{language}|>" not in known):
        what = "English only" if english_only else "no such language"
        raise LikenessError(
            f"params.yaml: voice_transcribe.language: {language}: {asr} knows {what}; name another "
            "language, or a multilingual model in inputs.asr"
        )


def _regions_of(segments: Path) -> dict[str, list[Region]]:
    found: dict[str, list[Region]] = {}
    for region in read_manifest(segments / "regions.jsonl", Region):
        found.setdefault(region.recording, []).append(region)
    return {name: sorted(regions, key=lambda row: row.start) for name, regions in found.items()}


def group_regions(regions: Sequence[Region], limit: float) -> list[list[Region]]:
    """Neighbours together, up to `limit` seconds of speech; a longer region stands alone."""
    groups: list[list[Region]] = []
    filled = 0.0
    for region in regions:
        length = region.end - region.start
        if not groups or filled + length > limit:
            groups.append([])
            filled = 0.0
        groups[-1].append(region)
        filled += length
    return groups


def _cut(
    segments: Path,
    rows: Sequence[Recording],
    groups: Mapping[str, list[list[Region]]],
    rt: Runtime,
) -> dict[str, list[Path]]:
    """The audio file of each window, by recording. One changed recording is cut again alone."""
    payloads = {
        row.id: {
            "audio": segments / row.file_name,
            "windows": [[[one.start, one.end] for one in group] for group in groups[row.id]],
        }
        for row in rows
    }
    stored, failed = map_items(
        cut_windows, payloads, what="voice_windows", rt=rt, workers=rt.workers
    )
    if failed:
        raise LikenessError(
            f"{segments}: {failed[0].id} does not open ({failed[0].value}); run voice_segment again"
        )
    return {
        name: [item.folder / f"{at:05d}.flac" for at in range(item.record["windows"])]
        for name, item in stored.items()
    }


def cut_windows(payloads: Sequence[dict[str, Any]]) -> list[Result]:
    """A file at Whisper's rate for each window: its regions, one after the other."""
    results: list[Result] = []
    for payload in payloads:
        samples, rate = read(payload["audio"])
        heard = resample(samples, rate, RATE)
        files = {
            f"{at:05d}.flac": encode(_join(heard, window), RATE, "FLAC")
            for at, window in enumerate(payload["windows"])
        }
        results.append(Result({"windows": len(files)}, files))
    return results


def _join(samples: Array, spans: Sequence[tuple[float, float]]) -> Array:
    return np.concatenate([samples[round(s * RATE) : round(e * RATE)] for s, e in spans])


def _languages(
    cfg: VoiceTranscribe, asr: Path, audio: Mapping[str, list[Path]], rt: Runtime
) -> dict[str, tuple[str, float]]:
    """Language and the model's confidence in it by recording; told once, as a speaker keeps to it."""
    if cfg.language != "auto":
        return dict.fromkeys(audio, (cfg.language, 1.0))
    listen = partial(detect_languages, asr=asr, device=rt.device, compute_type=cfg.compute_type)
    payloads = {
        name: paths[:: -(-len(paths) // LISTENED)] for name, paths in audio.items() if paths
    }
    stored, failed = map_items(listen, payloads, what="voice_language", rt=rt)
    if failed:
        raise LikenessError(
            f"{asr}: cannot tell the language of {failed[0].id} ({failed[0].value})"
        )
    return {
        name: (item.record["language"], item.record["probability"]) for name, item in stored.items()
    }


def detect_languages(
    payloads: Sequence[Sequence[Path]], *, asr: Path, device: str, compute_type: str
) -> list[Result]:
    """The language with the highest mean probability over a recording's windows."""
    model = _load(asr, device, compute_type)
    results: list[Result] = []
    for paths in payloads:
        if not model.model.is_multilingual:
            results.append(Result({"language": "en", "probability": 1.0}))
            continue
        total: dict[str, float] = {}
        for path in paths:
            _, _, probabilities = model.detect_language(read(path)[0])
            for language, probability in probabilities:
                total[language] = total.get(language, 0.0) + probability / len(paths)
        best = max(total, key=lambda language: total[language])
        results.append(Result({"language": best, "probability": round(total[best], 4)}))
    return results


def transcribe_windows(
    payloads: Sequence[dict[str, Any]],
    *,
    asr: Path,
    device: str,
    compute_type: str,
    beam_size: int,
) -> list[Result]:
    """Text, words and Whisper's scores of each window; times are the window's.

    Temperature is 0 and stays there: what is decoded by chance would differ from run to run. Windows
    that loop or are not speech carry their scores, by which voice_clips rejects them.
    """
    from faster_whisper import BatchedInferencePipeline

    pipeline = BatchedInferencePipeline(_load(asr, device, compute_type))
    records: dict[int, dict[str, Any]] = {}
    for language in sorted({payload["language"] for payload in payloads}):
        chosen = [at for at, one in enumerate(payloads) if one["language"] == language]
        line, spans = _time_line([read(payloads[at]["audio"])[0] for at in chosen])
        segments, _ = pipeline.transcribe(
            line,
            language=language,
            beam_size=beam_size,
            temperature=0.0,
            word_timestamps=True,
            clip_timestamps=spans,
            batch_size=len(chosen),
        )
        for segment in segments:
            slot = int(segment.seek) // (SLOT * FRAMES) - 1
            records[chosen[slot]] = _record(segment, spans[slot]["start"])
    return [Result(records[at]) for at in range(len(payloads))]


def _time_line(windows: Sequence[Array]) -> tuple[Array, list[dict[str, float]]]:
    """Windows of a batch, each in a slot of its own on one line of samples, and their spans.

    faster-whisper corrects a window's first word by the end of the window before it. With so much
    silence between them that correction is the same whatever else is in the batch.
    """
    line = np.zeros((len(windows) + 1) * SLOT * RATE, np.float32)
    spans = []
    for slot, samples in enumerate(windows, start=1):
        start = slot * SLOT
        line[start * RATE : start * RATE + len(samples)] = samples
        spans.append({"start": float(start), "end": start + len(samples) / RATE})
    return line, spans


def _record(segment: Any, start: float) -> dict[str, Any]:
    return {
        "words": [
            [text, first - start, last - start, probability]
            for text, first, last, probability in whole_words(segment.words)
        ],
        "avg_logprob": round(segment.avg_logprob, 4),
        "no_speech_prob": round(segment.no_speech_prob, 4),
        "compression_ratio": round(segment.compression_ratio, 3),
    }


def whole_words(words: Sequence[Any]) -> list[tuple[str, float, float, float]]:
    """Text, start, end and probability of each written word.

    faster-whisper takes "$19.99" apart to " $19" and ".99": what does not begin with a blank goes on
    the word before it, where the language has blanks. Such a word is as sure as its least sure part.
    """
    blanks = any(word.word.startswith(" ") for word in words)
    whole: list[tuple[str, float, float, float]] = []
    for word in words:
        text, sure = word.word.strip(), float(word.probability)
        if blanks and whole and not word.word.startswith(" "):
            before, start, _, other = whole.pop()
            whole.append((before + text, start, word.end, min(sure, other)))
        elif text:
            whole.append((text, word.start, word.end, sure))
    return whole


@cache
def _load(asr: Path, device: str, compute_type: str) -> Any:
    """The model, once a process. On a CPU each process has one thread, as there is one for each."""
    from faster_whisper import WhisperModel

    return WhisperModel(
        str(asr),
        device="cuda" if device == "cuda" else "cpu",
        compute_type=compute_type,
        cpu_threads=1,
        local_files_only=True,
    )


def place_words(
    regions: Sequence[Region], record: Mapping[str, Any], language: tuple[str, float]
) -> list[Transcript]:
    """The transcripts of a window's regions, word times moved from the window to the recording.

    A word belongs to the region that holds its middle, so none is lost or counted twice; where
    Whisper's times reach over the region's edge they are cut there.
    """
    lengths = [region.end - region.start for region in regions]
    starts = np.cumsum([0.0, *lengths[:-1]])
    words: list[list[Word]] = [[] for _ in regions]
    for text, start, end, probability in record["words"]:
        at = max(int(np.searchsorted(starts, (start + end) / 2, side="right")) - 1, 0)
        region, shift = regions[at], regions[at].start - float(starts[at])
        first, last = (min(max(time + shift, region.start), region.end) for time in (start, end))
        words[at].append(
            Word(
                word=text,
                start=round(first, 3),
                end=round(last, 3),
                probability=round(probability, 4),
            )
        )
    return [
        Transcript(
            id=region.id,
            recording=region.recording,
            language=language[0],
            language_probability=language[1],
            text=" ".join(word.word for word in spoken),
            words=spoken,
            avg_logprob=record["avg_logprob"],
            no_speech_prob=record["no_speech_prob"],
            compression_ratio=record["compression_ratio"],
        )
        for region, spoken in zip(regions, words, strict=True)
    ]


def sentence_errors(
    script: Sequence[Sentence],
    recordings: Mapping[str, str],
    transcripts: Sequence[Transcript],
    normalizer: Normalizer,
) -> dict[str, list[WordErrors]]:
    """Word errors of each clean sentence, by recording.

    Args:
        recordings: id by path, as the script names files.
        transcripts: of all regions; every word counts for the sentence nearest to its middle, be that
            clean or not, so that words which nobody said are errors too.
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


def _rate(errors: Mapping[str, list[WordErrors]], cfg: VoiceTranscribe, rt: Runtime) -> Rate | None:
    """The pooled rate over all recordings, or None without a word to compare with."""
    every = [one for found in errors.values() for one in found]
    if not sum(one.words for one in every):
        return None
    return pooled_rate(every, cfg.rounds, rt.seed_for("wer"))


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
        name: 100 * sum(one.errors for one in found) / max(1, sum(one.words for one in found))
        for name, found in errors.items()
    }
    with figures.figure(plots_dir / "wer.png", size=(7, 0.3 * len(shares) + 1.2)) as axis:
        title = "Word error rate of clean sentences, %" if shares else "No script to compare with"
        figures.bars(axis, shares, title, most=40)


def _report(
    recordings: Sequence[Recording],
    transcripts: Sequence[Transcript],
    rate: Rate | None,
    errors: Mapping[str, list[WordErrors]],
) -> str:
    """The text as a person reads it: a line a region, with its time and the mean word probability."""
    lines = ["# Transcripts", ""]
    if rate is not None:
        interval = f"{rate.low:.1%} to {rate.high:.1%}"
        lines += [f"Word error rate {rate.value:.1%} ({interval}, {rate.n} words).", ""]
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
