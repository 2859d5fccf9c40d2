"""A base's codes are fitted to a voice: better for it, and likely to the language model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import digest
from likeness.voice import own_codes as module
from likeness.voice.codes import FFT, FRAMES, build_dvae, load_dvae, log_mel, stock_state
from likeness.voice.examples import Example, encode_rows, read_clip
from likeness.voice.own_codes import code_error, fit_codes, guide, guided_codes, introduce
from likeness.voice.xtts import load_xtts, voice_of
from tests.conftest import files_of, runtime
from tests.voice.sounds import babble
from tests.voice.tiny_xtts import RATE, utterance

STEPS = 30


@pytest.fixture(scope="module")
def model(tiny_xtts: Path) -> Any:
    return load_xtts(tiny_xtts, "cpu")


@pytest.fixture(scope="module")
def clips(tiny_voice: Path) -> dict[str, Path]:
    return {f"u{at}": tiny_voice / f"wavs/u{at}.wav" for at in range(6)}


@pytest.fixture(scope="module")
def examples(
    tiny_xtts: Path, tiny_voice: Path, model: Any, tmp_path_factory: pytest.TempPathFactory
) -> list[Example]:
    """Five to fit to and one that is not heard."""
    found, _ = encode_rows(
        [utterance(at) for at in range(6)], dataset=tiny_voice, base=tiny_xtts, model=model,
        language="en", max_seconds=11.6, max_text_tokens=200,
        rt=runtime(tmp_path_factory.mktemp("cache")),
    )  # fmt: skip
    return list(found.values())


def fit(
    base: Path, examples: list[Example], clips: Mapping[str, Path], cache: Path, rounds: int = 1,
    steps: int = STEPS,
) -> Path:  # fmt: skip
    return fit_codes(
        base, examples[:5], clips, references=[clips["u0"]], rounds=rounds, steps=steps,
        learning_rate=3e-3, rt=runtime(cache),
    )  # fmt: skip


# --- fitting --------------------------------------------------------------------------------------


def test_codes_fit_the_voice_better_and_the_base_stays(
    tiny_xtts: Path, examples: list[Example], clips: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    before = digest(tiny_xtts)
    fitted = fit(tiny_xtts, examples, clips, tmp_path)
    assert digest(tiny_xtts) == before
    base, own = files_of(tiny_xtts), files_of(fitted)
    assert base.keys() == own.keys()
    assert {name for name in base if base[name] != own[name]} == {"dvae.pth"}
    small, _ = load_dvae(fitted, "cpu")
    state = torch.load(fitted / "dvae.pth", weights_only=True)
    build_dvae(small.num_tokens).load_state_dict(state)  # as Coqui's trainer does
    assert torch.equal(small.codebook.embed, load_dvae(tiny_xtts, "cpu")[0].codebook.embed)
    unheard = guide(
        examples[5:], clips, base=tiny_xtts, codes=fitted, references=[clips["u0"]],
        rt=runtime(tmp_path),
    )  # fmt: skip
    assert code_error(fitted, unheard, clips) < 0.8 * code_error(tiny_xtts, examples[5:], clips)


def test_no_rounds_leave_the_base(
    tiny_xtts: Path, examples: list[Example], clips: dict[str, Path], tmp_path: Path
) -> None:
    assert fit(tiny_xtts, examples, clips, tmp_path, rounds=0) == tiny_xtts
    assert not any(tmp_path.rglob("*.pth"))


def test_a_killed_fit_goes_on_after_its_last_whole_round(
    tiny_xtts: Path,
    examples: list[Example],
    clips: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = fit(tiny_xtts, examples, clips, tmp_path / "whole", 2, 2)
    rounds: list[int] = []
    train = module._train

    def deadly(*args: Any) -> None:
        rounds.append(args[-2])
        train(*args)
        if rounds == [1, 2]:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_train", deadly)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_xtts, examples, clips, tmp_path / "killed", 2, 2)
    resumed = fit(tiny_xtts, examples, clips, tmp_path / "killed", 2, 2)
    assert rounds == [1, 2, 2]
    assert files_of(resumed) == files_of(whole)
    assert fit(tiny_xtts, examples, clips, tmp_path / "killed", 2, 2) == resumed
    assert rounds == [1, 2, 2]


def test_other_clips_are_fitted_anew(
    tiny_xtts: Path, examples: list[Example], clips: dict[str, Path], tmp_path: Path
) -> None:
    first = fit(tiny_xtts, examples, clips, tmp_path, steps=1)
    assert fit(tiny_xtts, examples[1:], clips, tmp_path, steps=1) != first


def test_too_little_speech_is_one_line(
    tiny_xtts: Path, examples: list[Example], clips: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(LikenessError, match=r"voice_train\.code_rounds: .* too short") as error:
        fit(tiny_xtts, examples[:1], clips, tmp_path)
    assert "\n" not in str(error.value)


def test_a_voice_is_introduced_with_the_average_spectrum_of_the_base(tiny_xtts: Path) -> None:
    import torch

    dvae, stats = load_dvae(tiny_xtts, "cpu")
    mel = log_mel(torch.from_numpy(babble(3.0, RATE))[None], FFT, stats)[0]
    balance = torch.linspace(0.5, 2, 80)[:, None], torch.linspace(-1, 1, 80)[:, None]
    other = balance[0] * mel + balance[1]

    def heard(mel: torch.Tensor, introduced: bool) -> torch.Tensor:
        """What the first layer makes of it, but at the ends, where silence is put."""
        own = build_dvae(dvae.num_tokens, 16, 8).requires_grad_(False)
        own.load_state_dict(dvae.state_dict())
        own = introduce(own, mel) if introduced else own
        return own.encoder[0][0](mel[None])[..., 1:-1]  # type: ignore[no-any-return]

    assert not torch.allclose(heard(mel, False), heard(other, False), atol=0.1)
    assert torch.allclose(heard(mel, True), heard(other, True), atol=1e-3)
    with torch.inference_mode():
        said = dvae.decode(torch.arange(dvae.num_tokens)[None])[0][0]
    close = (said - said.mean(1, keepdim=True)) / said.std(1, keepdim=True)
    assert not torch.allclose(heard(close, True), heard(close, False), atol=1e-3)


# --- codes that the text makes likely -------------------------------------------------------------


def test_guided_codes_follow_both_the_sound_and_the_text(
    tiny_xtts: Path, model: Any, examples: list[Example], clips: dict[str, Path]
) -> None:
    import torch

    dvae, stats = load_dvae(tiny_xtts, "cpu")
    latents = voice_of(model, [read_clip(clips["u0"])[0]]).latents
    one = examples[1]
    wave = torch.from_numpy(read_clip(clips[one.id])[0])[None]
    mel = log_mel(wave, FFT, stats)[0]
    gpt = load_xtts(tiny_xtts, "cpu").gpt
    for part in (gpt.mel_head, gpt.text_embedding, *(block.attn.c_proj for block in gpt.gpt.h)):
        part.weight.mul_(30)  # so that the text counts beside the sound
    found = guided_codes(gpt, latents, one.tokens, dvae, mel)
    assert len(found) == mel.shape[1] // FRAMES == len(one.codes)
    assert int(found.max()) < dvae.num_tokens
    # One step by hand, with the codes that were found before it: what generation itself is fed.
    at = 7
    with torch.inference_mode():
        vectors, book = dvae.encoder(mel[None])[0].T, dvae.codebook.embed
        distances = torch.cdist(vectors[None], book.T[None])[0].square()
        distances = distances / distances.min(dim=1).values.mean()
        ids = gpt.compute_embeddings(latents, torch.tensor([one.tokens]))
        ids = torch.cat([ids, found[None, :at]], dim=1)
        logits = gpt.gpt_inference(input_ids=ids, return_dict=True).logits[0, -1]
        score = logits[: dvae.num_tokens].log_softmax(-1) - distances[at]
    assert score.max() - score[found[at]] < 1e-3
    assert not torch.equal(found, guided_codes(gpt, latents, examples[4].tokens, dvae, mel))


def test_where_the_model_expects_nothing_the_nearest_code_is_taken(
    tiny_xtts: Path, model: Any, examples: list[Example], clips: dict[str, Path]
) -> None:
    import torch

    dvae, stats = load_dvae(tiny_xtts, "cpu")
    latents = voice_of(model, [read_clip(clips["u0"])[0]]).latents
    indifferent = load_xtts(tiny_xtts, "cpu").gpt
    indifferent.mel_head.weight.zero_()
    mel = log_mel(torch.from_numpy(read_clip(clips["u1"])[0])[None], FFT, stats)[0]
    found = guided_codes(indifferent, latents, examples[1].tokens, dvae, mel)
    assert torch.equal(found, dvae.get_codebook_indices(mel[None])[0])


def test_known_clips_are_not_guided_again(
    tiny_xtts: Path,
    examples: list[Example],
    clips: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {
        "base": tiny_xtts, "codes": tiny_xtts, "references": [clips["u0"]], "rt": runtime(tmp_path),
    }  # fmt: skip
    first = guide(examples[:2], clips, **options)
    assert [one.id for one in first] == ["u0", "u1"]
    assert [one.tokens for one in first] == [one.tokens for one in examples[:2]]
    monkeypatch.delattr(module, "guided_codes")
    again = guide(examples[:2], clips, **options)
    assert [one.codes.tolist() for one in again] == [one.codes.tolist() for one in first]
    with pytest.raises(LikenessError, match=r"u2\.wav: no codes can be found"):
        guide(examples[:3], clips, **options)


# --- the DVAE's size ------------------------------------------------------------------------------


def test_a_dvae_in_the_corner_of_coquis_is_built_small_and_computes_the_same(
    tiny_xtts: Path,
) -> None:
    import torch

    small, _ = load_dvae(tiny_xtts, "cpu")
    state = torch.load(tiny_xtts / "dvae.pth", weights_only=True)
    assert len(small.encoder[0][0].weight) == 16 < len(state["encoder.0.0.weight"]) == 512
    stock = build_dvae(small.num_tokens)
    stock.load_state_dict(state)
    mel = torch.randn(1, 80, 12, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        codes = small.get_codebook_indices(mel)
        assert torch.equal(codes, stock.eval().get_codebook_indices(mel))
        assert torch.allclose(small.decode(codes)[0], stock.decode(codes)[0], atol=1e-5)
    for name, tensor in stock_state(small).items():
        assert torch.equal(tensor, state[name].float() if tensor.is_floating_point() else tensor), (
            name
        )
