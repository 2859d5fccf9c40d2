"""Recordings in; loudness-normalised mono audio and the regions of speech in it out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.stage import begin
from likeness.voice.segment import VoiceSegment, segment


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        VoiceSegment,
        "recordings",
        "downloads",
        "out_dir",
        "plots_dir",
        "metrics",
    ) as (args, cfg, rt):
        metrics = segment(
            cfg,
            recordings=args.recordings,
            downloads=args.downloads,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
