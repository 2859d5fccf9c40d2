"""Blind tests as the studio writes them, with raters who answer by a rule."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from likeness.common.io import write_json, write_jsonl
from likeness.common.ratings import BlindTest, File, Item, Kind, Lane, md5_of

Rule = Callable[[int, Item, list[str]], str]  # the answer to an item by its number and its sides


def item(id: str, data: Path, paths: Mapping[str, str]) -> Item:
    """An item of files under `data`; those that are not there are written."""
    for path in paths.values():
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        if not (data / path).exists():
            (data / path).write_text(path)
    files = {name: File(path=path, md5=md5_of(data / path)) for name, path in paths.items()}
    return Item(id=id, text="", files=files)


def write_test(
    ratings: Path,
    id: str,
    kind: Kind,
    lane: Lane,
    items: Sequence[Item],
    raters: Mapping[str, Rule],
    answered: int | None = None,
) -> BlindTest:
    """A test, and the first `answered` answers of each rater; all of them without a number."""
    test = BlindTest(
        id=id, kind=kind, lane=lane, seed=7, commit="0" * 40, model={"base": "mini", "adapter": ""},
        resolution=22050, items=list(items),
    )  # fmt: skip
    write_json(ratings / id / "test.json", test.model_dump())
    for rater, rule in raters.items():
        rows = []
        for at, one in enumerate(items[:answered]):
            sides = sorted(one.files, reverse=bool(at % 2))
            rows.append(
                {"trial": at + 1, "item": one.id, "sides": sides, "answer": rule(at, one, sides)}
            )
        write_jsonl(ratings / id / f"{rater}.jsonl", rows)
    return test
