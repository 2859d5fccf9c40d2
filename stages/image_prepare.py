"""Products in; checked, grouped and captioned images in train, val and test out."""

from collections.abc import Sequence

from likeness.common.cli import run
from likeness.common.io import write_json
from likeness.image.prepare import ImagePrepare, prepare
from likeness.stage import begin


def main(argv: Sequence[str]) -> None:
    with begin(
        __doc__,
        argv,
        ImagePrepare,
        "catalog",
        "products",
        "extractor",
        "out_dir",
        "plots_dir",
        "metrics",
    ) as (args, cfg, rt):
        metrics = prepare(
            cfg,
            catalog=args.catalog,
            products=args.products,
            extractor=args.extractor,
            out_dir=args.out_dir,
            plots_dir=args.plots_dir,
            rt=rt,
        )
        write_json(args.metrics, metrics)


if __name__ == "__main__":
    run(main)
