"""The decoder of xtts_mini: what it is trained on, that it learns, and that a killed training resumes."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from likeness.common.runtime import Runtime
from models import xtts_vocoder
from models.spoken import CODE
from models.xtts_language import Batch, gpt_losses, phonemes_said, reference, text_tokens
from models.xtts_nets import STOP_CODE, build_decoder
from models.xtts_speakers import embed_speakers
from models.xtts_vocoder import (
    SCALE,
    STYLE_FFT,
    Batches,
    latents_of,
    log_mel,
    start_decoder,
    synthesize,
    train_decoder,
)
from tests.models.tiny import Dying, Killed, Watching, same_weights

PHASES = ("decoder on codes", "decoder")


@pytest.fixture(scope="module")
def latents(corpus, codes):
    """Latents as the language model could have them: one more than the codes, unlike by voice."""
    rng = torch.Generator().manual_seed(2)
    voices = torch.randn(2, 64, generator=rng)
    return [
        (voices[voice] + 0.3 * torch.randn(len(own) + 1, 64, generator=rng)).half()
        for own, voice in zip(codes, corpus.voices, strict=True)
    ]


def phases(cfg, on_codes, on_latents, **more):
    """The params with these numbers of steps of the decoder's two phases."""
    counts = {"code_steps": on_codes, "steps": on_latents}
    changed = cfg.decoder.model_copy(update={**counts, **more})
    return cfg.model_copy(update={"decoder": changed})


def new_decoder(cfg):
    torch.manual_seed(0)
    decoder = build_decoder(cfg)
    decoder.speaker_encoder.eval().requires_grad_(False)
    return decoder


def train(cfg, dvae, corpus, codes, latents, rt):
    """A new decoder, trained in both phases."""
    decoder = new_decoder(cfg)
    start_decoder(cfg, decoder, dvae, corpus, codes, rt)
    train_decoder(cfg, decoder, corpus, latents, rt)
    return decoder


# --- what it is trained on ------------------------------------------------------------------------


def test_latents_are_one_more_than_the_codes_and_predict_them(
    gpt, tokenizer, corpus, codes, mini, rt
):
    """They are those that the language model's loss sees, in the style of their voice."""
    found = latents_of(gpt, tokenizer, corpus, codes, torch.ones(80), rt)
    assert [own.shape for own in found] == [(len(own) + 1, 64) for own in codes]
    for at in (0, 1):
        clip = reference(np.flatnonzero(corpus.voices == at)[:6], corpus, 6.0)
        style = gpt.get_style_emb(log_mel(clip[None], STYLE_FFT, torch.ones(80))).transpose(1, 2)
        row = Batch(
            [text_tokens(corpus.texts[at], tokenizer)], [codes[at]], [codes[at]], [0],
            [phonemes_said(corpus.ends[at], len(codes[at]))],
        )  # fmt: skip
        predicted = functional.cross_entropy(
            gpt.mel_head(found[at].float()), functional.pad(codes[at], (0, 1), value=STOP_CODE)
        )
        assert predicted.item() == pytest.approx(gpt_losses(gpt, row, style)[1].item(), abs=0.02)


def test_windows_are_those_of_the_inputs_and_embeddings_of_the_voice(
    mini, corpus, codes, rt, monkeypatch
):
    voice_of = {
        clip.tobytes(): voice for clip, voice in zip(corpus.inputs, corpus.voices, strict=True)
    }

    def embed(_, clips):
        return torch.tensor([[[float(voice_of[clip.tobytes()])]] * 512 for clip in clips])

    monkeypatch.setattr(xtts_vocoder, "embed_speakers", embed)
    decoder = build_decoder(mini)
    # Each input says whose utterance it is of, and where in it.
    inputs = [
        torch.stack([torch.full((len(own) + 1,), at), torch.arange(len(own) + 1)], dim=1)
        for at, own in enumerate(codes)
    ]
    batches = Batches(mini.decoder, decoder, corpus, inputs, rt)
    seen = []
    for number in range(60):
        heard, embeddings, waves = batches.draw(np.random.default_rng(number))
        assert heard.shape == (2, 6, 2)
        assert waves.shape == (2, round(6 * SCALE))
        for (at, first), own, wave in zip(
            heard[:, 0].int().tolist(), embeddings, waves, strict=True
        ):
            assert own.unique().tolist() == [corpus.voices[at]]
            meant = np.pad(corpus.waves[at], (0, 2 * CODE))[round(first * SCALE) :][: len(wave)]
            assert np.allclose(wave, meant / 32768)
            seen.append((at, first))
    assert {at for at, _ in seen} == set(range(12))
    # The last window has the latent of the stop token.
    assert any(first == len(codes[at]) + 1 - 6 for at, first in seen)
    assert any(first == 0 for _, first in seen)


