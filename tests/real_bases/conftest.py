"""One checkout for both lanes, and what everything took, printed at the end."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real_bases.checkout import Checkout, Measured

MEASURED = pytest.StashKey[dict[str, Measured]]()


@pytest.fixture(scope="session")
def checkout(pytestconfig: pytest.Config) -> Iterator[Checkout]:
    # Not in pytest's own folder, which is kept: this one has gigabytes.
    with tempfile.TemporaryDirectory(prefix="real-bases-") as folder:
        made = Checkout(Path(folder))
        pytestconfig.stash[MEASURED] = made.measured
        yield made


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    measured = config.stash.get(MEASURED, {})
    if measured:
        terminalreporter.write_line("\n| what ran | seconds | peak memory, GiB |")
        terminalreporter.write_line("| --- | ---: | ---: |")
    for what, one in measured.items():
        terminalreporter.write_line(f"| {what} | {one.seconds:.0f} | {one.memory:.1f} |")
