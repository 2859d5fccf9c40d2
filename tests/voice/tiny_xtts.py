"""An XTTS of Coqui's classes with random weights, a speaker encoder likewise, and a dataset."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.common.io import read_json, write_json
from likeness.common.manifest import write_manifest
from likeness.common.params import load_params
from likeness.voice.audio import encode
from likeness.voice.codes import build_dvae
from likeness.voice.rows import Utterance
from likeness.voice.xtts import ADAPTER, EMBEDDING, LATENTS, VOICE, read_speakers, read_weights
from tests.conftest import ROOT
from tests.voice.sounds import babble, write

RATE = 22050
WIDTH = 64  # of the language model
LONGEST = 60  # codes that the model says at most, about
TEXTS = (
    "The red hat is warm.",
    "A new belt costs ten dollars.",
    "These shoes are light.",
    "Wash the coat by hand.",
    "It comes in blue and green.",
    "The bag has two pockets.",
    "A soft scarf for winter.",
    "The wool jacket is new.",
)
SPLITS = ("train", "train", "train", "train", "train", "val", "val", "test")


@contextmanager
def small_vocoder() -> Iterator[None]:
    """Coqui gives an XTTS of `WIDTH` a vocoder to match, which no config can ask of it.

    Its full size would be half of the time that these tests take.
    """
    from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder

    original = HifiDecoder.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        if options.get("decoder_input_dim") == WIDTH:
            options["upsample_initial_channel_decoder"] = WIDTH // 2
        original(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HifiDecoder, "__init__", init)
        yield


def build_xtts_folder(folder: Path) -> Path:
    """Write what `Xtts.load_checkpoint` loads under `small_vocoder`."""
    import torch

    from models.settings import SCHEMA, XttsMini
    from models.xtts_measure import load_xtts
    from models.xtts_nets import (
        CODES,
        STOP_CODE,
        build_decoder,
        build_tokenizer,
        build_xtts,
        save_folder,
        save_tensors,
    )

    real = load_params(ROOT / "models" / "params.yaml", SCHEMA, XttsMini)
    few = [voice.model_copy(update={"sentences": 200}) for voice in real.speech.voices[:2]]
    small: dict[str, dict[str, Any]] = {
        "speech": {"voices": few, "test_sentences": 1, "test_others": 1, "seed": 0},
        "dvae": {"hidden": 16, "codebook": 8},
        "speakers": {"filters": [8, 8, 8, 16]},
        "gpt": {"layers": 2, "width": WIDTH, "heads": 2},
        "decoder": {"width": WIDTH // 2},
        "inference": {"decoder": "hifigan"},
    }
    cfg = real.model_copy(
        update={name: getattr(real, name).model_copy(update=more) for name, more in small.items()}
    )
    tokenizer = build_tokenizer(cfg, folder / "vocab.json")
    gpt = build_xtts(cfg, tokenizer).gpt.eval().requires_grad_(False)
    gpt.mel_head.bias.zero_()
    gpt.mel_head.bias[STOP_CODE] = 2.0  # more than any other code's logit
    hifigan = build_decoder(cfg).eval().requires_grad_(False)
    dvae = build_dvae(CODES, cfg.dvae.hidden, cfg.dvae.codebook).requires_grad_(False)
    with small_vocoder():
        save_folder(cfg, folder, tokenizer, gpt, hifigan, dvae, torch.ones(80))
        _shorten(folder)
        model = load_xtts(folder)
    wave = torch.from_numpy(babble(4, RATE, seed=50))[None]
    speaker = {
        "gpt_cond_latent": model.get_gpt_cond_latents(wave, RATE).clone(),
        "speaker_embedding": model.get_speaker_embedding(wave, RATE).clone(),
    }
    save_tensors(folder / "speakers_xtts.pth", {"ann": speaker})
    return folder


def with_decoder(base: Path, folder: Path, decoder: str) -> Path:
    """The same base with another decoder in its config."""
    shutil.copytree(base, folder)
    write_json(folder / "config.json", read_json(folder / "config.json") | {"decoder": decoder})
    return folder


def with_stop(base: Path, folder: Path, stop: float, spread: float = 1.0) -> Path:
    """The same base with another logit of the code that stops.

    Args:
        stop: the logit; those of the other codes are below 2.
        spread: factor of the other logits; at 0 each code is as likely, whatever the text.
    """
    import torch

    from models.xtts_nets import STOP_CODE

    shutil.copytree(base, folder)
    state = read_weights(base)
    state["gpt.mel_head.weight"] *= spread
    state["gpt.mel_head.bias"][STOP_CODE] = stop
    torch.save({"model": state}, folder / "model.pth")
    return folder


def _shorten(folder: Path) -> None:
    """Leave the model `LONGEST` places for codes, so that it cannot speak for long."""
    import torch

    from models.xtts_nets import save_tensors

    config = read_json(folder / "config.json")
    config["model_args"]["gpt_max_audio_tokens"] = LONGEST
    write_json(folder / "config.json", config)
    state = torch.load(folder / "model.pth", weights_only=True)["model"]
    name = "gpt.mel_pos_embedding.emb.weight"
    state[name] = state[name][: LONGEST + 3].clone()
    save_tensors(folder / "model.pth", {"model": state})


def build_voice_folder(base: Path, folder: Path, seed: int = 1) -> Path:
    """What voice_train writes, here a random adapter on all blocks and one of the base's own voices."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    adapter: dict[str, torch.Tensor] = {}
    for name, weight in read_weights(base, "meta").items():
        layer = name.removeprefix("gpt.").removesuffix(".weight")
        if layer.startswith("gpt.h.") and layer.endswith(("c_attn", "c_proj", "c_fc")):
            inputs, outputs = weight.shape
            adapter[f"{layer}.lora_A.weight"] = 0.1 * torch.randn(2, inputs)
            adapter[f"{layer}.lora_B.weight"] = 0.1 * torch.randn(outputs, 2)
    voice = read_speakers(base)["ann"]
    folder.mkdir(parents=True)
    save_file(adapter, folder / ADAPTER)
    save_file({LATENTS[0]: voice.latents.contiguous(), EMBEDDING: voice.embedding}, folder / VOICE)
    write_json(folder / "training.json", {"base": base.name})
    return folder


