"""Texts by templates and by a language model: each depends on its own product and seed alone."""

from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.result import Rejected, Result
from likeness.image.checks import check_writer
from likeness.image.writing import (
    TEMPLATES,
    SeededNoise,
    ask_model,
    fill_templates,
    load_writer,
    parse_answer,
    read_templates,
)
from likeness.repository.fetch import read_bases
from tests.conftest import ROOT, build_writer, product

WORDS = ("red", "blue", "shoes", "men", "summer", ".")
WRITER = ROOT / "models" / "templates"
OPTIONS: dict[str, Any] = {
    "adapter": None,
    "instruction": "Write a title, then a description.",
    "temperature": 1.0,
    "top_p": 1.0,
    "max_prompt_tokens": 64,
    "max_tokens": 48,
    "device": "cpu",
    "precision": "no",
}


@pytest.fixture(scope="module")
def tiny_writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_writer(tmp_path_factory.mktemp("writer"), WORDS)


def payloads(count: int, **changes: str) -> list[dict[str, Any]]:
    return [
        {"attributes": product(f"{at}", **changes).attributes(), "seed": at} for at in range(count)
    ]


def told(outcomes: list[Result | Rejected]) -> list[Any]:
    return [
        one.record if isinstance(one, Result) else (one.reason, one.value, one.threshold)
        for one in outcomes
    ]


# --- templates ------------------------------------------------------------------------------------


def test_templates_are_filled_by_seed() -> None:
    found = told(fill_templates(payloads(30), writer=WRITER))
    assert found == told(fill_templates(payloads(30), writer=WRITER))
    assert len({one["title"] for one in found}) > 3
    assert len({one["description"] for one in found}) > 20
    text = " ".join(one["title"] + one["description"] for one in found)
    assert not set("{}") & set(text)
    for one in found:
        assert one["description"][0].isupper()
        assert one["description"].endswith(".")


@pytest.mark.parametrize(
    ("gender", "words"),
    [
        ("Men", {"Men's", "Men"}),
        ("Boys", {"Boys'", "Boys"}),
        ("Unisex", {"Unisex", "Men and Women"}),
    ],
)
def test_a_gender_has_its_forms(tmp_path: Path, gender: str, words: set[str]) -> None:
    text = 'title: [["{whose}", "{whom}"]]\ndescription: [["{whom}."]]\n'
    (tmp_path / TEMPLATES).write_text(text)
    found = told(fill_templates(payloads(20, gender=gender), writer=tmp_path))
    assert {one["title"] for one in found} == words
    assert {one["description"].lower() for one in found} == {found[0]["description"].lower()}


def test_what_a_product_lacks_is_not_spoken_of() -> None:
    found = told(fill_templates(payloads(40, season="", usage=""), writer=WRITER))
    assert all("  " not in one["title"] and "2012" not in one["description"] for one in found)
    (none,) = told(fill_templates(payloads(1, gender="", baseColour=""), writer=WRITER))
    assert none == ("no_pattern", ["gender", "baseColour"], "title")


@pytest.mark.parametrize("text", ["title: 3", "title: [[a]]", "- a", "a: [", "title: [['{']]"])
def test_templates_of_another_form_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / TEMPLATES).write_text(text)
    with pytest.raises(LikenessError, match=r"templates\.yaml: title and description should be"):
        read_templates(tmp_path)


# --- a language model -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_text_depends_on_its_own_seed_alone(tiny_writer: Path) -> None:
    whole = told(ask_model(payloads(20), writer=tiny_writer, **OPTIONS))
    alone = [told(ask_model([one], writer=tiny_writer, **OPTIONS))[0] for one in payloads(20)]
    assert whole == alone
    turned = told(ask_model(payloads(20)[::-1], writer=tiny_writer, **OPTIONS))
    assert whole == turned[::-1]
    texts = [one for one in whole if isinstance(one, dict)]
    assert len(texts) > 3
    assert len({str(one) for one in texts}) == len(texts)


def test_noise_draws_from_the_model_s_distribution() -> None:
    import torch

    logits = torch.log(torch.tensor([0.7, 0.2, 0.1])).expand(20000, 3)
    picked = SeededNoise(range(20000))(logits, logits).argmax(dim=1)
    shares = torch.bincount(picked) / len(picked)
    assert shares.tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.015)
    barred = logits.clone()
    barred[:, 0] = -torch.inf  # as top_p does
    assert SeededNoise(range(20000))(barred, barred).argmax(dim=1).min() == 1


