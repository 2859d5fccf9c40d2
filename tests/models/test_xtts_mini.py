"""The small XTTS: its sentences, its codes, what its loss sees, and that Coqui's classes load it."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional

from likeness.common.io import digest, read_json
from likeness.common.params import load_params
from likeness.common.runtime import Runtime
from likeness.voice.codes import build_dvae
from models.narration import WORDS
from models.settings import ROOT, SCHEMA, XttsMini
from models.spoken import CODE, INPUT_RATE, RATE, Corpus, arrange, script, sentences
from models.xtts_measure import centroid_similarity, load_xtts, speak
from models.xtts_mini import (
    Batch,
    excerpt,
    gpt_losses,
    kmeans,
    latents_of,
    log_mels,
    pad,
    reference,
    save_speakers,
    sort_lines,
    spectral_distance,
    spell,
    spellings,
    start_codebook,
    train_decoder,
    train_dvae,
    train_gpt,
    train_speaker_encoder,
    word_loss_of,
    word_numbers,
    words_said,
)
from models.xtts_nets import (
    CODES,
    STOP_CODE,
    build_decoder,
    build_tokenizer,
    build_xtts,
    save_folder,
    widen,
)

xtts_mini = pytest.mark.parametrize(
    "model", [pytest.param("xtts_mini", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture(scope="module")
def cfg():
    """The mini's own params, at sizes that train in seconds."""
    real = load_params(ROOT / "models" / "params.yaml", SCHEMA, XttsMini)
    sections = {
        "speech": {"voices": real.speech.voices[:2]},
        "dvae": {"hidden": 16, "codebook": 8, "window": 16, "batch": 8},
        "speakers": {"filters": [8, 8, 8, 16], "batch": 8, "seconds": 0.6},
        "gpt": {"layers": 1, "width": 64, "heads": 2, "batch": 4, "reference_seconds": [0.5, 0.8]},
        "decoder": {"width": 32, "window": 6, "batch": 2},
    }
    changed = {
        name: getattr(real, name).model_copy(update=update) for name, update in sections.items()
    }
    return real.model_copy(update={**changed, "save_seconds": 0})


def steps(cfg, section, count, **more):
    return cfg.model_copy(
        update={section: getattr(cfg, section).model_copy(update={"steps": count, **more})}
    )


@pytest.fixture
def rt(tmp_path):
    return Runtime(seed=0, device="cpu", workers=1, cache=tmp_path)


@pytest.fixture(scope="module")
def tokenizer(cfg, tmp_path_factory):
    return build_tokenizer(cfg, tmp_path_factory.mktemp("tokenizer") / "vocab.json")


@pytest.fixture(scope="module")
def corpus():
    """Twelve short utterances of two voices: hums with harmonics, higher for the second voice."""
    rng = np.random.default_rng(0)
    pairs = []
    for at in range(12):
        seconds = np.arange(round(rng.uniform(0.5, 0.9) * RATE)) / RATE
        tones = [np.sin(2 * np.pi * (120 + 90 * (at % 2)) * k * seconds) / k for k in range(1, 20)]
        hum = np.sum(tones, axis=0) * (1 + np.sin(20 * seconds)) + rng.normal(size=len(seconds)) / 9
        pairs.append(arrange((2000 * hum).astype(np.int16)))
    inputs, waves = zip(*pairs, strict=True)
    texts = sentences(12, 13, 0)
    ends = [
        np.linspace(0, len(wave) / RATE, len(text.split()) + 1)[1:]
        for text, wave in zip(texts, waves, strict=True)
    ]
    return Corpus(texts, np.arange(12) % 2, list(inputs), list(waves), ends)