def build_speaker_folder(folder: Path) -> Path:
    """A GE2E encoder with random weights."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    size, mels = 8, 16
    network = torch.nn.ModuleDict(
        {
            "lstm": torch.nn.LSTM(mels, size, 1, batch_first=True),
            "linear": torch.nn.Linear(size, size),
        }
    )
    network["linear"].bias.data.fill_(0.5)  # so that no vector is all zeros after the ReLU
    folder.mkdir(parents=True, exist_ok=True)
    save_file({**network.state_dict(), "filters": torch.rand(201, mels)}, folder / "w.safetensors")
    config = {
        "encoder": "ge2e", "weights": "w.safetensors", "size": size, "mels": mels, "layers": 1,
        "rate": 16000, "fft": 400, "hop": 160, "window": 40, "step": 20, "loudness": -30,
    }  # fmt: skip
    write_json(folder / "config.json", config)
    return folder


def utterance(at: int, **changes: Any) -> Utterance:
    values: dict[str, Any] = {
        "id": f"u{at}",
        "file_name": f"wavs/u{at}.wav",
        "text": TEXTS[at],
        "normalized": TEXTS[at],
        "recording": "r",
        "start": float(at),
        "end": at + 1.0,
        "seconds": 1.0 + 0.1 * at,
        "split": SPLITS[at],
        "augmented_from": "",
        **changes,
    }
    return Utterance(**values)


def write_voice_dataset(folder: Path, splits: Sequence[str] = SPLITS) -> Path:
    """Eight babbled utterances as voice_dataset writes them: five train, two val, one test."""
    rows = [utterance(at, split=split) for at, split in enumerate(splits)]
    for at, row in enumerate(rows):
        samples = np.asarray(babble(row.seconds, RATE, seed=at))
        write(folder / row.file_name, encode(samples, RATE, "WAV"))
    write_manifest(folder / "manifest.jsonl", rows)
    return folder
