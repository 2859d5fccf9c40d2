"""Regions of speech in; their words with times and confidence out."""

from likeness.common.cli import run
from likeness.stage import stage
from likeness.voice.transcribe import transcribe

main = stage(__doc__, transcribe)

if __name__ == "__main__":
    run(main)
