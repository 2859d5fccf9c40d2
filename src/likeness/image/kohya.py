"""The names that kohya's sd-scripts, ComfyUI and A1111 know an adapter's weights by."""

import re

from likeness.image.families import StableDiffusion, Tensors

# What Stability AI's code (generative-models) calls the layers of XL's UNet.
ALONE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
BLOCKS = {"down_blocks": "input_blocks", "up_blocks": "output_blocks"}
PLACES = {"resnets": 0, "attentions": 1, "downsamplers": 0, "upsamplers": 2}  # in a block
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def kohya_adapter(adapter: Tensors, family: StableDiffusion, layers_per_block: int) -> Tensors:
    """An adapter with diffusers' keys, under kohya's.

    Args:
        layers_per_block: of the UNet's config.
    """
    from diffusers.utils import convert_state_dict_to_kohya

    def named(key: str) -> str:
        part, _, rest = key.partition(".")
        if part != "unet" or not family.stability_names:
            return key
        layer, end = rest.rsplit(".lora_", 1)
        return f"unet.{stability_name(layer, layers_per_block)}.lora_{end}"

    found: Tensors = convert_state_dict_to_kohya({named(key): adapter[key] for key in adapter})
    if len(family.text_encoders) > 1:
        return found
    # diffusers calls the first of several text encoders `te1`; of one alone, it is `te`.
    return {name.replace("lora_te1_", "lora_te_"): one for name, one in found.items()}


def stability_name(layer: str, layers_per_block: int) -> str:
    """The name of a layer of XL's UNet in the published checkpoint.

    There the blocks of all levels are counted through, and what samples down is a block of its own.
    """
    named = r"(\w+?)(?:\.(\d+))?\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)"
    found = re.fullmatch(named, layer)
    if found is None:
        return ALONE[layer]
    side, level, kind, at, inner = found.groups()
    if side == "mid_block":
        place = f"middle_block.{1 if kind == 'attentions' else 2 * int(at)}"
    else:
        number = int(level) * (layers_per_block + 1) + (side == "down_blocks")
        number += layers_per_block if kind.endswith("samplers") else int(at)
        place = f"{BLOCKS[side]}.{number}.{PLACES[kind]}"
    return f"{place}.{'op' if kind == 'downsamplers' else RESNET.get(inner, inner)}"
