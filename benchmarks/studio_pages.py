"""How soon the pages of the studio can be used with 5,000 clips, 3,000 photos and 3,000 images.

A repository is made in a temporary folder (`tests/studio/large.py`), a studio started on it, and each
page opened in chromium. `page kB` are its own files, and `answers kB` what it asked the API for, without
sounds and images. A page is ready when what it asked for is shown. The first visit is that of a studio
that has just been started, and reads each list; the others find it read.

    python benchmarks/studio_pages.py [--rounds 5]

Needs the studio's packages (`make studio`) and chromium (`apt-get install chromium`).
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from likeness.studio.pages import PAGES  # noqa: E402
from tests.studio.conftest import Server, commit_workspace, serve, write_workspace  # noqa: E402
from tests.studio.large import write_large  # noqa: E402
from tests.studio.test_pages import QUIET, open_page  # noqa: E402

COLUMNS = ("page", "page kB", "answers kB", "first s", "median s", "slowest s")
LOADED = "performance.getEntries().map((one) => [one.name, one.decodedBodySize ?? 0])"
API = re.compile(r"/v1/|/api/(?!files/|tests/.*media)")
READY = "performance.getEntriesByName('ready')[0].startTime / 1000"


def visit(page: Any, address: str) -> tuple[float, float, float]:
    """Seconds until a page is ready; kilobytes of its own files, and of the API's answers."""
    open_page(page, address)
    sizes = page.evaluate(LOADED)
    own = sum(size for url, size in sizes if "/static/" in url or url in address)
    asked = sum(size for url, size in sizes if API.search(url))
    return page.evaluate(READY), own / 1000, asked / 1000


def row(browser: Any, server: Server, name: str, rounds: int) -> list[str]:
    context = browser.new_context()  # with an empty cache
    page = context.new_page()
    page.set_default_timeout(300_000)
    address = f"{server.url}/{name}"
    first, own, asked = visit(page, f"{address}#token={server.token}")
    again = [visit(page, address)[0] for _ in range(rounds)]
    context.close()
    seconds = [f"{one:.2f}" for one in (first, median(again), max(again))]
    return [name, f"{own:.0f}", f"{asked:.0f}", *seconds]


def main(rounds: int) -> None:
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium is not here: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        root = write_workspace(Path(name) / "repository")
        write_large(root)
        commit_workspace(root)
        with serve(root, Path(name) / "log") as server:
            server.wait()
            browser = playwright.chromium.launch(executable_path=program, args=[*QUIET])
            rows = [row(browser, server, each, rounds) for each in PAGES]
            browser.close()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load average {load:.1f}; {rounds} visits after the first one")
    for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="visits of each page (5)")
    main(parser.parse_args().rounds)
