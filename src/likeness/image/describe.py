"""Writes a title and a description of each synthetic product, and rejects what its row contradicts."""

import html
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from PIL import Image
from pydantic import Field

from likeness.common import figures
from likeness.common.blind import proportion
from likeness.common.errors import LikenessError
from likeness.common.estimates import Estimate, mean
from likeness.common.io import write_json, write_text
from likeness.common.items import map_items
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    read_manifest,
    write_manifest,
    write_rejected,
)
from likeness.common.rules import Rule, first_broken
from likeness.common.runtime import Runtime
from likeness.common.sampling import evenly
from likeness.image.catalog import read_catalog
from likeness.image.contradictions import REASONS, Vocabulary
from likeness.image.rows import Description, Product, SyntheticImage
from likeness.image.tuning import (
    OwnText,
    Tuned,
    TuneWriter,
    own_descriptions,
    plain_text,
    tune_writer,
)
from likeness.image.writing import (
    TOLD,
    ask_model,
    check_templates,
    fill_templates,
    is_templates,
    resident_writer,
)

CONTRADICTED = tuple(REASONS.values())
FORM = ("no_pattern", "prompt_too_long", "unfinished", "one_line")
LENGTH = ("title_too_long", "too_short", "too_long")
ADVICE = "take another writer, lower its temperature, or change image_describe.instruction"


