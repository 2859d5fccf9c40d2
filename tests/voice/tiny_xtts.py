"""An XTTS of Coqui's classes with random weights, a speaker encoder likewise, and a dataset."""

import shutil
import string
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from likeness.common.io import read_json, write_json
from likeness.common.manifest import write_manifest
from likeness.voice.audio import encode
from likeness.voice.codes import build_dvae
from likeness.voice.rows import Utterance
from likeness.voice.xtts import (
    ADAPTER,
    BLOCKS,
    EMBEDDING,
    LATENTS,
    VOICE,
    read_speakers,
    read_weights,
)
from likeness.voice.xtts_files import NORMALIZED
from models.xtts_measure import load_stock
from tests.voice.sounds import babble, write

if TYPE_CHECKING:
    import torch

RATE = 22050
WIDTH = 64  # of the language model
CODES = 2048
STOP_CODE = CODES + 1
LONGEST = 60  # codes that the model says at most, about
PHONEMES = "ɐɑɔəɚɛɜɡɪᵻŋɹɾʃʊʌʒʔθðæˈˌː"  # of eSpeak NG that are no plain letters
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
def small_networks() -> Iterator[None]:
    """Coqui gives an XTTS of `WIDTH` a vocoder and a speaker encoder to match.

    No config can ask for that, and their full size would be half of the time that these tests take.
    """
    from TTS.encoder.models.resnet import ResNetSpeakerEncoder
    from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder

    original = HifiDecoder.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        small = options.get("decoder_input_dim") == WIDTH
        if small:
            options.setdefault("upsample_initial_channel_decoder", WIDTH // 2)
        original(self, *args, **options)
        if small:
            self.speaker_encoder = ResNetSpeakerEncoder(
                proj_dim=512, num_filters=[8, 8, 8, 16], log_input=True, use_torch_spec=True,
                audio_config=self.speaker_encoder_audio_config,
            )  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HifiDecoder, "__init__", init)
        yield


def build_xtts_folder(folder: Path) -> Path:
    """Write what `Xtts.load_checkpoint` loads under `small_networks`."""
    import torch
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.models.xtts import Xtts

    from models.xtts_nets import halved, save_tensors

    args = XttsArgs(
        gpt_layers=2, gpt_n_model_channels=WIDTH, gpt_n_heads=2, gpt_num_audio_tokens=CODES + 2,
        gpt_max_audio_tokens=LONGEST, gpt_start_audio_token=CODES, gpt_stop_audio_token=STOP_CODE,
        gpt_use_perceiver_resampler=True, gpt_use_masking_gt_prompt_approach=True,
        decoder_input_dim=WIDTH,
    )  # fmt: skip
    config = XttsConfig(
        model_args=args, languages=["en"],
        temperature=0.3, top_k=20, top_p=0.9, repetition_penalty=1.0,
    )  # fmt: skip
    torch.manual_seed(0)
    with small_networks():
        model = Xtts(config)
        model.tokenizer = _build_tokenizer(folder / "vocab.json")
        model.init_models()
        model.mel_stats.fill_(1)
        with torch.no_grad():
            model.gpt.mel_head.bias.zero_()
            model.gpt.mel_head.bias[STOP_CODE] = 2.0  # more than any other code's logit
        config.save_json(folder / "config.json")
        save_tensors(folder / "model.pth", {"model": halved(model.state_dict())})
        save_tensors(folder / "dvae.pth", halved(_dvae_state()))
        save_tensors(folder / "mel_stats.pth", torch.ones(80))
        model = load_stock(folder)
    wave = torch.from_numpy(babble(4, RATE, seed=50))[None]
    speaker = {
        "gpt_cond_latent": model.get_gpt_cond_latents(wave, RATE).clone(),
        "speaker_embedding": model.get_speaker_embedding(wave, RATE).clone(),
    }
    save_tensors(folder / "speakers_xtts.pth", {"ann": speaker})
    return folder


def _build_tokenizer(path: Path) -> Any:
    """Write a BPE `vocab.json` of letters, phonemes and the words of `TEXTS`, and load it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        special_tokens=["[STOP]", "[UNK]", "[SPACE]", "[START]", "[en]"],
        initial_alphabet=[*string.ascii_lowercase, *",.!?'-", *PHONEMES],
        show_progress=False,
    )
    tokenizer.train_from_iterator((text.lower() for text in TEXTS), trainer)
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return VoiceBpeTokenizer(path)


def _dvae_state() -> "dict[str, torch.Tensor]":
    """A small DVAE in the leading channels of one of Coqui's size; the others are zeros."""
    state: dict[str, torch.Tensor] = build_dvae(CODES).state_dict()
    for name, small in build_dvae(CODES, hidden=16, codebook=8).state_dict().items():
        state[name].zero_()[tuple(slice(size) for size in small.shape)] = small
    return state


def reading_phonemes(base: Path, folder: Path) -> Path:
    """The same base, to which texts are given as phonemes."""
    shutil.copytree(base, folder)
    write_json(folder / "config.json", read_json(folder / "config.json") | {"text": "phonemes"})
    return folder


def with_stop(base: Path, folder: Path, stop: float, spread: float = 1.0) -> Path:
    """The same base with another logit of the code that stops.

    Args:
        stop: the logit; those of the other codes are below 2.
        spread: factor of the other logits; at 0 each code is as likely, whatever the text.
    """
    import torch

    shutil.copytree(base, folder)
    state = read_weights(base)
    state["gpt.mel_head.weight"] *= spread
    state["gpt.mel_head.bias"][STOP_CODE] = stop
    torch.save({"model": state}, folder / "model.pth")
    return folder


def build_voice_folder(base: Path, folder: Path, seed: int = 1) -> Path:
    """What voice_train writes: here a random adapter on all blocks and on two layers of the decoder.

    The voice is one of the base's own.
    """
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    adapter: dict[str, torch.Tensor] = {}
    for name, weight in read_weights(base, "meta").items():
        layer = name.replace(NORMALIZED, ".weight").removesuffix(".weight")
        if layer.startswith(BLOCKS) and layer.endswith(("c_attn", "c_proj", "c_fc")):
            inputs, outputs = weight.shape
            adapter[f"{layer}.lora_A.weight"] = 0.1 * torch.randn(2, inputs)
            adapter[f"{layer}.lora_B.weight"] = 0.1 * torch.randn(outputs, 2)
        elif layer.endswith((".conv_pre", ".resblocks.0.convs2.0")) and weight.ndim == 3:
            adapter[f"{layer}.lora_A.weight"] = 0.1 * torch.randn(2, *weight.shape[1:])
            adapter[f"{layer}.lora_B.weight"] = 0.1 * torch.randn(len(weight), 2, 1)
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
