"""The folder of xtts_mini: stock XTTS loads it and computes what the small networks do."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from likeness.common.io import digest, read_json
from likeness.voice.codes import build_dvae
from likeness.voice.phonemes import phonemes
from models.spoken import CODE, RATE
from models.xtts_language import text_tokens
from models.xtts_measure import load_stock
from models.xtts_mini import save_speakers
from models.xtts_nets import CODES, STEPS, build_tokenizer, coarse, save_folder, widen


@pytest.fixture(scope="module")
def folder(mini, tokenizer, gpt, decoder, dvae, corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("xtts")
    build_tokenizer(corpus.texts, path / "vocab.json")
    save_folder(mini, path, tokenizer, gpt, decoder, dvae, torch.full((80,), 2.0))
    save_speakers(mini, path, corpus)
    return path


@pytest.fixture(scope="module")
def stock(folder):
    return load_stock(folder)  # strictly: every key, and no other


# --- text -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_stock_xtts_reads_phonemes_as_training_does(tmp_path):
    said = ["Mister Hill, our tailor, said: stop at once!", "Is it the best, No. 1, or not?"]
    letters = [phonemes(text) for text in said]
    tokenizer = build_tokenizer(letters, tmp_path / "vocab.json")
    for text in letters:
        ids = tokenizer.encode(text, "en")
        assert ids == text_tokens(text, tokenizer).tolist()
        assert tokenizer.decode(ids) == "[en]" + text


def test_every_phoneme_has_a_token_and_special_tokens_their_place(corpus, tokenizer):
    letters = set("".join(corpus.texts)) - {" "}
    ids = [tokenizer.tokenizer.token_to_id(letter) for letter in letters]
    assert None not in ids
    assert len(set(ids)) == len(letters)
    assert tokenizer.tokenizer.token_to_id("[STOP]") == 0
    assert tokenizer.get_number_tokens() == len(tokenizer) == len(letters) + 5


# --- the folder -----------------------------------------------------------------------------------


def test_the_stock_dvae_gives_the_small_ones_codes_and_mels(dvae):
    stock = build_dvae(CODES).eval().requires_grad_(False)
    state = stock.state_dict()
    widen(dvae.state_dict(), state)
    stock.load_state_dict(state)
    mels = torch.randn(2, 80, 32)
    found = dvae.get_codebook_indices(mels)
    assert torch.equal(stock.get_codebook_indices(mels), found)
    assert torch.allclose(stock.decode(found)[0], dvae.decode(found)[0], atol=1e-5)


@pytest.mark.slow
def test_stock_xtts_loads_and_sounds_like_the_small_networks(stock, decoder):
    embedding = stock.get_speaker_embedding(0.1 * torch.randn(1, 22050), 22050)
    latents = torch.randn(1, 6, 64)
    small = copy.deepcopy(decoder)
    small.load_state_dict(coarse(decoder.state_dict()))
    with torch.inference_mode():
        made = small(latents, g=embedding)
        assert torch.allclose(stock.hifigan_decoder(latents, g=embedding), made, atol=1e-3)
        clip = 0.1 * torch.randn(1, 16000)
        expected = small.speaker_encoder(clip.clone(), l2_norm=True)
        found = stock.hifigan_decoder.speaker_encoder(clip, l2_norm=True)
    assert functional.cosine_similarity(found, expected).item() > 0.999
    assert torch.equal(stock.mel_stats, torch.full((80,), 2.0))


@pytest.mark.slow
def test_stock_xtts_speaks_and_leaves_every_file_as_it_was(mini, folder):
    before = {path.name: digest(path) for path in folder.iterdir()}
    assert set(before) == {
        "model.pth", "dvae.pth", "mel_stats.pth", "vocab.json", "config.json", "speakers_xtts.pth",
    }  # fmt: skip
    model = load_stock(folder)
    assert model.speaker_manager.speaker_names == mini.speech.voices
    latents, embedding = model.speaker_manager.speakers[mini.speech.voices[0]].values()
    assert latents.shape == (1, 32, 64)
    assert embedding.shape == (1, 512, 1)
    torch.manual_seed(0)
    text = phonemes("A red belt.")
    wave = model.inference(text, "en", latents, embedding, max_new_tokens=10)["wav"]
    assert np.isfinite(wave).all()
    assert 0 < len(wave) <= 10 * CODE * RATE / 22050
    assert {path.name: digest(path) for path in folder.iterdir()} == before


@pytest.mark.slow
def test_its_speakers_are_unlike(stock, mini):
    one, other = (stock.speaker_manager.speakers[name] for name in mini.speech.voices)
    for key in ("gpt_cond_latent", "speaker_embedding"):
        assert not torch.allclose(one[key], other[key], atol=1e-4)


@pytest.mark.slow
def test_the_config_says_how_the_folder_reads(mini, folder):
    config = read_json(folder / "config.json")
    assert config["text"] == "phonemes"
    assert config["temperature"] == mini.inference.temperature
    assert config["languages"] == ["en"]


@pytest.mark.slow
def test_weights_are_rounded_to_few_values_and_the_dvaes_decoder_is_left_out(folder, dvae):
    state = torch.load(folder / "dvae.pth", weights_only=True)
    stored, own = state["encoder.0.0.weight"], dvae.state_dict()["encoder.0.0.weight"]
    corner = stored[: len(own)].float()
    assert stored.dtype == torch.half
    assert (corner - own).abs().max() <= own.std() / STEPS / 2
    assert len(corner.unique()) <= 200
    assert not any(own.any() for name, own in state.items() if name.startswith("decoder."))


def test_the_grid_is_exact_in_half_precision_and_vectors_stay():
    torch.manual_seed(0)
    state = {
        "matrix": 0.03 * torch.randn(64, 300), "vector": torch.randn(7), "ones": torch.ones(3, 1),
        "count": torch.tensor([[3]]),
    }  # fmt: skip
    found = coarse(state)
    assert torch.equal(found["matrix"], found["matrix"].half().float())
    step = found["matrix"].abs().unique()[1]
    assert 0.03 / 16.5 < step < 0.03 / 7.5
    assert all(torch.equal(found[name], state[name]) for name in ("vector", "ones", "count"))


@pytest.mark.slow
def test_the_same_weights_are_the_same_bytes(
    mini, folder, corpus, tokenizer, gpt, decoder, dvae, tmp_path
):
    build_tokenizer(corpus.texts, tmp_path / "vocab.json")
    save_folder(mini, tmp_path, tokenizer, gpt, decoder, dvae, torch.full((80,), 2.0))
    save_speakers(mini, tmp_path, corpus)
    for path in tmp_path.iterdir():
        assert digest(path) == digest(folder / path.name)


@pytest.mark.slow
def test_coquis_trainer_takes_the_dvae(folder):
    """It loads with `strict=False`, as the published file too lacks what only a training would keep."""
    from TTS.tts.layers.xtts.dvae import DiscreteVAE

    stock = DiscreteVAE(
        channels=80, positional_dims=1, num_tokens=CODES, codebook_dim=512, hidden_dim=512,
        num_resnet_blocks=3, kernel_size=3, num_layers=2, use_transposed_convs=False,
    )  # fmt: skip
    state = torch.load(folder / "dvae.pth", weights_only=True)
    missing, unexpected = stock.load_state_dict(state, strict=False)
    assert not unexpected
    assert {name.split(".")[0] for name in missing} == {"discrete_loss"}
