"""The product catalogue in the layout of Kaggle's Fashion Product Images: `styles.csv`, `images/`."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from likeness.common.errors import LikenessError
from likeness.common.manifest import Rejection
from likeness.image.rows import COLUMNS, Product

FREE_TEXT = "productDisplayName"
# What tables and pandas write where there is no value.
ABSENT = {"", "na", "n/a", "#n/a", "<na>", "nan", "none", "null"}
ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif"),
    ".jxl",  # which no stage reads: image_prepare names it
)
OPEN_QUOTE = "a quote that is not closed, or not doubled"


@dataclass
class Catalog:
    """The rows of `styles.csv`.

    Attributes:
        products: the rows that can be used, in the file's order.
        rejected: the others, with their reason.
        types: each rejected row's article type by the rejection's id; empty where it cannot be told.
        mended: rows whose name has a comma or a quote that the file does not mark as text.
    """

    products: list[Product] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    mended: int = 0


def read_catalog(folder: Path) -> Catalog:
    """The rows of `styles.csv`, and those that cannot be used with their reason.

    A row is `malformed_row` if its number of cells differs from the header's or a quote in it is
    not closed, `unsafe_id` if its id is not a plain file name, `duplicate_id` if an earlier row has
    it. The name is free text: where it stands last, commas and quotes too many belong to it. An
    attribute that is absent is empty, whatever the file writes for it.

    Raises:
        LikenessError: no catalogue there, no rows, or a column is missing.
    """
    path = folder / "styles.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(file)
    except FileNotFoundError as error:
        raise LikenessError(
            f"{path}: no such file; a catalogue has styles.csv and images/"
        ) from error
    except UnicodeDecodeError as error:
        raise LikenessError(f"{path}: not CSV in UTF-8 ({error})") from error
    try:
        header = [name.strip() for row in csv.reader(lines[:1], strict=True) for name in row]
    except csv.Error as error:
        raise LikenessError(f"{path}: not CSV ({error} in the header)") from error
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise LikenessError(
            f"{path}: column {', '.join(missing)} missing (found {', '.join(header) or 'nothing'})"
        )
    if not any(line.strip() for line in lines[1:]):
        raise LikenessError(f"{path}: no rows under the header; put products in it")
    found = Catalog()
    seen: set[str] = set()
    at = 1
    while at < len(lines):
        number = at + 1
        cells, literal, used = _next_row(lines, at, len(header))
        at += used
        if not cells:
            continue
        surplus = len(cells) - len(header)
        if surplus > 0 and header[-1] == FREE_TEXT:
            cells[-surplus - 1 :] = [",".join(cells[-surplus - 1 :])]
        cells = [cell.strip() for cell in cells]
        row = dict(zip(header, cells, strict=False))
        name = row.get("id", "")
        problem = _row_problem(name, cells, header, literal, seen)
        if problem:
            reason, value, threshold = problem
            taken = name in seen or name in found.types
            where = f"{name or '?'}@line{number}" if taken or not name else name
            found.rejected.append(
                Rejection(id=where, reason=reason, value=value, threshold=threshold)
            )
            kind = row.get("articleType", "")
            found.types[where] = "" if kind.casefold() in ABSENT else kind
            continue
        seen.add(name)
        found.mended += literal or surplus > 0
        values = {key: "" if value.casefold() in ABSENT else value for key, value in row.items()}
        extra = {key: value for key, value in values.items() if key not in COLUMNS}
        columns = {key: values[key] for key in COLUMNS} | {"id": name}
        found.products.append(Product(**columns, extra=extra))
    return found


def _next_row(lines: Sequence[str], at: int, width: int) -> tuple[list[str], bool, int]:
    """The cells of the row that begins at a line, whether its quotes are literal, and its lines.

    A cell in quotes may hold line breaks. A line that is a whole row by itself is no part of one,
    though: there the quote was never closed, and only a row's own line may suffer from it.
    """
    for end in range(at + 1, len(lines) + 1):
        try:
            return next(csv.reader(["".join(lines[at:end])], strict=True), []), False, end - at
        except csv.Error as error:
            unclosed = "unexpected end of data" in str(error)
        if not unclosed or end == len(lines) or len(_literal(lines[end])) >= width:
            break
    return _literal(lines[at]), True, 1


def _literal(line: str) -> list[str]:
    return line.rstrip("\r\n").split(",")


def _row_problem(
    name: str, cells: list[str], header: list[str], literal: bool, seen: set[str]
) -> tuple[str, object, object] | None:
    if literal and (header[-1] != FREE_TEXT or any('"' in cell for cell in cells[:-1])):
        return "malformed_row", OPEN_QUOTE, None
    if len(cells) != len(header):
        return "malformed_row", f"{len(cells)} cells", f"{len(header)} cells"
    too_long = len(f"{name}.jpg".encode()) > 255
    if not name or name != Path(name).name or name.startswith(".") or too_long:
        return "unsafe_id", name, "a plain file name"
    if name in seen:
        return "duplicate_id", name, "one row per id"
    return None


def find_images(folder: Path, ids: Iterable[str]) -> tuple[dict[str, Path], list[Path]]:
    """The photo of each id, and the photos that are no id's.

    It is the file of `images/` with that stem, `.jpg` before other endings. An id without a photo gets
    the `.jpg` that it should have.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted((folder / "images").glob("*")):
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file():
            files.setdefault(normalize("NFC", path.stem), []).append(path)
    by_id: dict[str, Path] = {}
    for name in ids:
        there = files.pop(normalize("NFC", name), [])
        by_id[name] = min(
            there,
            key=lambda path: (ENDINGS.index(path.suffix.lower()), path.name),
            default=folder / "images" / f"{name}.jpg",
        )
    return by_id, [path for paths in files.values() for path in paths]
