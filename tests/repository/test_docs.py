"""What the documentation names is there: files, links, params, targets, errors, metrics."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from posixpath import join, normpath
from typing import Any

import pytest
import yaml

from likeness.repository.metrics import direction

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("src", "stages", "models", "metrics", "reports", "plots", "conf", "tests", "benchmarks")
WRITTEN = ("reports/compare", "reports/papers")  # by commands, not by stages
FILES = ("py", "json", "jsonl", "md", "html", "yaml", "png")
BLOCK = re.compile(r"^```.*?^```", re.M | re.S)

Check = Callable[[str, Path], list[str]]


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def read_yaml(name: str) -> Any:
    return yaml.safe_load(read(ROOT / name))


def spans(text: str) -> list[str]:
    """Code spans, whose line breaks are spaces."""
    found = re.findall(r"(?<!`)`([^`]+)`(?!`)", BLOCK.sub("", text))
    return [" ".join(span.split()) for span in found]


def code(text: str) -> str:
    """All that is code: blocks, then spans."""
    return "\n".join([*BLOCK.findall(text), *spans(text)])


# --- links, paths, params, targets ----------------------------------------------------------------


def broken_links(text: str, page: Path) -> list[str]:
    """Relative links to files, and to headings of files, that are not there."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text)):
        if ":" in link.split("/")[0]:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        there = target == page or target.exists()
        if there and anchor:
            there = anchor in anchors(text if target == page else read(target))
        if not there:
            found.append(link)
    return found


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@cache
def made_paths() -> tuple[str, ...]:
    """What runs make: outputs of both pipelines, and the folders of models fetched from a hub."""
    paths = [*WRITTEN]
    for folder in ("", "models/"):
        for stage in read_yaml(f"{folder}dvc.yaml")["stages"].values():
            outs = [out for key in ("outs", "metrics", "plots") for out in stage.get(key, [])]
            written = (out if isinstance(out, str) else next(iter(out)) for out in outs)
            paths += [normpath(join(folder, stage.get("wdir", ""), path)) for path in written]
    bases = read_yaml("models/hub.yaml")
    return (*paths, *(f"models/{name}{kind}" for name in bases for kind in ("", ".dvc")))


def missing_paths(text: str, page: Path) -> list[str]:
    """Code spans that begin with a folder of ours and name nothing in it; `<x>` and `*` match any."""
    found = []
    for span in spans(text):
        path = re.sub(r"<\w+>", "*", span.split(":")[0].rstrip("/"))
        if not re.match(rf"({'|'.join(FOLDERS)})/[\w./*-]+$", path):
            continue
        made = any(f"{path}/".startswith(f"{one.rstrip('/')}/") for one in made_paths())
        if not (made or any(ROOT.glob(path))):
            found.append(span)
    return found


def unknown_keys(text: str, page: Path) -> list[str]:
    """Words `section.key` that are neither a param nor a metric of that stage."""
    params = read_yaml("params.yaml")
    pattern = rf"(?<![\w/.-])({'|'.join(params)})\.(\w+)(?!\w*[(/])((?:\.\w+)*)"
    return [
        f"{section}.{key}{rest}"
        for section, key, rest in re.findall(pattern, text)
        if key not in FILES
        and not known(params[section], [key, *rest.split(".")[1:]])
        and key not in metrics_of(section)
    ]


def known(values: Any, keys: list[str]) -> bool:
    """Is there a value under these keys; what lies in an empty mapping is the user's."""
    for key in keys:
        if not isinstance(values, dict) or (values and key not in values):
            return False
        values = values.get(key, {})
    return True


@cache
def metrics_of(stage: str) -> dict[str, Any]:
    path = ROOT / "metrics" / f"{stage}.json"
    return json.loads(read(path)) if path.is_file() else {}


