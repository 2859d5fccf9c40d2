"""A text becomes the phonemes that are said, with its punctuation."""

import pytest

from likeness.voice.phonemes import phonemes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello world", "həlˈoʊ wˈɜːld"),
        ("The red hat is warm.", "ðə ɹˈɛd hˈæt ɪz wˈɔːɹm."),
        ("Don't!", "dˈoʊnt!"),
        ("A pair of the shoes", "ɐ pˈɛɹ ʌvðə ʃˈuːz"),  # short words are joined in fluent speech
        ("twenty-one dollars", "twˈɛntiwˈʌn dˈɑːlɚz"),
        ("doctor smith", "dˈɑːktɚ smˈɪθ"),
        ("button", "bˈʌʔn"),  # without the mark of a syllabic consonant
        ("A café.", "ɐ kæfˈeɪ."),
    ],
)
def test_words_are_as_they_are_said(text: str, said: str) -> None:
    assert phonemes(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Red, warm. New? Yes!", "ɹˈɛd, wˈɔːɹm. nˈuː? jˈɛs!"),
        ("Red; warm: new", "ɹˈɛd, wˈɔːɹm, nˈuː"),
        ('"Red" (warm)', "ɹˈɛd wˈɔːɹm"),
        ("Red... warm?!", "ɹˈɛd. wˈɔːɹm?"),
        ("Red - warm", "ɹˈɛd wˈɔːɹm"),
        ("  red \n warm  ", "ɹˈɛd wˈɔːɹm"),
        (". , Red.", "ɹˈɛd."),  # no mark without a word before it
    ],
)
def test_punctuation_stays_where_it_is_heard(text: str, said: str) -> None:
    assert phonemes(text) == said


@pytest.mark.parametrize("text", ["", "  ", "...", "- '"])
def test_a_text_without_words_is_empty(text: str) -> None:
    assert phonemes(text) == ""


def test_numbers_and_abbreviations_sound_like_their_words() -> None:
    assert phonemes("5 hats") == phonemes("five hats")
    assert phonemes("Dr. Smith").replace(".", "") == phonemes("doctor smith")


@pytest.mark.parametrize("text", ["THE RED HAT.", "It Is New, USA!", "MR. SMITH"])
def test_upper_case_sounds_like_lower_case(text: str) -> None:
    assert phonemes(text) == phonemes(text.lower())


def test_a_long_text_is_said_to_its_end() -> None:
    text = " ".join(["a red hat"] * 100)
    assert phonemes(text).split() == phonemes("a red hat").split() * 100
