"""Clips in; an LJSpeech folder with normalised text, split into train, val and test, out."""

from likeness.common.cli import run
from likeness.stage import stage
from likeness.voice.dataset import build_dataset

main = stage(__doc__, build_dataset)

if __name__ == "__main__":
    run(main)
