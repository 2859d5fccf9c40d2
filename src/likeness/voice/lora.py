"""A trainable adapter in XTTS's GPT, and the form in which it is saved (LoRA, Hu et al. 2021)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from likeness.common.errors import LikenessError
from likeness.voice.xtts import BLOCKS, Weights

if TYPE_CHECKING:
    import torch


def inject_adapter(
    model: Any, *, rank: int, alpha: int, dropout: float, targets: Sequence[str], top_layers: int
) -> dict[str, "torch.nn.Parameter"]:
    """Put trainable LoRA layers (Hu et al. 2021) on the GPT; returns their weights by name.

    The layers replace modules in place, and the GPT is not wrapped: Coqui accesses its attributes
    (`gpt.gpt.wte`), and its inference model shares modules with the GPT that is trained.

    Args:
        targets: ends of the names of the layers to adapt.
        top_layers: adapt only this many of the uppermost blocks; 0 adapts all. No gradient is
            computed below the lowest adapter.

    Raises:
        LikenessError: a target matches no layer.
    """
    from peft import LoraConfig, inject_adapter_in_model

    blocks = model.args.gpt_layers
    chosen = list(range(max(0, blocks - top_layers), blocks)) if top_layers else None
    names = [name for name, _ in model.gpt.named_modules()]
    if chosen:
        names = [
            name for name in names if name.startswith(tuple(f"{BLOCKS}{at}." for at in chosen))
        ]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise LikenessError(
                f"params.yaml: voice_train.targets: no layer to adapt is named {target}"
            )
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(targets),
        layers_to_transform=chosen,
        layers_pattern="h" if chosen else None,
        fan_in_fan_out=True,  # Conv1D
    )
    inject_adapter_in_model(config, model.gpt)
    model.gpt.eval()  # new modules start in training mode, with dropout
    return {name: p for name, p in model.gpt.named_parameters() if p.requires_grad}


def plain_adapter(weights: Mapping[str, "torch.Tensor"], scale: float) -> Weights:
    """The weights of `inject_adapter` under plain names, with `scale` multiplied into `lora_B`.

    So the file can be used without knowing alpha and rank.
    """
    return {
        name.replace(".default", ""): (tensor * scale if ".lora_B." in name else tensor)
        .detach()
        .float()
        .cpu()
        .contiguous()
        for name, tensor in weights.items()
    }
