"""Synthetic and real images in; distances, scores and agreement with intervals out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.image.evaluate import ImageEvaluate, evaluate
from likeness.stage import begin


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        ImageEvaluate,
        "dataset",
        "generated",
        "base",
        "adapter",
        "extractor",
        "clip",
        "out_dir",
        "plots_dir",
        "intervals",
        "metrics",
    ) as (args, cfg, rt):
        metrics = evaluate(
            cfg,
            dataset=args.dataset,
            generated=args.generated,
            base=args.base,
            adapter=args.adapter,
            extractor=args.extractor,
            clip=args.clip,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            intervals=args.intervals,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
