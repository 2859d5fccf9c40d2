"""The codes of XTTS: mels to codes by the DVAE, and codes to speech by the DVAE and Griffin-Lim.

A code stands for `FRAMES` mel frames. Training and synthesis both use this module.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.common.archives import read_archive
from likeness.common.errors import AGAIN, LikenessError
from likeness.common.io import read_json

if TYPE_CHECKING:
    import torch

RATE = 22050  # Hz, of XTTS's input; its output has `config.audio.output_sample_rate`
CODE = 1024  # samples at RATE per code
HOP = 256  # samples at RATE per mel frame
FRAMES = CODE // HOP  # mel frames per code
FFT = 1024  # samples, FFT size of the DVAE's mels
HIGHEST = 8000.0  # Hz, upper edge of the mel bands
CHANNELS = 512  # hidden and codebook channels of the DVAE that Coqui's trainer builds


def load_dvae(base: Path, device: str, fitted: Path | None = None) -> tuple[Any, "torch.Tensor"]:
    """A base's DVAE, and the `stats` (80,) of `log_mel`; cached until `release_dvaes`.

    Coqui's trainer can load only one size of DVAE, so `models/xtts_nets.py: widen` pads a smaller
    one with zeros. The padding is dropped here: the output is the same and is computed faster.

    Args:
        fitted: a `dvae.pth` to use instead of the base's.

    Raises:
        LikenessError: a file cannot be read, or lacks a part.
    """
    return _load_dvae(fitted or base / "dvae.pth", base, device)


@cache
def _load_dvae(path: Path, base: Path, device: str) -> tuple[Any, "torch.Tensor"]:
    state = read_archive(path)
    codes = read_json(base / "config.json")["model_args"]["gpt_num_audio_tokens"] - 2
    try:
        dvae = build_dvae(codes, _used(state["encoder.0.0.weight"]), _used(state["codebook.embed"]))
        dvae.load_state_dict(
            {name: state[name][corner(tensor)] for name, tensor in dvae.state_dict().items()}
        )
    except KeyError as error:
        raise LikenessError(
            f"{path}: no {error.args[0]}; it must hold the encoder, the decoder and the codebook of "
            f"XTTS's DVAE; {AGAIN}"
        ) from error
    stats = read_archive(base / "mel_stats.pth")
    return dvae.eval().requires_grad_(False).to(device), stats.to(device)


def release_dvaes() -> None:
    """Clear the cache of `load_dvae`, which frees every DVAE that is no longer in use."""
    _load_dvae.cache_clear()


def build_dvae(codes: int, hidden: int = CHANNELS, codebook: int = CHANNELS) -> Any:
    """Coqui's DVAE with new weights and `codes` codes, by default as wide as its trainer builds it."""
    from TTS.tts.layers.xtts.dvae import DiscreteVAE

    dvae = DiscreteVAE(
        channels=80, positional_dims=1, num_tokens=codes, codebook_dim=codebook, hidden_dim=hidden,
        num_resnet_blocks=3, kernel_size=3, num_layers=2, use_transposed_convs=False,
    )  # fmt: skip
    del dvae.discrete_loss  # unused here, and the published dvae.pth has no weights for it
    return dvae


def _used(weight: "torch.Tensor") -> int:
    """The number of rows up to and including the last one that is not all zeros."""
    return int(weight.flatten(1).any(dim=1).nonzero().max()) + 1


def corner(tensor: "torch.Tensor") -> tuple[slice, ...]:
    return tuple(slice(size) for size in tensor.shape)


def log_mel(waves: "torch.Tensor", fft: int, stats: "torch.Tensor") -> "torch.Tensor":
    """Log-mels (B, 80, N / HOP) of waves (B, N), each band divided by its value in `stats` (80,)."""
    from TTS.tts.layers.tortoise.arch_utils import TorchMelSpectrogram

    transform = TorchMelSpectrogram(fft, hop_length=HOP, sampling_rate=RATE, mel_norm_file=None)
    transform.mel_norms = stats
    return transform.to(waves.device)(waves)[:, :, :-1]  # type: ignore[no-any-return]


def griffin_lim(mel: "torch.Tensor", stats: "torch.Tensor") -> "torch.Tensor":
    """A wave (N,) at `RATE` from log-mels (80, N / HOP), an approximate inverse of `log_mel`.

    Magnitudes come from the pseudo-inverse of the mel bands, phases from the fast Griffin-Lim
    algorithm (Perraudin et al. 2013). Phases start at zero, so that the output is deterministic.
    """
    import torch
    from torchaudio.functional import melscale_fbanks
    from torchaudio.transforms import GriffinLim

    bands = melscale_fbanks(FFT // 2 + 1, 0.0, HIGHEST, len(mel), RATE, norm="slaney")
    inverse = torch.linalg.pinv(bands.T).to(mel.device)
    power = inverse @ (mel * stats[:, None]).exp()
    invert = GriffinLim(FFT, hop_length=HOP, power=2, rand_init=False).to(mel.device)
    return invert(power.clamp(min=1e-8))  # type: ignore[no-any-return]


def use_griffin_lim(model: Any, base: Path, device: str, fitted: Path | None) -> None:
    """Replace the decoder of an `Xtts` for a base whose config names `griffin_lim`.

    The GPT's own head turns its latents into the likeliest codes, the DVAE turns these into mels,
    and Griffin-Lim turns the mels into a wave. A small GPT becomes intelligible this way long
    before a vocoder could be trained on a CPU.
    """
    import torch
    from torchaudio.functional import resample

    dvae, stats = load_dvae(base, device, fitted)
    rate = model.config.audio.output_sample_rate

    def forward(latents: "torch.Tensor", g: "torch.Tensor | None" = None) -> "torch.Tensor":
        codes = model.gpt.mel_head(latents)[0].argmax(-1)
        codes = codes[codes < dvae.num_tokens]  # the DVAE has no start and stop codes
        if not len(codes):
            return latents.new_zeros(1, 1, CODE)
        wave = griffin_lim(dvae.decode(codes[None])[0][0], stats)
        return torch.as_tensor(resample(wave, RATE, rate))[None, None]

    model.hifigan_decoder.forward = torch.inference_mode()(forward)
