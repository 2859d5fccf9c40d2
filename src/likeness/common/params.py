"""`params.yaml`, typed and checked as a whole before any work starts.

A section is a `Section` subclass in the module that reads it. It has no defaults: DVC tracks the file,
so a change of a value that is not in the file would be seen by nobody.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from likeness.common.errors import LikenessError

S = TypeVar("S", bound="Section")


class Section(BaseModel):
    """One section of a params file: every key required, no other key, no conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def load_params(path: Path, schema: Mapping[str, type[Section]], section: type[S]) -> S:
    """The section of class `section`, after the whole file was checked against `schema`.

    Args:
        path: the params file.
        schema: section name to class, one for each section the file must have.
        section: which of the schema's classes to return.

    Raises:
        LikenessError: all that is wrong with the file, by dotted key.
    """
    sections = check_params(path, schema)
    return next(value for value in sections.values() if type(value) is section)


def check_params(path: Path, schema: Mapping[str, type[Section]]) -> dict[str, Section]:
    """Every section of the file. Raises one `LikenessError` that lists every problem."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LikenessError(f"{path}: no such file; run from the repository's root") from error
    # A ValueError: not UTF-8, or a date that no calendar has.
    except (yaml.YAMLError, ValueError) as error:
        raise LikenessError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise LikenessError(f"{path}: expected sections, found {type(values).__name__}")
    sections: dict[str, Section] = {}
    problems = [f"{name}: unknown section" for name in values if name not in schema]
    for name, cls in schema.items():
        if name not in values:
            problems.append(f"{name}: missing section")
            continue
        try:
            sections[name] = cls.model_validate(values[name])
        except ValidationError as error:
            problems += [_problem(name, detail) for detail in error.errors()]
    if problems:
        raise LikenessError(f"{path}: " + "; ".join(problems))
    return sections


def _problem(section: str, detail: Mapping[str, Any]) -> str:
    key = ".".join([section, *map(str, detail["loc"])])
    if detail["type"] == "missing":
        return f"{key}: missing"
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    rule = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{key}: should be {rule} (got {detail['input']!r})"
