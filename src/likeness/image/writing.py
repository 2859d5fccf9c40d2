"""Titles and descriptions of products from their attributes, by sentence templates or a language model.

A writer is a folder under `models/`. It has either `templates.yaml`, or a causal language model with its
tokenizer as transformers saves them. A payload is `{"attributes": {column: value}, "seed": int}`; the
record of its result has `title` and `description`.
"""

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from likeness.common.errors import LikenessError, one_line
from likeness.common.precision import Precision, dtype_of
from likeness.common.resident import OneAtATime
from likeness.common.result import Rejected, Result
from likeness.image.captions import fields

if TYPE_CHECKING:
    import torch

TEMPLATES = "templates.yaml"
# What a prompt tells of a product, beside the catalogue's further columns.
TOLD = ("gender", "articleType", "baseColour", "season", "year", "usage")
LABEL = re.compile(r"^\W*(title|description)\W*:\s*", re.I)
EDGES = " \t*_#\"'“”"  # what models put around a title

Attributes = Mapping[str, str]


def is_templates(writer: Path) -> bool:
    return (writer / TEMPLATES).is_file()


# --- templates ------------------------------------------------------------------------------------


def read_templates(writer: Path) -> dict[str, list[list[str]]]:
    """`title` and `description`: lists of alternatives, one of each of which is taken.

    Raises:
        LikenessError: the file has another form.
    """
    path = writer / TEMPLATES
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = {name: [list(map(str, one)) for one in values[name]] for name in values}
        for part in (found["title"], found["description"]):
            for pattern in (pattern for one in part for pattern in one):
                fields(pattern)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise LikenessError(
            f"{path}: title and description should be lists of lists of patterns ({one_line(error)})"
        ) from error
    return found


def check_templates(writer: Path, attributes: Attributes) -> None:
    """Raises `LikenessError` if a pattern names what no product has; `attributes` are those of one."""
    known = {**attributes, **_owners("")}
    for part, lists in read_templates(writer).items():
        for pattern in (pattern for one in lists for pattern in one):
            if unknown := next((name for name in fields(pattern) if name not in known), None):
                raise LikenessError(
                    f"{writer / TEMPLATES}: {part}: {{{unknown}}} is no attribute of the products; they "
                    f"have {', '.join(known)}"
                )


def fill_templates(products: Sequence[dict[str, Any]], *, writer: Path) -> list[Result | Rejected]:
    """One pattern of each list, chosen by the product's seed and filled with its attributes.

    A pattern is left out if the product lacks an attribute that it names.
    """
    templates = read_templates(writer)
    return [_filled(one["attributes"], templates, random.Random(one["seed"])) for one in products]


def _filled(
    attributes: Attributes, templates: Mapping[str, list[list[str]]], chance: random.Random
) -> Result | Rejected:
    whole = {**attributes, **_owners(attributes["gender"])}
    lower = {name: value.lower() for name, value in whole.items()}
    record = {}
    for part, words in (("title", whole), ("description", lower)):
        sentences = []
        for alternatives in templates[part]:
            usable = [one for one in alternatives if all(words[name] for name in fields(one))]
            if usable:
                text = chance.choice(usable).format_map(words)
                sentences.append(text[:1].upper() + text[1:])
        record[part] = " ".join(sentences)
        if not sentences:
            return Rejected("no_pattern", [name for name in TOLD if not attributes[name]], part)
    return Result(record)


def _owners(gender: str) -> dict[str, str]:
    """A gender as `whose` and `whom` it is: `men's` and `men`."""
    if gender == "Unisex":
        return {"whose": "Unisex", "whom": "Men and Women"}
    return {"whose": gender and gender + ("'" if gender.endswith("s") else "'s"), "whom": gender}


# --- a language model -----------------------------------------------------------------------------


