"""One self-contained page about the pipeline's last results, and a model card for each adapter."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from likeness.common.io import read_json, write_text
from likeness.common.pages import render
from likeness.common.params import Section
from likeness.common.runtime import Runtime

COLUMNS = ("base", "tuned", "autoencoder", "real")
OWN_COLUMNS = ("shared", "own", "difference")  # of adapters of values, where there are any
LOWER = ("kid", "kernel")  # of their figures, better if lower
VOICE_COLUMNS = ("base", "tuned", "real", "difference")
TEMPLATES = {
    "report.html": "index.html",
    "model_card.md": "model_card.md",
    "voice_card.md": "voice_card.md",
}
# The figures at the top of the page.
FIRST = ("image_evaluate/real_and_synthetic.png", "image_evaluate/distances.png")


class Report(Section):
    title: str


def write_report(
    cfg: Report,
    *,
    metrics_dir: Path,
    plots_dir: Path,
    reports_dir: Path,
    adapter: Path,
    voice_adapter: Path,
    speech: Path,
    out_dir: Path,
    rt: Runtime,
) -> None:
    """Write `index.html` (with figures, sounds, tables and texts embedded) and the adapters' cards.

    Args:
        adapter: folder that image_train wrote; `voice_adapter` is voice_train's.
        speech: folder that voice_evaluate wrote; its `samples/` has the clips to listen to.
    """
    import markdown

    stages = {path.stem: read_json(path) for path in sorted(metrics_dir.glob("*.json"))}
    figures = {
        stage: {
            path.relative_to(plots_dir).as_posix(): base64.b64encode(path.read_bytes()).decode()
            for path in sorted((plots_dir / stage).glob("*.png"))
        }
        for stage in stages
    }
    texts = {
        path.parent.name: markdown.markdown(path.read_text(encoding="utf-8"), extensions=["tables"])
        for path in sorted(reports_dir.glob("*/*.md"))
        if path.parent != out_dir
    }
    training = read_json(adapter / "training.json")
    evaluation = read_json(metrics_dir / "image_evaluate.json")
    intervals = read_json(reports_dir / "image_evaluate" / "intervals.json")
    pairs = {name: one for name, one in intervals.items() if name.split("_")[0] in OWN_COLUMNS}
    context = {
        "title": cfg.title,
        "seed": rt.seed,
        "training": training,
        "evaluation": evaluation,
        "rows": comparison({name: one for name, one in intervals.items() if name not in pairs}),
        "columns": COLUMNS,
        "own_rows": comparison(pairs, OWN_COLUMNS),
        "own_columns": OWN_COLUMNS,
        "pays": whether_it_pays(pairs),
        "voice_training": read_json(voice_adapter / "training.json"),
        "voice": read_json(metrics_dir / "voice_evaluate.json"),
        "spoken": read_json(metrics_dir / "voice_synthesize.json"),
        "voice_rows": comparison(
            read_json(reports_dir / "voice_evaluate" / "intervals.json"), VOICE_COLUMNS
        ),
        "voice_columns": VOICE_COLUMNS,
        "samples": read_samples(speech / "samples"),
        "stages": stages,
        "first": [(name, figures[name.split("/")[0]][name]) for name in FIRST],
        "figures": figures,
        "texts": texts,
        "generated": stages["image_generate"],
    }
    for template, name in TEMPLATES.items():
        write_text(out_dir / name, render(Path(__file__).with_name(template), **context))


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """The rows of `samples.json`, with each clip's bytes in base64 as `data`."""
    rows: list[dict[str, Any]] = read_json(folder / "samples.json")
    for row in rows:
        for clip in row["clips"].values():
            clip["data"] = base64.b64encode((folder / clip["file"]).read_bytes()).decode()
    return rows


def comparison(
    intervals: Mapping[str, Any], columns: Sequence[str] = COLUMNS
) -> list[tuple[str, dict[str, str]]]:
    """(name, text by column) for every figure of an intervals file.

    The column `real` has the figures `floor_*` (real images against real images), the column `base`
    has `other_*` (the base in its own speakers' voices).
    """
    rows: dict[str, tuple[str, dict[str, str]]] = {}
    for name, estimate in intervals.items():
        group, _, figure = name.partition("_")
        column = {"floor": "real"}.get(group, group)
        if column not in columns:
            column = {"other": "base"}.get(group, "tuned" if "synthetic" in name else "real")
            figure = name
        form = "{value:.3g} ({low:.3g} to {high:.3g}; n {n})" if estimate["n"] else "–"
        text = form.format(**estimate)
        rows.setdefault(figure, (figure.replace("_", " "), {}))[1][column] = text
    return list(rows.values())


def whether_it_pays(intervals: Mapping[str, Any]) -> str:
    """A sentence on the differences of adapters of values to the one for all; empty if there are none."""
    told = []
    for name, estimate in intervals.items():
        group, _, figure = name.partition("_")
        if group == "difference" and estimate["n"] and not estimate["low"] <= 0 <= estimate["high"]:
            better = (estimate["high"] < 0) == figure.startswith(LOWER)
            told.append(f"{figure.replace('_', ' ')} ({'better' if better else 'worse'})")
    if told:
        return f"The interval of the difference excludes 0 for {', '.join(told)}."
    return (
        "The interval of every difference includes 0: that it pays is not shown."
        if intervals
        else ""
    )
