"""Synthetic products in; a title and a description of each out."""

from likeness.common.cli import run
from likeness.image.describe import describe
from likeness.stage import stage

main = stage(__doc__, describe)

if __name__ == "__main__":
    run(main)