class ImageDescribe(TuneWriter):
    temperature: Annotated[float, Field(gt=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    batch: Annotated[int, Field(ge=1)]
    max_attempts: Annotated[int, Field(ge=1)]
    max_title_words: Annotated[int, Field(ge=1)]
    min_words: Annotated[int, Field(ge=1)]
    max_words: Annotated[int, Field(ge=1)]
    rounds: Annotated[int, Field(ge=10)]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def describe(
    cfg: ImageDescribe,
    *,
    catalog: Path,
    generated: Path,
    writer: Path,
    out_dir: Path,
    plots_dir: Path,
    report: Path,
    intervals: Path,
    rt: Runtime,
) -> dict[str, Any]:
    """Write a title and a description of every product that image_generate kept.

    A text is written from the product's attributes alone. One that contradicts them, or that breaks a
    rule of length or form, is rejected and written again with another seed, up to `max_attempts` times;
    a product whose texts are all rejected stays without. With `tune_epochs`, the writer is first trained
    on the catalogue's own descriptions; its adapter is in `adapter/`.

    Args:
        catalog: its values are the words that can contradict (`Vocabulary`).
        generated: folder that image_generate wrote.
        writer: folder of templates or of a causal language model.

    Raises:
        LikenessError: the writer cannot be loaded or trained, or more than `max_rejected_share` of the
            texts were rejected.
    """
    rows = {row.id: row for row in read_manifest(generated / "manifest.jsonl", SyntheticImage)}
    products = read_catalog(catalog).products
    vocabulary = Vocabulary(products)
    judge = Judge(cfg, vocabulary)
    adapter, tuned = None, None
    if cfg.tune_epochs:
        adapter = out_dir / "adapter"
        tuned = _tune(cfg, catalog, products, judge, writer, adapter, plots_dir / "tuning.png", rt)
    write = _writer(cfg, writer, adapter, rows.values(), rt)

    kept: list[Description] = []
    rejected: list[Rejection] = []
    waiting = rows
    written = 0
    for attempt in range(cfg.max_attempts):
        jobs: dict[str, dict[str, Any]] = {
            name: {"attributes": _told(row, cfg), "seed": rt.seed_for("describe", name, attempt)}
            for name, row in waiting.items()
        }
        texts, broken = map_items(write, jobs, what="image_describe", rt=rt, batch=cfg.batch)
        written += len(jobs)
        for name, stored in texts.items():
            text = Description(id=name, **stored.record, seed=jobs[name]["seed"], attempt=attempt)
            problem = judge(text.title, text.description, waiting[name])
            if problem is None:
                kept.append(text)
            else:
                broken.append(problem)
        rejected += [one.model_copy(update={"id": f"{one.id}-{attempt}"}) for one in broken]
        waiting = {one.id: rows[one.id] for one in sorted(broken, key=lambda one: one.id)}
        if not waiting:
            break
    check_rejected_share("image_describe", rejected, written, cfg.max_rejected_share, ADVICE)

    kept.sort(key=lambda text: text.id)
    estimates = summarize(kept, rejected, written, rows, vocabulary, cfg.rounds, rt)
    shown = evenly(kept, 12)
    figures.contact_sheet(
        plots_dir / "samples.png",
        (Image.open(generated / rows[text.id].file_name) for text in shown),
        columns=4,
        size=256,
        labels=[text.title for text in shown],
    )
    told = _report(writer.name, tuned, kept, rejected, written, len(rows), estimates)
    write_text(report, told)
    write_json(intervals, {name: asdict(one.rounded()) for name, one in estimates.items()})
    if tuned:
        tuned.clear()
    counts = write_rejected(out_dir, rejected, (*CONTRADICTED, *LENGTH, *FORM, "error"))
    write_manifest(out_dir / "manifest.jsonl", kept)
    return {
        "writer": writer.name,
        "n": len(rows),
        "kept": len(kept),
        "written": written,
        "contradictions": sum(counts[f"rejected_{reason}"] for reason in CONTRADICTED),
        **{name: one.rounded().value for name, one in estimates.items()},
        "distinct_titles": _distinct([text.title for text in kept]),
        "distinct_descriptions": _distinct([text.description for text in kept]),
        **counts,
        **(tuned.metrics if tuned else {}),
    }


def _tune(
    cfg: ImageDescribe,
    catalog: Path,
    products: Sequence[Product],
    judge: "Judge",
    writer: Path,
    out_dir: Path,
    plot: Path,
    rt: Runtime,
) -> Tuned:
    """Train the writer on those of the catalogue's descriptions that keep the rules themselves."""
    if is_templates(writer):
        raise LikenessError(
            f"{writer}: templates cannot be trained; set image_describe.tune_epochs to 0, or "
            "inputs.writer to a language model"
        )
    texts: dict[str, OwnText] = {}
    set_aside: list[Rejection] = []
    own = own_descriptions(catalog, products, cfg.tune_column)
    for product in (one for one in products if one.id in own):
        title, description = plain_text(product.productDisplayName), own[product.id]
        if title:
            problem = judge(title, description, product)
        else:
            problem = Rejection(id=product.id, reason="no_title", threshold="productDisplayName")
        if problem is None:
            texts[product.id] = OwnText(_told(product, cfg), title, description)
        else:
            set_aside.append(problem)
    return tune_writer(cfg, texts, set_aside, writer=writer, out_dir=out_dir, plot=plot, rt=rt)


def _writer(
    cfg: ImageDescribe,
    writer: Path,
    adapter: Path | None,
    rows: Iterable[SyntheticImage],
    rt: Runtime,
) -> Callable[..., Any]:
    """The item function of a writer, with all that its texts depend on."""
    if is_templates(writer):
        check_templates(writer, {name: "" for row in rows for name in _told(row, cfg)})
        return partial(fill_templates, writer=writer)
    resident_writer(writer, rt.device, rt.precision(), adapter)  # here its error is the stage's
    return partial(
        ask_model,
        writer=writer,
        adapter=adapter,
        instruction=cfg.instruction,
        temperature=cfg.temperature,
        top_p=cfg.top_p,
        max_prompt_tokens=cfg.max_prompt_tokens,
        max_tokens=cfg.max_tokens,
        device=rt.device,
        precision=rt.precision(),
    )


def _told(row: Product, cfg: TuneWriter) -> dict[str, str]:
    """What a writer is told of a product; one that learns descriptions is not told them."""
    values = row.attributes()
    hidden = {cfg.tune_column} if cfg.tune_epochs else set()
    extra = sorted(row.extra.keys() - hidden)
    return {name: values[name] for name in (*TOLD, *extra)}


class Judge:
    """The rules that a text has to keep: it contradicts nothing of its row, and has a fit length."""

    def __init__(self, cfg: ImageDescribe, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.rules = [
            Rule("title_too_long", "title_words", most=cfg.max_title_words),
            Rule("too_short", "words", least=cfg.min_words),
            Rule("too_long", "words", most=cfg.max_words),
        ]

    def __call__(self, title: str, description: str, row: Product) -> Rejection | None:
        for part in (title, description):
            for found in self.vocabulary.contradictions(part, row):
                reason = REASONS[found.column]
                return Rejection(id=row.id, reason=reason, value=found.said, threshold=found.row)
        lengths = {"title_words": len(title.split()), "words": len(description.split())}
        missed = first_broken(self.rules, lengths)
        if missed is None:
            return None
        rule, bound = missed
        return Rejection(
            id=row.id, reason=rule.reason, value=lengths[rule.measure], threshold=bound
        )


def summarize(
    kept: Sequence[Description],
    rejected: Sequence[Rejection],
    written: int,
    rows: Mapping[str, SyntheticImage],
    vocabulary: Vocabulary,
    rounds: int,
    rt: Runtime,
) -> dict[str, Estimate]:
    """Shares of all texts that were written, and means of those that are kept."""
    import numpy as np

    contradicted = sum(one.reason in CONTRADICTED for one in rejected)

    def of_kept(name: str, values: Sequence[float]) -> Estimate:
        return mean(np.array(values), rounds, rt.seed_for("bootstrap", name))

    named = [vocabulary.named(f"{text.title}. {text.description}", rows[text.id]) for text in kept]
    return {
        "rejected_share": proportion(len(rejected), written),
        "contradiction_share": proportion(contradicted, written),
        "title_words": of_kept("title_words", [len(text.title.split()) for text in kept]),
        "description_words": of_kept("words", [len(text.description.split()) for text in kept]),
        "named_share": of_kept("named", [said / has if has else 1.0 for said, has in named]),
    }


def _distinct(texts: Sequence[str]) -> float | None:
    """The share of different ones. It has no interval: texts drawn again would be counted as copies."""
    return round(len(set(texts)) / len(texts), 5) if texts else None


def _report(
    writer: str,
    tuned: Tuned | None,
    kept: Sequence[Description],
    rejected: Sequence[Rejection],
    written: int,
    products: int,
    estimates: Mapping[str, Estimate],
) -> str:
    reasons = Counter(one.reason for one in rejected)
    training = ""
    if tuned:
        told = tuned.metrics
        training = (
            f" Before that it was trained on {told['tune_n']} of the catalogue's own descriptions: the "
            f"loss of {told['tune_val_n']} others was {told['tune_loss_base']:.3g} before and "
            f"{told['tune_loss']:.3g} after epoch {told['tune_best_epoch']}, the best one."
        )
    lines = [
        f"# Titles and descriptions of {len(kept)} of {products} products",
        "",
        f"{written} texts by `{writer}`, from the products' attributes alone; {len(rejected)} were "
        f"rejected.{training} Shares of all texts have Clopper and Pearson's 95 % interval, means of "
        "those that are kept a bootstrap interval.",
        "",
        "| figure | value | n |",
        "| --- | ---: | ---: |",
    ]
    for name, one in estimates.items():
        if one.n:
            value = f"{one.value:.3g} ({one.low:.3g} to {one.high:.3g})"
            lines.append(f"| {name.replace('_', ' ')} | {value} | {one.n} |")
    lines += ["", "| id | title | description |", "| --- | --- | --- |"]
    lines += [_line(one.id, one.title, one.description) for one in evenly(kept, 12)]
    if rejected:
        lines += ["", "| rejected because of | texts |", "| --- | ---: |"]
        lines += [_line(reason, number) for reason, number in reasons.most_common()]
        lines += ["", "| text | reason | what it says | limit, or what the row says |"]
        lines.append("| --- | --- | --- | --- |")
        lines += [
            _line(one.id, one.reason, one.value, one.threshold) for one in evenly(rejected, 12)
        ]
    return "\n".join(lines) + "\n"


def _line(*cells: object) -> str:
    """A table's row; what a model wrote is text, neither HTML nor the end of a cell."""
    escaped = (html.escape(str(cell), quote=False).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
