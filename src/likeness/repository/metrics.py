"""What is known of each metric: one table that `likeness gate`, `compare` and `search` read.

A metric is called `<stage>.<key>`, as `image_evaluate.tuned_frechet`. What docs/metrics.md says of the
better direction is checked against this table, and so is that every key of metrics/*.json is in it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["lower", "higher"]


@dataclass(frozen=True)
class Metric:
    """A row of the table.

    Attributes:
        names: a regular expression that the whole name matches.
        better: the better direction; None for counts, sizes, words and what others are compared with.
        headline: `likeness compare` shows it, and the first of a lane decides which experiment is best.
        of_sets: it compares sets, and so is another metric with another number of items.
        tolerance: by how much it may differ on another machine; None is the rule of `tolerance()`.
        share: the same as a share of its value.
    """

    names: str
    better: Direction | None = None
    headline: bool = False
    of_sets: bool = False
    tolerance: float | None = None
    share: float = 0.15


# The first row that a name matches holds.
METRICS = (
    Metric(r"image_evaluate\.tuned_(fid|frechet)", "lower", headline=True, of_sets=True),
    Metric(r"image_evaluate\.tuned_clip", "higher", headline=True),
    Metric(r"image_evaluate\.tuned_coverage", "higher", headline=True, of_sets=True),
    Metric(r"image_evaluate\.tuned_(precision|recall|density|inception)", "higher", of_sets=True),
    Metric(r"image_evaluate\.tuned_(kid|kernel|copy_share)", "lower"),
    Metric(r"image_evaluate\.tuned_(realism|colour_agreement|clean_background)", "higher"),
    Metric(r"image_evaluate\.trained_on_synthetic_accuracy", "higher"),
    Metric(
        r"image_evaluate\.(base|autoencoder|floor)_(fid|frechet|precision|recall|density|coverage|inception)",
        of_sets=True,
    ),
    Metric(r"image_evaluate\.(base|autoencoder|floor|real|shuffled|trained_on_real)_\w+"),
    Metric(r"image_evaluate\.(tuned_(diversity|sharpness|n)|distance_n|extractor|clip_model)"),
    Metric(r"image_evaluate\.own_(kid|kernel)[\w-]*", "lower"),
    Metric(r"image_evaluate\.own_(clip|colour_agreement)[\w-]*", "higher"),
    Metric(r"image_evaluate\.(shared|difference|test_n)_[\w-]+"),
    Metric(r"image_train\.val_loss", "lower", share=0.3),
    Metric(r"image_train\.per_own_loss_[\w-]+", "lower"),
    Metric(r"image_train\.per_[\w-]+"),
    Metric(r"image_train\.steps", tolerance=float("inf")),
    Metric(r"image_train\.(val_loss_base|\w+_n|best_step|trainable_\w+)"),
    Metric(r"image_generate\.rejected_share", "lower"),
    Metric(r"image_generate\.(kept|drawn|baseline)"),
    Metric(r"image_describe\.(rejected|contradiction)_share", "lower"),
    Metric(r"image_describe\.(named_share|distinct_\w+)", "higher"),
    Metric(r"image_describe\.(writer|n|kept|written|contradictions|\w+_words)"),
    Metric(r"image_recolour\.(overlap|edges_followed|colour_share)(_gain)?", "higher"),
    Metric(r"image_recolour\.rejected_share", "lower"),
    Metric(r"image_recolour\.(controlnet|n|kept|(plain|photo)_\w+)"),
    Metric(r"image_prepare\.imbalance_\w+", "lower"),
    Metric(r"image_prepare\.(products|train|val|test|near_duplicate_groups)"),
    Metric(r"image_analyze\.\w+"),
    Metric(r"image_failures\.share_\w+", tolerance=0.1),  # of some fifty images
    Metric(r"image_failures\.(n|failed)"),
    Metric(r"\w+_rate\.(preference_tuned|opinion_(tuned|difference)|classes_good)", "higher"),
    Metric(r"\w+_rate\.real_or_synthetic_right", "lower"),
    Metric(r"\w+_rate\.\w+"),
    Metric(r"voice_evaluate\.tuned_similarity", "higher", headline=True),
    Metric(r"voice_evaluate\.tuned_wer", "lower", headline=True),
    Metric(r"voice_evaluate\.tuned_dnsmos", "higher", headline=True),
    # Of eight sentences, and of another epoch's adapter where val has chosen that.
    Metric(r"voice_evaluate\.tuned_list_dnsmos", "higher", tolerance=0.3),
    Metric(r"voice_evaluate\.(tuned|tuned_list|difference)_(wer|cer)", "lower"),
    Metric(r"voice_evaluate\.(tuned_list|difference)_(similarity|dnsmos)", "higher"),
    Metric(r"voice_evaluate\.(with_problems|not_understood)_tuned", "lower"),
    Metric(r"voice_evaluate\.(with_problems|not_understood)_\w+"),
    Metric(r"voice_evaluate\.(base|real|other)_\w+"),
    Metric(r"voice_evaluate\.((tuned|difference)_(duration_ratio|n)|words)"),
    Metric(r"voice_evaluate\.(asr|normalizer|speaker_encoder|mos)"),
    # A few sentences that are drawn decide these, and which epoch is chosen.
    Metric(r"voice_train\.val_wer", "lower", tolerance=0.3),
    Metric(r"voice_train\.val_(similarity|score)", "higher", tolerance=0.3),
    Metric(r"voice_train\.val_loss", "lower", share=0.3),
    Metric(r"voice_train\.(best_epoch|epochs|steps)", tolerance=float("inf")),
    Metric(r"voice_train\.(val_\w+|\w+_n|trainable_\w+|asr|speaker)"),
    Metric(r"voice_transcribe\.wer", "lower"),
    # In a window with noise alone the recogniser may hear words or none.
    Metric(r"voice_transcribe\.regions_without_words", tolerance=5),
    Metric(r"voice_transcribe\.(wer_\w+|regions|windows|words)"),
    Metric(r"voice_transcribe\.(asr|normalizer)"),
    Metric(
        r"voice_clips\.(candidates|kept|kept_seconds|rejected_seconds|at_maximum|corrections_\w+)"
    ),
    Metric(r"voice_dataset\.(clips|train|val|test|seconds_\w+|augmented|units|words)"),
    Metric(r"voice_dataset\.(mended_texts|texts_in_train_too)"),
    Metric(r"voice_(download|segment)\.(files|recordings|seconds|regions|speech_\w+)"),
    Metric(r"voice_synthesize\.(base_model|sentences_\w+|takes|pairs|\w+_n|\w+_seconds)"),
    Metric(r"voice_synthesize\.(temperature|top_k|top_p|repetition_penalty)"),
    Metric(r"\w+\.rejected_\w+"),
)


def find(name: str) -> Metric | None:
    """A metric's row of the table."""
    return next((row for row in METRICS if re.fullmatch(row.names, name)), None)


