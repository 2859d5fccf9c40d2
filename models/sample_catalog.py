"""Render the sample catalogue: `styles.csv`, `images/ID.jpg`, and `flaws.jsonl` as its ground truth."""

from collections.abc import Sequence

from likeness.common.cli import run
from models.render import render_catalog
from models.settings import SampleCatalog, begin


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
