"""Test sentences and a text list in; the same, spoken by the base and by the tuned voice, out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.stage import begin
from likeness.voice.synthesize import VoiceSynthesize, synthesize


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        VoiceSynthesize,
        "dataset",
        "texts",
        "base",
        "adapter",
        "out_dir",
        "plots_dir",
        "timings",
        "metrics",
    ) as (args, cfg, rt):
        metrics = synthesize(
            cfg,
            dataset=args.dataset,
            texts=args.texts,
            base=args.base,
            adapter=args.adapter,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            timings=args.timings,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
