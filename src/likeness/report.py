"""One self-contained page for what the pipeline last made, and a card for its adapter."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likeness.common.io import read_json, write_text
from likeness.common.params import Section
from likeness.common.runtime import Runtime

COLUMNS = ("base", "tuned", "real")
# The sheets that a reader looks at first.
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
    out_dir: Path,
    rt: Runtime,
) -> None:
    """Write `index.html` (figures, tables and texts embedded) and `model_card.md`."""
    import jinja2
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
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    training = read_json(adapter / "training.json")
    evaluation = read_json(metrics_dir / "image_evaluate.json")
    context = {
        "title": cfg.title,
        "seed": rt.seed,
        "training": training,
        "evaluation": evaluation,
        "rows": comparison(read_json(reports_dir / "image_evaluate" / "intervals.json")),
        "columns": COLUMNS,
        "stages": stages,
        "first": [(name, figures[name.split("/")[0]][name]) for name in FIRST],
        "figures": figures,
        "texts": texts,
        "generated": stages["image_generate"],
    }
    for template, name in (("report.html", "index.html"), ("model_card.md", "model_card.md")):
        write_text(out_dir / name, environment.get_template(template).render(context))


def comparison(intervals: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """(figure, text by column) for every figure of the intervals file.

    `floor_*` figures, real images against real images, stand in the column `real`.
    """
    rows: dict[str, tuple[str, dict[str, str]]] = {}
    for name, estimate in intervals.items():
        group, _, figure = name.partition("_")
        column = {"floor": "real"}.get(group, group)
        if column not in COLUMNS:
            column, figure = "tuned" if "synthetic" in name else "real", name
        text = "{value:.3g} ({low:.3g} to {high:.3g}; n {n})".format(**estimate)
        rows.setdefault(figure, (figure.replace("_", " "), {}))[1][column] = text
    return list(rows.values())
