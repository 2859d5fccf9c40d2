"""The item store: each item's work once, whatever changes around it."""

import os
import shutil
import signal
import time
from collections.abc import Sequence
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from likeness.common.errors import LikenessError
from likeness.common.items import map_all, map_items
from likeness.common.result import Rejected, Result
from likeness.common.runtime import Runtime
from tests.conftest import files_of, runtime

CALLS: list[list[Any]] = []
NUMBERS = {f"n{at}": at for at in range(10)}


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def squares(numbers: Sequence[int], *, plus: int = 0, folder: Path | None = None) -> list[Result]:
    CALLS.append(list(numbers))
    return [Result({"square": n * n + plus}, {"text": f"{n}² + {plus}".encode()}) for n in numbers]


def lengths(paths: Sequence[Path]) -> list[Result]:
    CALLS.append(list(paths))
    return [Result({"length": path.stat().st_size}) for path in paths]


def odd_ones(numbers: Sequence[int]) -> list[Result | Rejected]:
    """Even numbers are rejected, 5 raises, 7 raises `Rejected`."""
    CALLS.append(list(numbers))
    outcomes: list[Result | Rejected] = []
    for n in numbers:
        if n == 5:
            raise ValueError("five")
        if n == 7:
            raise Rejected("seven", n)
        outcomes.append(Rejected("even", n, [1, 3]) if n % 2 == 0 else Result({"n": n}))
    return outcomes


def done() -> list[Any]:
    """The items that were computed; a short batch is filled up, so an item may be there twice."""
    return sorted({item for batch in CALLS for item in batch})


def records(rt: Runtime, items: Any = NUMBERS, function: Any = squares, **options: Any) -> Any:
    CALLS.clear()
    found, failed = map_items(function, items, what="test", rt=rt, **options)
    return {name: stored.record for name, stored in found.items()}, failed


def test_a_hit_is_not_computed_again(rt: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    first, failed = records(rt, batch=4)
    assert (CALLS, failed) == ([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]], [])
    assert list(first) == list(NUMBERS)
    assert "test: 10 of 10 to do" in capsys.readouterr().err
    again, _ = records(rt, batch=3)
    assert (CALLS, again) == ([], first)
    assert "test: 0 of 10 to do" in capsys.readouterr().err


