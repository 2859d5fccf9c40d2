"""Prepared images and a base Stable Diffusion in; a LoRA adapter and its samples out."""

from likeness.common.cli import run
from likeness.image.train import train
from likeness.stage import stage

main = stage(__doc__, train)

if __name__ == "__main__":
    run(main)
