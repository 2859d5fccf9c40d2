"""Recordings and their transcripts in; clips of whole sentences, measured and filtered, out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.stage import begin
from likeness.voice.clips import VoiceClips, make_clips


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        VoiceClips,
        "recordings",
        "transcripts",
        "speaker",
        "mos",
        "out_dir",
        "plots_dir",
        "report",
        "metrics",
    ) as (args, cfg, rt):
        metrics = make_clips(
            cfg,
            recordings=args.recordings,
            transcripts=args.transcripts,
            speaker=args.speaker,
            mos=args.mos,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            report=args.report,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
