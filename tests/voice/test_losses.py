"""The loss counts what generation meets, each row as if it were alone, and nothing that was shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likeness.voice.codes import FRAMES
from likeness.voice.examples import Example
from likeness.voice.losses import (
    IGNORE,
    draw_style,
    next_token_losses,
    pad,
    style_latents,
)
from likeness.voice.xtts import load_xtts


@pytest.fixture(scope="module")
def gpt(tiny_xtts: Path) -> Any:
    return load_xtts(tiny_xtts, "cpu").gpt


def example(number: int, tokens: int, codes: int) -> Example:
    """Random codes; the mel's value is the row's number, growing by a thousandth a frame."""

    rng = np.random.default_rng(number)
    frames = number + 0.001 * torch.arange(FRAMES * codes)
    return Example(
        str(number),
        Path("none.wav"),
        rng.integers(5, 60, tokens).tolist(),
        torch.from_numpy(rng.integers(0, 1024, codes)),
        frames.expand(80, -1),
    )


ROWS = [(0, 5, 9), (1, 8, 4), (2, 3, 14)]


@pytest.fixture
def examples() -> list[Example]:
    return [example(*row) for row in ROWS]


def latents(count: int) -> Any:

    return torch.randn(count, 32, 64, generator=torch.Generator().manual_seed(0))


def test_padding_is_masked_row_by_row() -> None:
    padded, mask = pad([[5, 6, 7], [8]], 0)
    assert padded.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[True] * 3, [True, False, False]]


@pytest.mark.parametrize("hidden", [[(0, 0)] * 3, [(2, 5), (0, 2), (4, 14)]])
def test_each_row_counts_as_it_would_alone(
    gpt: Any, examples: list[Example], hidden: list[tuple[int, int]]
) -> None:
    """Coqui's loss hides the span of the last row only (coqui-ai/TTS #3388)."""
    styles = latents(3)
    found = [float(loss) for loss in next_token_losses(gpt, examples, styles, hidden)[:2]]
    alone = [
        next_token_losses(gpt, [row], styles[at : at + 1], [hidden[at]])
        for at, row in enumerate(examples)
    ]
    counts = (
        [len(row.tokens) + 1 for row in examples],
        [
            len(row.codes) + 1 - (end - start)
            for row, (start, end) in zip(examples, hidden, strict=True)
        ],
    )
    for kind, weights in enumerate(counts):
        mean = sum(n * float(one[kind]) for n, one in zip(weights, alone, strict=True))
        assert found[kind] == pytest.approx(mean / sum(weights), abs=1e-4)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (2, 6)])
def test_training_meets_what_generation_meets(
    gpt: Any, examples: list[Example], start: int, end: int
) -> None:
    """The loss follows from the logits of Coqui's inference model; hidden codes are left out."""
    from torch.nn import functional

    row, style = examples[0], latents(1)
    with torch.inference_mode():
        prefix = gpt.compute_embeddings(style, torch.tensor([row.tokens]))
        logits = gpt.gpt_inference(torch.cat([prefix, row.codes[None]], dim=1)).logits
    targets = functional.pad(row.codes, (0, 1), value=gpt.stop_audio_token)
    targets[start:end] = IGNORE
    expected = functional.cross_entropy(logits[0, -len(targets) :], targets, ignore_index=IGNORE)
    _, found, _ = next_token_losses(gpt, [row], style, [(start, end)])
    assert found.item() == pytest.approx(expected.item(), abs=1e-4)


def test_one_voice_conditions_all_rows(gpt: Any, examples: list[Example]) -> None:
    style, hidden = latents(1), [(0, 0)] * 3
    one = next_token_losses(gpt, examples, style, hidden)
    same = next_token_losses(gpt, examples, style.repeat(3, 1, 1), hidden)
    other = next_token_losses(gpt, examples, -style, hidden)
    assert one[1].item() == same[1].item() != other[1].item()


# --- references -----------------------------------------------------------------------------------


def test_an_own_reference_hides_the_codes_that_are_in_it() -> None:
    """A code is 1024 samples, four frames; Coqui divides by 256 and hides other codes (#3631)."""
    rows = [example(0, 5, 40), example(1, 5, 40)]
    spans = set()
    for seed in range(20):
        style = draw_style(rows, 1, 30, 1.0, np.random.default_rng(seed))
        assert style.mel.shape == (80, 30)
        first = round((float(style.mel[0, 0]) - 1) * 1000)
        assert (style.start, style.end) == (first // 4, -(-(first + 30) // 4))
        spans.add(style.start)
    assert len(spans) > 5


def test_an_own_reference_is_half_of_the_clip_at_most() -> None:
    style = draw_style([example(0, 5, 10)] * 2, 0, 400, 1.0, np.random.default_rng(0))
    assert style.mel.shape == (80, 20)


def test_other_references_are_other_clips_and_hide_nothing() -> None:
    rows = [example(at, 5, 10) for at in range(4)]
    firsts = set()
    for seed in range(20):
        style = draw_style(rows, 1, 60, 0.0, np.random.default_rng(seed))
        assert style.mel.shape == (80, 60)
        assert (style.start, style.end) == (0, 0)
        whole = style.mel[0].floor().unique().tolist()
        assert 1.0 not in whole
        firsts.add(whole[0])
    assert len(firsts) > 1
    everything = draw_style(rows, 1, 9999, 0.0, np.random.default_rng(0))
    assert everything.mel.shape == (80, 3 * 40)


def test_a_share_of_the_rows_is_conditioned_on_itself() -> None:
    rows = [example(at, 5, 10) for at in range(3)]
    drawn = [draw_style(rows, 0, 20, 0.3, np.random.default_rng(seed)) for seed in range(300)]
    assert 0.2 < np.mean([style.end > 0 for style in drawn]) < 0.4


def test_the_only_clip_is_its_own_reference() -> None:
    assert draw_style([example(0, 5, 10)], 0, 20, 0.0, np.random.default_rng(0)).end > 0


def test_references_of_several_lengths_are_encoded_as_each_alone(gpt: Any) -> None:

    rows = [example(at, 5, 10 + 5 * at) for at in range(3)]
    styles = [draw_style(rows, at, 400, 1.0, np.random.default_rng(at)) for at in range(3)]
    assert len({style.mel.shape for style in styles}) == 3
    together = style_latents(gpt, styles)
    assert together.shape == (3, 32, 64)
    for at, style in enumerate(styles):
        assert torch.equal(together[at : at + 1], style_latents(gpt, [style]))
