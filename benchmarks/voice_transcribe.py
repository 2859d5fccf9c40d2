"""Speed of voice_transcribe against faster-whisper one recording at a time, with their word error rates.

faster-whisper gets the same recordings, model, beam and language, its own Silero filter, word times
and every core. voice_transcribe starts from an empty store; its time holds all of its work: cutting
windows, starting processes, loading models, decoding, writing. Both are compared with the same script.

    python benchmarks/voice_transcribe.py [--rounds 1]

Needs `data/voice_segment` and the model: run `make repro` first.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from likeness.common.manifest import read_manifest  # noqa: E402
from likeness.common.params import check_params  # noqa: E402
from likeness.common.runtime import Runtime, start  # noqa: E402
from likeness.repository.dvc import open_cache_folder  # noqa: E402
from likeness.stage import SCHEMA  # noqa: E402
from likeness.voice.rows import SCRIPT, Recording, Transcript, Word  # noqa: E402
from likeness.voice.transcribe import (  # noqa: E402
    VoiceTranscribe,
    sentence_errors,
    transcribe,
)
from likeness.voice.wer import pooled_rate, read_script  # noqa: E402
from likeness.voice.whisper import hearing_device  # noqa: E402


def main(rounds: int, segments: Path, recordings: Path | None, asr: Path | None) -> None:
    params = check_params(ROOT / "params.yaml", SCHEMA)
    inputs, cfg = params["inputs"], params["voice_transcribe"]
    recordings = recordings or ROOT / "data/raw" / inputs.recordings
    asr = asr or ROOT / "models" / inputs.asr
    rt = start(params["base"], open_cache_folder(ROOT))
    rows = read_manifest(segments / "manifest.jsonl", Recording)
    seconds = sum(row.seconds for row in rows)
    script = read_script(recordings / SCRIPT)
    named = {row.source: row.id for row in rows}
    runs: dict[str, Callable[[], list[Transcript]]] = {
        "faster-whisper": lambda: one_by_one(cfg, segments, rows, asr, rt),
        "likeness": lambda: ours(cfg, segments, recordings, asr, rt),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    device = hearing_device(rt.device)
    print(f"{len(rows)} recordings, {seconds:.0f} s, {asr.name}, beam {cfg.beam_size}, {device}")
    for at in range(rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            transcripts = run()
            times[name].append(time.perf_counter() - begun)
            if at == 0:
                found = sentence_errors(script, named, transcripts, cfg.normalizer)
                errors = [one for some in found.values() for one in some]
                rate = pooled_rate(errors, cfg.rounds, rt.seed_for("wer"))
                print(
                    f"{name:>15}: word error rate {rate.value:.2%} "
                    f"({rate.low:.2%} to {rate.high:.2%}, {rate.n} sentences)"
                )
    speeds = {name: seconds / median(values) for name, values in times.items()}
    for name, speed in speeds.items():
        print(f"{name:>15}: {speed:.1f} seconds of audio a second ({median(times[name]):.1f} s)")
    print(f"ratio: {speeds['likeness'] / speeds['faster-whisper']:.2f}")


def one_by_one(
    cfg: VoiceTranscribe, segments: Path, rows: list[Recording], asr: Path, rt: Runtime
) -> list[Transcript]:
    """As faster-whisper's README does it."""
    from faster_whisper import WhisperModel

    model = WhisperModel(
        str(asr),
        device=hearing_device(rt.device),
        compute_type=cfg.compute_type,
        cpu_threads=os.cpu_count() or 1,
        local_files_only=True,
    )
    transcripts = []
    for row in rows:
        found, info = model.transcribe(
            str(segments / row.file_name),
            language=None if cfg.language == "auto" else cfg.language,
            beam_size=cfg.beam_size,
            word_timestamps=True,
            vad_filter=True,
        )
        words = [
            Word(
                word=word.word.strip(), start=word.start, end=word.end, probability=word.probability
            )
            for segment in found
            for word in segment.words or []
        ]
        transcripts.append(
            Transcript(
                id=row.id,
                recording=row.id,
                language=info.language,
                language_probability=info.language_probability,
                text=" ".join(word.word for word in words),
                words=words,
                avg_logprob=0.0,
                no_speech_prob=0.0,
                compression_ratio=1.0,
            )
        )
    return transcripts


def ours(
    cfg: VoiceTranscribe, segments: Path, recordings: Path, asr: Path, rt: Runtime
) -> list[Transcript]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        transcribe(
            cfg,
            segments=segments,
            recordings=recordings,
            asr=asr,
            out_dir=out / "data",
            plots_dir=out / "plots",
            report=out / "transcripts.md",
            timings=out / "timings.json",
            rt=replace(rt, cache=out / "cache"),
        )
        return read_manifest(out / "data" / "words.jsonl", Transcript)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--segments", type=Path, default=ROOT / "data/voice_segment")
    parser.add_argument("--recordings", type=Path, help="folder with the script.jsonl")
    parser.add_argument("--asr", type=Path)
    arguments = parser.parse_args()
    main(arguments.rounds, arguments.segments, arguments.recordings, arguments.asr)
