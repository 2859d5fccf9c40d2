"""Entry scripts, one a stage: paths and params in, one call, metrics out."""

import sys
from pathlib import Path

# A stage runs the library of its own checkout: `dvc exp run --temp` works in a copy, where an
# installed package would still be the workspace's.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