def unknown_targets(text: str, page: Path) -> list[str]:
    """Targets of `make` in code that the Makefile does not have."""
    targets = set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.M))
    words = [
        word
        for line in re.findall(r"(?:^\s*|&& )make((?: [a-z-]+)+)", code(text), re.M)
        for word in line.split()
    ]
    return [word for word in words if word not in targets]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("check", [broken_links, missing_paths, unknown_keys, unknown_targets])
def test_what_a_page_names_is_there(check: Check, page: Path) -> None:
    assert check(read(page), page) == []


@pytest.mark.parametrize(
    ("check", "text", "found"),
    [
        (broken_links, "[a](gone.md) [b](../README.md) [c](https://x.y/z)", ["gone.md"]),
        (broken_links, "# Two words\n[a](#two-words) [b](#three)", ["#three"]),
        (broken_links, "[a](../README.md#two-commands) [b](../README.md#x)", ["../README.md#x"]),
        (
            missing_paths,
            "`src/likeness/gone.py` `src/likeness/cli.py: main`",
            ["src/likeness/gone.py"],
        ),
        (missing_paths, "`stages/<lane>_<verb>.py` `stages/<lane>.txt`", ["stages/<lane>.txt"]),
        (missing_paths, "`reports/report/index.html` `models/sd15` `models/x`", ["models/x"]),
        (
            unknown_keys,
            "`image_train.rank` image_train.rink `image_train.py`",
            ["image_train.rink"],
        ),
        (unknown_keys, "image_evaluate.tuned_clip image_evaluate.tuned", ["image_evaluate.tuned"]),
        (unknown_keys, "image_generate.shares.gender base.seed.x", ["base.seed.x"]),
        (unknown_targets, "`make repro` `make test lint` `make tea`\nmake it", ["tea"]),
        (unknown_targets, "```sh\nmake prun  # old\n```", ["prun"]),
    ],
)
def test_what_is_not_there_is_found(check: Check, text: str, found: list[str]) -> None:
    assert check(text, ROOT / "docs/page.md") == found


def test_the_index_has_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", read(ROOT / "docs/README.md")))
    assert linked >= {page.name for page in PAGES} - {"README.md"}


# --- errors ---------------------------------------------------------------------------------------


def template(node: ast.expr) -> str:
    """The text of a string in source, with `…` where a value stands."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return "…"


def error_texts(source: str) -> Iterator[str]:
    """What errors say: arguments of `LikenessError` and `sys.exit`, and texts that functions return."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args:
            if ast.unparse(node.func) in ("LikenessError", "sys.exit"):
                yield template(node.args[0])
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):
            yield template(node.value)


@cache
def messages() -> tuple[str, ...]:
    files = [*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "models").glob("*.py"))]
    texts = [text for file in files for text in error_texts(read(file))]
    # Of those that are all values, anything would be an example.
    return tuple(text for text in texts if len(re.findall(r"\w", text)) >= 5)


def is_said(message: str) -> bool:
    """Does some error have these fixed parts; a page may show values, or `…` for them."""
    return any(
        re.fullmatch(".*".join(map(re.escape, text.split("…"))), message) for text in messages()
    )


def quoted() -> list[str]:
    return re.findall(r"^### `(.+)`$", read(ROOT / "docs/troubleshooting.md"), re.M)


@pytest.mark.parametrize("message", quoted())
def test_a_quoted_error_is_in_the_source(message: str) -> None:
    assert is_said(message)


def test_only_what_errors_say_counts() -> None:
    assert len(quoted()) > 20
    assert is_said("params.yaml: base.device: cuda is not available here; use cpu")
    assert not is_said("params.yaml: base.device: cuda is nowhere; use cpu")
    assert is_said("params.yaml: image_train.rank: should be a number (got 'x')")
    assert not is_said("params.yaml: something is wrong")
    source = 'raise LikenessError(f"{path}: gone" + "; run it")\nx = "not an error"'
    assert list(error_texts(source)) == ["…: gone; run it"]


