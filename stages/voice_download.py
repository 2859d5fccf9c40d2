"""URLs in; recordings, their descriptions and a list of failures out."""

from likeness.common.cli import run
from likeness.stage import stage
from likeness.voice.download import download

main = stage(__doc__, download)

if __name__ == "__main__":
    run(main)
