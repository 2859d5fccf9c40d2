"""Compare a reproduction's metrics with the committed ones: `compare.py COMMITTED REPRODUCED`.

Another processor sums floats in another order, and a training amplifies that. So:

- a figure of reports/<stage>/intervals.json may move by its interval's width, or by 0.02;
- what a few drawn sentences decide (`FEW`) may move by 0.3; the epoch that they choose is free, and its
  loss may move by 30 %;
- any other number may move by 15 %, or by 2 if it is a whole number;
- keys and words must be the same.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

FEW = ("val_wer", "val_similarity", "val_score")
FREE = ("best_epoch", "epochs", "steps")


def tolerance(key: str, value: float, interval: Mapping[str, float] | None) -> float:
    """How far from the committed `value` of a metric a reproduced one may be."""
    if interval:
        return max(interval["high"] - interval["low"], 0.02)
    if key in FREE:
        return float("inf")
    if key in FEW:
        return 0.3
    if key == "val_loss":
        return 0.3 * value
    return max(0.15 * abs(value), 2 if isinstance(value, int) else 0.02)


def differences(
    committed: Mapping[str, float | str],
    reproduced: Mapping[str, float | str],
    intervals: Mapping[str, Mapping[str, float]],
) -> list[str]:
    """One line for each key that is missing, new, or further off than its tolerance."""
    found = []
    for key in sorted(committed.keys() | reproduced.keys()):
        old, new = committed.get(key), reproduced.get(key)
        if isinstance(old, int | float) and isinstance(new, int | float):
            limit = tolerance(key, old, intervals.get(key))
            if abs(old - new) > limit:
                found.append(f"{key}: committed {old}, reproduced {new}, tolerance {limit:.4g}")
        elif old != new:
            found.append(f"{key}: committed {old}, reproduced {new}")
    return found


def main(committed: Path, reproduced: Path) -> int:
    names = {path.name for root in (committed, reproduced) for path in root.glob("metrics/*.json")}
    failed = exact = 0
    for name in sorted(names):
        paths = [root / "metrics" / name for root in (committed, reproduced)]
        if not all(path.is_file() for path in paths):
            print(f"{name}: only in one of {committed} and {reproduced}")
            failed += 1
            continue
        old, new = (json.loads(path.read_text()) for path in paths)
        exact += old == new
        path = committed / "reports" / Path(name).stem / "intervals.json"
        intervals = json.loads(path.read_text()) if path.is_file() else {}
        for line in differences(old, new, intervals):
            print(f"{name}: {line}")
            failed += 1
    print(f"{len(names)} metrics files: {exact} the same to the digit, {failed} differences")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
