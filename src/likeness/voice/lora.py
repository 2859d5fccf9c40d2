"""A trainable adapter in XTTS's GPT, and the file that becomes of it (LoRA, Hu et al. 2021)."""

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

    They are put into the modules, and the GPT is not wrapped: Coqui reaches into it by attributes
    (`gpt.gpt.wte`), and what speaks shares its modules with what is trained.

    Args:
        targets: layers by the end of their name.
        top_layers: adapt only so many of the uppermost blocks; 0 adapts all. Below the lowest
            adapter no gradient is computed.

    Raises:
        LikenessError: a target that no layer has.
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
                f"params.yaml: voice_train.targets: no layer that is adapted is named {target}"
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
    model.gpt.eval()  # new modules are in training mode, where they drop out
    return {name: p for name, p in model.gpt.named_parameters() if p.requires_grad}


def plain_adapter(weights: Mapping[str, "torch.Tensor"], scale: float) -> Weights:
    """The weights of `inject_adapter` without peft's name for them, `scale` folded into `lora_B`.

    With the scale folded in, nobody needs to know alpha and rank to use the file.
    """
    return {
        name.replace(".default", ""): (tensor * scale if ".lora_B." in name else tensor)
        .detach()
        .float()
        .cpu()
        .contiguous()
        for name, tensor in weights.items()
    }
