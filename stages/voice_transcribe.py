"""Regions of speech in; their words with times and confidence out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.stage import begin
from likeness.voice.transcribe import VoiceTranscribe, transcribe


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        VoiceTranscribe,
        "segments",
        "recordings",
        "asr",
        "out_dir",
        "plots_dir",
        "report",
        "timings",
        "metrics",
    ) as (args, cfg, rt):
        metrics = transcribe(
            cfg,
            segments=args.segments,
            recordings=args.recordings,
            asr=args.asr,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            report=args.report,
            timings=args.timings,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