def test_one_changed_item_costs_one_item(rt: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    records(rt)
    found, _ = records(rt, {**NUMBERS, "n3": 30})
    assert done() == [30]
    assert found["n3"] == {"square": 900}
    assert "test: 1 of 10 to do" in capsys.readouterr().err


def test_a_name_is_not_part_of_the_key(rt: Runtime) -> None:
    records(rt)
    found, _ = records(rt, {"other": 3})
    assert (done(), found) == ([], {"other": {"square": 9}})


def test_items_of_equal_content_share_a_result(rt: Runtime) -> None:
    found, _ = records(rt, {"a": 2, "b": 2}, batch=1)
    assert found == {"a": {"square": 4}, "b": {"square": 4}}


def test_a_changed_keyword_computes_again(rt: Runtime) -> None:
    records(rt, function=partial(squares, plus=1))
    found, _ = records(rt, function=partial(squares, plus=2))
    assert len(done()) == 10
    assert found["n2"] == {"square": 6}
    records(rt, function=partial(partial(squares, plus=9), plus=1))
    assert done() == [], "the outer keyword counts, as in a call"


def test_a_path_stands_for_its_content(rt: Runtime, tmp_path: Path) -> None:
    for name, text in (("a", "one"), ("b", "one"), ("c", "other")):
        (tmp_path / name).write_text(text)
    records(rt, {"x": tmp_path / "a"}, lengths)
    records(rt, {"x": tmp_path / "b"}, lengths)
    assert done() == []
    found, _ = records(rt, {"x": tmp_path / "c"}, lengths)
    assert (len(done()), found) == (1, {"x": {"length": 5}})


def test_a_folder_among_the_keywords_stands_for_its_content(rt: Runtime, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text("1")
    records(rt, function=partial(squares, folder=tmp_path / "a"))
    records(rt, function=partial(squares, folder=tmp_path / "b"))
    assert done() == []
    (tmp_path / "b" / "weights").write_text("2")
    os.utime(tmp_path / "b" / "weights", ns=(time.time_ns(), time.time_ns() + 10**9))
    records(rt, function=partial(squares, folder=tmp_path / "b"))
    assert len(done()) == 10


def test_changed_code_computes_again(rt: Runtime, tmp_path: Path) -> None:
    text = (
        "from likeness.common.result import Result\n"
        "def work(items):\n    return [Result({{'v': item + {}}}) for item in items]\n"
    )

    def load(name: str, number: int) -> Any:
        path = tmp_path / name / "work.py"
        path.parent.mkdir()
        path.write_text(text.format(number))
        spec = spec_from_file_location("work", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.work

    assert records(rt, {"a": 1}, load("old", 1))[0] == {"a": {"v": 2}}
    same = len(list((rt.cache / "items").rglob("record.json")))
    assert records(rt, {"a": 1}, load("same", 1))[0] == {"a": {"v": 2}}
    assert len(list((rt.cache / "items").rglob("record.json"))) == same
    assert records(rt, {"a": 1}, load("new", 2))[0] == {"a": {"v": 3}}


def test_rejections_are_stored_and_returned(rt: Runtime) -> None:
    items = {"a": 2, "b": 3, "c": 7, "d": 4}
    found, failed = records(rt, items, odd_ones, batch=2)
    assert found == {"b": {"n": 3}}
    assert [(row.id, row.reason, row.value, row.threshold) for row in failed] == [
        ("a", "even", 2, [1, 3]),
        ("c", "seven", 7, None),
        ("d", "even", 4, [1, 3]),
    ]
    again = records(rt, items, odd_ones)
    assert (again, done()) == ((found, failed), [])


def test_every_call_has_the_same_shape_and_no_surplus_result(rt: Runtime) -> None:
    # A model's kernels may differ in the last bit with the batch's shape.
    found, _ = records(rt, {"a": 1, "b": 2, "c": 3}, batch=8)
    assert [len(batch) for batch in CALLS] == [8]
    assert found == {"a": {"square": 1}, "b": {"square": 4}, "c": {"square": 9}}
    assert len(list((rt.cache / "items").rglob("record.json"))) == 3
    records(rt, {"a": 1, "d": 4, "e": 5}, odd_ones, batch=3)
    assert all(len(batch) == 3 for batch in CALLS), "also when a batch is repeated item by item"


def test_an_exception_costs_its_own_item_and_is_not_stored(rt: Runtime) -> None:
    items = {"a": 1, "b": 5, "c": 3}
    found, failed = records(rt, items, odd_ones, batch=3)
    assert found == {"a": {"n": 1}, "c": {"n": 3}}
    assert [(row.id, row.reason, row.value) for row in failed] == [
        ("b", "error", "ValueError: five")
    ]
    records(rt, items, odd_ones, batch=3)
    assert done() == [5]


def test_where_all_are_needed_the_first_rejection_is_one_line(rt: Runtime) -> None:
    found = map_all(squares, NUMBERS, problem="has no square", what="test", rt=rt, batch=4)
    assert list(found) == list(NUMBERS)
    with pytest.raises(LikenessError, match=r"^n5: is not odd \(ValueError: five\)$"):
        map_all(odd_ones, {"n3": 3, "n5": 5}, problem="is not odd", what="test", rt=rt)
    with pytest.raises(LikenessError, match=r"/absent: has no length \(FileNotFoundError"):
        map_all(lengths, {"a": Path("/absent")}, problem="has no length", what="test", rt=rt)


def test_a_function_that_loses_items_is_an_error(rt: Runtime) -> None:
    with pytest.raises(RuntimeError, match="1 results for 2 items"):
        records(rt, {"a": 1, "b": 2}, function=one_too_few, batch=2)


def one_too_few(items: Sequence[int]) -> list[Result]:
    return [Result({"n": n}) for n in items[1:]]


def test_workers_change_nothing(tmp_path: Path) -> None:
    alone, pooled = runtime(tmp_path / "alone"), runtime(tmp_path / "pooled")
    one = records(alone, {**NUMBERS, "bad": 5}, odd_ones, batch=2)
    two = records(pooled, {**NUMBERS, "bad": 5}, odd_ones, batch=2, workers=2)
    assert CALLS == [], "the work was not done in other processes"
    assert one == two
    assert files_of(alone.cache) == files_of(pooled.cache)


def test_a_killed_run_leaves_only_the_rest_to_do(rt: Runtime) -> None:
    with pytest.raises(KeyboardInterrupt):
        records(rt, function=killed_at_six, batch=2)
    assert done() == [0, 1, 2, 3, 4, 5, 6, 7]
    STOP.clear()
    found, failed = records(rt, function=killed_at_six, batch=2)
    assert (done(), failed) == ([6, 7, 8, 9], [])
    assert list(found) == list(NUMBERS)


STOP = [6]


def killed_at_six(numbers: Sequence[int]) -> list[Result]:
    CALLS.append(list(numbers))
    if set(STOP) & set(numbers):
        raise KeyboardInterrupt
    return [Result({"n": n}) for n in numbers]


def test_a_killed_worker_is_one_line_and_what_was_done_is_kept(rt: Runtime) -> None:
    items = {**NUMBERS, "last": 99}
    with pytest.raises(
        LikenessError, match=r"a worker process was killed.*base\.workers below 2"
    ) as caught:
        records(rt, items, killed_at_99, workers=2)
    assert "\n" not in str(caught.value)
    kept = len(list((rt.cache / "items").rglob("record.json")))
    assert f"({kept} of 11 items are done and kept)" in str(caught.value)
    found, _ = records(rt, NUMBERS, killed_at_99)
    assert len(done()) == 10 - kept
    assert list(found) == list(NUMBERS)


def killed_at_99(numbers: Sequence[int]) -> list[Result]:
    CALLS.append(list(numbers))
    if 99 in numbers:
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    return [Result({"n": n}) for n in numbers]


def test_the_store_is_only_a_cache(rt: Runtime) -> None:
    first = records(rt)
    stored = files_of(rt.cache)
    shutil.rmtree(rt.cache)
    assert records(rt) == first
    assert len(done()) == 10
    assert files_of(rt.cache) == stored


def test_a_half_written_result_is_computed_again(rt: Runtime) -> None:
    records(rt)
    folder = next((rt.cache / "items").rglob("record.json")).parent
    shutil.rmtree(folder)
    (folder.parent / ".new-killed").mkdir()
    (folder.parent / ".new-killed" / "text").write_text("half")
    found, _ = records(rt)
    assert len(done()) == 1
    assert len(found) == 10


def test_a_stored_file_is_linked_into_place(rt: Runtime, tmp_path: Path) -> None:
    found, _ = map_items(squares, NUMBERS, what="test", rt=rt)
    found["n3"].link("text", tmp_path / "out" / "three.txt")
    assert (tmp_path / "out" / "three.txt").read_text() == "3² + 0"
    assert found["n3"].read("text") == "3² + 0".encode()
    assert (tmp_path / "out" / "three.txt").stat().st_nlink == 2


def test_positional_parameters_are_refused(rt: Runtime) -> None:
    with pytest.raises(TypeError, match="keyword"):
        records(rt, function=partial(squares, [1]))
