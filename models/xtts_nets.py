"""The networks of xtts_mini, and the folder in which Coqui's classes load them.

`Xtts` builds its decoder and speaker encoder in one size only, and `GPTTrainer` its DVAE. The mini
trains smaller ones and stores them in the leading channels of the stock ones: the other channels are
zeros that change no output, and the compression of the files folds them away.
"""

import io
import string
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.common.io import read_json, write_bytes, write_json
from likeness.voice.codes import build_dvae
from models.settings import XttsMini
from models.spoken import script

if TYPE_CHECKING:
    import torch

CODES = 2048  # in the codebook; then the tokens that start and stop a sequence of codes
START_CODE, STOP_CODE = CODES, CODES + 1
LONGEST = 302  # codes of an utterance, 14 s: what never stops is cut there
LANGUAGE = "en"


def build_tokenizer(cfg: XttsMini, path: Path) -> Any:
    """Write a BPE `vocab.json` in which every word of the catalogue is one token, and load it.

    Words as tokens spare the small GPT learning to spell before it can learn to read.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=5000,  # the words run out long before
        special_tokens=["[STOP]", "[UNK]", "[SPACE]", "[START]", f"[{LANGUAGE}]"],
        initial_alphabet=[*string.ascii_lowercase, *",.!?'-"],
        show_progress=False,
    )
    texts = (text.lower() for text, _ in script(cfg.speech, 0))
    tokenizer.train_from_iterator(texts, trainer)
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return VoiceBpeTokenizer(path)


def build_config(cfg: XttsMini) -> Any:
    """The `XttsConfig` of the mini."""
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig

    args = XttsArgs(
        gpt_layers=cfg.gpt.layers,
        gpt_n_model_channels=cfg.gpt.width,
        gpt_n_heads=cfg.gpt.heads,
        gpt_num_audio_tokens=CODES + 2,
        gpt_max_audio_tokens=LONGEST,
        gpt_start_audio_token=START_CODE,
        gpt_stop_audio_token=STOP_CODE,
        gpt_use_perceiver_resampler=True,
        gpt_use_masking_gt_prompt_approach=True,
        decoder_input_dim=cfg.gpt.width,
    )
    settings = cfg.inference.model_dump(exclude={"decoder"})
    return XttsConfig(model_args=args, languages=[LANGUAGE], **settings)


def build_xtts(cfg: XttsMini, tokenizer: Any) -> Any:
    """An `Xtts` with new weights; its decoder has the stock size."""
    import torch
    from TTS.tts.models.xtts import Xtts

    torch.manual_seed(cfg.speech.seed)
    model = Xtts(build_config(cfg))
    model.tokenizer = tokenizer
    model.init_models()
    # PyTorch's fused attention is slower in training on a CPU, and does not give its weights.
    model.gpt.gpt.config._attn_implementation = "eager"
    return model


def build_decoder(cfg: XttsMini) -> Any:
    """A small `HifiDecoder`; its speaker encoder is another training's."""
    from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder

    decoder = HifiDecoder(
        decoder_input_dim=cfg.gpt.width, upsample_initial_channel_decoder=cfg.decoder.width
    )
    decoder.speaker_encoder = build_speaker_encoder(cfg)
    return decoder


def build_speaker_encoder(cfg: XttsMini) -> Any:
    from TTS.encoder.models.resnet import ResNetSpeakerEncoder
    from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder

    audio = HifiDecoder().speaker_encoder_audio_config
    return ResNetSpeakerEncoder(
        proj_dim=512, num_filters=cfg.speakers.filters, log_input=True, use_torch_spec=True,
        audio_config=audio,
    )  # fmt: skip


def widen(small: "dict[str, torch.Tensor]", stock: "dict[str, torch.Tensor]") -> None:
    """Replace the tensors of a stock network by a smaller one's, so that both compute the same.

    What a channel that the small network lacks would give is zero everywhere: its weights, its
    biases, and the norm of its weights where those are normalized (their direction then must not be
    zero).
    """
    import torch

    for name, wide in stock.items():
        narrow = small[name]
        if name.endswith("speaker_encoder.fc.weight"):  # on means and deviations, side by side
            halves = narrow.unflatten(1, (2, -1))
            filled = torch.zeros(len(wide), 2, wide.shape[1] // 2)
            filled[:, :, : halves.shape[2]] = halves
            filled = filled.flatten(1)
        else:
            filled = torch.zeros(wide.shape)
            filled[tuple(slice(size) for size in narrow.shape)] = narrow.float()
            if name.endswith(("running_var", "weight.original1")):
                filled[len(narrow) :] = 1
        wide.copy_(filled)


def save_folder(
    cfg: XttsMini, folder: Path, tokenizer: Any, gpt: Any, decoder: Any, dvae: Any,
    mel_stats: "torch.Tensor",
) -> None:  # fmt: skip
    """XTTS-v2's files, less the speakers, weights in half precision.

    `vocab.json` is the tokenizer's and is already there. Nothing in the folder is a pickled config,
    which Coqui's loading would rewrite.
    """
    model = build_xtts(cfg, tokenizer)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    named = {f"gpt.{name}": tensor for name, tensor in gpt.state_dict().items()}
    named |= {f"hifigan_decoder.{name}": tensor for name, tensor in decoder.state_dict().items()}
    widen(named | {"mel_stats": mel_stats}, state)
    stock = build_dvae(CODES).state_dict()
    widen(dvae.state_dict(), stock)
    save_tensors(folder / "model.pth", {"model": halved(state)})
    save_tensors(folder / "dvae.pth", halved(stock))
    save_tensors(folder / "mel_stats.pth", mel_stats)
    model.config.save_json(folder / "config.json")
    # Coqui's loading passes over a key that it does not know.
    config = read_json(folder / "config.json") | {"decoder": cfg.inference.decoder}
    write_json(folder / "config.json", config)


def halved(state: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Half precision with six bits of mantissa: the others are zeros, which compression folds away."""
    import torch

    def rounded(tensor: "torch.Tensor") -> "torch.Tensor":
        bits = tensor.half().view(torch.int16)
        return ((bits + 8) & -16).view(torch.half)

    return {
        name: rounded(tensor) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def save_tensors(path: Path, value: Any) -> None:
    """`torch.save`, compressed: PyTorch reads such archives as it reads its own."""
    import torch

    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save(value, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w") as target:
        for name in source.namelist():
            # A new ZipInfo has no time of writing, so that equal weights are equal bytes.
            entry = zipfile.ZipInfo(name)
            target.writestr(entry, source.read(name), zipfile.ZIP_DEFLATED, compresslevel=9)
    write_bytes(path, packed.getvalue())
