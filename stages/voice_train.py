"""A dataset and a base XTTS in; a LoRA adapter, the voice, and samples of every epoch out."""

from likeness.common.cli import run
from likeness.stage import stage
from likeness.voice.train import train

main = stage(__doc__, train)

if __name__ == "__main__":
    run(main)
