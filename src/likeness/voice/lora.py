"""A trainable adapter in XTTS, and the form in which it is saved (LoRA, Hu et al. 2021)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.common.errors import LikenessError
from likeness.voice.xtts import Weights
from likeness.voice.xtts_files import read_shapes

if TYPE_CHECKING:
    import torch


def inject_adapter(
    model: Any, *, rank: int, alpha: int, dropout: float, targets: Sequence[str],
    top_layers: int, decoder_targets: Sequence[str],
) -> dict[str, "torch.nn.Parameter"]:  # fmt: skip
    """Put trainable LoRA layers (Hu et al. 2021) in an `Xtts`; returns their weights by name.

    The layers replace modules in place, and the model is not wrapped: Coqui accesses its attributes
    (`gpt.gpt.wte`), and its inference model shares modules with the GPT that is trained.

    Args:
        targets: ends of the names of the GPT's layers to adapt.
        top_layers: adapt only this many of the GPT's uppermost blocks; 0 adapts all. No gradient is
            computed below the lowest adapter.
        decoder_targets: ends of the names of the decoder's layers to adapt.

    Raises:
        LikenessError: a target matches no layer, or one that peft cannot adapt.
    """
    from peft import LoraConfig, inject_adapter_in_model

    blocks = model.args.gpt_layers
    upper = list(range(max(0, blocks - top_layers), blocks)) if top_layers else None
    decoder = model.hifigan_decoder.waveform_decoder
    # Features of the decoder are sound, in which dropout would be noise.
    for key, part, ends, chosen, share in (
        ("targets", model.gpt, targets, upper, dropout),
        ("decoder_targets", decoder, decoder_targets, None, 0.0),
    ):
        layers = dict(part.named_modules())
        if chosen:
            within = tuple(f"gpt.h.{at}." for at in chosen)
            layers = {name: own for name, own in layers.items() if name.startswith(within)}
        for end in ends:
            found = [own for name, own in layers.items() if f".{name}".endswith(f".{end}")]
            if not found:
                raise LikenessError(
                    f"params.yaml: voice_train.{key}: no layer to adapt is named {end}"
                )
            if any(map(is_beyond_peft, found)):
                raise LikenessError(
                    f"params.yaml: voice_train.{key}: {end} is a dilated or transposed convolution, "
                    "which peft cannot adapt; name other layers"
                )
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=share,
            target_modules=list(ends),
            layers_to_transform=chosen,
            layers_pattern="h" if chosen else None,
            fan_in_fan_out=True,  # Conv1D
        )
        if ends:
            inject_adapter_in_model(config, part)
        part.eval()  # new modules start in training mode, with dropout
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def is_beyond_peft(layer: Any) -> bool:
    """Whether it is a convolution that peft has no adapter for, or adapts as if it were not dilated."""
    import torch

    transposed = isinstance(layer, torch.nn.ConvTranspose1d)
    return transposed or (isinstance(layer, torch.nn.Conv1d) and layer.dilation != (1,))


def plain_adapter(weights: Mapping[str, "torch.Tensor"], scale: float, base: Path) -> Weights:
    """The weights of `inject_adapter` as `read_adapter` takes them, in the shapes of the folder `base`.

    They get plain names, and `scale` is multiplied into `lora_B`, so the file can be used without knowing
    alpha and rank. Channels of the decoder that `load_xtts` leaves out are zero.
    """
    stored = read_shapes(base)
    plain: Weights = {}
    for name, tensor in weights.items():
        layer, _, part = name.replace(".default", "").rpartition(".lora_")
        own = (tensor * scale if part.startswith("B") else tensor).detach().float().cpu()
        if own.ndim == 3:  # of a convolution: A (rank, in, taps), B (out, rank, 1)
            outputs, inputs, _ = stored[f"{layer}.weight"]
            shape = (len(own), inputs) if part.startswith("A") else (outputs, own.shape[1])
            wide = own.new_zeros(*shape, own.shape[2])
            wide[: len(own), : own.shape[1]] = own
            own = wide
        plain[f"{layer}.lora_{part}"] = own.contiguous()
    return plain
