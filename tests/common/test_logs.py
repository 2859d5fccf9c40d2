"""Lines of JSON: the same of a log, of what is printed to stderr, and of a crash."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import library_env

USUAL = ["event", "level", "logger", "timestamp"]


def lines(code: str) -> list[dict[str, Any]]:
    """What a process writes to stderr that logs as JSON."""
    begin = "import sys\nfrom likeness.common.logs import *\nlog_as_json(job_id='a')\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + code], capture_output=True, text=True, env=library_env()
    )
    assert done.stdout == ""
    found = [json.loads(line) for line in done.stderr.splitlines()]
    for line in found:
        assert list(line)[:5] == [*USUAL, "job_id"]
        assert line["job_id"] == "a"
    return found


def test_a_line_has_its_own_fields_and_those_that_are_bound() -> None:
    logged = """
log = logger("x.y")
with bound(request_id="r"), bound(other=1):
    log.info("said\\nso", seconds=0.5, path=__import__("pathlib").Path("a/b"))
log.error("after")
"""
    first, second = lines(logged)
    assert [first[name] for name in USUAL[:3]] == ["said\nso", "info", "x.y"]
    own = {name: first[name] for name in ("request_id", "other", "seconds", "path")}
    assert own == {"request_id": "r", "other": 1, "seconds": 0.5, "path": "a/b"}
    assert second.keys() == {*USUAL, "job_id"}


def test_what_is_printed_is_logged_line_by_line() -> None:
    printed = """
import warnings
from tqdm import tqdm
print("one", "two", file=sys.stderr)
for _ in tqdm(range(2), desc="voice_train: steps", mininterval=0): pass
warnings.warn("old")
sys.exit("error: params.yaml: no such file")
"""
    found = lines(printed)
    assert (found[0]["event"], found[0]["level"], found[0]["logger"]) == (
        "one two",
        "info",
        "stderr",
    )
    assert any("2/2 [" in line["event"] for line in found[1:])
    (warned,) = [line for line in found if line["level"] == "warning"]
    assert "UserWarning: old" in warned["event"]
    assert (found[-1]["event"], found[-1]["level"]) == ("error: params.yaml: no such file", "error")


@pytest.mark.parametrize("how", ["raise KeyError('k')", "logger('a').error('b', exc_info=True)"])
def test_a_traceback_is_part_of_its_line(how: str) -> None:
    caught = f"try: 1 / 0\nexcept ZeroDivisionError: {how}"
    (line,) = lines(caught)
    assert line["level"] in ("critical", "error")
    assert "ZeroDivisionError: division by zero" in line["exception"]
    assert line["event"] == ("KeyError: 'k'" if line["level"] == "critical" else "b")
