"""Synthetic and real images in; distances, scores and agreement with intervals out."""

from likeness.common.cli import run
from likeness.image.evaluate import evaluate
from likeness.stage import stage

main = stage(__doc__, evaluate)

if __name__ == "__main__":
    run(main)