def direction(name: str) -> Direction | None:
    """Which way the metric is better; None where neither is, as for counts and sizes."""
    row = find(name)
    return row.better if row else None


def headlines(names: Iterable[str]) -> list[list[str]]:
    """For each lane, those of the names that are its headlines, in the order of the table."""
    order = {name: METRICS.index(row) for name in names if (row := find(name)) and row.headline}
    found = sorted(order, key=lambda name: order[name])
    return [[name for name in found if name.startswith(lane)] for lane in ("image_", "voice_")]


def tolerance(name: str, value: float, interval: Mapping[str, float] | None) -> float:
    """How far from the `value` that a metric has at a revision another one may be.

    What has a tolerance in the table may move by that. A figure with an interval may move by the
    interval's width, or by 0.02. All else may move by its share, and by at least 2 if it is a whole
    number, else by 0.02.
    """
    row = find(name) or Metric(name)
    if row.tolerance is not None:
        return row.tolerance
    if interval:
        return max(interval["high"] - interval["low"], 0.02)
    return max(row.share * abs(value), 2 if isinstance(value, int) else 0.02)


def exceptions() -> str:
    """The tolerances that the table sets, a line each, for `likeness gate --help`."""
    usual = Metric("")
    lines = {
        row.names.replace("\\", ""): f"{row.share:.0%}" if row.tolerance is None else row.tolerance
        for row in METRICS
        if (row.tolerance, row.share) != (usual.tolerance, usual.share)
    }
    return "\n".join(f"  {names:<44} {limit}" for names, limit in lines.items())
