"""The output of `likeness compare`: a table in Markdown, and an HTML page with plots and samples."""

import base64
import html
import json
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from likeness.common.errors import LikenessError
from likeness.common.pages import render
from likeness.repository.experiments import (
    Directions,
    Experiment,
    differing_params,
    read_file,
    shared_params,
    verdict,
)

IMAGES = ("plots/image_evaluate/real_and_synthetic.png", "plots/voice_evaluate/pairs.png")
ABSENT = "–"
CAPTION = (
    "Values with their 95 % intervals and n, where the revision has them. An interval is about the "
    "test items, not about the seed of a training; of two that overlap, one may still be better."
)

Sheet = list[tuple[str, bytes]]  # (name of the experiment, its image)


# --- the table ------------------------------------------------------------------------------------


def markdown_of(rows: Sequence[Experiment], metrics: Sequence[str], directions: Directions) -> str:
    shared = shared_params(rows)
    params = [name for name in differing_params(rows) if name not in shared]
    several = len({row.baseline for row in rows} - {None}) > 1
    head = ["experiment", *(["of"] if several else []), "state", *params, *metrics]
    lines = ["# Experiments", ""]
    for metric, better in directions.items():
        first, *rest = verdict(rows, metric, better)
        lines += [f"**{escaped(first)}**", "", *(f"- {escaped(line)}" for line in rest), ""]
    lines += [f"| {' | '.join(map(escaped, head))} |", "| --- " * len(head) + "|"]
    for row in rows:
        cells = [
            row.name,
            *([row.baseline or ""] if several else []),
            row.state,
            *(plain(row.params[name]) if name in row.params else ABSENT for name in params),
            *(str(row.estimates.get(name, ABSENT)) for name in metrics),
        ]
        lines.append(f"| {' | '.join(map(escaped, cells))} |")
    if shared:
        texts = [
            f"{name} {plain(ours)} (else {plain(theirs)})"
            for name, (ours, theirs) in shared.items()
        ]
        lines += ["", f"All experiments have {escaped(', '.join(texts))}."]
    lines += ["", CAPTION, "", *(f"{escaped(note)}\n" for note in notes(rows, metrics))]
    return "\n".join(lines).rstrip() + "\n"


def notes(rows: Sequence[Experiment], metrics: Sequence[str]) -> list[str]:
    """Warnings where stages measured with different models, as such figures cannot be compared."""
    found = []
    stages = {metric.partition(".")[0] for metric in metrics}
    shown = [row.metrics for row in rows if not row.is_workspace]
    for name in sorted({name for values in shown for name in values}):
        values = sorted({each[name] for each in shown if isinstance(each.get(name), str)})
        if name.partition(".")[0] in stages and len(values) > 1:
            found.append(
                f"Mind that {name} differs ({', '.join(values)}): "
                "figures measured with different ones cannot be compared."
            )
    return found


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def escaped(text: str) -> str:
    """Text escaped for a cell of a Markdown table that may be turned into HTML."""
    text = html.escape(" ".join(text.split()), quote=False)
    for sign in "|*`[":
        text = text.replace(sign, f"&#{ord(sign)};")
    return text


# --- the page -------------------------------------------------------------------------------------


def html_of(markdown_text: str, drawn: Mapping[str, bytes], sheets: Mapping[str, Sheet]) -> str:
    """A page that needs no other file: the Markdown, plots by title and samples by path."""
    import markdown

    return render(
        Path(__file__).with_name("compare.html"),
        body=markdown.markdown(markdown_text, extensions=["tables"]),
        drawn=drawn,
        sheets=sheets,
        data_uri=data_uri,
    )


def data_uri(path: str, content: bytes) -> str:
    kind = mimetypes.guess_type(path)[0]
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def samples(rows: Sequence[Experiment], asked: Sequence[str], root: Path) -> dict[str, Sheet]:
    """By path, the image of each experiment: paths whose images differ, and paths asked for."""
    found = {}
    # A revision that is not finished still has the images of its commit in git.
    finished = [row for row in rows if row.estimates and not row.is_workspace]
    for path in dict.fromkeys([*IMAGES, *asked]):
        images = [(row.name, read_file(root, row.rev, path)) for row in finished]
        sheet = [(name, image) for name, image in images if image is not None]
        if path in asked and not sheet:
            raise LikenessError(
                f"{path}: in git of no experiment; `git ls-files plots` lists images"
            )
        if not (mimetypes.guess_type(path)[0] or "").startswith("image/"):
            raise LikenessError(f"{path}: not an image by its name")
        if path in asked or len({image for _, image in sheet}) > 1:
            found[path] = sheet
    return found
