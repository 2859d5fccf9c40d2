"""URLs in; recordings, their descriptions and a list of failures out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.stage import begin
from likeness.voice.download import VoiceDownload, download


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        VoiceDownload,
        "out_dir",
        "plots_dir",
        "metrics",
    ) as (args, cfg, rt):
        metrics = download(
            cfg,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
