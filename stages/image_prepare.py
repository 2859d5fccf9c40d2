"""Products in; checked, grouped and captioned images in train, val and test out."""

from likeness.common.cli import run
from likeness.image.prepare import prepare
from likeness.stage import stage

main = stage(__doc__, prepare)

if __name__ == "__main__":
    run(main)
