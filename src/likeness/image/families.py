"""What differs between the families of Stable Diffusion, 1.x and XL. No other module asks which it has.

XL (Podell et al. 2023) has two text encoders, of which its UNet takes the penultimate hidden states and
the second one's pooled vector. It is also told how large each photo was, and what was cut off from it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Tensors = dict[str, "torch.Tensor"]


class StableDiffusion:
    """1.x and 2.x: the UNet takes the last hidden states of one text encoder.

    Attributes:
        pipeline: the class in diffusers, which `model_index.json` names.
        controlled: that of the same networks with a ControlNet (Zhang et al. 2023).
        options: what its `from_pretrained` is given.
        text_encoders: the folders of the text encoders, in the order of their states.
        tokenizers: those of their tokenizers.
        stability_names: whether kohya's files call the UNet's layers as Stability AI's code does.
    """

    pipeline = "StableDiffusionPipeline"
    controlled = "StableDiffusionControlNetPipeline"
    options: Mapping[str, Any] = {"safety_checker": None}
    text_encoders: tuple[str, ...] = ("text_encoder",)
    tokenizers: tuple[str, ...] = ("tokenizer",)
    stability_names = False

    def embed(self, pipeline: Any, texts: list[str]) -> Tensors:
        """`states` (N, tokens, width), as the pipeline's own `encode_prompt` makes them."""
        (tokens,) = self._tokens(pipeline, texts)
        return {"states": pipeline.text_encoder(tokens)[0]}

    def conditions(self, embedded: Tensors, original: Sequence[int], side: int) -> dict[str, Any]:
        """Keywords of the UNet.

        Args:
            embedded: what `embed` gives for N captions.
            original: pixels of each side of the N images before they were scaled.
            side: pixels of each side now.
        """
        return {"encoder_hidden_states": embedded["states"]}

    def _tokens(self, pipeline: Any, texts: list[str]) -> "list[torch.Tensor]":
        """(N, tokens) ids, by each of the tokenizers."""
        found = []
        for name in self.tokenizers:
            tokenizer = getattr(pipeline, name)
            tokens = tokenizer(
                texts,
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            found.append(tokens.input_ids.to(pipeline.device))
        return found


class StableDiffusionXL(StableDiffusion):
    """XL's base; its refiner has another pipeline."""

    pipeline = "StableDiffusionXLPipeline"
    controlled = "StableDiffusionXLControlNetPipeline"
    options: Mapping[str, Any] = {"add_watermarker": False}
    text_encoders = ("text_encoder", "text_encoder_2")
    tokenizers = ("tokenizer", "tokenizer_2")
    stability_names = True

    def embed(self, pipeline: Any, texts: list[str]) -> Tensors:
        """`states` (N, tokens, both widths) and `pooled` (N, width of the second's projection).

        Where the base was trained so, both are zero for the empty caption, as they are for an image that
        is drawn without a negative prompt.
        """
        import torch

        said = [
            getattr(pipeline, name)(tokens, output_hidden_states=True)
            for name, tokens in zip(self.text_encoders, self._tokens(pipeline, texts), strict=True)
        ]
        states = torch.cat([one.hidden_states[-2] for one in said], dim=-1)
        pooled = said[-1][0]
        if pipeline.config.force_zeros_for_empty_prompt:
            given = torch.tensor([bool(text) for text in texts], device=states.device)
            states, pooled = states * given[:, None, None], pooled * given[:, None]
        return {"states": states, "pooled": pooled}

    def conditions(self, embedded: Tensors, original: Sequence[int], side: int) -> dict[str, Any]:
        """XL's size before scaling, crop and size now, each as height and width.

        The size is that of the part of the photo which the image shows: it says by how much that was
        enlarged, and so how soft it is. The crop is 0, 0, as it stands for what XL learnt by cuts through
        things; all of an item is in its image. Images are drawn with the same crop, and as large as
        they are.
        """
        import torch

        states = embedded["states"]
        sizes = [[size, size, 0, 0, side, side] for size in original]
        added = {
            "text_embeds": embedded["pooled"],
            "time_ids": torch.tensor(sizes, dtype=torch.float32, device=states.device),
        }
        return {"encoder_hidden_states": states, "added_cond_kwargs": added}


FAMILIES = {family.pipeline: family for family in (StableDiffusion(), StableDiffusionXL())}


def family_of(pipeline: Any) -> StableDiffusion:
    return FAMILIES[type(pipeline).__name__]