@pytest.fixture(scope="module")
def codes(corpus):
    rng = torch.Generator().manual_seed(0)
    return [torch.randint(CODES, (len(x) // CODE,), generator=rng) for x in corpus.inputs]


# --- sentences ------------------------------------------------------------------------------------


def test_sentences_are_short_differ_and_repeat_by_seed():
    made = sentences(500, 13, 3)
    assert made == sentences(500, 13, 3)
    assert len(set(made)) == 500
    assert made != sentences(500, 13, 4)
    assert max(len(text.split()) for text in made) <= 13
    assert not any(re.search(r"[\d$%\[{]", text) for text in made)


def test_the_words_of_the_narration_are_said():
    real = load_params(ROOT / "models" / "params.yaml", SCHEMA, XttsMini)
    said = " ".join(text for text, _ in script(real.speech, 0)).lower()
    missing = [word for words in WORDS.values() for word in words if word.lower() not in said]
    assert not missing


@pytest.mark.slow
def test_no_test_sentence_is_a_training_one(cfg):
    training, unseen = ({text for text, _ in script(cfg.speech, part)} for part in (0, 1))
    assert len(unseen) == cfg.speech.test_sentences + cfg.speech.test_others
    assert not training & unseen


def test_the_sample_narrations_voice_is_not_a_training_voice():
    real = load_params(ROOT / "models" / "params.yaml", SCHEMA, XttsMini)
    assert len({voice.name for voice in real.speech.voices}) == len(real.speech.voices) >= 2
    assert not any("joe" in name.lower() for name in map(str, real.speech.wheels))


def test_an_utterance_has_whole_codes_at_both_rates():
    inputs, waves = arrange(np.full(30000, 100, np.int16))
    assert len(inputs) % CODE == 0
    assert len(waves) == round(len(inputs) * RATE / 22050)
    assert waves[29999] == 100
    assert not waves[30000:].any()


# --- text -----------------------------------------------------------------------------------------


def test_tokens_are_words_and_decode_to_the_text(tokenizer):
    text = "The green wool jacket costs forty-two dollars, and it is new."
    ids = tokenizer.encode(text, "en")
    assert tokenizer.decode(ids) == "[en]" + text.lower()
    assert ids == tokenizer.encode(text.replace("forty-two", "42"), "en")
    assert len(ids) == 1 + 12 + 10 + 1 + 1 + 1  # language, words, spaces, hyphen, comma, full stop


def test_every_letter_has_a_token_and_special_tokens_their_place(tokenizer):
    unknown = tokenizer.tokenizer.token_to_id("[UNK]")
    assert unknown not in tokenizer.encode("Zephyr quix, jumbled?! It's a fjord-vow.", "en")
    assert tokenizer.tokenizer.token_to_id("[STOP]") == 0
    assert tokenizer.get_number_tokens() == len(tokenizer)


def test_spelt_words_decode_to_the_same_text(tokenizer):
    ids = tokenizer.encode("A warm hat.", "en")
    letters = spellings(tokenizer)
    spelt = spell(ids, letters, 1.0, np.random.default_rng(0))
    assert len(spelt) == len(ids) + 3 + 2
    assert tokenizer.decode(spelt) == tokenizer.decode(ids)
    assert spell(ids, letters, 0.0, np.random.default_rng(0)) == ids


# --- codes ----------------------------------------------------------------------------------------


def test_kmeans_finds_separate_clusters():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    vectors = centres.repeat_interleave(50, 0) + 0.1 * torch.randn(150, 2)
    found, counts = kmeans(vectors, 3)
    assert counts.tolist() == [50, 50, 50]
    assert torch.cdist(found, centres).min(dim=1).values.max() < 0.1


def test_the_codebook_starts_at_the_encoders_outputs():
    torch.manual_seed(0)
    dvae = build_dvae(CODES, 16, 8).eval().requires_grad_(False)
    mels = [torch.randn(80, 400) for _ in range(60)]
    vectors = dvae.encoder(torch.stack(mels)).transpose(1, 2)

    def error():
        return dvae.codebook(vectors)[2].item()

    before = error()
    start_codebook(dvae, mels, 100)
    assert error() < 0.5 * before
    assert len(dvae.get_codebook_indices(torch.stack(mels)).unique()) > 0.9 * CODES
    assert dvae.codebook.cluster_size.sum() == pytest.approx(100, rel=1e-3)


def test_mels_have_unit_deviation_and_four_frames_a_code(corpus, rt):
    mels, mel_stats = log_mels(corpus, rt)
    assert [mel.shape for mel in mels] == [(80, len(x) // CODE * 4) for x in corpus.inputs]
    assert torch.allclose(torch.cat(mels, dim=1).std(dim=1), torch.ones(80), atol=1e-3)
    assert mel_stats.shape == (80,)


# --- what the loss sees ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpt(cfg, tokenizer):
    return build_xtts(cfg, tokenizer).gpt.eval().requires_grad_(False)


def rows(tokenizer, codes, lengths=(9, 4, 6)):
    texts = ("A new warm hat.", "A belt.", "It is red.")
    return (
        [torch.tensor(tokenizer.encode(text, "en")) for text in texts],
        [codes[at][:length] for at, length in enumerate(lengths)],
    )


def batch(tokenizer, texts, codes, styles):
    """A batch in which every word of a row takes as long."""
    words = [word_numbers(own, tokenizer) for own in texts]
    said = [
        torch.arange(len(own) + 1) * (int(row[-1]) + 1) // (len(own) + 1)
        for row, own in zip(words, codes, strict=True)
    ]
    return Batch(texts, codes, codes, styles, words, said)


def test_a_rows_mask_and_targets_end_with_the_row():
    padded, mask = pad([torch.tensor([5, 6, 7]), torch.tensor([8])], 0, 1)
    assert padded.tolist() == [[5, 6, 7, 0], [8, 0, 0, 0]]
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_each_row_counts_as_it_would_alone(gpt, tokenizer, codes):
    texts, own = rows(tokenizer, codes)
    styles = torch.randn(2, 32, 64)
    losses = gpt_losses(gpt, batch(tokenizer, texts, own, [0, 1, 0]), styles)
    alone = [
        gpt_losses(gpt, batch(tokenizer, [text], [code], [style]), styles)
        for text, code, style in zip(texts, own, [0, 1, 0], strict=True)
    ]
    of_codes = [len(c) + 1 for c in own]
    for kind, counts in enumerate(([len(t) + 1 for t in texts], of_codes, of_codes)):
        mean = sum(n * one[kind] for n, one in zip(counts, alone, strict=True)) / sum(counts)
        assert losses[kind].item() == pytest.approx(mean.item(), abs=1e-4)


def test_the_style_of_its_voice_conditions_every_row(gpt, tokenizer, codes):
    texts, own = rows(tokenizer, codes)
    styles = torch.randn(2, 32, 64)
    first = gpt_losses(gpt, batch(tokenizer, texts[:1], own[:1], [0]), styles)
    second = gpt_losses(gpt, batch(tokenizer, texts[:1], own[:1], [1]), styles)
    assert first[1].item() != pytest.approx(second[1].item(), abs=1e-4)


def test_training_sees_what_generation_sees(gpt, tokenizer, codes):
    """The loss of a row follows from the logits of Coqui's inference model on the same prefix."""
    (text, *_), (own, *_) = rows(tokenizer, codes)
    style = torch.randn(1, 32, 64)
    gpt.init_gpt_for_inference(kv_cache=False)
    prefix = gpt.compute_embeddings(style, text[None])
    logits = gpt.gpt_inference(torch.cat([prefix, own[None]], dim=1)).logits
    expected = functional.cross_entropy(
        logits[0, -len(own) - 1 :], functional.pad(own, (0, 1), value=STOP_CODE)
    )
    assert gpt_losses(gpt, batch(tokenizer, [text], [own], [0]), style)[1].item() == pytest.approx(
        expected.item(), abs=1e-4
    )
    del gpt.gpt_inference, gpt.gpt.wte


def test_tokens_and_codes_know_their_words(tokenizer):
    ids = torch.tensor(
        [*tokenizer.encode("Red boots, new.", "en"), *tokenizer.encode("It is.", "en")]
    )
    numbers = word_numbers(ids, tokenizer).tolist()
    assert sorted(set(numbers)) == [0, 1, 2, 3, 4]
    names = [tokenizer.tokenizer.id_to_token(id) for id in ids.tolist()]
    assert numbers[names.index("boots")] == numbers[names.index(",")] == 1
    assert numbers[names.index("it")] == 3

    code = CODE / INPUT_RATE
    corpus = Corpus([], np.array([]), [], [], [np.array([1, 3]) * code, np.array([1]) * code])
    own = [torch.zeros(4, dtype=torch.long), torch.zeros(2, dtype=torch.long)]
    # What follows the last word belongs to it, and so does the stop token.
    assert words_said([0, 1], corpus, own).tolist() == [0, 1, 1, 1, 2, 2, 2]


def test_attention_to_the_word_being_said_costs_nothing():
    words, said = torch.tensor([[-100, 0, 1, 1, -100]]), torch.tensor([[0, 1, -100]])
    looked = torch.tensor([[[0, 1, 0, 0, 0], [0, 0, 0.5, 0.5, 0], [1, 0, 0, 0, 0]]])
    assert word_loss_of(looked, words, said).item() == pytest.approx(0, abs=1e-3)
    assert word_loss_of(looked.flip(2), words, said) > 4


def test_latents_are_one_more_than_the_codes(cfg, gpt, tokenizer, corpus, codes, rt):
    latents = latents_of(gpt, tokenizer, corpus, codes, torch.ones(80), rt)
    assert [len(own) for own in latents] == [len(own) + 1 for own in codes]


def test_lines_are_sorted_and_pairs_are_of_one_voice(cfg, corpus, codes):
    lines = sort_lines(cfg, corpus, codes)
    lengths = [sum(len(codes[at]) for at in line) for line in lines]
    assert lengths == sorted(lengths)
    assert {line for line in lines if len(line) == 1} == {(at,) for at in range(12)}
    pairs = [line for line in lines if len(line) == 2]
    assert len(pairs) == round(12 * cfg.gpt.pairs)
    assert all(corpus.voices[one] == corpus.voices[other] for one, other in pairs)


def test_references_and_excerpts_have_the_length_that_is_asked_for(corpus):
    assert reference([0, 2], corpus, 3.0).shape == (66150,)
    rng = np.random.default_rng(0)
    assert excerpt(corpus.inputs[0], 9000, 1.2, rng).shape == (9000,)


def test_spectral_distance_is_zero_for_the_same_and_ignores_the_sign():
    distance = spectral_distance()
    waves = 0.1 * torch.randn(2, 8000)
    assert distance(waves, waves).item() == pytest.approx(0, abs=1e-5)
    assert distance(-waves, waves).item() == pytest.approx(0, abs=1e-5)
    assert distance(0.5 * waves, waves) > 1


def test_similarity_is_to_the_chosen_rows():
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    same = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    assert centroid_similarity(vectors, vectors, same) == pytest.approx(1)
    assert centroid_similarity(vectors, vectors, ~same) == pytest.approx(0)


# --- the folder -----------------------------------------------------------------------------------


def noisy(network):
    """A network whose every channel and statistic matters."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2, generator=generator)
        elif tensor.dim() == 1 and tensor.is_floating_point():
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def decoder(cfg):
    torch.manual_seed(0)
    return noisy(build_decoder(cfg))


@pytest.fixture(scope="module")
def dvae(cfg):
    torch.manual_seed(0)
    return build_dvae(CODES, cfg.dvae.hidden, cfg.dvae.codebook).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(cfg, tokenizer, gpt, decoder, dvae, corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("xtts")
    build_tokenizer(cfg, path / "vocab.json")
    save_folder(cfg, path, tokenizer, gpt, decoder, dvae, torch.full((80,), 2.0))
    save_speakers(cfg, path, corpus)
    return path


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
def test_stock_xtts_loads_and_sounds_like_the_small_networks(folder, decoder):
    model = load_xtts(folder)  # strictly: every key, and no other
    embedding = model.get_speaker_embedding(0.1 * torch.randn(1, 22050), 22050)
    latents = torch.randn(1, 6, 64)
    with torch.inference_mode():
        small = decoder(latents, g=embedding)
        assert torch.allclose(model.hifigan_decoder(latents, g=embedding), small, atol=1e-3)
        clip = 0.1 * torch.randn(1, 16000)
        expected = decoder.speaker_encoder(clip.clone(), l2_norm=True)
        found = model.hifigan_decoder.speaker_encoder(clip, l2_norm=True)
    # But for the rounding of weights to six bits.
    assert functional.cosine_similarity(found, expected).item() > 0.999
    assert torch.equal(model.mel_stats, torch.full((80,), 2.0))


@pytest.mark.slow
def test_stock_xtts_speaks_and_leaves_every_file_as_it_was(cfg, folder):
    before = {path.name: digest(path) for path in folder.iterdir()}
    assert set(before) == {
        "model.pth", "dvae.pth", "mel_stats.pth", "vocab.json", "config.json", "speakers_xtts.pth",
    }  # fmt: skip
    model = load_xtts(folder)
    assert model.speaker_manager.speaker_names == [voice.name for voice in cfg.speech.voices]
    latents, embedding = model.speaker_manager.speakers["rms"].values()
    assert latents.shape == (1, 32, 64)
    torch.manual_seed(0)
    wave = model.inference("A red hat.", "en", latents, embedding, max_new_tokens=10)["wav"]
    assert np.isfinite(wave).all()
    assert 0 < len(wave) <= 10 * CODE * RATE / 22050
    assert {path.name: digest(path) for path in folder.iterdir()} == before


@pytest.mark.slow
def test_texts_are_spoken_in_the_voices_that_are_named(folder, rt):
    model = load_xtts(folder)
    model.gpt.max_gen_mel_tokens = 8
    waves = speak(model, folder, ["A red hat.", "A belt."], ["rms", "slt"], rt)
    for wave in waves:
        assert np.isfinite(wave).all()
        assert 0 < len(wave) <= 9 * CODE * RATE / 22050
    with pytest.raises(KeyError):
        speak(model, folder, ["A belt."], ["joe"], rt)


@pytest.mark.slow
def test_weights_are_rounded_by_less_than_a_hundredth(folder, dvae):
    stored = torch.load(folder / "dvae.pth", weights_only=True)["encoder.0.0.weight"]
    own = dvae.state_dict()["encoder.0.0.weight"]
    corner = stored[: len(own)].float()
    assert stored.dtype == torch.half
    assert torch.allclose(corner, own, rtol=0.01, atol=1e-4)
    assert not (stored.view(torch.int16) & 15).any()


@pytest.mark.slow
def test_the_same_weights_are_the_same_bytes(cfg, folder, tokenizer, gpt, decoder, dvae, tmp_path):
    build_tokenizer(cfg, tmp_path / "vocab.json")
    save_folder(cfg, tmp_path, tokenizer, gpt, decoder, dvae, torch.full((80,), 2.0))
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


# --- training -------------------------------------------------------------------------------------


class Killed(Exception):
    pass


class Dying(Runtime):
    """A runtime whose trainings are killed in their fourth step."""

    def progress(self, items, what, total=None):
        for at, item in enumerate(items):
            if what == "gpt" and at == 3:
                raise Killed
            yield item


@pytest.mark.slow
def test_resumed_training_equals_uninterrupted(cfg, tokenizer, corpus, codes, rt, tmp_path):
    cfg = steps(cfg, "gpt", 6)
    inputs = (cfg, tokenizer, corpus, codes, torch.ones(80))
    whole, _ = train_gpt(*inputs, rt)
    other = {"seed": 0, "device": "cpu", "workers": 1, "cache": tmp_path / "other"}
    with pytest.raises(Killed):
        train_gpt(*inputs, Dying(**other))
    resumed, _ = train_gpt(*inputs, Runtime(**other))
    assert all(
        torch.equal(mine, resumed.state_dict()[name]) for name, mine in whole.state_dict().items()
    )


@pytest.mark.slow
def test_the_language_model_learns_a_tiny_set(cfg, tokenizer, corpus, codes, rt):
    cfg = steps(cfg, "gpt", 120, lr=3e-3, text_weight=1.0)
    gpt, _ = train_gpt(cfg, tokenizer, corpus, codes, torch.ones(80), rt)
    texts = [torch.tensor(tokenizer.encode(text, "en")) for text in corpus.texts]
    rows = Batch(
        texts, codes, codes, corpus.voices.tolist(), [word_numbers(own, tokenizer) for own in texts],
        [words_said([at], corpus, codes) for at in range(12)],
    )  # fmt: skip
    before = gpt_losses(build_xtts(cfg, tokenizer).gpt, rows, torch.zeros(2, 32, 64))
    text_loss, code_loss, word_loss = gpt_losses(gpt, rows, torch.zeros(2, 32, 64))
    assert text_loss < 3.5 < np.log(len(tokenizer))
    assert code_loss < 6 < np.log(CODES)
    assert word_loss < 0.7 * before[2]


@pytest.mark.slow
def test_codes_speakers_and_decoder_learn_a_tiny_set(cfg, tokenizer, corpus, codes, gpt, rt):
    mels, mel_stats = log_mels(corpus, rt)

    def error(count):
        own = steps(cfg, "dvae", count, plain_steps=10 * count, lr=3e-3)
        dvae, _ = train_dvae(own, mels, rt)
        made = [dvae.decode(dvae.get_codebook_indices(mel[None]))[0][0] for mel in mels]
        return functional.mse_loss(torch.cat(made, 1), torch.cat(mels, 1)).item()

    assert error(8) < 0.7 * error(1)

    clips = [torch.from_numpy(x[:12000].copy()).float()[None] / 32768 for x in corpus.inputs]
    same = corpus.voices[:, None] == corpus.voices

    def listen(count):
        encoder, _ = train_speaker_encoder(steps(cfg, "speakers", count), corpus, rt)
        vectors = np.concatenate([encoder(clip, l2_norm=True).numpy() for clip in clips])
        near, far = (centroid_similarity(vectors, vectors, chosen) for chosen in (same, ~same))
        return encoder, vectors, near - far

    encoder, vectors, gap = listen(25)
    assert gap > 0.03 > 2 * listen(1)[2]

    def distance(count):
        torch.manual_seed(0)
        decoder = build_decoder(cfg)
        decoder.speaker_encoder = encoder
        own = steps(cfg, "decoder", count, lr=2e-3)
        train_decoder(own, decoder, gpt, tokenizer, corpus, codes, mel_stats, rt)
        latents = latents_of(gpt, tokenizer, corpus, codes, mel_stats, rt)[0]
        made = decoder(latents[None].float(), g=torch.from_numpy(vectors[:1]).unsqueeze(-1))[0]
        meant = torch.from_numpy(np.pad(corpus.waves[0], (0, 2 * CODE))).float()[None] / 32768
        return spectral_distance()(made, meant[:, : made.shape[1]]).item()

    assert distance(40) < 0.8 * distance(1)


# --- the trained one ------------------------------------------------------------------------------


@xtts_mini
def test_it_is_small_and_its_quality_is_stated_and_good(model):
    assert sum(path.stat().st_size for path in model.iterdir()) <= 30e6
    quality = read_json(model / "quality.json")
    assert quality["test_n"] >= 100
    assert quality["wer"] <= 0.25
    assert quality["similarity"] > quality["similarity_others"] + 0.05


@pytest.mark.slow
@xtts_mini
def test_it_speaks_for_about_as_long_as_the_text_takes(model):
    xtts = load_xtts(model)
    torch.manual_seed(0)
    speakers = xtts.speaker_manager.speakers
    latents, embedding = speakers[xtts.speaker_manager.speaker_names[0]].values()
    settings = {name: xtts.config[name] for name in ("temperature", "top_k", "top_p")}
    wave = xtts.inference(
        "The green wool jacket costs forty-two dollars.", "en", latents, embedding,
        repetition_penalty=xtts.config.repetition_penalty, **settings,
    )["wav"]  # fmt: skip
    assert 1.5 < len(wave) / RATE < 6
    assert np.abs(wave).max() > 0.02
