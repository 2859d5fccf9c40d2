"""Answers of blind listening tests in; what raters can tell and prefer, and how they agree, out."""

from likeness.common.cli import run
from likeness.stage import stage
from likeness.voice.rate import rate

main = stage(__doc__, rate)

if __name__ == "__main__":
    run(main)
