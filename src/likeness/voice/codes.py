"""XTTS's codes of speech, the DVAE that makes them, and its mels: a code stands for `FRAMES` frames."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

RATE = 22050  # Hz, of XTTS's input; its output has `config.audio.output_sample_rate`
CODE = 1024  # samples at RATE per code
HOP = 256  # samples at RATE per mel frame
FRAMES = CODE // HOP  # mel frames per code
FFT = 1024  # samples, FFT size of the DVAE's mels
CHANNELS = 512  # hidden and codebook channels of the DVAE that Coqui's trainer builds


def build_dvae(codes: int, hidden: int = CHANNELS, codebook: int = CHANNELS) -> Any:
    """Coqui's DVAE with new weights and `codes` codes, by default as wide as its trainer builds it."""
    from TTS.tts.layers.xtts.dvae import DiscreteVAE

    dvae = DiscreteVAE(
        channels=80, positional_dims=1, num_tokens=codes, codebook_dim=codebook, hidden_dim=hidden,
        num_resnet_blocks=3, kernel_size=3, num_layers=2, use_transposed_convs=False,
    )  # fmt: skip
    del dvae.discrete_loss  # unused here, and the published dvae.pth has no weights for it
    return dvae


def log_mel(waves: "torch.Tensor", fft: int, stats: "torch.Tensor") -> "torch.Tensor":
    """Log-mels (B, 80, N / HOP) of waves (B, N), each band divided by its value in `stats` (80,)."""
    from TTS.tts.layers.tortoise.arch_utils import TorchMelSpectrogram

    transform = TorchMelSpectrogram(fft, hop_length=HOP, sampling_rate=RATE, mel_norm_file=None)
    transform.mel_norms = stats
    return transform.to(waves.device)(waves)[:, :, :-1]  # type: ignore[no-any-return]
