"""Metrics, figures and texts of all stages in; one HTML page and a model card out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.report import Report, write_report
from likeness.stage import begin


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        Report,
        "metrics_dir",
        "plots_dir",
        "reports_dir",
        "adapter",
        "voice_adapter",
        "speech",
        "out_dir",
    ) as (args, cfg, rt):
        write_report(
            cfg,
            metrics_dir=args.metrics_dir,
            plots_dir=args.plots_dir,
            reports_dir=args.reports_dir,
            adapter=args.adapter,
            voice_adapter=args.voice_adapter,
            speech=args.speech,
            out_dir=args.out_dir,
            rt=rt,
        )


if __name__ == "__main__":
    run(main)
