"""The networks of xtts_mini, and the folder from which Coqui's classes load them.

The sizes of the decoder and the speaker encoder are fixed in `Xtts`, that of the DVAE in
`GPTTrainer`. Smaller ones are trained here, and stored in the leading channels of the full-size
ones. The other channels are zeros, which change no output and compress to almost nothing.
"""

import io
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.common.io import read_json, write_bytes, write_json
from likeness.voice.codes import build_dvae
from models.settings import XttsMini

if TYPE_CHECKING:
    import torch

CODES = 2048  # in the codebook; the tokens that start and stop a sequence follow
START_CODE, STOP_CODE = CODES, CODES + 1
LONGEST = 302  # codes of an utterance (14 s); generation that has not stopped is cut off
LANGUAGE = "en"
STEPS = 8  # of rounding, per standard deviation of a matrix


def build_tokenizer(texts: Iterable[str], path: Path) -> Any:
    """Write a `vocab.json` in which every phoneme is one token, and load it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", f"[{LANGUAGE}]"]
    letters = sorted(set("".join(texts)) - {" "})
    vocabulary = {name: number for number, name in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return VoiceBpeTokenizer(path)


def build_config(cfg: XttsMini) -> Any:
    """The `XttsConfig` of xtts_mini."""
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
    return XttsConfig(model_args=args, languages=[LANGUAGE], **cfg.inference.model_dump())


def build_xtts(cfg: XttsMini, tokenizer: Any) -> Any:
    """An `Xtts` with random weights; its decoder has Coqui's full size."""
    import torch
    from TTS.tts.models.xtts import Xtts

    torch.manual_seed(cfg.speech.seed)
    model = Xtts(build_config(cfg))
    model.tokenizer = tokenizer
    model.init_models()
    # PyTorch's fused attention trains more slowly on a CPU, and does not return attention weights.
    model.gpt.gpt.config._attn_implementation = "eager"
    return model


def build_decoder(cfg: XttsMini) -> Any:
    """A small `HifiDecoder`; its speaker encoder is trained separately."""
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
    """Overwrite the tensors of the full-size network `stock`, so that it computes what `small` does.

    Channels that `small` lacks get zero weights and biases, so that their output is zero. With weight
    normalization their norm is zero instead, and their direction is 1, because it must not be zero.
    """
    import torch

    for name, wide in stock.items():
        narrow = small[name]
        if name.endswith("speaker_encoder.fc.weight"):  # its inputs are means, then deviations
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
    """Write the files of XTTS-v2 except the speakers, with weights in half precision.

    `build_tokenizer` has already written `vocab.json`. `mel_stats` (80,) are deviations. No file
    contains a pickled config, because Coqui's loader would rewrite such a file.
    """
    model = build_xtts(cfg, tokenizer)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    named = {f"gpt.{name}": tensor for name, tensor in gpt.state_dict().items()}
    named |= {f"hifigan_decoder.{name}": tensor for name, tensor in decoder.state_dict().items()}
    widen(coarse(named) | {"mel_stats": mel_stats}, state)
    stock = build_dvae(CODES).state_dict()
    widen(coarse(dvae.state_dict()), stock)
    for name, tensor in stock.items():
        if name.startswith("decoder."):  # speech comes from the language model's latents
            tensor.zero_()
    save_tensors(folder / "model.pth", {"model": halved(state)})
    save_tensors(folder / "dvae.pth", halved(stock))
    save_tensors(folder / "mel_stats.pth", mel_stats)
    model.config.save_json(folder / "config.json")
    # Coqui's loader ignores keys that it does not know.
    config = read_json(folder / "config.json") | {"text": "phonemes"}
    write_json(folder / "config.json", config)


def coarse(state: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Round matrices to at least eight steps per standard deviation: few values compress well.

    A step is a power of two, so that half precision holds its multiples exactly. Vectors stay as they
    are: they are small, and a norm's values matter more.
    """

    def rounded(tensor: "torch.Tensor") -> "torch.Tensor":
        deviation = tensor.std().item() if tensor.is_floating_point() and tensor.ndim > 1 else 0.0
        if not deviation > 0:
            return tensor
        step = 2.0 ** math.floor(math.log2(deviation / STEPS))
        return (tensor / step).round() * step

    return {name: rounded(tensor) for name, tensor in state.items()}


def halved(state: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The state in half precision, whole numbers aside."""
    return {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def save_tensors(path: Path, value: Any) -> None:
    """`torch.save` into a compressed archive, which `torch.load` reads like its own."""
    import torch

    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save(value, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w") as target:
        for name in source.namelist():
            # A new ZipInfo has a fixed date, so that equal weights give equal bytes.
            entry = zipfile.ZipInfo(name)
            target.writestr(entry, source.read(name), zipfile.ZIP_DEFLATED, compresslevel=9)
    write_bytes(path, packed.getvalue())
