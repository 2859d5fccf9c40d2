"""Evaluated images in; the worst of them by category, and what to change, out."""

from likeness.common.cli import run
from likeness.image.failures import find_failures
from likeness.stage import stage

main = stage(__doc__, find_failures)

if __name__ == "__main__":
    run(main)
