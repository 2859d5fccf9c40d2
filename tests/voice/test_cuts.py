"""Clips begin and end in pauses: whole words, all of them, and never a length that was cut to."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from likeness.voice.cuts import (
    ClipLimits,
    Cutter,
    Span,
    find_gaps,
    refine,
)
from likeness.voice.levels import find_pauses, frame_levels
from likeness.voice.tables.all import ABBREVIATIONS
from likeness.voice.words import Word, ends_clause, ends_sentence
from tests.conftest import section
from tests.voice.spoken import RATE, Spoken, joined, sentences, speak


def limits(**changes: Any) -> ClipLimits:
    from likeness.voice.clips import VoiceClips

    cfg = section(VoiceClips, **changes)
    return ClipLimits(**cfg.model_dump(include=set(ClipLimits.model_fields)))


def cut(spoken: Spoken, drift: float = 0.0, **changes: Any) -> tuple[list[Word], list[Span]]:
    """The words as refined and their spans, from words that drift."""
    some = limits(**changes)
    heard = spoken.heard(drift)
    pauses = find_pauses(frame_levels(spoken.samples, RATE), some.min_pause)
    ends = sentence_ends(heard)
    gaps = find_gaps(heard, pauses, spoken.seconds, ends)
    words = refine(heard, gaps)
    return words, Cutter(words, gaps, spoken.seconds, ends, some).spans()


def sentence_ends(words: Sequence[Word]) -> list[bool]:
    return [ends_sentence(word.word, ABBREVIATIONS) for word in words]


def texts(spoken: Spoken, spans: Sequence[Span]) -> list[str]:
    return [joined(spoken.words[span.first : span.last + 1]) for span in spans]


def inside_words(spoken: Spoken, spans: Sequence[Span]) -> list[tuple[float, Word]]:
    """Boundaries that lie inside a word, by its true times, by more than a frame."""
    return [
        (time, word)
        for span in spans
        for time in (span.start, span.end)
        for word in spoken.words
        if word.start + 0.015 < time < word.end - 0.015
    ]


def wrong_texts(spoken: Spoken, spans: Sequence[Span]) -> list[str]:
    """Clips whose text is not what is spoken between their boundaries."""
    return [
        joined(spoken.words[span.first : span.last + 1])
        for span in spans
        if [word for word in spoken.words if span.start < (word.start + word.end) / 2 < span.end]
        != spoken.words[span.first : span.last + 1]
    ]


# --- where a clip may begin and end ----------------------------------------------------------------


def test_clips_are_sentences() -> None:
    spoken = speak(
        "One two three four five six. ____ Seven eight nine ten eleven twelve! ____ Thirteen."
    )
    _, spans = cut(spoken, join_seconds=0.0, min_seconds=0.1)
    assert texts(spoken, spans) == [
        "One two three four five six.",
        "Seven eight nine ten eleven twelve!",
        "Thirteen.",
    ]


def test_a_boundary_is_in_the_middle_of_a_short_pause_and_padded_beside_a_long_one() -> None:
    spoken = speak("Before this sentence. __ Between the pauses. ________ After that sentence.")
    _, spans = cut(spoken, join_seconds=0.0, padding=0.15)
    first, second, third = spans
    short = (spoken.words[2].end + spoken.words[3].start) / 2
    assert first.end == pytest.approx(short, abs=0.02)
    assert second.start == pytest.approx(short, abs=0.02)
    assert second.end == pytest.approx(spoken.words[5].end + 0.15, abs=0.03)
    assert third.start == pytest.approx(spoken.words[6].start - 0.15, abs=0.03)


def test_a_click_in_the_middle_of_a_pause_is_cut_around() -> None:
    spoken = speak("Before the pause. ____ After the pause.")
    at = (spoken.words[2].end + spoken.words[3].start) / 2
    frame = round(at * RATE)
    spoken.samples[frame : frame + 300] += 0.004
    _, spans = cut(spoken, join_seconds=0.0, padding=1.0, min_seconds=0.1)
    assert abs(spans[0].end - at) > 0.02
    assert spoken.words[2].end < spans[0].end < spoken.words[3].start


def test_a_sentence_without_a_pause_behind_it_is_not_cut_off() -> None:
    spoken = speak("One two three four. Five six seven eight. ___ Nine ten.")
    _, spans = cut(spoken, join_seconds=0.0, min_seconds=0.1)
    assert texts(spoken, spans) == ["One two three four. Five six seven eight.", "Nine ten."]


def test_a_long_pause_is_cut_in_mid_sentence() -> None:
    spoken = speak("One two three four " + "_" * 15 + " five six seven eight.")
    _, spans = cut(spoken, max_pause=1.0)
    assert texts(spoken, spans) == ["One two three four", "five six seven eight."]
    _, spans = cut(spoken, max_pause=2.0)
    assert len(spans) == 1


def test_a_long_sentence_is_divided_at_its_longest_pause_and_rather_after_a_comma() -> None:
    words = "sleeves sleeves sleeves sleeves sleeves"
    spoken = speak(f"{words} ____ {words} _____ {words}, ____ {words} __ {words}.")
    _, spans = cut(spoken, max_seconds=8.0)
    # The comma is worth more than the tenth of a second that the second pause is longer.
    assert [text.count("sleeves") for text in texts(spoken, spans)] == [15, 10]


def test_a_division_leaves_no_scrap_where_there_is_another() -> None:
    words = "sleeves sleeves sleeves sleeves sleeves"
    spoken = speak(f"One _____ {words} __ {words}.")
    _, spans = cut(spoken, max_seconds=4.0, join_seconds=0.0)
    assert [text.count("sleeves") for text in texts(spoken, spans)] == [5, 5]


def test_short_sentences_are_joined_with_the_nearer_neighbour() -> None:
    long = "sleeves sleeves sleeves sleeves sleeves sleeves sleeves sleeves."
    spoken = speak(f"{long} ______ Yes. ___ {long}")
    _, spans = cut(spoken, join_seconds=3.0)
    assert texts(spoken, spans) == [long, f"Yes. {long}"]


def test_nothing_is_joined_over_a_long_pause_or_beyond_the_longest_clip() -> None:
    spoken = speak("Yes. " + "_" * 12 + " No. __ Maybe so.")
    _, spans = cut(spoken, join_seconds=3.0, max_pause=1.0)
    assert texts(spoken, spans) == ["Yes.", "No. Maybe so."]
    _, spans = cut(spoken, join_seconds=3.0, max_pause=1.0, max_seconds=0.8, min_seconds=0.1)
    assert texts(spoken, spans) == ["Yes.", "No.", "Maybe so."]


def test_a_sound_without_words_between_two_pauses_is_left_out() -> None:
    spoken = speak("One two three four. ___ hmmmmmmmmmmm ___ Five six seven eight.")
    noise = spoken.words[4]
    words = [*spoken.words[:4], *spoken.words[5:]]
    pauses = find_pauses(frame_levels(spoken.samples, RATE), 0.15)
    ends = sentence_ends(words)
    gaps = find_gaps(words, pauses, spoken.seconds, ends)
    before, after = Cutter(refine(words, gaps), gaps, spoken.seconds, ends, limits()).spans()
    assert before.end < noise.start
    assert after.start > noise.end


# --- what holds for any recording -----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_no_boundary_is_inside_a_word_and_the_text_is_what_is_spoken(seed: int) -> None:
    spoken = speak(sentences(25, seed))
    _, spans = cut(spoken, drift=0.1)
    assert [span.first for span in spans[1:]] == [span.last + 1 for span in spans[:-1]]
    assert (spans[0].first, spans[-1].last) == (0, len(spoken.words) - 1)
    assert inside_words(spoken, spans) == []
    assert wrong_texts(spoken, spans) == []
    assert all(before.end <= after.start for before, after in pairwise(spans))


def test_a_blind_cut_is_found_by_this_check() -> None:
    spoken = speak(sentences(10))
    blind = [Span(0, 3, at, at + 12.0) for at in np.arange(0, spoken.seconds - 12, 12)]
    assert inside_words(spoken, blind)
    assert wrong_texts(spoken, blind)


@pytest.mark.slow
def test_no_pile_of_clips_at_the_maximum_length_and_none_cut_in_mid_word() -> None:
    """71 % of a public dataset of 4,922 clips are 12.0 s long, cut where the clock ran out."""
    lengths = []
    for seed in range(10):
        spoken = speak(sentences(20, seed, longest=60), seed=seed)
        _, spans = cut(spoken)
        assert inside_words(spoken, spans) == []
        lengths += [span.seconds for span in spans]
    assert len(lengths) > 100
    assert np.mean([length > 11.5 for length in lengths]) < 0.02
    assert len({round(length, 2) for length in lengths}) > 0.6 * len(lengths)


def test_refined_words_end_where_speech_ends() -> None:
    spoken = speak("One two three. _____ Four five six. _____ Seven eight nine.")
    words, _ = cut(spoken, drift=0.2)
    for at in (2, 5):
        assert words[at].end == pytest.approx(spoken.words[at].end, abs=0.04)
        assert words[at + 1].start == pytest.approx(spoken.words[at + 1].start, abs=0.04)


def test_what_cannot_be_cut_is_whole() -> None:
    spoken = speak("sleeves " * 40 + "end.")
    _, spans = cut(spoken)
    assert len(spans) == 1
    assert spans[0].seconds > 11.6


def test_without_words_or_pauses_there_is_nothing_to_cut() -> None:
    assert find_gaps([], [], 1.0, []) == {}
    assert Cutter([], {}, 1.0, [], limits()).spans() == []
    words = [Word(word="one", start=0.2, end=0.5, probability=1.0)]
    assert find_gaps(words, [], 1.0, [False]) == {}
    assert Cutter(words, {}, 1.0, [False], limits(padding=0.15)).spans() == [Span(0, 0, 0.05, 0.65)]


# --- what ends a sentence -------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["end.", "end!", "end?”", " end…", "fim.)", "终。", "1984."])
def test_a_sentence_ends(word: str) -> None:
    assert ends_sentence(word, ABBREVIATIONS)
    assert ends_clause(word)


@pytest.mark.parametrize(
    "word", ["Mr.", "dr.", "Sra.", "St.", "J.", "e.g.", "one", "one,", "3.5", ""]
)
def test_a_sentence_goes_on(word: str) -> None:
    assert not ends_sentence(word, ABBREVIATIONS)


@pytest.mark.parametrize(("word", "ends"), [("one,", True), ("one;”", True), ("one", False)])
def test_a_clause_ends(word: str, ends: bool) -> None:
    assert ends_clause(word) == ends
