"""The narration's text: many words, sentences of many lengths, numbers as they are written and said."""

import re
from itertools import pairwise

import pytest

from likeness.common.errors import LikenessError
from models.narration import WORDS, Sentence, narrate
from models.speech import by_word, spell

SENTENCES = narrate(140, 11, 16)


def test_sentences_differ_and_follow_from_the_seed():
    assert len({sentence.text for sentence in SENTENCES}) == 140
    assert [s.text for s in narrate(140, 11, 16)] == [s.text for s in SENTENCES]
    assert [s.text for s in narrate(140, 12, 16)] != [s.text for s in SENTENCES]


def test_several_hundred_words_are_said():
    words = {
        word for sentence in SENTENCES for spoken in sentence.spoken
        for word in re.findall(r"[a-z'-]+", spoken.lower())
    }  # fmt: skip
    assert len(words) > 350
    assert all(word.split()[0] in words for word in WORDS["colour"])


def test_every_word_has_its_spoken_form_and_every_clause_its_mark():
    for sentence in SENTENCES:
        assert len(sentence.written) == len(sentence.spoken)
        assert sentence.text[-1] in ".?"
        assert not re.search(r"[\d$%\[\]=]|\ba [aeiou]", " ".join(sentence.spoken))


def test_numbers_and_abbreviations_are_among_them():
    said = dict(
        pair for s in SENTENCES for pair in zip(s.written, s.spoken, strict=True)
        if pair[0] != pair[1]
    )  # fmt: skip
    prices = [price for price in said if re.fullmatch(r"\$\d+\.\d\d", price)]
    assert prices
    assert re.fullmatch(r"[a-z -]+ dollars and [a-z-]+ cents", said[prices[0]])
    assert said["Mr."] == "mister"
    assert any(written.endswith("%") for written in said)


def test_long_sentences_come_in_their_turn():
    lengths = [len(" ".join(sentence.spoken)) for sentence in SENTENCES]
    long = [number for number, length in enumerate(lengths) if length > 200]
    assert set(range(15, 140, 16)) <= set(long)
    assert len(long) < 12


SOUNDS = {"of": "ʌv", "the": "ðə", "best": "bˈɛst", "in": "ɪn", "shop": "ʃˈɑːp", "one": "wˈʌn"}
SOUNDS |= {"for": "fɔːɹ"}


def phonemes(text):
    """As eSpeak NG writes them: "of the" and "in the" in one group."""
    groups = " ".join(SOUNDS[word] for word in text.split())
    return groups.replace("ʌv ðə", "ʌvðə").replace("ɪn ðə", "ɪnðə").split()


def test_groups_are_divided_into_words():
    words = ["one", "of", "the", "best", "in", "the", "shop"]
    assert by_word(words, phonemes) == [SOUNDS[word] for word in words]


def test_a_group_is_divided_where_its_words_are_heard():
    """ "for" alone is as long as "for the" together."""
    together = {"for the best": ["fɚðə", "bˈɛst"]}
    words = ["for", "the", "best"]
    assert by_word(words, lambda text: together.get(text) or phonemes(text)) == [
        "fɚ",
        "ðə",
        "bˈɛst",
    ]


def test_groups_that_do_not_fit_are_one_line():
    with pytest.raises(LikenessError, match="do not align with 'one shop'"):
        by_word(["one", "shop"], lambda text: ["a", "b", "c"] if " " in text else ["a"])


def test_each_written_word_has_its_end():
    sentence = Sentence(["The", "best,", "1", "shop."], ["the", "best,", "one of the", "shop."])
    letters, ends = spell(sentence, phonemes)
    assert letters == "ðə bˈɛst, wˈʌn ʌv ðə ʃˈɑːp."
    assert [letters[a:b] for a, b in pairwise([0, *ends])] == [
        "ðə", " bˈɛst", ", wˈʌn ʌv ðə", " ʃˈɑːp",
    ]  # fmt: skip
