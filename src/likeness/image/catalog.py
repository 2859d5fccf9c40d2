"""The product catalogue in the layout of Kaggle's Fashion Product Images: `styles.csv`, `images/`."""

import csv
from pathlib import Path

from likeness.common.errors import LikenessError
from likeness.common.manifest import Rejection
from likeness.image.rows import COLUMNS, Product


def read_catalog(folder: Path) -> tuple[list[Product], list[Rejection]]:
    """The rows of `styles.csv`, and those that cannot be used with their reason.

    A row is `malformed_row` if its number of cells differs from the header's, `unsafe_id` if its id
    is not a plain file name, `duplicate_id` if an earlier row has it.

    Raises:
        LikenessError: no catalogue there, no rows, or a column is missing.
    """
    path = folder / "styles.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError as error:
        raise LikenessError(
            f"{path}: no such file; a catalogue has styles.csv and images/"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LikenessError(f"{path}: not CSV in UTF-8 ({error})") from error
    header = lines[0] if lines else []
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise LikenessError(
            f"{path}: column {', '.join(missing)} missing (found {', '.join(header) or 'nothing'})"
        )
    if len(lines) == 1:
        raise LikenessError(f"{path}: no rows under the header; put products in it")
    products: list[Product] = []
    rejected: list[Rejection] = []
    seen: set[str] = set()
    for number, cells in enumerate(lines[1:], start=2):
        if not cells:
            continue
        name = cells[header.index("id")] if len(cells) > header.index("id") else ""
        problem = _row_problem(name, cells, header, seen)
        if problem:
            reason, value, threshold = problem
            taken = name in seen or any(name == earlier.id for earlier in rejected)
            where = f"{name or '?'}@line{number}" if taken or not name else name
            rejected.append(Rejection(id=where, reason=reason, value=value, threshold=threshold))
            continue
        seen.add(name)
        values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        extra = {key: value for key, value in values.items() if key not in COLUMNS}
        products.append(Product(**{key: values[key] for key in COLUMNS}, extra=extra))
    return products, rejected


def _row_problem(
    name: str, cells: list[str], header: list[str], seen: set[str]
) -> tuple[str, object, object] | None:
    if len(cells) != len(header):
        return "malformed_row", f"{len(cells)} cells", f"{len(header)} cells"
    too_long = len(f"{name}.jpg".encode()) > 255
    if not name.strip() or name != Path(name).name or name.startswith(".") or too_long:
        return "unsafe_id", name, "a plain file name"
    if name in seen:
        return "duplicate_id", name, "one row per id"
    return None


def image_path(folder: Path, product_id: str) -> Path:
    return folder / "images" / f"{product_id}.jpg"
