"""Compares the tuned voice with its base, and both with real recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.estimates import Estimate, difference, ratio
from likeness.common.io import write_bytes, write_json, write_text
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.needs import check_needs
from likeness.common.runtime import Runtime
from likeness.voice.measure import hear_files, rate_files
from likeness.voice.needs import ADVICE, NEEDS
from likeness.voice.rows import EvaluatedSpeech, Speech, Utterance
from likeness.voice.samples import encode_mp3
from likeness.voice.speaker import centroid_similarities, embed_files
from likeness.voice.wer import Hearing, character_errors, word_errors
from likeness.voice.whisper_files import check_model

Array = np.ndarray

FIGURES = ("wer", "cer", "similarity", "dnsmos", "duration_ratio")
COLOURS = {"base": figures.QUIET, "tuned": figures.ACCENT, "real": figures.INK}


class VoiceEvaluate(Hearing):
    rounds: Annotated[int, Field(ge=10, le=100000)]
    max_duration_ratio: Annotated[float, Field(gt=1)]
    worst: Annotated[int, Field(ge=0)]
    samples: Annotated[int, Field(ge=0, le=50)]


@dataclass(frozen=True)
class ComparedClip:
    """A clip to measure; its id is `voice/sentence-take`, and its voice is real, base, tuned or other."""

    voice: str
    sentence: str
    source: str
    take: int
    path: Path
    text: str
    seconds: float


def evaluate(
    cfg: VoiceEvaluate,
    *,
    dataset: Path,
    synthesized: Path,
    asr: Path,
    speaker: Path,
    mos: Path,
    out_dir: Path,
    plots_dir: Path,
    reports_dir: Path,
    rt: Runtime,
) -> dict[str, Any]:
    """Measure base, tuned and real clips of the test sentences, with confidence intervals.

    Base and tuned are compared on the sentences that both could say. `difference_*` is tuned minus
    base on the same sentence and seed. `real_similarity` is the ceiling: each recording against the
    others. `other_similarity` is the floor: voices of other speakers. `base_list_*` and `tuned_list_*`
    are measured on the text list, for which there are no recordings. Writes one row per clip
    (`manifest.jsonl`) and `samples/` to `out_dir`; to `reports_dir` the worst clips (`worst.md`) and
    each figure's value, 95 % interval and number of sentences (`intervals.json`). Returns the values
    alone as metrics.

    Raises:
        LikenessError: a clip lacks its text, a text lacks its clip, or there are too few test clips.
    """
    check_model(asr, cfg.language, "voice_evaluate.language")
    test = [
        row for row in read_manifest(dataset / "manifest.jsonl", Utterance) if row.split == "test"
    ]
    spoken = read_manifest(synthesized / "manifest.jsonl", Speech)
    check_pairs(dataset, test, synthesized, spoken)
    clips = {
        f"real/{row.id}-0": ComparedClip(
            "real", row.id, "test", 0, dataset / row.file_name, row.normalized, row.seconds
        )
        for row in test
    }
    for row in spoken:
        path = synthesized / row.file_name
        clips[row.id] = ComparedClip(
            row.voice, row.sentence, row.source, row.take, path, row.text, row.seconds
        )
    table = measure(cfg, clips, asr=asr, speaker=speaker, mos=mos, rt=rt)
    found = {
        name: estimate.rounded()
        for name, estimate in estimates(cfg, table, rt.seed_for("bootstrap")).items()
    }

    _write_samples(out_dir / "samples", table, cfg.samples, rt)
    _draw(plots_dir, table, found)
    write_text(reports_dir / "worst.md", worst_clips(table, cfg.worst))
    write_json(
        reports_dir / "intervals.json",
        {name: asdict(estimate) for name, estimate in found.items()},
    )
    write_manifest(out_dir / "manifest.jsonl", table)
    return {
        "asr": asr.name,
        "normalizer": f"whisper {cfg.normalizer}",
        "speaker_encoder": speaker.name,
        "mos": mos.name,
        **{
            f"{voice}_n": sum(row.voice == voice for row in table)
            for voice in ("base", "tuned", "real", "other")
        },
        **{
            f"not_understood_{voice}": sum(not row.heard for row in table if row.voice == voice)
            for voice in ("base", "tuned", "real")
        },
        "words": sum(row.words for row in table if row.voice == "real"),
        "with_problems_base": sum(bool(row.problems) for row in table if row.voice == "base"),
        "with_problems_tuned": sum(bool(row.problems) for row in table if row.voice == "tuned"),
        **{name: estimate.value for name, estimate in found.items()},
    }


def check_pairs(
    dataset: Path, test: Sequence[Utterance], synthesized: Path, spoken: Sequence[Speech]
) -> None:
    """Raise `LikenessError` at the first clip without its text or text without its clip."""
    check_needs(str(dataset), NEEDS, {"test": len(test)}, ADVICE)
    for row in test:
        if not (dataset / row.file_name).is_file():
            raise LikenessError(f"{dataset}: {row.id} has no clip; run voice_dataset again")
    again = "run voice_synthesize again"
    names = {row.file_name for row in spoken}
    files = {path.relative_to(synthesized).as_posix() for path in synthesized.glob("*/*.wav")}
    for name in sorted(names ^ files):
        what = "no text in manifest.jsonl" if name in files else "no clip"
        raise LikenessError(f"{synthesized}: {name} has {what}; {again}")
    texts = {row.id: row.normalized for row in test}
    for said in spoken:
        if said.source == "test" and texts.get(said.sentence) != said.text:
            raise LikenessError(
                f"{synthesized}: {said.id} has a different text than in {dataset}; {again}"
            )
    rejected = {row.id for row in read_manifest(synthesized / "rejected.jsonl", Rejection)}
    tried = {row.id for row in spoken} | rejected
    for voice, other in (("base", "tuned"), ("tuned", "base")):
        own = {name.removeprefix(f"{voice}/") for name in tried if name.startswith(f"{voice}/")}
        for name in sorted(own):
            if f"{other}/{name}" not in tried:
                raise LikenessError(f"{synthesized}: {name} is missing in {other}; {again}")
        for sentence in sorted(texts.keys() - {name.rpartition("-")[0] for name in own}):
            raise LikenessError(f"{synthesized}: {sentence} is missing in {voice}; {again}")


# --- measures -------------------------------------------------------------------------------------


def measure(
    cfg: VoiceEvaluate,
    clips: Mapping[str, ComparedClip],
    *,
    asr: Path,
    speaker: Path,
    mos: Path,
    rt: Runtime,
) -> list[EvaluatedSpeech]:
    """All measures of every clip, one row per clip, sorted by id."""
    paths = {name: clip.path for name, clip in clips.items()}
    heard = hear_files(paths, cfg, asr=asr, rt=rt)
    scores = rate_files(paths, mos=mos, rt=rt)
    vectors = embed_files(paths, encoder=speaker, rt=rt)
    real = [at for at, clip in enumerate(clips.values()) if clip.voice == "real"]
    seconds = {clip.sentence: clip.seconds for clip in clips.values() if clip.voice == "real"}
    number = {sentence: at for at, sentence in enumerate(seconds)}
    cosines = centroid_similarities(
        vectors, [number.get(clip.sentence) for clip in clips.values()], vectors[real]
    )
    rows: list[EvaluatedSpeech] = []
    for (name, clip), cosine in zip(clips.items(), cosines, strict=True):
        words = word_errors(clip.text, heard[name], cfg.normalizer)
        wrong, characters = character_errors(clip.text, heard[name], cfg.normalizer)
        own = seconds.get(clip.sentence)
        rows.append(
            EvaluatedSpeech(
                id=name,
                voice=clip.voice,
                sentence=clip.sentence,
                source=clip.source,
                take=clip.take,
                audio=clip.path.as_posix(),
                text=clip.text,
                heard=heard[name],
                word_errors=words.errors,
                words=words.words,
                character_errors=wrong,
                characters=characters,
                similarity=round(float(cosine), 4),
                dnsmos=round(scores[name], 3),
                seconds=clip.seconds,
                duration_ratio=None if own is None else round(clip.seconds / own, 4),
                problems=[],
            )
        )
    return [
        row.model_copy(update={"problems": problems_of(row, rows, cfg.max_duration_ratio)})
        for row in sorted(rows, key=lambda row: row.id)
    ]


def problems_of(
    row: EvaluatedSpeech, rows: Sequence[EvaluatedSpeech], max_duration_ratio: float
) -> list[str]:
    """Descriptions of each measure by which a clip is worse than every real clip."""
    real = [one for one in rows if one.voice == "real"]
    most = max(one.wer for one in real)
    found = []
    if not row.heard:
        found.append("nothing was recognised")
    if row.wer > most:
        found.append(f"word error rate {row.wer:.0%} (real clips: up to {most:.0%})")
    for name, label in (("similarity", "similarity"), ("dnsmos", "DNSMOS")):
        value, least = getattr(row, name), min(getattr(one, name) for one in real)
        if value < least:
            found.append(f"{label} {value:.2f} (real clips: from {least:.2f})")
    times = row.duration_ratio
    if times is not None and not 1 / max_duration_ratio <= times <= max_duration_ratio:
        found.append(f"{times:.2f} times as long as the real clip")
    return found


def estimates(
    cfg: VoiceEvaluate, table: Sequence[EvaluatedSpeech], seed: int
) -> dict[str, Estimate]:
    """Every figure of every voice. The keys do not depend on the table."""
    said = {
        voice: {_pair(row) for row in table if row.voice == voice} for voice in ("base", "tuned")
    }
    both = said["base"] & said["tuned"]

    def parts(voice: str, figure: str, source: str = "test") -> Array:
        rows = [row for row in table if row.voice == voice and row.source == source]
        if voice in said:
            rows = [row for row in rows if _pair(row) in both]
        return sentence_parts(rows, figure)

    found: dict[str, Estimate] = {}
    for figure in FIGURES:
        for voice in ("base", "tuned", "real")[: 2 if figure == "duration_ratio" else 3]:
            found[f"{voice}_{figure}"] = ratio(parts(voice, figure), cfg.rounds, seed)
        found[f"difference_{figure}"] = difference(
            parts("tuned", figure), parts("base", figure), cfg.rounds, seed
        )
    found["other_similarity"] = ratio(parts("other", "similarity"), cfg.rounds, seed)
    for figure in FIGURES[:-1]:
        for voice in ("base", "tuned"):
            found[f"{voice}_list_{figure}"] = ratio(parts(voice, figure, "list"), cfg.rounds, seed)
    return found


def _pair(row: EvaluatedSpeech) -> tuple[str, int]:
    return row.sentence, row.take


def sentence_parts(rows: Sequence[EvaluatedSpeech], figure: str) -> Array:
    """Numerator and denominator (N, 2) of a figure for each sentence, for `common.estimates`."""
    sums: dict[str, Array] = {}
    for row in rows:
        if figure == "wer":
            part = (row.word_errors, row.words)
        elif figure == "cer":
            part = (row.character_errors, row.characters)
        else:
            part = (getattr(row, figure), 1)
        sums[row.sentence] = sums.get(row.sentence, np.zeros(2)) + part
    return np.array([sums[name] for name in sorted(sums)]).reshape(-1, 2)


# --- what a person looks at -----------------------------------------------------------------------


def worst_clips(table: Sequence[EvaluatedSpeech], count: int) -> str:
    """A report in Markdown on the worst clips of tuned and base, with their paths and problems."""
    lines = ["# Worst clips", ""]
    for voice in ("tuned", "base"):
        rows = [row for row in table if row.voice == voice and row.problems]
        rows.sort(key=lambda row: (-len(row.problems), -row.wer, row.similarity, row.id))
        every = sum(row.voice == voice for row in table)
        lines += [
            f"## {voice}",
            "",
            f"{len(rows)} of {every} clips are worse than any real one.",
            "",
        ]
        for row in rows[:count]:
            lines += [
                f"- `{row.audio}`: {'; '.join(row.problems)}",
                f"    - text: {row.text}",
                f"    - heard: {row.heard or '(nothing)'}",
            ]
        lines.append("")
    return "\n".join(lines)


def _write_samples(folder: Path, table: Sequence[EvaluatedSpeech], count: int, rt: Runtime) -> None:
    """Write `count` random test sentences in all three voices: MP3 files, and `samples.json`."""
    rows = {(row.sentence, row.voice): row for row in table if row.take == 0}
    sentences = [
        row.sentence
        for row in table
        if row.voice == "real" and all((row.sentence, voice) in rows for voice in ("base", "tuned"))
    ]
    sentences.sort(key=lambda sentence: rt.seed_for("sample", sentence))
    samples = []
    for sentence in sentences[:count]:
        clips = {}
        for voice in ("real", "base", "tuned"):
            row = rows[sentence, voice]
            name = f"{voice}-{sentence}.mp3"
            write_bytes(folder / name, encode_mp3(Path(row.audio)))
            clips[voice] = {
                "file": name,
                "heard": row.heard,
                "wer": round(row.wer, 4),
                "similarity": row.similarity,
                "dnsmos": row.dnsmos,
            }
        samples.append({"text": rows[sentence, "real"].text, "clips": clips})
    write_json(folder / "samples.json", samples)


def _draw(plots_dir: Path, table: Sequence[EvaluatedSpeech], found: Mapping[str, Estimate]) -> None:
    by_voice = {voice: [row for row in table if row.voice == voice] for voice in COLOURS}
    with figures.figure(plots_dir / "figures.png", 1, len(FIGURES), (13, 2.8)) as axes:
        for axis, figure in zip(axes, FIGURES, strict=True):
            for voice, colour in COLOURS.items():
                one = found.get(f"{voice}_{figure}")
                if one is None or one.value is None or one.low is None or one.high is None:
                    continue
                error = [[max(0.0, one.value - one.low)], [max(0.0, one.high - one.value)]]
                axis.bar(voice, one.value, color=colour, yerr=error, capsize=4)
            axis.set_title(f"{figure.replace('_', ' ')} (n={found[f'tuned_{figure}'].n})")
    with figures.figure(plots_dir / "distributions.png", 1, 4, (13, 2.8)) as axes:
        for axis, figure in zip(axes, ("wer", *FIGURES[2:]), strict=True):
            values = {voice: _values(rows, figure) for voice, rows in by_voice.items()}
            every = np.concatenate(list(values.values()))
            edges = np.linspace(every.min(), max(every.max(), every.min() + 1e-3), 25)
            for voice, colour in COLOURS.items():
                axis.hist(values[voice], edges, histtype="step", color=colour, label=voice)
            axis.set_title(figure.replace("_", " "))
        axes[0].legend(frameon=False)
    tuned = {_pair(row): row for row in by_voice["tuned"]}
    base = [row for row in by_voice["base"] if _pair(row) in tuned]
    with figures.figure(plots_dir / "pairs.png", 1, 3, (10, 3.2)) as axes:
        for axis, figure in zip(axes, ("wer", "similarity", "dnsmos"), strict=True):
            left = _values(base, figure)
            right = _values([tuned[_pair(row)] for row in base], figure)
            axis.scatter(left, right, s=14, color=figures.ACCENT)
            ends = np.quantile([*left, *right], (0, 1)) if base else (0, 1)
            axis.plot(ends, ends, color=figures.QUIET, linewidth=1)
            axis.set(xlabel="base", ylabel="tuned", title=f"{figure}, clip by clip")


def _values(rows: Sequence[EvaluatedSpeech], figure: str) -> Array:
    """The values of a figure that are not None; outliers are drawn at 5."""
    values = [getattr(row, figure) for row in rows]
    return np.array([min(value, 5.0) for value in values if value is not None], np.float64)
