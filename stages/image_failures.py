"""Evaluated images in; the worst of them by category, and what to change, out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.image.failures import ImageFailures, find_failures
from likeness.stage import begin


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        ImageFailures,
        "generated",
        "evaluated",
        "out_dir",
        "plots_dir",
        "report",
        "metrics",
    ) as (args, cfg, rt):
        metrics = find_failures(
            cfg,
            generated=args.generated,
            evaluated=args.evaluated,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            report=args.report,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
