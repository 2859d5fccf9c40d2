"""Recordings and their transcripts in; clips of whole sentences, measured and filtered, out."""

from likeness.common.cli import run
from likeness.stage import stage
from likeness.voice.clips import make_clips

main = stage(__doc__, make_clips)

if __name__ == "__main__":
    run(main)
