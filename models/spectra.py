"""How far apart two sounds are, as a loss that trains a decoder of speech."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MELS = ((512, 40), (1024, 80), (2048, 100))  # samples of a window, and bands


def spectral_distance(
    rate: int, device: str = "cpu"
) -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
    """A loss between the spectra of two batches of waveforms (N, samples) at `rate` Hz.

    It compares log-mels, which matter to listeners and speech recognisers, and short-time magnitudes
    at three resolutions (Parallel WaveGAN, arXiv 1910.11480). Phases are not compared.
    """
    import torch
    from torchaudio.transforms import MelSpectrogram

    mels = [
        MelSpectrogram(rate, n_fft=fft, hop_length=fft // 4, n_mels=bands, power=1).to(device)
        for fft, bands in MELS
    ]
    windows = {fft: torch.hann_window(fft, device=device) for fft, _ in MELS}

    def magnitudes(waves: "torch.Tensor", fft: int) -> "torch.Tensor":
        spectrum = torch.stft(waves, fft, fft // 4, window=windows[fft], return_complex=True)
        return (spectrum.real.square() + spectrum.imag.square() + 1e-7).sqrt()

    def distance(made: "torch.Tensor", meant: "torch.Tensor") -> "torch.Tensor":
        total = made.new_zeros(())
        for mel in mels:
            logs = [(mel(waves) + 1e-3).log() for waves in (made, meant)]
            total = total + 2 * (logs[0] - logs[1]).abs().mean()
        for fft in windows:
            mine, other = magnitudes(made, fft), magnitudes(meant, fft)
            total = total + (mine - other).norm() / other.norm().clamp(min=1e-3)
            total = total + (mine.log() - other.log()).abs().mean()
        return total

    return distance
