"""LoRA (Hu et al. 2021) on a writer, with a catalogue's own titles and descriptions as its answers.

All random numbers come from seeds made of the epoch's or the step's number. So a run that was killed and
resumed takes the same steps as one that was not interrupted.
"""

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field

from likeness.common import figures
from likeness.common.bases import describe
from likeness.common.checkpoints import Checkpoints
from likeness.common.closure import code_digest
from likeness.common.errors import LikenessError
from likeness.common.evaluations import Evaluation, Evaluations, save_tensors
from likeness.common.io import digest, digest_of, read_json, write_json
from likeness.common.manifest import Rejection, write_manifest
from likeness.common.params import Section
from likeness.common.precision import MixedPrecision, check_finite
from likeness.common.runtime import Runtime
from likeness.image.rows import Product
from likeness.image.writing import end_tokens, load_writer, pad_token, prompt_tokens

if TYPE_CHECKING:
    import torch

FEWEST = 10  # texts that a training needs
VAL_SHARE = 0.1
WARMUP_SHARE = 0.05
MAX_GRAD_NORM = 1.0


class TuneWriter(Section):
    """Params of a writer's training, and what the writer is asked in it."""

    instruction: str
    max_prompt_tokens: Annotated[int, Field(ge=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    tune_epochs: Annotated[int, Field(ge=0)]
    tune_column: str
    tune_rank: Annotated[int, Field(ge=1, le=256)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    tune_batch: Annotated[int, Field(ge=1)]


class OwnText(NamedTuple):
    """What a catalogue says of a product, and the attributes that a writer is told of it."""

    attributes: Mapping[str, str]
    title: str
    description: str


@dataclass(frozen=True)
class Tuned:
    """The metrics of a training, and its scratch, which is kept until the texts are written."""

    metrics: dict[str, float]
    scratch: Path

    def clear(self) -> None:
        Checkpoints(self.scratch).clear()
        Evaluations(self.scratch, 0).clear()


class Example(NamedTuple):
    """Tokens of a prompt and of the answer, which has an end."""

    prompt: list[int]
    answer: list[int]


def own_descriptions(catalog: Path, products: Iterable[Product], column: str) -> dict[str, str]:
    """The descriptions that a catalogue has, by the products' ids, without HTML.

    A description stands in a column of `styles.csv`, or in `styles/ID.json` as in Kaggle's full edition.

    Raises:
        LikenessError: such a file is not JSON.
    """
    found = {}
    for product in products:
        text = product.extra.get(column, "")
        path = catalog / "styles" / f"{product.id}.json"
        if not text and path.is_file():
            text = _kaggle_description(path)
        if text := plain_text(text):
            found[product.id] = text
    return found


def plain_text(text: str) -> str:
    """A text on one line, without HTML.

    >>> plain_text("<p>Red &amp;<br>soft</p>")
    'Red & soft'
    """
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _kaggle_description(path: Path) -> str:
    """Empty if the product has none."""
    try:
        value: Any = read_json(path)
    except ValueError as error:
        raise LikenessError(f"{path}: not JSON ({error})") from error
    for name in ("data", "productDescriptors", "description", "value"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def tune_writer(
    cfg: TuneWriter,
    texts: Mapping[str, OwnText],
    set_aside: Sequence[Rejection],
    *,
    writer: Path,
    out_dir: Path,
    plot: Path,
    rt: Runtime,
) -> Tuned:
    """Train an adapter of all linear layers, and keep that of the epoch with the lowest loss.

    The loss is the mean cross entropy of an answer's token. It is measured on one text in ten, which is
    held out, with all products that share it; epoch 0 is the writer as it is. `out_dir` gets the adapter
    as peft loads it, `training.json` and `rejected.jsonl`.

    Args:
        texts: what the catalogue says, by the products' ids.
        set_aside: what it says besides, and why that is not learnt. Texts that are longer than a prompt
            or an answer may be come to these.

    Raises:
        LikenessError: fewer than ten texts can be used, or all are the same; the writer cannot be loaded,
            or has no end token or no finite loss; the learning rate is so high that weights become NaN.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
    from transformers import get_scheduler

    model, tokenizer = load_writer(writer, rt.device, rt.precision())
    ends = end_tokens(model)
    pad = pad_token(tokenizer, ends)
    examples, too_long = _examples(cfg, tokenizer, ends, texts)
    if len(examples) < FEWEST:
        raise LikenessError(
            f"image_describe.tune_column: {cfg.tune_column}: {len(examples)} of "
            f"{len(texts) + len(set_aside)} descriptions of the catalogue can be learnt, and {FEWEST} "
            "are needed; name another column, or set image_describe.tune_epochs to 0"
        )
    train, val = _split({name: texts[name].description for name in examples}, rt)

    torch.manual_seed(rt.seed_for("tune", "adapter"))
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=cfg.tune_rank,
        lora_alpha=cfg.tune_rank,
        target_modules="all-linear",
    )
    model = get_peft_model(model, lora)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    weights = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=cfg.learning_rate, weight_decay=0)
    mixed = MixedPrecision(rt.precision(), rt.device)
    steps_per_epoch = math.ceil(len(train) / cfg.tune_batch)
    steps = cfg.tune_epochs * steps_per_epoch
    lr_scheduler = get_scheduler("cosine", optimizer, math.ceil(WARMUP_SHARE * steps), steps)

    def loss_of(names: Sequence[str]) -> "tuple[torch.Tensor, int]":
        batch = _padded([examples[name] for name in names], pad)
        with mixed.autocast():
            loss = model(**{name: one.to(rt.device) for name, one in batch.items()}).loss
        return loss, sum(len(examples[name].answer) for name in names)

    def evaluate(epoch: int) -> float:
        model.eval()
        with torch.inference_mode():
            found = [loss_of(names) for names in _batches(val, cfg.tune_batch)]
        loss = sum(float(loss) * tokens for loss, tokens in found) / sum(n for _, n in found)
        evaluation = Evaluation(f"{epoch:06d}", {"loss": loss}, (-loss,))
        evaluations.add(evaluation, get_peft_model_state_dict(model))
        return loss

    key = [
        cfg.model_dump_json(include=set(TuneWriter.model_fields)),
        digest(writer),
        texts,
        code_digest(Path(__file__)),
        rt.seed,
    ]
    scratch = rt.scratch("image_describe", digest_of(key))
    checkpoints, evaluations = Checkpoints(scratch), Evaluations(scratch, 0)
    state = checkpoints.load()
    if state:
        set_peft_model_state_dict(model, state["weights"])
        optimizer.load_state_dict(state["optimizer"])
        lr_scheduler.load_state_dict(state["lr_scheduler"])
        mixed.load_state_dict(state["mixed"])
        evaluations.all = state["evaluations"]
    elif not math.isfinite(loss := evaluate(0)):
        raise LikenessError(
            f"{writer}: the loss of the catalogue's descriptions is {loss} before any training, in the "
            "precision of this device; take another writer, or set base.device to cpu"
        )
    for epoch in range(len(evaluations.all), cfg.tune_epochs + 1):
        order = torch.Generator().manual_seed(rt.seed_for("tune", "order", epoch))
        shuffled = [train[at] for at in torch.randperm(len(train), generator=order).tolist()]
        batches = _batches(shuffled, cfg.tune_batch)
        model.train()
        for at, batch in enumerate(rt.progress(batches, f"image_describe: epoch {epoch}")):
            step = (epoch - 1) * steps_per_epoch + at
            torch.manual_seed(rt.seed_for("tune", "step", step))  # a writer may have dropout
            batch_loss, _ = loss_of(batch)
            mixed.scaled(batch_loss).backward()
            mixed.step(optimizer, weights, MAX_GRAD_NORM)
            lr_scheduler.step()
            optimizer.zero_grad()
            check_finite(
                float(batch_loss),
                weights,
                stage="image_describe",
                step=step,
                learning_rate=cfg.learning_rate,
            )
        evaluate(epoch)
        checkpoints.save(
            {
                "weights": get_peft_model_state_dict(model),
                "optimizer": optimizer.state_dict(),
                "lr_scheduler": lr_scheduler.state_dict(),
                "mixed": mixed.state_dict(),
                "evaluations": evaluations.all,
            }
        )
        evaluations.drop_others()

    best = evaluations.best()
    losses = [one.figures["loss"] for one in evaluations.all]
    _save(model.peft_config["default"], evaluations.weights(best), writer, out_dir)
    rejected = [*set_aside, *too_long]
    write_manifest(out_dir / "rejected.jsonl", rejected)
    _plot(plot, losses, len(val))
    metrics = {
        "tune_n": len(train),
        "tune_val_n": len(val),
        "tune_rejected": len(rejected),
        "tune_loss": round(best.figures["loss"], 5),
        "tune_loss_base": round(losses[0], 5),
        "tune_best_epoch": int(best.name),
    }
    settings = cfg.model_dump(include=set(TuneWriter.model_fields))
    write_json(out_dir / "training.json", {**describe(writer), **settings, **metrics})
    return Tuned(metrics, scratch)


def _split(descriptions: Mapping[str, str], rt: Runtime) -> tuple[list[str], list[str]]:
    """The products to train on, and those that are held out: products with one text stay together."""
    groups: dict[str, list[str]] = {}
    for name, text in descriptions.items():
        groups.setdefault(text, []).append(name)
    texts = sorted(groups, key=lambda text: rt.seed_for("tune", "val", text))
    most = max(1, round(VAL_SHARE * len(descriptions)))
    val: list[str] = []
    while texts and len(val) < most:
        val += groups[texts.pop()]
    if not texts:
        raise LikenessError(
            f"image_describe.tune_epochs: {len(descriptions)} products of the catalogue have "
            f"{len(groups)} different descriptions, so none can be held out; set it to 0"
        )
    return sorted(name for text in texts for name in groups[text]), sorted(val)


def _examples(
    cfg: TuneWriter, tokenizer: Any, ends: set[int], texts: Mapping[str, OwnText]
) -> tuple[dict[str, Example], list[Rejection]]:
    """Prompts as the writer is asked later, and the answers that it should give."""
    kept: dict[str, Example] = {}
    rejected: list[Rejection] = []
    own = tokenizer.eos_token_id
    end = own if own in ends else min(ends)
    for name, text in texts.items():
        prompt = prompt_tokens(tokenizer, cfg.instruction, text.attributes)
        words = f"{text.title}\n{text.description}"
        answer = [*tokenizer(words, add_special_tokens=False).input_ids, end]
        for reason, tokens, most in (
            ("prompt_too_long", prompt, cfg.max_prompt_tokens),
            ("answer_too_long", answer, cfg.max_tokens),
        ):
            if len(tokens) > most:
                found = Rejection(id=name, reason=reason, value=len(tokens), threshold=most)
                rejected.append(found)
                break
        else:
            kept[name] = Example(prompt, answer)
    return kept, rejected


def _batches(names: Sequence[str], size: int) -> list[Sequence[str]]:
    return [names[at : at + size] for at in range(0, len(names), size)]


def _padded(examples: Sequence[Example], pad: int) -> "dict[str, torch.Tensor]":
    """`input_ids`, `attention_mask` and `labels` (N, tokens); only answers have labels."""
    import torch

    shape = len(examples), max(len(one.prompt) + len(one.answer) for one in examples)
    ids, mask, labels = torch.full(shape, pad), torch.zeros(shape).long(), torch.full(shape, -100)
    for row, (prompt, answer) in enumerate(examples):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor([*prompt, *answer])
        mask[row, :end] = 1
        labels[row, len(prompt) : end] = torch.tensor(answer)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _save(config: Any, weights: "Mapping[str, torch.Tensor]", writer: Path, out_dir: Path) -> None:
    """The adapter as peft loads it, with nothing of this machine in it."""
    config.base_model_name_or_path = describe(writer)["base_id"]
    config.target_modules = sorted(config.target_modules)  # a set, whose order differs by run
    config.inference_mode = True
    config.save_pretrained(out_dir)
    save_tensors(out_dir / "adapter_model.safetensors", weights)


def _plot(path: Path, losses: Sequence[float], n: int) -> None:
    with figures.figure(path, size=(6, 3)) as axis:
        axis.plot(range(len(losses)), losses, marker=".")
        axis.set_title(f"Loss of descriptions that were held out (n {n})")
        axis.set_xlabel("epoch; 0 is the writer as it is")
        axis.xaxis.get_major_locator().set_params(integer=True)
