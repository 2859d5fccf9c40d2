"""Synthetic and real speech in; error rates, similarity and opinion scores with intervals out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.stage import begin
from likeness.voice.evaluate import VoiceEvaluate, evaluate


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        VoiceEvaluate,
        "dataset",
        "synthesized",
        "asr",
        "speaker",
        "mos",
        "out_dir",
        "plots_dir",
        "reports_dir",
        "metrics",
    ) as (args, cfg, rt):
        metrics = evaluate(
            cfg,
            dataset=args.dataset,
            synthesized=args.synthesized,
            asr=args.asr,
            speaker=args.speaker,
            mos=args.mos,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            reports_dir=args.reports_dir,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
