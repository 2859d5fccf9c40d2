"""The language model of xtts_mini: what its loss sees is what generation sees, and it can learn."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from likeness.common.runtime import Runtime
from likeness.voice.codes import FRAMES
from models.muon import MuonAndAdamW
from models.spoken import CODE, INPUT_RATE
from models.xtts_language import (
    ENDS,
    SIZE,
    Batch,
    gpt_losses,
    look_loss_of,
    mishear,
    pad,
    phonemes_said,
    reference,
    spectrum_loss_of,
    start_embeddings,
    text_tokens,
    train_gpt,
)
from models.xtts_nets import CODES, STOP_CODE, build_xtts
from tests.models.tiny import Dying, Killed, same_weights, steps


def rows(corpus, tokenizer, codes, lengths=(9, 4, 6)):
    """Tokens and codes of three rows of different lengths."""
    texts = (corpus.texts[0], corpus.texts[1][:4], corpus.texts[2][:6])
    return (
        [text_tokens(text, tokenizer) for text in texts],
        [codes[at][:length] for at, length in enumerate(lengths)],
    )


def batch(texts, codes, styles):
    """A batch in which every phoneme of a row takes as long."""
    said = [
        1 + torch.arange(len(own) + 1) * (len(text) - 1) // (len(own) + 1)
        for text, own in zip(texts, codes, strict=True)
    ]
    return Batch(texts, codes, codes, styles, said)


# --- when each phoneme is said --------------------------------------------------------------------


def test_each_code_has_the_phoneme_that_is_said_in_its_middle():
    code = CODE / INPUT_RATE
    # Of six codes the first two are the first phoneme's; the second lasts for no middle of a code.
    ends = np.array([1.7, 2.4, 3.7, 5.4]) * code
    assert phonemes_said(ends, 6).tolist() == [1, 1, 3, 3, 4, 4, 4]


def test_what_follows_the_last_phoneme_is_the_last_phonemes():
    ends = np.array([1.0, 2.0]) * CODE / INPUT_RATE
    assert phonemes_said(ends, 5).tolist() == [1, 2, 2, 2, 2, 2]


def test_a_phoneme_that_ended_before_the_speech_starts_is_not_said():
    ends = np.array([-0.4, 1.0, 2.0]) * CODE / INPUT_RATE
    assert phonemes_said(ends, 2).tolist() == [2, 3, 3]


def test_positions_are_those_of_the_phonemes_tokens(tokenizer):
    code = CODE / INPUT_RATE
    text = "ɐ ɹˈɛd."
    tokens = text_tokens(text, tokenizer)
    at = phonemes_said(np.arange(1, len(text) + 1) * code, len(text))
    names = [tokenizer.tokenizer.id_to_token(int(tokens[own])) for own in at]
    assert names == ["ɐ", "[SPACE]", "ɹ", "ˈ", "ɛ", "d", ".", "."]  # the stop token's is the last


def test_a_text_has_a_token_for_each_phoneme_and_one_for_the_language(corpus, tokenizer):
    unknown = tokenizer.tokenizer.token_to_id("[UNK]")
    for text in corpus.texts:
        tokens = text_tokens(text, tokenizer).tolist()
        assert len(tokens) == len(text) + 1
        assert unknown not in tokens
        assert tokens[0] == tokenizer.tokenizer.token_to_id("[en]")


# --- what the loss sees ---------------------------------------------------------------------------


def test_a_rows_mask_and_targets_end_with_the_row():
    padded, mask = pad([torch.tensor([5, 6, 7]), torch.tensor([8])], 0, 1)
    assert padded.tolist() == [[5, 6, 7, 0], [8, 0, 0, 0]]
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_each_row_counts_as_it_would_alone(gpt, corpus, tokenizer, codes):
    texts, own = rows(corpus, tokenizer, codes)
    styles = torch.randn(2, 32, 64)
    losses = gpt_losses(gpt, batch(texts, own, [0, 1, 0]), styles)
    alone = [
        gpt_losses(gpt, batch([text], [code], [style]), styles)
        for text, code, style in zip(texts, own, [0, 1, 0], strict=True)
    ]
    of_codes = [len(c) + 1 for c in own]
    for kind, counts in enumerate(([len(t) + 1 for t in texts], of_codes, of_codes)):
        mean = sum(n * one[kind] for n, one in zip(counts, alone, strict=True)) / sum(counts)
        assert losses[kind].item() == pytest.approx(mean.item(), abs=1e-4)


def test_the_style_of_its_voice_conditions_every_row(gpt, corpus, tokenizer, codes):
    texts, own = rows(corpus, tokenizer, codes)
    styles = torch.randn(2, 32, 64)
    first = gpt_losses(gpt, batch(texts[:1], own[:1], [0]), styles)
    second = gpt_losses(gpt, batch(texts[:1], own[:1], [1]), styles)
    assert first[1].item() != pytest.approx(second[1].item(), abs=1e-4)


def test_training_sees_what_generation_sees(gpt, corpus, tokenizer, codes):
    """The loss of a row follows from the logits of Coqui's inference model on the same prefix."""
    (text, *_), (own, *_) = rows(corpus, tokenizer, codes)
    style = torch.randn(1, 32, 64)
    gpt.init_gpt_for_inference(kv_cache=False)
    prefix = gpt.compute_embeddings(style, text[None])
    logits = gpt.gpt_inference(torch.cat([prefix, own[None]], dim=1)).logits
    expected = functional.cross_entropy(
        logits[0, -len(own) - 1 :], functional.pad(own, (0, 1), value=STOP_CODE)
    )
    assert gpt_losses(gpt, batch([text], [own], [0]), style)[1].item() == pytest.approx(
        expected.item(), abs=1e-4
    )
    del gpt.gpt_inference, gpt.gpt.wte