def load_writer(
    writer: Path, device: str, precision: Precision, adapter: Path | None = None
) -> tuple[Any, Any]:
    """The causal language model, with the adapter of that folder, and its tokenizer.

    Raises:
        LikenessError: transformers cannot load them, or no token ends an answer.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            writer, dtype=dtype_of(precision), local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(writer, local_files_only=True)
    except (OSError, ValueError) as error:
        raise LikenessError(
            f"{writer}: cannot be loaded as a causal language model ({one_line(error)})"
        ) from error
    if not end_tokens(model):
        raise LikenessError(
            f"{writer / 'generation_config.json'}: no eos_token_id, so no answer would end; take another "
            "writer, or add it"
        )
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    return model.to(device).eval(), tokenizer


resident_writer = OneAtATime(load_writer)


class SeededNoise:
    """Makes greedy decoding draw from the distribution, each row with a generator of its own.

    The token of the highest log-probability plus Gumbel noise is a draw from the softmax (Maddison,
    Tarlow and Minka 2014). So a text depends on its own seed, and not on which others are in the batch.
    The noise is made on the CPU, as a GPU's generator gives other numbers.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        import torch

        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, _ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        """`scores` (N, tokens) with noise."""
        import torch

        uniform = torch.stack([torch.rand(scores.shape[1], generator=g) for g in self._generators])
        return scores.float() - (-uniform.log()).log().to(scores.device)


def ask_model(
    products: Sequence[dict[str, Any]],
    *,
    writer: Path,
    adapter: Path | None,
    instruction: str,
    temperature: float,
    top_p: float,
    max_prompt_tokens: int,
    max_tokens: int,
    device: str,
    precision: Precision,
) -> list[Result | Rejected]:
    """What the model answers to the instruction and the product's attributes.

    The first line of an answer is the title, the rest the description. All prompts are padded to
    `max_prompt_tokens`, so that a text does not depend on how long the others of its batch are.
    """
    import torch
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    model, tokenizer = resident_writer(writer, device, precision, adapter)
    ends = end_tokens(model)
    pad = pad_token(tokenizer, ends)
    prompts = [prompt_tokens(tokenizer, instruction, one["attributes"]) for one in products]
    ids = torch.full((len(prompts), max_prompt_tokens), pad)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        if 0 < len(prompt) <= max_prompt_tokens:
            ids[row, -len(prompt) :] = torch.tensor(prompt)
            mask[row, -len(prompt) :] = 1
        else:  # not asked; a row without any token would give NaN
            mask[row, -1] = 1
    noise = SeededNoise([one["seed"] for one in products])
    processors = [TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p), noise]
    with torch.inference_mode():
        answers = model.generate(
            ids.to(device),
            attention_mask=mask.to(device),
            do_sample=False,
            max_new_tokens=max_tokens,
            pad_token_id=pad,
            logits_processor=LogitsProcessorList(processors),
        )[:, max_prompt_tokens:].tolist()
    outcomes: list[Result | Rejected] = []
    for prompt, answer in zip(prompts, answers, strict=True):
        if len(prompt) > max_prompt_tokens:
            outcomes.append(Rejected("prompt_too_long", len(prompt), max_prompt_tokens))
        elif not ends & set(answer):
            outcomes.append(Rejected("unfinished", len(answer), max_tokens))
        else:
            outcomes.append(parse_answer(tokenizer.decode(answer, skip_special_tokens=True)))
    return outcomes


def end_tokens(model: Any) -> set[int]:
    """The tokens at which an answer ends."""
    end = model.generation_config.eos_token_id
    return set(end if isinstance(end, list) else [end]) - {None}


def pad_token(tokenizer: Any, ends: set[int]) -> int:
    """Any token: what stands in the padding is masked."""
    own: int | None = tokenizer.pad_token_id
    return min(ends) if own is None else own


def prompt_tokens(tokenizer: Any, instruction: str, attributes: Attributes) -> list[int]:
    """The instruction and what is known of a product, as the model's chat template wants it."""
    known = {name: value for name, value in attributes.items() if value}
    facts = "\n".join(f"{name}: {value}" for name, value in known.items())
    prompt = f"{instruction}\n\n{facts}\n"
    if not tokenizer.chat_template:
        return list(tokenizer(prompt).input_ids)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    return list(tokenizer(text, add_special_tokens=False).input_ids)  # the template has them


def parse_answer(answer: str) -> Result | Rejected:
    """The first line of an answer as the title, the rest as the description, without labels.

    >>> parse_answer('**Title:** "Red Shoes"\\n\\nDescription: For men.\\nFor summer.').record
    {'title': 'Red Shoes', 'description': 'For men. For summer.'}
    """
    lines = [LABEL.sub("", line.strip()).strip(EDGES) for line in answer.splitlines()]
    title, *rest = list(filter(None, lines)) or [""]
    if not rest:
        return Rejected("one_line", title[:80], "a title, and a description below it")
    return Result({"title": title, "description": " ".join(rest)})
