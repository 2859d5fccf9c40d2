"""Base and adapter in; synthetic product photos with prompts, seeds and scores out."""

from likeness.common.cli import run
from likeness.image.generate import generate
from likeness.stage import stage

main = stage(__doc__, generate)

if __name__ == "__main__":
    run(main)