def test_misheard_codes_change_what_is_heard_but_not_what_is_meant(gpt, corpus, tokenizer, codes):
    """Only codes after a misheard one can be predicted differently."""
    (text, *_), (own, *_) = rows(corpus, tokenizer, codes)
    style, said = torch.randn(1, 32, 64), [torch.ones(len(own) + 1, dtype=torch.long)]
    wrong = own.clone()
    wrong[-1] = (wrong[-1] + 1) % CODES
    plain, last = (
        gpt_losses(gpt, Batch([text], [own], [heard], [0], said), style) for heard in (own, wrong)
    )
    assert plain[0].item() == pytest.approx(last[0].item(), abs=1e-6)
    assert plain[1].item() != pytest.approx(last[1].item(), abs=1e-5)
    # One of ten predictions has another input, so that the mean moves by a tenth of its change.
    assert plain[1].item() == pytest.approx(last[1].item(), abs=0.5)


def test_attention_to_the_phoneme_being_said_costs_nothing():
    said = torch.tensor([[1, 2, -100]])
    looked = torch.tensor([[[0, 1, 0, 0.0], [0, 0, 1, 0], [1, 0, 0, 0]]])
    assert look_loss_of(looked, said).item() == pytest.approx(0, abs=1e-3)
    assert look_loss_of(looked.flip(2), said) > 4
    halves = torch.full((1, 3, 4), 0.5)
    assert look_loss_of(halves, said).item() == pytest.approx(np.log(2), abs=1e-3)


def test_what_the_latents_say_is_compared_frame_by_frame():
    """A row of one code and one of two; what is said after the last code does not count."""
    mels = [torch.randn(80, FRAMES), torch.randn(80, 2 * FRAMES)]
    made = torch.full((2, 3, FRAMES * 80), 9.0)
    made[0, 0] = mels[0].T.flatten()
    made[1, :2] = mels[1].T.reshape(2, -1)
    assert spectrum_loss_of(made, mels) == 0
    made[1, 1, 80:160] += 3.0  # the second frame of the last code: one of twelve frames
    assert spectrum_loss_of(made, mels).item() == pytest.approx(3 / 12, abs=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_about_the_share_of_codes_that_is_asked_for_is_misheard(share):
    codes = torch.arange(2000)
    heard = mishear(codes, share, np.random.default_rng(0))
    assert (heard != codes).float().mean().item() == pytest.approx(share, abs=0.04)
    assert 0 <= int(heard.min()) <= int(heard.max()) < CODES


def test_references_have_the_length_that_is_asked_for(corpus):
    joined = np.concatenate([corpus.inputs[at] for at in (0, 2)])
    for seconds in (0.5, 3.0):
        clip = reference([0, 2], corpus, seconds)
        assert clip.shape == (round(seconds * INPUT_RATE),)
        shared = min(len(clip), len(joined))
        assert np.allclose(clip[:shared], joined[:shared] / 32768)
    assert np.allclose(clip[len(joined) :][:1000], joined[:1000] / 32768)  # repeated


# --- training -------------------------------------------------------------------------------------


def test_muon_leaves_embeddings_and_heads_to_adamw(gpt):
    MuonAndAdamW(gpt, 1e-3, 0.0, ENDS)  # raises where one is no module
    tables = [
        name for name, module in gpt.named_modules()
        if isinstance(module, nn.Embedding) or name.endswith("_head")
    ]  # fmt: skip
    assert len(tables) >= 6
    assert not [t for t in tables if not any(t == end or t.startswith(f"{end}.") for end in ENDS)]


@pytest.fixture(scope="module")
def mels(codes):
    """Random mels, as long as each utterance is."""
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(80, FRAMES * len(own), generator=rng) for own in codes]


