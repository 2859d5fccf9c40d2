"""The MVP's papers with the figures of the working tree: docs/mvp-casual-shoes.md, and slides of it.

The texts are the templates in docs/papers/. Slides are written to reports/papers/ as HTML and, where a
Chromium is on this machine, as PDF.
"""

import argparse
import base64
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from likeness.common.blind import proportion
from likeness.common.errors import LikenessError
from likeness.common.io import read_json, write_bytes, write_text
from likeness.common.pages import render

TEMPLATES = Path("docs/papers")
PAGE = "mvp-casual-shoes.md"
OUT_DIR = Path("reports/papers")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 120  # for a PDF


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def main(args: argparse.Namespace, root: Path) -> int:
    written = [Path("docs") / PAGE, OUT_DIR / "slides.html"]
    write_text(root / written[0], page(root))
    write_text(root / written[1], slides(root))
    pdf = root / OUT_DIR / "slides.pdf"
    pdf.unlink(missing_ok=True)  # of other figures
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser:
        write_bytes(pdf, to_pdf(browser, root / written[1]))
        written.append(pdf.relative_to(root))
    print("written: " + ", ".join(path.as_posix() for path in written))
    if not browser:
        print(f"no slides.pdf: {BROWSERS[0]} is not here; print slides.html, or install it")
    return 0


def page(root: Path) -> str:
    """The page of the MVP, in Markdown. Raises `LikenessError` where a figure is missing."""
    return render(root / TEMPLATES / PAGE, **figures(root))


def slides(root: Path) -> str:
    """The slides as one HTML file, in which the plots are embedded. `---` divides slides.md."""
    import markdown

    text = render(root / TEMPLATES / "slides.md", **figures(root))
    # An interval stays on one line, below its value where a table is narrow.
    text = re.sub(r"\([^()]*; n \d+\)", lambda found: found[0].replace(" ", "&nbsp;"), text)
    parts = [
        markdown.markdown(part, extensions=["tables"])
        for part in re.split(r"^---$", text, flags=re.M)
    ]
    title = text.partition("\n")[0].lstrip("# ")
    shell = render(root / TEMPLATES / "slides.html", title=title, slides=parts)
    return re.sub(r'src="(plots/[^"]+)"', lambda found: f'src="{_embedded(root, found[1])}"', shell)


def _embedded(root: Path, name: str) -> str:
    path = root / name
    if not path.is_file():
        raise LikenessError(f"{path}: no such file; run the stage that writes it")
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def to_pdf(browser: str, path: Path) -> bytes:
    """An HTML page as a headless Chromium prints it, at the size that its CSS asks for."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.pdf"
        command = [browser, "--headless", "--disable-gpu", "--no-pdf-header-footer"]
        command += [f"--user-data-dir={folder}/profile", f"--print-to-pdf={out}", path.as_uri()]
        if os.geteuid() == 0:  # Chromium has no sandbox for root, and the page is our own
            command.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise LikenessError(
                f"{path}: {browser} made no PDF of it within {SECONDS} s; run it again, or print the page"
            ) from error
        if not out.is_file():
            last = done.stderr.strip().splitlines()[-1:]
            raise LikenessError(f"{path}: {browser} made no PDF of it ({''.join(last)})")
        return out.read_bytes()


def figures(root: Path) -> Mapping[str, Any]:
    """What a template may ask for. Figures are named `<stage>.<key>`, as in `dvc metrics show`."""
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]

    @cache
    def metrics(stage: str) -> Any:
        return read_json(root / "metrics" / f"{stage}.json")

    @cache
    def intervals(stage: str) -> Any:
        return read_json(root / "reports" / stage / "intervals.json")

    def look_up(values: Any, name: str, where: str) -> Any:
        key = name.partition(".")[2]
        try:
            return values[key]
        except (KeyError, TypeError) as error:
            raise LikenessError(f"{TEMPLATES}: {name}: no such figure in {where}") from error

    def value(name: str) -> Any:
        stage = name.partition(".")[0]
        return look_up(metrics(stage), name, f"metrics/{stage}.json")

    def interval(name: str) -> Any:
        stage = name.partition(".")[0]
        return look_up(intervals(stage), name, f"reports/{stage}/intervals.json")

    def number(name: str) -> str:
        return "{value:.3g} ({low:.3g} to {high:.3g}; n {n})".format(**interval(name))

    def percent(name: str) -> str:
        return _percent(**interval(name))

    def counted(name: str, of: str) -> str:
        """A share whose count and n are metrics, with Clopper and Pearson's interval."""
        n = value(of)
        one = proportion(round(value(name) * n), n)
        return _percent(one.value or 0.0, one.low or 0.0, one.high or 0.0, one.n)

    def gap(start: str, here: str, goal: str) -> str:
        return f"{(value(start) - value(here)) / (value(start) - value(goal)):.0%}".replace(
            "%", " %"
        )

    def param(name: str) -> Any:
        return look_up(params.get(name.partition(".")[0]), name, "params.yaml")

    def pinned(stage: str) -> str:
        """The MD5 of a stage's data folder in dvc.lock, as far as it takes to recognise it."""
        outs = {out["path"]: out["md5"] for out in lock.get(stage, {}).get("outs", [])}
        return str(look_up(outs, f"{stage}.data/{stage}", "dvc.lock"))[:12]

    return {
        "value": value,
        "number": number,
        "percent": percent,
        "counted": counted,
        "gap": gap,
        "param": param,
        "pinned": pinned,
    }


def _percent(value: float, low: float, high: float, n: int) -> str:
    return f"{100 * value:.0f} % ({100 * low:.0f} % to {100 * high:.0f} %; n {n})"
