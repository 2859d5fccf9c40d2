"""A base's codes are fitted to a voice: better for it, and likely to the language model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import digest
from likeness.voice import base_codes
from likeness.voice import own_codes as module
from likeness.voice.base_codes import dvae_mel, guided_codes
from likeness.voice.clip_codes import read_clip
from likeness.voice.codes import FFT, FRAMES, build_dvae, load_dvae, log_mel
from likeness.voice.examples import Example, encode_rows
from likeness.voice.own_codes import fit_codes, guide, pair_up, read_aloud, stock_state
from likeness.voice.xtts import load_xtts, voice_of
from tests.conftest import runtime
from tests.voice.tiny_xtts import utterance

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


@pytest.fixture
def reader(tiny_xtts: Path, clips: dict[str, Path], tmp_path: Path) -> dict[str, Any]:
    """Who reads, and where it is stored."""
    return {"base": tiny_xtts, "references": [clips["u0"]], "rt": runtime(tmp_path)}


def fit(
    base: Path, examples: list[Example], clips: Mapping[str, Path], cache: Path, rounds: int = 1,
    steps: int = STEPS,
) -> Any:  # fmt: skip
    return fit_codes(
        base, examples[:5], clips, references=[clips["u0"]], rounds=rounds, steps=steps,
        learning_rate=3e-3, rt=runtime(cache),
    )  # fmt: skip


def refuse(*args: Any, **options: Any) -> Any:
    raise AssertionError("called again")


# --- fitting --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_codes_fit_the_voice_better_and_the_base_stays(
    tiny_xtts: Path,
    examples: list[Example],
    clips: dict[str, Path],
    tmp_path: Path,
    reader: dict[str, Any],
) -> None:
    import torch

    before = digest(tiny_xtts)
    fitted = fit(tiny_xtts, examples, clips, tmp_path, steps=150)
    assert digest(tiny_xtts) == before
    small, _ = load_dvae(tiny_xtts, "cpu", fitted)
    state = torch.load(fitted, weights_only=True)
    build_dvae(small.num_tokens).load_state_dict(state)  # as Coqui's trainer does
    assert torch.equal(small.codebook.embed, load_dvae(tiny_xtts, "cpu")[0].codebook.embed)
    readings = read_aloud(examples[5:], **reader)
    known, stats = load_dvae(tiny_xtts, "cpu")
    unheard = pair_up(known, readings, {"u5": dvae_mel(clips["u5"], stats)})

    def error(dvae: Any) -> float:
        with torch.inference_mode():
            return float((dvae.decode(unheard.codes[None])[0][0] - unheard.mels).abs().mean())

    assert error(small) < 0.8 * error(known)


@pytest.mark.slow
def test_no_rounds_leave_the_base(
    tiny_xtts: Path, examples: list[Example], clips: dict[str, Path], tmp_path: Path
) -> None:
    assert fit(tiny_xtts, examples, clips, tmp_path, rounds=0) is None
    assert not any(tmp_path.rglob("*.pth"))


@pytest.mark.slow
def test_a_killed_fit_ends_as_one_that_was_not_and_reads_nothing_again(
    tiny_xtts: Path,
    examples: list[Example],
    clips: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = fit(tiny_xtts, examples, clips, tmp_path / "whole", 2, 2)
    learn = module._learn

    def deadly(*args: Any) -> None:
        learn(*args)
        if "round 2" in args[-2]:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_learn", deadly)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_xtts, examples, clips, tmp_path / "killed", 2, 2)
    monkeypatch.setattr(module, "_learn", learn)
    monkeypatch.setattr(base_codes, "resident_reader", refuse)
    resumed = fit(tiny_xtts, examples, clips, tmp_path / "killed", 2, 2)
    assert digest(resumed) == digest(whole)
    monkeypatch.setattr(module, "_learn", refuse)
    assert fit(tiny_xtts, examples, clips, tmp_path / "killed", 2, 2) == resumed


@pytest.mark.slow
def test_other_clips_are_fitted_anew(
    tiny_xtts: Path, examples: list[Example], clips: dict[str, Path], tmp_path: Path
) -> None:
    first = fit(tiny_xtts, examples, clips, tmp_path, steps=1)
    assert fit(tiny_xtts, examples[1:], clips, tmp_path, steps=1) != first


@pytest.mark.slow
def test_too_little_speech_is_one_line(
    tiny_xtts: Path, examples: list[Example], clips: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(LikenessError, match=r"voice_train\.code_rounds: .* too short") as error:
        fit(tiny_xtts, examples[:1], clips, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_only_the_last_layers_of_the_decoder_change(
    tiny_xtts: Path, examples: list[Example], clips: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    before, _ = load_dvae(tiny_xtts, "cpu")
    after, _ = load_dvae(tiny_xtts, "cpu", fit(tiny_xtts, examples, clips, tmp_path, steps=2))
    changed = {
        name
        for name, tensor in before.state_dict().items()
        if not torch.equal(tensor, after.state_dict()[name])
    }
    assert {name for name in changed if name.startswith("decoder")} == {
        name
        for name in before.state_dict()
        if name.startswith(("decoder.4.", "decoder.5.", "decoder.6."))
    }
    assert all(name.startswith(("decoder", "encoder")) for name in changed)


@pytest.mark.slow
def test_the_decoder_has_the_voice_s_levels(
    tiny_xtts: Path,
    examples: list[Example],
    clips: dict[str, Path],
    tmp_path: Path,
    reader: dict[str, Any],
) -> None:
    import torch

    known, stats = load_dvae(tiny_xtts, "cpu")
    dvae, _ = load_dvae(tiny_xtts, "cpu", fit(tiny_xtts, examples, clips, tmp_path, steps=1))
    mels = {one.id: dvae_mel(clips[one.id], stats) for one in examples[:5]}
    codes = pair_up(known, read_aloud(examples[:5], **reader), mels).codes
    said, heard = dvae.decode(codes[None])[0][0].detach(), torch.cat([*mels.values()], dim=1)
    torch.testing.assert_close(said.mean(dim=1), heard.mean(dim=1), atol=1e-3, rtol=0)
    torch.testing.assert_close(said.std(dim=1), heard.std(dim=1), atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_the_decoder_goes_only_part_of_the_way(
    tiny_xtts: Path,
    examples: list[Example],
    clips: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    share = module.KEPT_SHARE
    part, _ = load_dvae(
        tiny_xtts, "cpu", fit(tiny_xtts, examples, clips, tmp_path / "part", steps=5)
    )
    monkeypatch.setattr(module, "KEPT_SHARE", 1.0)
    whole, _ = load_dvae(
        tiny_xtts, "cpu", fit(tiny_xtts, examples, clips, tmp_path / "whole", steps=5)
    )
    before, _ = load_dvae(tiny_xtts, "cpu")
    names = [name for name in before.state_dict() if name.startswith(("decoder.4.", "decoder.5."))]
    assert names
    for name in names:
        old, new = (dvae.state_dict()[name] for dvae in (before, whole))
        assert not torch.allclose(old, new, atol=1e-4)
        torch.testing.assert_close(part.state_dict()[name], old + share * (new - old))


# --- the base reads -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_text_is_read_several_times_and_known_ones_not_again(
    tiny_xtts: Path,
    examples: list[Example],
    reader: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SHORTEST", 0)
    first = read_aloud(examples[:2], **reader)
    assert list(first) == ["u0", "u1"]
    dvae, _ = load_dvae(tiny_xtts, "cpu")
    for readings in first.values():
        assert len(readings) == base_codes.READINGS
        assert len({tuple(one.tolist()) for one in readings}) > 1
        assert all(0 <= int(code) < dvae.num_tokens for one in readings for code in one)
    monkeypatch.setattr(module, "SHORTEST", 10_000)
    assert read_aloud(examples[:2], **reader) == {"u0": [], "u1": []}
    monkeypatch.setattr(base_codes, "resident_reader", refuse)
    read_aloud(examples[:2], **reader)
    with pytest.raises(LikenessError, match=r"cannot read the text of clip u2 "):
        read_aloud(examples[:3], **reader)


def test_a_clip_is_paired_with_the_reading_that_is_nearest_to_it(tiny_xtts: Path) -> None:
    import torch

    dvae, _ = load_dvae(tiny_xtts, "cpu")
    seeds = torch.Generator().manual_seed(0)
    said = [torch.randint(dvae.num_tokens, (40,), generator=seeds) for _ in range(4)]
    with torch.inference_mode():
        mels = {"a": dvae.decode(said[1][None])[0][0], "b": dvae.decode(said[3][None])[0][0]}
    pairs = pair_up(
        dvae, {"a": said[:2], "b": said[2:], "unread": []}, {**mels, "unread": mels["a"]}
    )
    assert torch.equal(pairs.codes, torch.cat([said[1], said[3]]))
    assert torch.allclose(pairs.mels, torch.cat([mels["a"], mels["b"]], dim=1), atol=1e-5)
    assert len(pairs.trusted) == FRAMES * len(pairs.codes)
    assert set(pairs.trusted.tolist()) <= {0.0, 1.0}


# --- codes that the text makes likely -------------------------------------------------------------


@pytest.mark.slow
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
        distances = base_codes.SOUND * distances / distances.min(dim=1).values.mean()
        ids = gpt.compute_embeddings(latents, torch.tensor([one.tokens]))
        ids = torch.cat([ids, found[None, :at]], dim=1)
        logits = gpt.gpt_inference(input_ids=ids, return_dict=True).logits[0, -1]
        score = logits[: dvae.num_tokens].log_softmax(-1) - distances[at]
    assert score.max() - score[found[at]] < 1e-3
    assert not torch.equal(found, guided_codes(gpt, latents, examples[4].tokens, dvae, mel))


@pytest.mark.slow
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


@pytest.mark.slow
def test_known_clips_are_not_guided_again(
    tiny_xtts: Path,
    examples: list[Example],
    clips: dict[str, Path],
    reader: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {**reader, "dvae": tiny_xtts / "dvae.pth"}
    first = guide(examples[:2], clips, **options)
    assert [one.id for one in first] == ["u0", "u1"]
    assert [one.tokens for one in first] == [one.tokens for one in examples[:2]]
    monkeypatch.delattr(base_codes, "guided_codes")
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