def test_voices_are_drawn_equally_though_one_has_few_utterances(
    mini, corpus, codes, rt, monkeypatch
):
    monkeypatch.setattr(xtts_vocoder, "embed_speakers", lambda *_: torch.zeros(1, 512, 1))
    voices = np.array([0, *[1] * 11])
    uneven = type(corpus)(
        corpus.texts, voices, corpus.names, corpus.ends, corpus.inputs, corpus.waves
    )
    inputs = [
        torch.full((len(own), 1), float(voice)) for own, voice in zip(codes, voices, strict=True)
    ]
    batches = Batches(mini.decoder, build_decoder(mini), uneven, inputs, rt)
    drawn = [batches.draw(np.random.default_rng(number))[0][:, 0] for number in range(100)]
    assert torch.cat(drawn).mean().item() == pytest.approx(0.5, abs=0.12)


def test_speech_is_made_for_almost_all_of_a_window(mini, corpus, decoder, latents):
    embeddings = embed_speakers(decoder.speaker_encoder, corpus.inputs[:1])
    made = synthesize(decoder, latents[0][None, :6].float(), embeddings)
    assert made.shape[0] == 1
    assert 0.9 * 6 * SCALE < made.shape[1] <= 6 * SCALE


# --- distances ------------------------------------------------------------------------------------


# --- training -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_decoder_learns_a_tiny_set_of_latents(mini, corpus, latents, tmp_path):
    rt = Watching(seed=0, device="cpu", workers=0, cache=tmp_path)
    train_decoder(phases(mini, 1, 25, lr=3e-3), new_decoder(mini), corpus, latents, rt)
    plain = rt.losses["decoder"]
    assert sum(plain[-5:]) < 0.6 * sum(plain[:5])


@pytest.mark.slow
def test_what_the_decoder_learns_on_codes_is_a_start_for_latents(
    mini, dvae, corpus, codes, latents, tmp_path
):
    rt = Watching(seed=0, device="cpu", workers=0, cache=tmp_path)
    train(phases(mini, 25, 5, lr=3e-3), dvae, corpus, codes, latents, rt)
    on_codes, plain = (rt.losses[name] for name in PHASES)
    assert sum(on_codes[-5:]) < 0.6 * sum(on_codes[:5])
    assert sum(plain) < 0.7 * sum(on_codes[:5])


@pytest.fixture(scope="module")
def uninterrupted(mini, dvae, corpus, codes, latents, tmp_path_factory):
    rt = Runtime(0, "cpu", 0, tmp_path_factory.mktemp("whole"))
    return train(phases(mini, 5, 5), dvae, corpus, codes, latents, rt)


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_resumed_training_equals_uninterrupted(
    mini, dvae, corpus, codes, latents, uninterrupted, tmp_path, phase
):
    inputs = (phases(mini, 5, 5), dvae, corpus, codes, latents)
    other = {"seed": 0, "device": "cpu", "workers": 0, "cache": tmp_path}
    with pytest.raises(Killed):
        train(*inputs, Dying(**other, kill=phase))
    resumed = train(*inputs, Runtime(**other))
    assert same_weights(uninterrupted, resumed)
    assert not any(own.requires_grad for own in resumed.waveform_decoder.parameters())
