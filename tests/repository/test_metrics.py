"""The table of metrics: every one is in it, headlines are there, and no other module knows them."""

import ast
import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from likeness.repository.metrics import METRICS, direction, exceptions, find, headlines, tolerance

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    f"{path.stem}.{key}"
    for path in sorted((ROOT / "metrics").glob("*.json"))
    for key in json.loads(path.read_text())
]


def test_every_metric_is_in_the_table() -> None:
    assert len(NAMES) > 200
    assert [name for name in NAMES if find(name) is None] == []
    assert find("image_evaluate.tuned_beauty") is None


def test_every_row_of_the_table_is_a_metric() -> None:
    # No bundled extractor is InceptionV3, by which alone two distances have these names.
    names = [*NAMES, "image_evaluate.tuned_fid", "image_evaluate.tuned_kid"]
    # By default there is one adapter for all.
    evaluated = ("own_kernel_Men", "own_clip", "difference_clip", "test_n_Men")
    names += [f"image_evaluate.{name}" for name in evaluated]
    names += ["image_train.per_own_loss_Men", "image_train.per_best_step_Men"]
    idle = [row.names for row in METRICS if row not in {find(name) for name in names}]
    assert idle == []


def test_headlines_have_a_direction_and_the_first_of_each_lane_comes_first() -> None:
    image, voice = headlines(NAMES)
    assert image[0] == "image_evaluate.tuned_frechet"
    assert voice[0] == "voice_evaluate.tuned_similarity"
    assert all(direction(name) for name in [*image, *voice])


def known_elsewhere(text: str, names: Iterable[str]) -> list[str]:
    """Keys of the metrics that a module's strings name, its docstring aside."""
    keys = {key for name in names for key in [name.partition(".")[2]] if "_" in key}
    rest = ast.parse(text).body[1:]
    words = {
        word
        for part in rest
        for node in ast.walk(part)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in re.findall(r"\w+", node.value)
    }
    return sorted(keys & words)


def test_no_other_module_of_the_repository_s_commands_knows_a_metric() -> None:
    judged = [name for name in NAMES if direction(name)]
    for path in sorted((ROOT / "src/likeness/repository").glob("*.py")):
        if path.name != "metrics.py":
            assert known_elsewhere(path.read_text(), judged) == [], path.name


def test_a_metric_that_is_known_elsewhere_is_found() -> None:
    text = '"""Of tuned_wer."""\nFEW = ("val_wer", "other")\n'
    assert known_elsewhere(text, ["a.tuned_wer", "a.val_wer"]) == ["val_wer"]


@pytest.mark.parametrize(
    ("name", "value", "interval", "limit"),
    [
        ("image_evaluate.tuned_frechet", 110.0, {"low": 106.0, "high": 114.0}, 8.0),
        ("image_evaluate.tuned_frechet", 110.0, None, 16.5),
        ("voice_train.val_wer", 0.4, None, 0.3),
        ("voice_train.val_loss", 3.0, None, 0.9),
        ("voice_train.best_epoch", 3, None, float("inf")),
        ("voice_clips.rejected_snr", 3, None, 2),
        ("voice_evaluate.tuned_list_dnsmos", 2.9, {"low": 2.85, "high": 2.95}, 0.3),
        ("of_another.version", 0.01, None, 0.02),
    ],
)
def test_how_far_a_metric_may_be(
    name: str, value: float, interval: dict[str, float] | None, limit: float
) -> None:
    assert tolerance(name, value, interval) == pytest.approx(limit)


def test_help_lists_every_tolerance_of_the_table() -> None:
    lines = exceptions().splitlines()
    assert any(re.match(r"  voice_train\.val_wer +0\.3$", line) for line in lines)
    assert any(re.match(r"  image_train\.val_loss +30%$", line) for line in lines)
    assert len(lines) == 9
