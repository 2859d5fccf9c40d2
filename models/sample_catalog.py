"""Render the sample catalogue: `styles.csv`, `images/ID.jpg`, and `flaws.jsonl` as its ground truth."""

from collections.abc import Sequence

from settings import SampleCatalog, begin

from likeness.common.cli import run
from likeness.image.render import render_catalog


def main(argv: Sequence[str]) -> None:
    args, cfg, rt = begin(__doc__, argv, SampleCatalog, "out_dir")
    render_catalog(
        args.out_dir,
        count=cfg.count,
        seed=cfg.seed,
        quality=cfg.quality,
        progress=lambda products: rt.progress(products, "sample_catalog", total=cfg.count),
    )


if __name__ == "__main__":
    run(main)
