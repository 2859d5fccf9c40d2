"""The MVP's papers: the committed page is what the command writes, and no figure is typed by hand."""

import re
import shutil
from pathlib import Path

import pytest

from likeness.cli import main
from likeness.common.errors import LikenessError
from likeness.common.io import read_json, write_json
from likeness.repository import papers
from tests.conftest import ROOT, binary

SOURCES = ("params.yaml", "dvc.lock", "dvc.yaml", "metrics", "reports", "plots", "docs")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the papers are made of, in a folder of its own."""
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def test_the_committed_page_has_the_committed_figures() -> None:
    committed = (ROOT / "docs" / papers.PAGE).read_text(encoding="utf-8")
    assert committed == papers.page(ROOT), "run `likeness papers`"


def test_another_figure_is_another_page(tree: Path) -> None:
    path = tree / "reports" / "image_evaluate" / "intervals.json"
    values = read_json(path)
    values["tuned_frechet"] = {"value": 12.34, "low": 11.0, "high": 13.5, "n": 77}
    write_json(path, values)
    assert "12.3 (11 to 13.5; n 77)" in papers.page(tree)
    assert "12.3 (11&nbsp;to&nbsp;13.5;&nbsp;n&nbsp;77)" in papers.slides(tree)


def typed(text: str) -> list[str]:
    """Decimals, percentages and thousands in a template's prose, other than the level of intervals."""
    prose = re.sub(r"\{[{%].*?[%}]\}|`[^`]*`|95 %", "", text, flags=re.S)
    return re.findall(r"\d+[.,]\d+|\d+ ?%|\b\d{3,}\b", prose.replace("100 × cosine", ""))


@pytest.mark.parametrize("name", [papers.PAGE, "slides.md"])
def test_no_figure_is_typed_by_hand(name: str) -> None:
    assert typed((ROOT / papers.TEMPLATES / name).read_text(encoding="utf-8")) == []


def test_a_typed_figure_is_found() -> None:
    assert typed('It is 0.53, or 12 % {{ value("a.b") | round(3) }} of 1,200 (95 %); 600') == [
        "0.53", "12 %", "1,200", "600",
    ]  # fmt: skip


def test_slides_need_nothing_else(tree: Path) -> None:
    page = papers.slides(tree)
    parts = (tree / papers.TEMPLATES / "slides.md").read_text().split("\n---\n")
    assert page.count("<section>") == len(parts) >= 8
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) >= 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert page.count("<table>") >= 2
    assert "{{" not in page


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "{{ value('image_evaluate.beauty') }}",
            "image_evaluate.beauty: no such figure in metrics/",
        ),
        (
            "{{ number('image_evaluate.beauty') }}",
            "no such figure in reports/image_evaluate/interv",
        ),
        ("{{ param('image_train.rink') }}", "image_train.rink: no such figure in params.yaml"),
        ("{{ pinned('image_sing') }}", "no such figure in dvc.lock"),
        ("{{ value('image_sing.n') }}", "metrics/image_sing.json: no such file"),
    ],
)
def test_a_figure_that_is_not_there_is_one_line(tree: Path, template: str, said: str) -> None:
    (tree / papers.TEMPLATES / papers.PAGE).write_text(template)
    with pytest.raises(LikenessError, match=re.escape(said)):
        papers.page(tree)


def test_a_plot_that_is_not_there_is_one_line(tree: Path) -> None:
    shutil.rmtree(tree / "plots" / "image_failures")
    with pytest.raises(LikenessError, match=r"categories\.png: no such file; run the stage"):
        papers.slides(tree)


def test_without_a_browser_there_is_no_pdf(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tree)
    monkeypatch.setenv("PATH", str(tree))
    (tree / "docs" / papers.PAGE).unlink()
    main(["papers"])
    assert "no slides.pdf: chromium is not here" in capsys.readouterr().out
    assert (tree / "docs" / papers.PAGE).read_text() == papers.page(tree)
    assert [path.name for path in (tree / papers.OUT_DIR).iterdir()] == ["slides.html"]


@pytest.mark.slow
def test_a_slide_is_a_page_of_the_pdf(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary("chromium", "chromium")
    monkeypatch.chdir(tree)
    main(["papers"])
    data = (tree / papers.OUT_DIR / "slides.pdf").read_bytes()
    slides = (tree / papers.OUT_DIR / "slides.html").read_text().count("<section>")
    assert data.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) == slides
    assert set(re.findall(rb"/MediaBox \[([^\]]*)\]", data)) == {
        b"0 0 960 540"
    }  # points of 1280 × 720


def test_a_browser_that_fails_is_one_line(tree: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho 'no display' >&2\nexit 1\n")
    browser.chmod(0o755)
    with pytest.raises(LikenessError, match=r"browser made no PDF of it \(no display\)"):
        papers.to_pdf(str(browser), tree / "params.yaml")
