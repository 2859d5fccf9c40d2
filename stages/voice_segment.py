"""Recordings in; loudness-normalised mono audio and the regions of speech in it out."""

from likeness.common.cli import run
from likeness.stage import stage
from likeness.voice.segment import segment

main = stage(__doc__, segment)

if __name__ == "__main__":
    run(main)