def test_a_low_temperature_says_the_likeliest(tiny_writer: Path) -> None:
    cold = {**OPTIONS, "temperature": 1e-4}
    same = [{**one, "seed": at} for at, one in enumerate(payloads(1) * 4)]
    found = told(ask_model(same, writer=tiny_writer, **cold))
    assert all(one == found[0] for one in found)


def test_a_long_prompt_and_an_endless_answer_are_rejected(tiny_writer: Path) -> None:
    one, other = payloads(2)
    other["attributes"]["material"] = "soft " * 90
    options = {**OPTIONS, "max_tokens": 1}
    found = told(ask_model([one, other], writer=tiny_writer, **options))
    assert found[0] in (
        ("unfinished", 1, 1),
        ("one_line", "", "a title, and a description below it"),
    )
    assert found[1][0] == "prompt_too_long"
    assert found[1][1] > found[1][2] == 64


def test_a_model_without_a_chat_template_is_asked_as_it_is(
    tiny_writer: Path, tmp_path: Path
) -> None:
    folder = build_writer(tmp_path, WORDS)
    (folder / "chat_template.jinja").unlink()
    assert not load_writer(folder, "cpu", "no")[1].chat_template
    assert load_writer(tiny_writer, "cpu", "no")[1].chat_template
    found = told(ask_model(payloads(9), writer=folder, **OPTIONS))
    assert any(isinstance(one, dict) for one in found)


@pytest.mark.parametrize(
    ("answer", "title", "description"),
    [
        ("Red Shoes\nFor men.", "Red Shoes", "For men."),
        ("Title: Red Shoes\n\nDescription: For men.\nLight.", "Red Shoes", "For men. Light."),
        ('**Title:** "Red Shoes"\n**Description:** For men.', "Red Shoes", "For men."),
        ("# Red Shoes\nFor men.", "Red Shoes", "For men."),
        ("The title of it\nFor men.", "The title of it", "For men."),
    ],
)
def test_an_answer_is_a_title_and_a_description(answer: str, title: str, description: str) -> None:
    assert told([parse_answer(answer)]) == [{"title": title, "description": description}]


@pytest.mark.parametrize("answer", ["", "\n\n", "Red shoes for men."])
def test_an_answer_of_one_line_is_rejected(answer: str) -> None:
    wanted = "a title, and a description below it"
    assert told([parse_answer(answer)]) == [("one_line", answer.strip(), wanted)]


# --- the folder -----------------------------------------------------------------------------------


def test_writers_are_checked_before_they_are_loaded(tiny_writer: Path, tmp_path: Path) -> None:
    check_writer(WRITER)
    check_writer(tiny_writer)
    with pytest.raises(LikenessError, match=r"no writer here \(config.json: it is missing\)"):
        check_writer(tmp_path)
    (tmp_path / "config.json").write_text('{"architectures": ["CLIPModel"]}')
    with pytest.raises(LikenessError, match=r"architectures is \['CLIPModel'\]"):
        check_writer(tmp_path)
    broken = build_writer(tmp_path / "broken", WORDS)
    index = broken / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"gone.weight": "model-00002-of-00002.safetensors"}}')
    with pytest.raises(LikenessError, match=r"model-00002-of-00002\.safetensors is missing"):
        check_writer(broken)
    index.unlink()
    (broken / "tokenizer.json").unlink()
    with pytest.raises(LikenessError, match=r"tokenizer\.json is missing"):
        check_writer(broken)


def test_a_broken_model_is_one_line(tmp_path: Path) -> None:
    folder = build_writer(tmp_path, WORDS)
    (folder / "config.json").write_text("{}")
    with pytest.raises(LikenessError, match="cannot be loaded as a causal language model"):
        load_writer(folder, "cpu", "no")


def test_the_pinned_files_have_the_size_of_mistral_s_weights() -> None:
    """By the published config; a file's header takes some ten thousand bytes."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=32768, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8,
    )  # fmt: skip
    with torch.device("meta"):
        weights = MistralForCausalLM(config).state_dict()
    pins = read_bases(ROOT)["mistral_7b_instruct"].files
    stored = sum(pin.bytes for name, pin in pins.items() if name.endswith(".safetensors"))
    assert 0 < stored - sum(2 * tensor.numel() for tensor in weights.values()) < 50_000