@pytest.fixture(scope="module")
def book():
    """Vectors of the codes, in pairs that are alike."""
    rng = torch.Generator().manual_seed(0)
    pairs = torch.randn(CODES // 2, 1, 32, generator=rng).repeat(1, 2, 1)
    return (pairs + 0.1 * torch.randn(pairs.shape, generator=rng)).flatten(0, 1)


def test_like_codes_start_alike(mini, tokenizer, book):
    gpt = build_xtts(mini, tokenizer).gpt
    start_embeddings(gpt, book, 1.0)
    for weight in (gpt.mel_embedding.weight, gpt.mel_head.weight):
        vectors = functional.normalize(weight[:CODES])
        likeness = (vectors @ vectors.T).fill_diagonal_(-1)
        assert (likeness.argmax(1) == torch.arange(CODES) ^ 1).float().mean() > 0.99
    for table in (gpt.text_embedding, gpt.mel_embedding, gpt.text_pos_embedding.emb):
        assert table.weight.std().item() == pytest.approx(SIZE, rel=0.1)


def test_a_code_starts_where_the_text_is_on_average(mini, tokenizer, book):
    gpt = build_xtts(mini, tokenizer).gpt
    start_embeddings(gpt, book, 1.5)
    likeness = gpt.mel_pos_embedding.emb.weight[:100] @ gpt.text_pos_embedding.emb.weight.T
    assert (likeness.argmax(1) - 1.5 * torch.arange(100)).abs().max() <= 0.5


@pytest.mark.slow
def test_resumed_training_equals_uninterrupted(
    mini, tokenizer, corpus, codes, mels, book, rt, tmp_path
):
    cfg = steps(mini, "gpt", 6)
    inputs = (cfg, tokenizer, corpus, codes, mels, torch.ones(80), book)
    whole, _ = train_gpt(*inputs, rt)
    other = {"seed": 0, "device": "cpu", "workers": 0, "cache": tmp_path / "other"}
    with pytest.raises(Killed):
        train_gpt(*inputs, Dying(**other, kill="gpt"))
    resumed, _ = train_gpt(*inputs, Runtime(**other))
    assert same_weights(whole, resumed)
    assert not same_weights(whole, build_xtts(cfg, tokenizer).gpt)


@pytest.mark.slow
def test_the_language_model_learns_a_tiny_set(mini, tokenizer, corpus, codes, mels, book, rt):
    cfg = steps(mini, "gpt", 120, lr=3e-3, text_weight=1.0)
    gpt, _ = train_gpt(cfg, tokenizer, corpus, codes, mels, torch.ones(80), book, rt)
    said = [phonemes_said(ends, len(own)) for ends, own in zip(corpus.ends, codes, strict=True)]
    texts = [text_tokens(text, tokenizer) for text in corpus.texts]
    whole = Batch(texts, codes, codes, corpus.voices.tolist(), said)
    before = gpt_losses(build_xtts(cfg, tokenizer).gpt, whole, torch.zeros(2, 32, 64))
    after = gpt_losses(gpt, whole, torch.zeros(2, 32, 64))
    assert after[0] < 0.5 * before[0]
    assert after[1] < 6 < np.log(CODES)
    assert after[2] < 0.9 * before[2]
    assert "spectrum.weight" not in gpt.state_dict()
