"""Clips in; an LJSpeech folder with normalised text, split into train, val and test, out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.stage import begin
from likeness.voice.dataset import VoiceDataset, build_dataset


def main(argv: Sequence[str]) -> None:
    with begin(__doc__, argv, VoiceDataset, "clips", "out_dir", "plots_dir", "metrics") as (
        args,
        cfg,
        rt,
    ):
        metrics = build_dataset(
            cfg, clips=args.clips, out_dir=args.out_dir, plots_dir=args.plots_dir, rt=rt
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
