"""The first rule that is broken counts, in one stated order, with the bound that was missed."""

import pytest

from likeness.common.rules import Rule, first_broken
from likeness.voice.clips import VoiceClips
from likeness.voice.rules import REASONS, cut_rules, measured_rules
from tests.conftest import section

CFG = section(
    VoiceClips,
    min_seconds=1.0,
    max_seconds=10.0,
    max_clipped_share=0.02,
    min_snr_db=18.0,
    min_bandwidth_hz=4000.0,
    max_rate_ratio=2.0,
)
FINE = {
    "words": 8,
    "seconds": 4.0,
    "silence_ratio": 0.1,
    "clipped_share": 0.01,
    "snr_db": 40.0,
    "bandwidth_hz": 8000.0,
    "speaker_distance": 0.0,
    "speaker_spread": 0.0,
    "dnsmos": 5.0,
    "language_probability": 1.0,
    "repeated": 0.0,
    "compression_ratio": 1.0,
    "confidence": 1.0,
    "words_per_second": 3.0,
}
RULES = [*cut_rules(CFG), *measured_rules(CFG, rate=3.0)]


def test_rules_are_in_the_order_of_the_reasons() -> None:
    order = list(dict.fromkeys(rule.reason for rule in RULES))
    # What people decide comes first, and then what cannot be measured.
    assert ["set_aside", "error", *order] == list(REASONS)
    assert {rule.measure for rule in RULES} == set(FINE)


def test_a_clip_within_all_bounds_breaks_none() -> None:
    assert first_broken(RULES, FINE) is None


@pytest.mark.parametrize(
    ("changes", "reason", "bound"),
    [
        ({"words": 0}, "no_words", 1),
        ({"seconds": 0.99}, "too_short", 1.0),
        ({"seconds": 10.01}, "too_long", 10.0),
        ({"clipped_share": 0.03}, "clipping", 0.02),
        ({"snr_db": 17.9}, "snr", 18.0),
        ({"words_per_second": 6.1}, "speaking_rate", 6.0),
        ({"words_per_second": 1.4}, "speaking_rate", 1.5),
        # What spoils other measures is the reason, not what it spoils.
        ({"snr_db": 3.0, "dnsmos": 1.0, "speaker_distance": 0.9}, "snr", 18.0),
        ({"clipped_share": 0.2, "snr_db": 3.0}, "clipping", 0.02),
        ({"words": 0, "speaker_distance": 0.9}, "several_speakers", CFG.max_speaker_distance),
    ],
)
def test_the_first_rule_that_is_broken_counts(
    changes: dict[str, float], reason: str, bound: float
) -> None:
    found = first_broken(RULES, {**FINE, **changes})
    assert found is not None
    assert (found[0].reason, found[1]) == (reason, bound)


def test_a_bound_itself_is_allowed() -> None:
    edge = {"seconds": 10.0, "clipped_share": 0.02, "snr_db": 18.0, "words_per_second": 6.0}
    assert first_broken(RULES, {**FINE, **edge}) is None
    rule = Rule("snr", "snr_db", least=1.0, most=2.0)
    assert [rule.broken(value) for value in (0.9, 1.0, 2.0, 2.1)] == [1.0, None, None, 2.0]
    assert rule.bounds() == [1.0, 2.0]
