"""Real products in; the same in other colours out, drawn by their edges, and what they keep."""

from likeness.common.cli import run
from likeness.image.recolour import recolour
from likeness.stage import stage

main = stage(__doc__, recolour)

if __name__ == "__main__":
    run(main)
