"""Prepared images and a base Stable Diffusion in; a LoRA adapter and its samples out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.image.train import ImageTrain, train
from likeness.stage import begin


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        ImageTrain,
        "dataset",
        "base",
        "out_dir",
        "plots_dir",
        "timings_dir",
        "metrics",
    ) as (args, cfg, rt):
        metrics = train(
            cfg,
            dataset=args.dataset,
            base=args.base,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            timings_dir=args.timings_dir,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
