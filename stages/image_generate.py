"""Base and adapter in; synthetic product photos with prompts, seeds and scores out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.image.generate import ImageGenerate, generate
from likeness.stage import begin


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        ImageGenerate,
        "dataset",
        "base",
        "adapter",
        "extractor",
        "out_dir",
        "plots_dir",
        "timings",
        "metrics",
    ) as (args, cfg, rt):
        metrics = generate(
            cfg,
            dataset=args.dataset,
            base=args.base,
            adapter=args.adapter,
            extractor=args.extractor,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            timings=args.timings,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
