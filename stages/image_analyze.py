"""Catalogue in; the products of one article type, figures and a report out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.image.analyze import ImageAnalyze, analyze
from likeness.stage import begin


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__, argv, ImageAnalyze, "catalog", "out_dir", "plots_dir", "report", "metrics"
    ) as (args, cfg, rt):
        metrics = analyze(
            cfg,
            catalog=args.catalog,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            report=args.report,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
