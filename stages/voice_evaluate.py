"""Synthetic and real speech in; error rates, similarity and opinion scores with intervals out."""

from likeness.common.cli import run
from likeness.stage import stage
from likeness.voice.evaluate import evaluate

main = stage(__doc__, evaluate)

if __name__ == "__main__":
    run(main)
