"""Test sentences and a text list in; the same, spoken by the base and by the tuned voice, out."""

from likeness.common.cli import run
from likeness.stage import stage
from likeness.voice.synthesize import synthesize

main = stage(__doc__, synthesize)

if __name__ == "__main__":
    run(main)
