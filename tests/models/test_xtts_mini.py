"""The stage of xtts_mini from speech to a folder with a card, and the trained model's quality."""

from argparse import Namespace

import numpy as np
import pytest
import torch

from likeness.common.io import read_json
from likeness.voice.phonemes import phonemes
from models import xtts_mini as stage
from models.spoken import RATE
from models.texts import measured
from models.xtts_measure import load_stock
from tests.models.tiny import steps

xtts_mini = pytest.mark.parametrize(
    "model", [pytest.param("xtts_mini", marks=pytest.mark.slow)], indirect=True
)

# The highest word error rates, on sentences that no voice read in training.
HIGHEST = {"catalogue": 0.12, "new_syntax": 0.12, "plain": 0.2, "joined": 0.15}


def estimate(name, value):
    return {name: value, f"{name}_low": value, f"{name}_high": value, f"{name}_n": 50}


@pytest.mark.slow
def test_the_stage_makes_a_folder_that_stock_xtts_loads_and_a_card(
    mini, corpus, rt, tmp_path, monkeypatch
):
    cfg = mini
    for section in ("dvae", "speakers", "gpt", "decoder"):
        cfg = steps(cfg, section, 1)
    cfg = steps(cfg, "dvae", 1, plain_steps=1)
    cfg = steps(cfg, "decoder", 1, code_steps=1)
    found = {"asr": "whisper", "voices": 2, "seconds_per_second": 0.5}
    for kind in measured():
        for side in ("", "_stock", "_teachers"):
            found |= estimate(f"wer_{kind}{side}", 0.25)
    for name in ("dnsmos", "dnsmos_teachers", "similarity", "similarity_others"):
        found |= estimate(name, 0.5)
    out = tmp_path / "out"
    folders = {name: tmp_path / name for name in ("asr", "speaker", "mos")}
    heard = []

    def measure(*given):
        assert (out / "speakers_xtts.pth").is_file()
        heard.extend(given)
        return found

    args = Namespace(**folders, out_dir=out)
    monkeypatch.setattr(stage, "begin", lambda *_: (args, cfg, rt))
    monkeypatch.setattr(stage, "spoken", lambda *_: corpus)
    monkeypatch.setattr(stage, "fetch_teachers", lambda *_: tmp_path / "teachers")
    monkeypatch.setattr(stage, "measure", measure)
    stage.main([])
    assert heard == [cfg, out, tmp_path / "teachers", *folders.values(), rt]
    model = load_stock(out)
    assert model.speaker_manager.speaker_names == cfg.speech.voices
    quality = read_json(out / "quality.json")
    assert quality["utterances"] == 12
    assert quality["speakers"] == 2
    card = (out / "README.md").read_text(encoding="utf-8")
    assert all(f"| {kind} | 50 | 25.0% (25.0% to 25.0%) |" in card for kind in measured())
    assert not set("{}") & set(card)


# --- the trained one ------------------------------------------------------------------------------


@xtts_mini
def test_it_is_small_and_its_quality_is_stated_and_good(model):
    assert sum(path.stat().st_size for path in model.iterdir()) <= 30e6
    quality = read_json(model / "quality.json")
    for kind, highest in HIGHEST.items():
        assert quality[f"wer_{kind}_n"] >= 50
        assert quality[f"wer_{kind}"] <= highest
        # The teachers are heard well: else the figure would say little about the model.
        assert quality[f"wer_{kind}_teachers"] < quality[f"wer_{kind}"]
    assert quality["dnsmos"] >= 2.4
    assert quality["similarity_low"] > quality["similarity_others_high"]


@xtts_mini
def test_its_card_states_the_errors_of_every_kind(model):
    quality = read_json(model / "quality.json")
    card = (model / "README.md").read_text(encoding="utf-8")
    assert stage.table(quality) in card


@xtts_mini
def test_its_speakers_are_kokoros_voices_but_the_sample_narrations(model, real_mini):
    names = load_stock(model).speaker_manager.speaker_names
    assert names == real_mini.speech.voices
    assert "am_michael" not in names


@xtts_mini
def test_it_reads_every_phoneme_of_the_measured_sentences(model):
    tokenizer = load_stock(model).tokenizer
    unknown = tokenizer.tokenizer.token_to_id("[UNK]")
    texts = [text for own in measured().values() for text in own]
    assert not [text for text in texts if unknown in tokenizer.encode(phonemes(text), "en")]


@xtts_mini
def test_it_speaks_for_about_as_long_as_the_text_takes(model):
    xtts = load_stock(model)
    torch.manual_seed(0)
    speakers = xtts.speaker_manager.speakers
    latents, embedding = speakers[xtts.speaker_manager.speaker_names[0]].values()
    settings = {name: xtts.config[name] for name in ("temperature", "top_k", "top_p")}
    wave = xtts.inference(
        phonemes("The green wool jacket costs forty-two dollars."), "en", latents, embedding,
        repetition_penalty=xtts.config.repetition_penalty, **settings,
    )["wav"]  # fmt: skip
    assert 1.5 < len(wave) / RATE < 6
    assert np.abs(wave).max() > 0.02
