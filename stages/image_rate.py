"""Answers of blind tests of images in; what raters can tell and prefer, and how they agree, out."""

from likeness.common.cli import run
from likeness.image.rate import rate
from likeness.stage import stage

main = stage(__doc__, rate)

if __name__ == "__main__":
    run(main)
