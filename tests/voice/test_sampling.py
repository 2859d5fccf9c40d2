"""Texts that are sampled together get the codes that each gets alone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from likeness.voice import sampling
from likeness.voice.sampling import Wanted, sample_codes
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


def alone(model: Any, row: Wanted, settings: dict[str, float]) -> torch.Tensor:
    torch.manual_seed(row.seed)
    codes: torch.Tensor = model.gpt.generate(
        cond_latents=row.latents,
        text_inputs=torch.tensor([row.tokens], dtype=torch.int32),
        do_sample=True,
        num_beams=1,
        **settings,
    )
    return codes


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
    model: Any, tiny_xtts: Path, changes: dict[str, float]
) -> None:
    settings = {**SETTINGS, **changes}
    rows = rows_of(model, tiny_xtts, TEXTS * 4)
    found = sample_codes(model.gpt, rows, settings)
    known = [(row, codes) for row, codes in zip(rows, found, strict=True) if codes is not None]
    assert len(known) > len(rows) // 2
    for row, codes in known:
        assert torch.equal(codes, alone(model, row, settings))


def test_rows_differ_by_their_seeds_alone(model: Any, tiny_xtts: Path) -> None:
    first, *_ = rows_of(model, tiny_xtts, TEXTS)
    rows = [first, first._replace(seed=9), first]
    one, other, again = sample_codes(model.gpt, rows, SETTINGS)
    assert one is not None
    assert other is not None
    assert again is not None
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_choice_that_rounding_could_change_is_left_open(
    model: Any, tiny_xtts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "ROUNDING", 1e9)
    rows = rows_of(model, tiny_xtts, TEXTS)
    assert sample_codes(model.gpt, rows, SETTINGS) == [None] * len(rows)


@pytest.mark.parametrize("count", [0, 1])
def test_what_has_no_company_is_left_open(model: Any, tiny_xtts: Path, count: int) -> None:
    rows = rows_of(model, tiny_xtts, TEXTS)[:count]
    assert sample_codes(model.gpt, rows, SETTINGS) == [None] * count


def test_a_row_without_stop_goes_to_the_limit(tiny_xtts: Path, tmp_path: Path) -> None:
    endless = load_xtts(with_stop(tiny_xtts, tmp_path / "b", stop=-30.0), "cpu")
    settings = {**SETTINGS, "top_k": 1}
    found = sample_codes(endless.gpt, rows_of(endless, tiny_xtts, TEXTS[:2]), settings)
    assert {one.shape[1] for one in found if one is not None} == {endless.gpt.max_gen_mel_tokens}


def test_sentences_of_the_bundled_base(tmp_path: Path) -> None:
    folder = bundled_model("xtts_mini", tmp_path / "xtts_mini")
    model, settings = load_xtts(folder, "cpu"), read_settings(folder)
    rows = rows_of(model, folder, [text for kind in measured().values() for text in kind[:2]])
    found = sample_codes(model.gpt, rows, settings)
    assert sum(codes is None for codes in found) <= len(rows) // 4
    for row, codes in zip(rows, found, strict=True):
        assert codes is None or torch.equal(codes, alone(model, row, settings))
