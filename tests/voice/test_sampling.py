"""Texts that are sampled together get the codes that each gets alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from likeness.voice import sampling
from likeness.voice.sampling import Wanted, sample_alone, sample_codes
from likeness.voice.xtts import load_xtts, read_speakers
from likeness.voice.xtts_files import read_settings
from models.texts import measured
from tests.conftest import bundled_model
from tests.voice.tiny_xtts import with_stop

pytestmark = pytest.mark.slow

SETTINGS = {"temperature": 1.0, "top_k": 50, "top_p": 0.8, "repetition_penalty": 2.0}
TEXTS = ["a hat.", "it comes in blue and green.", "a", "the bag has two pockets and a strap."]


@pytest.fixture(scope="module")
def model(tiny_xtts: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = with_stop(tiny_xtts, tmp_path_factory.mktemp("base") / "b", stop=1.4)
    return load_xtts(folder, "cpu")


def rows_of(model: Any, folder: Path, texts: list[str]) -> list[Wanted]:
    voices = list(read_speakers(folder).values())
    return [
        Wanted(
            model.tokenizer.encode(text.strip().lower(), lang="en"),
            voices[seed % len(voices)].latents,
            seed,
        )
        for seed, text in enumerate(texts)
    ]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[Wanted]:
    """The rows that `sample_codes` samples alone."""
    rows: list[Wanted] = []

    def noted(gpt: Any, row: Wanted, settings: Mapping[str, float]) -> torch.Tensor:
        rows.append(row)
        return sample_alone(gpt, row, settings)

    monkeypatch.setattr(sampling, "sample_alone", noted)
    return rows


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"temperature": 0.5, "top_k": 5},
        {"top_p": 1.0, "repetition_penalty": 1.0},
        {"top_k": 1},
        {"top_p": 0.05},
    ],
)
def test_a_row_has_the_codes_that_it_has_alone(
    model: Any, tiny_xtts: Path, alone: list[Wanted], changes: dict[str, float]
) -> None:
    settings = {**SETTINGS, **changes}
    rows = rows_of(model, tiny_xtts, TEXTS * 4)
    found = sample_codes(model.gpt, rows, settings)
    assert len(alone) < len(rows) // 2
    for row, codes in zip(rows, found, strict=True):
        assert torch.equal(codes, sample_alone(model.gpt, row, settings))


def test_rows_differ_by_their_seeds_alone(model: Any, tiny_xtts: Path) -> None:
    first, *_ = rows_of(model, tiny_xtts, TEXTS)
    rows = [first, first._replace(seed=9), first]
    one, other, again = sample_codes(model.gpt, rows, SETTINGS)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_rows_whose_choices_rounding_could_change_are_sampled_alone(
    model: Any, tiny_xtts: Path, alone: list[Wanted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "ROUNDING", 1e9)
    rows = rows_of(model, tiny_xtts, TEXTS)
    found = sample_codes(model.gpt, rows, SETTINGS)
    assert alone == rows
    for row, codes in zip(rows, found, strict=True):
        assert torch.equal(codes, sample_alone(model.gpt, row, SETTINGS))


@pytest.mark.parametrize("count", [0, 1])
def test_what_has_no_company_is_sampled_alone(
    model: Any, tiny_xtts: Path, alone: list[Wanted], count: int
) -> None:
    rows = rows_of(model, tiny_xtts, TEXTS)[:count]
    assert len(sample_codes(model.gpt, rows, SETTINGS)) == count
    assert alone == rows


def test_a_row_without_stop_goes_to_the_limit(tiny_xtts: Path, tmp_path: Path) -> None:
    endless = load_xtts(with_stop(tiny_xtts, tmp_path / "b", stop=-30.0), "cpu")
    settings = {**SETTINGS, "top_k": 1}
    found = sample_codes(endless.gpt, rows_of(endless, tiny_xtts, TEXTS[:2]), settings)
    assert {one.shape[1] for one in found} == {endless.gpt.max_gen_mel_tokens}


def test_sentences_of_the_bundled_base(tmp_path: Path, alone: list[Wanted]) -> None:
    folder = bundled_model("xtts_mini", tmp_path / "xtts_mini")
    model, settings = load_xtts(folder, "cpu"), read_settings(folder)
    rows = rows_of(model, folder, [text for kind in measured().values() for text in kind[:2]])
    found = sample_codes(model.gpt, rows, settings)
    assert len(alone) <= len(rows) // 4
    for row, codes in zip(rows, found, strict=True):
        assert torch.equal(codes, sample_alone(model.gpt, row, settings))
