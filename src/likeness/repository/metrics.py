"""What the name of a metric tells: which way is better, and which ones a lane is judged by.

A metric is called `<stage>.<key>`, as `image_evaluate.tuned_frechet`.
"""

import re
from typing import Literal

Direction = Literal["lower", "higher"]

# The first of a lane decides which experiment is best.
HEADLINES = {
    "image": (
        "image_evaluate.tuned_fid",
        "image_evaluate.tuned_frechet",
        "image_evaluate.tuned_clip",
        "image_evaluate.tuned_coverage",
    ),
    "voice": (
        "voice_evaluate.tuned_similarity",
        "voice_evaluate.tuned_wer",
        "voice_evaluate.tuned_dnsmos",
    ),
}

# What a result is held against is no result: of it, neither way is better.
_REFERENCE = re.compile(
    r"(base|real|floor|other|shuffled|trained_on_real)_.*|.*_(base|without_adapter)"
)
_LOWER = re.compile(
    r"(.*_)?(frechet|fid|kernel|kid|wer|cer|loss|failed|with_problems_tuned|rejected_share"
    r"|copy_share|imbalance_(train|val|test)|seconds_per_(step|image|second)|peak_memory_mib)"
)
_HIGHER = re.compile(
    r"(.*_)?(clip|precision|recall|density|coverage|inception|realism|colour_agreement"
    r"|clean_background|accuracy|similarity|dnsmos|score)"
)
_OF_SETS = re.compile(r"(.*_)?(frechet|fid|precision|recall|density|coverage|inception)")


def direction(name: str) -> Direction | None:
    """Which way the metric is better; None where neither is, as for counts and sizes."""
    key = name.rpartition(".")[2]
    if _REFERENCE.fullmatch(key):
        return None
    if _LOWER.fullmatch(key):
        return "lower"
    return "higher" if _HIGHER.fullmatch(key) else None


def depends_on_n(name: str) -> bool:
    """Whether the metric compares sets, and so is another one with other numbers of items."""
    return _OF_SETS.fullmatch(name.rpartition(".")[2]) is not None
