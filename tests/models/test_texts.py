"""What xtts_mini's voices read: kinds in their shares, every template, and nothing that is held out."""

import re
from collections import Counter
from string import Formatter

import pytest

from models.narration import _LONG_TEMPLATES, _TEMPLATES, NUMBERS, WORDS
from models.settings import Texts
from models.texts import catalogue, examples, held_out, lines, measured, vocabulary
from tests.models.tiny import plain_sentences, write_wordnet

KINDS = {"catalogue": 0.35, "plain": 0.45, "salad": 0.2}


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    return write_wordnet(tmp_path_factory.mktemp("wordnet"), plain_sentences())


def texts(shares, sentences=(1.0, 0.0, 0.0), longest=1000):
    return Texts(shares=shares, sentences=list(sentences), longest=longest)


def pattern(template):
    """A regular expression of what a template can say."""
    parts = []
    for text, field, _, _ in Formatter().parse(re.sub(r"\[.*?=(.*?)\]", r"\1", template)):
        parts.append(re.sub(r"\b([Aa]) $", r"\1n? ", re.escape(text).replace(r"\ ", " ")))
        if field:
            kind = field.lower()
            words = [r"[a-z -]+?"] if kind in NUMBERS else WORDS[kind]
            parts.append(f"(?:{'|'.join([*words, *(word.capitalize() for word in words)])})")
    return re.compile("".join(parts))


SHORT, LONG = (
    {template: pattern(template) for template in templates.strip().splitlines()}
    for templates in (_TEMPLATES, _LONG_TEMPLATES)
)


def of_grammar(text):
    return any(own.fullmatch(text) for own in (*SHORT.values(), *LONG.values()))


# --- the kinds ------------------------------------------------------------------------------------


def test_examples_are_the_plain_quotations_of_all_four_files(tmp_path):
    quotations = [
        "he  saw the sea", "It rained, as ever;", "what is that?", "stop at once!",
        "in 1066 they came", "two words", "the cost is $ nothing", "he saw the sea",
    ]  # fmt: skip
    found = examples(write_wordnet(tmp_path, quotations))
    assert found == [
        "He saw the sea.", "It rained, as ever.", "Stop at once!", "What is that?",
    ]  # fmt: skip


def test_one_example_in_a_hundred_is_held_out(wordnet):
    assert len(held_out(wordnet)) == 30
    assert held_out(wordnet) < set(examples(wordnet))


def test_every_template_of_the_narration_occurs():
    said = catalogue(400, 5)
    missing = [
        template for template, own in (SHORT | LONG).items()
        if not any(own.fullmatch(text) for text in said)
    ]  # fmt: skip
    assert not missing
    assert all(of_grammar(text) for text in said)


def test_salads_are_words_of_both_vocabularies_and_end_with_a_mark(wordnet):
    salads = lines(texts({"salad": 1.0}), 300, 1, wordnet)
    own, plain = map(set, vocabulary(wordnet))
    words = []
    for text in salads:
        assert re.fullmatch(r"[A-Z][a-z]*(,? [a-z]+){3,11}[.?!]", text)
        words += re.findall("[a-z]+", text.lower())
    assert set(words) <= own | plain
    assert set(words) & (plain - own)
    assert 0.6 < sum(word in own for word in words) / len(words) < 0.85
    assert {text[-1] for text in salads} == set(".?!")


def test_salads_are_in_no_order_that_a_template_has(wordnet):
    assert not any(of_grammar(text) for text in lines(texts({"salad": 1.0}), 300, 1, wordnet))


# --- the texts ------------------------------------------------------------------------------------


def test_texts_differ_and_repeat_by_seed(wordnet):
    cfg = texts(KINDS, (0.5, 0.3, 0.2), 170)
    made = lines(cfg, 500, 3, wordnet)
    assert len(set(made)) == len(made) == 500
    assert made == lines(cfg, 500, 3, wordnet)
    assert made != lines(cfg, 500, 4, wordnet)


def test_texts_are_as_short_as_asked_and_can_be_spelt_in_phonemes(wordnet):
    made = lines(texts(KINDS, (0.2, 0.3, 0.5), 90), 500, 3, wordnet)
    assert 80 < max(map(len, made)) <= 90
    assert not any(re.search(r"[\d$%\[\]{}=]", text) for text in made)


def test_kinds_have_about_the_shares_that_are_asked_for(wordnet):
    plain = set(examples(wordnet))
    counts = Counter(
        "plain" if text in plain else "catalogue" if of_grammar(text) else "salad"
        for text in lines(texts(KINDS), 1000, 3, wordnet)
    )
    for kind, share in KINDS.items():
        assert counts[kind] / 1000 == pytest.approx(share, abs=0.05)


def test_texts_of_one_two_and_three_sentences_have_about_their_shares(wordnet):
    made = lines(texts(KINDS, (0.5, 0.3, 0.2)), 1000, 3, wordnet)
    counts = Counter(len(re.findall(r"[.?!](?= |$)", text)) for text in made)
    assert [counts[size] / 1000 for size in (1, 2, 3)] == pytest.approx([0.5, 0.3, 0.2], abs=0.05)


def test_every_short_template_is_read(real_mini, wordnet):
    said = " | ".join(lines(real_mini.speech.texts, 2000, 3, wordnet))
    assert not [template for template, own in SHORT.items() if not own.search(said)]


def test_all_examples_are_read_but_those_that_are_held_out(wordnet):
    held = held_out(wordnet)
    made = lines(texts({"plain": 1.0}), len(examples(wordnet)) - len(held), 3, wordnet)
    assert set(made) == set(examples(wordnet)) - held


def test_no_text_has_an_example_that_is_held_out(real_mini, wordnet):
    held = held_out(wordnet)
    said = " | ".join(lines(real_mini.speech.texts, 6000, 3, wordnet))
    read = sum(text in said for text in examples(wordnet))
    assert read > 0.8 * len(examples(wordnet))  # each had its chance
    assert not [text for text in held if text in said]


# --- the sentences that are measured --------------------------------------------------------------


def test_every_measured_kind_has_fifty_sentences_and_none_is_in_two_kinds():
    kinds = measured()
    assert set(kinds) == {"catalogue", "new_syntax", "plain", "joined"}
    assert min(len(set(own)) for own in kinds.values()) >= 50
    assert len({text for own in kinds.values() for text in own}) == sum(map(len, kinds.values()))
    assert all(
        re.fullmatch(r"[A-Za-z][A-Za-z ,;'!?.-]*[.?!]", t) for own in kinds.values() for t in own
    )


def test_measured_catalogue_sentences_are_of_all_templates_with_slots():
    said = measured()["catalogue"]
    assert all(of_grammar(text) for text in said)
    slotted = {template: own for template, own in SHORT.items() if "{" in template}
    missing = [t for t, own in slotted.items() if not any(own.fullmatch(text) for text in said)]
    assert not missing


def test_no_template_makes_a_sentence_of_new_syntax():
    assert not [text for text in measured()["new_syntax"] if of_grammar(text)]


def test_joined_texts_have_two_or_three_sentences():
    counts = [len(re.findall(r"[.?!](?= |$)", text)) for text in measured()["joined"]]
    assert set(counts) == {2, 3}
