"""Catalogue in; the products of one article type, figures and a report out."""

from likeness.common.cli import run
from likeness.image.analyze import analyze
from likeness.stage import stage

main = stage(__doc__, analyze)

if __name__ == "__main__":
    run(main)
