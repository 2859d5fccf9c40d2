"""A dataset and a base XTTS in; a LoRA adapter, the voice, and samples of every epoch out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.stage import begin
from likeness.voice.train import VoiceTrain, train


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        VoiceTrain,
        "dataset",
        "base",
        "asr",
        "speaker",
        "out_dir",
        "plots_dir",
        "timings_dir",
        "metrics",
    ) as (args, cfg, rt):
        metrics = train(
            cfg,
            dataset=args.dataset,
            base=args.base,
            asr=args.asr,
            speaker=args.speaker,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            timings_dir=args.timings_dir,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
