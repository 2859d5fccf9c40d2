"""Metrics, figures and texts of all stages in; one HTML page and a model card out."""

from likeness.common.cli import run
from likeness.report import write_report
from likeness.stage import stage

main = stage(__doc__, write_report)

if __name__ == "__main__":
    run(main)
