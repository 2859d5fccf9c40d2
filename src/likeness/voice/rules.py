"""The rules that a clip must pass to be kept."""

from typing import Annotated

from pydantic import Field

from likeness.common.params import Section
from likeness.common.rules import Rule
from likeness.voice.cuts import ClipLimits

SET_ASIDE = "set_aside"  # by a person's verdict

# In the order of the checks: a flaw that spoils later measurements is checked before them.
REASONS = (
    SET_ASIDE,
    "error",
    "too_short",
    "too_long",
    "silence",
    "clipping",
    "snr",
    "narrowband",
    "several_speakers",
    "dnsmos",
    "no_words",
    "language",
    "repetition",
    "confidence",
    "speaking_rate",
)


class Thresholds(Section):
    """The limits of a clip's measurements; `params.yaml` describes each."""

    max_silence_ratio: Annotated[float, Field(ge=0, le=1)]
    max_clipped_share: Annotated[float, Field(ge=0, le=1)]
    min_snr_db: float
    min_bandwidth_hz: Annotated[float, Field(ge=0)]
    max_speaker_distance: Annotated[float, Field(ge=0, le=2)]
    max_speaker_spread: Annotated[float, Field(ge=0, le=2)]
    min_dnsmos: Annotated[float, Field(ge=0, le=5)]
    min_language_probability: Annotated[float, Field(ge=0, le=1)]
    max_repeated: Annotated[float, Field(ge=0, le=1)]
    max_compression_ratio: Annotated[float, Field(gt=0)]
    min_confidence: Annotated[float, Field(ge=0, le=1)]
    max_rate_ratio: Annotated[float, Field(ge=1)]


def cut_rules(limits: ClipLimits) -> list[Rule]:
    """The rules that can be checked as soon as a recording is cut."""
    return [
        Rule("too_short", "seconds", least=limits.min_seconds),
        Rule("too_long", "seconds", most=limits.max_seconds),
    ]


def measured_rules(cfg: Thresholds, rate: float) -> list[Rule]:
    """The rules for a measured clip; `rate` is the median of all clips' words per second."""
    return [
        Rule("silence", "silence_ratio", most=cfg.max_silence_ratio),
        Rule("clipping", "clipped_share", most=cfg.max_clipped_share),
        Rule("snr", "snr_db", least=cfg.min_snr_db),
        Rule("narrowband", "bandwidth_hz", least=cfg.min_bandwidth_hz),
        Rule("several_speakers", "speaker_distance", most=cfg.max_speaker_distance),
        Rule("several_speakers", "speaker_spread", most=cfg.max_speaker_spread),
        Rule("dnsmos", "dnsmos", least=cfg.min_dnsmos),
        Rule("no_words", "words", least=1),
        Rule("language", "language_probability", least=cfg.min_language_probability),
        Rule("repetition", "repeated", most=cfg.max_repeated),
        Rule("repetition", "compression_ratio", most=cfg.max_compression_ratio),
        Rule("confidence", "confidence", least=cfg.min_confidence),
        Rule(
            "speaking_rate",
            "words_per_second",
            least=round(rate / cfg.max_rate_ratio, 3),
            most=round(rate * cfg.max_rate_ratio, 3),
        ),
    ]
