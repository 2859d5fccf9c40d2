"""Extract Resemblyzer's speaker encoder from its wheel, and add the mel filters that it needs."""

from pathlib import Path

from likeness.common.cli import run
from models.settings import SpeakerEncoder
from models.wheels import describe, wheel_stage


def convert(cfg: SpeakerEncoder, weights: Path, folder: Path) -> None:
    """Write the weights as safetensors, and the config that `likeness.voice.speaker` reads."""
    import torch
    from safetensors.torch import save_file
    from transformers.audio_utils import mel_filter_bank

    state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
    # The tensors left out only scale similarities during training.
    tensors = {
        name: tensor.contiguous()
        for name, tensor in state.items()
        if name.startswith(("lstm.", "linear."))
    }
    filters = mel_filter_bank(
        num_frequency_bins=cfg.fft // 2 + 1,
        num_mel_filters=cfg.mels,
        min_frequency=0,
        max_frequency=cfg.rate / 2,
        sampling_rate=cfg.rate,
        norm="slaney",
        mel_scale="slaney",
    )
    tensors["filters"] = torch.from_numpy(filters).float().contiguous()
    save_file(tensors, folder / "model.safetensors")
    front_end = cfg.model_dump(exclude={"requirement", "member", "sha256"})
    config = {
        "encoder": "ge2e",
        "weights": "model.safetensors",
        **front_end,
        "size": state["linear.bias"].shape[0],
        "layers": sum(name.startswith("lstm.weight_hh") for name in state),
    }
    describe(folder, cfg, CARD, "Apache-2.0", config)


CARD = """---
license: apache-2.0
---
# speaker_encoder

Resemblyzer's speaker encoder (GE2E, Wan et al. 2018: three LSTM layers, 256 values), taken
unchanged out of the package `{cfg.requirement}` (`{cfg.member}`, SHA-256 {cfg.sha256}) and stored
as safetensors. `filters` beside the weights are its {cfg.mels} mel filters.

Input: {cfg.rate} Hz mono. Quieter speech is raised to {cfg.loudness} dB of full scale. Windows of
{cfg.window} frames are embedded each, and an utterance is the unit mean of its windows. The package
also cuts silences out first, by WebRTC's voice activity detector; `likeness.voice.speaker` leaves
that to its callers.
"""


main = wheel_stage(__doc__, SpeakerEncoder, convert)

if __name__ == "__main__":
    run(main)