@pytest.mark.parametrize("page", ["generation.md", "troubleshooting.md"])
def test_reasons_in_tables_are_in_the_source(page: str) -> None:
    strings = {
        node.value
        for file in (ROOT / "src/likeness").rglob("*.py")
        for node in ast.walk(ast.parse(read(file)))
        if isinstance(node, ast.Constant)
    }
    tables = re.findall(r"^\| reason .*\n\| -.*\n((?:\|.*\n)+)", read(ROOT / "docs" / page), re.M)
    reasons = re.findall(r"^\| `(\w+)`", "".join(tables), re.M)
    assert len(reasons) > 4
    assert [reason for reason in reasons if reason not in strings] == []


# --- metrics --------------------------------------------------------------------------------------


def explained(text: str) -> dict[str, list[list[str]]]:
    """Of a page like docs/metrics.md, the rows of each stage's table as lists of cells."""
    found: dict[str, list[list[str]]] = {}
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        title = re.match(r"`(\w+)`", section)
        if title:
            rows = [line for line in section.splitlines() if line.startswith("| `")]
            cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
            found[title[1]] = cells
    return found


def matching(pattern: str, keys: Iterator[str] | list[str]) -> list[str]:
    return [key for key in keys if re.fullmatch(pattern.replace("*", r"\w+"), key)]


def wrong_metrics(text: str, stage: str, keys: list[str], source: str) -> list[str]:
    """Keys without a row, rows without a key, ends that are no key, directions that are not ours."""
    problems, seen = [], set()
    for cells in explained(text)[stage]:
        for pattern in spans(cells[0]):
            own = matching(pattern, keys)
            seen |= set(own)
            # A row may be ahead of the committed metrics if the code is.
            if not own and pattern.strip("*") not in source:
                problems.append(f"{pattern}: no such key")
            better = cells[2].strip("| ") if len(cells) > 2 else ""
            results = [key for key in own if direction(f"{stage}.{key}")]
            wrong = [key for key in results if better and direction(f"{stage}.{key}") != better]
            problems += [f"{key}: {better} is better?" for key in wrong]
        ends = [end for cell in cells[3:] for end in spans(cell)]
        seen |= set(ends)
        problems += [f"{end}: no such key" for end in ends if end not in keys]
    return problems + [f"{key}: not explained" for key in keys if key not in seen]


STAGES = sorted(path.stem for path in (ROOT / "metrics").glob("*.json"))


@pytest.mark.parametrize("stage", STAGES)
def test_every_metric_is_explained(stage: str) -> None:
    lane, _, verb = stage.partition("_")
    source = read(ROOT / f"src/likeness/{lane}/{verb}.py")
    text = read(ROOT / "docs/metrics.md")
    assert wrong_metrics(text, stage, list(metrics_of(stage)), source) == []


def test_a_metric_that_is_explained_badly_is_found() -> None:
    def problems(row: str, *keys: str) -> list[str]:
        page = f"# M\n\n## `voice_evaluate`\n\n{row}\n"
        return wrong_metrics(page, "voice_evaluate", list(keys), "")

    row = "| `*_wer` | errors | lower | `base_wer` |"
    assert problems(row, "tuned_wer", "base_wer") == []
    assert problems(row, "tuned_wer") == ["base_wer: no such key"]
    assert problems(row, "base_wer", "n") == ["n: not explained"]
    assert problems(row.replace("lower", "higher"), "tuned_wer", "base_wer") == [
        "tuned_wer: higher is better?"
    ]
    assert problems("| `gone` | nothing |", "n") == ["gone: no such key", "n: not explained"]


def test_the_page_of_metrics_quotes_no_figures() -> None:
    """They change with each run; the page names the keys that hold them."""
    text = re.sub(r"`[^`]*`|\[[^]]*\]\([^)]*\)", "", read(ROOT / "docs/metrics.md"))
    assert re.findall(r"\d+\.\d+", text) == []
