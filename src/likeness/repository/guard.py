"""Nothing that a stage depends on may change while it runs, or dvc.lock would be wrong.

DVC hashes a stage's dependencies after its command has ended (treeverse/dvc#11058), so dvc.lock would
name code and params that did not make the outputs.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from likeness.common.errors import LikenessError, shortened
from likeness.common.io import digest
from likeness.repository.dvc import flat

# Files of these folders are too big to be read twice, so they are compared by size and time. All others
# are compared by content, so saving a file without a change stops nothing.
DATA = ("data", "models")
PARAMS = "params.yaml"
# The loader in C, where PyYAML has it, is about ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

State = Mapping[str, object]  # a digest, or size and time, by file; a value by dotted param


@dataclass(frozen=True)
class Snapshot:
    """The state of a stage's code, params and inputs when it began."""

    root: Path
    stage: str
    deps: Sequence[str]
    params: Sequence[str]
    state: State

    def check(self) -> None:
        """Raise `LikenessError` if anything changed since; it names what did."""
        now = read_state(self.root, self.deps, self.params)
        names = sorted(self.state.keys() | now.keys())
        changed = [name for name in names if self.state.get(name) != now.get(name)]
        if not changed:
            return
        raise LikenessError(
            f"{shortened(changed)}: changed while {self.stage} ran; run dvc repro again"
        )


def snapshot(root: Path, address: str) -> Snapshot:
    """The state of a stage of `root`'s dvc.yaml, to be checked when the stage has done its work.

    Args:
        address: what DVC calls the stage: its name, and before that the path of dvc.yaml where
            `dvc repro` was started in another folder, as in `../dvc.yaml:image_train`.

    Raises:
        LikenessError: dvc.yaml has no such stage.
    """
    stage = address.rpartition(":")[2]
    entry = _read_yaml(root / "dvc.yaml").get("stages", {}).get(stage)
    if entry is None:
        raise LikenessError(f"{root / 'dvc.yaml'}: no stage {stage}")
    values = _read_yaml(root / PARAMS)
    deps = [filled(_path(dep), values) for dep in entry.get("deps", [])]
    params = entry.get("params", [])
    return Snapshot(root, stage, deps, params, read_state(root, deps, params))


def filled(text: str, values: Any) -> str:
    """`text` with every `${dotted.key}` replaced, as DVC does."""
    return re.sub(r"\$\{([^}]+)\}", lambda found: str(_value_at(values, found[1].strip())), text)


def read_state(root: Path, deps: Sequence[str], params: Sequence[str]) -> State:
    """The present state of files and folders, and of keys of params.yaml."""
    ignored = _ignored(root)
    state: dict[str, object] = {}
    for dep in deps:
        mark = _stamp if dep.split("/")[0] in DATA else digest
        for path in _files(root / dep, ignored):
            state[path.relative_to(root).as_posix()] = mark(path)
    values = _read_yaml(root / PARAMS)
    for key in params:
        found = flat(_value_at(values, key), key) or {key: {}}
        state |= {f"{PARAMS} ({name})": value for name, value in found.items()}
    return state


def _value_at(values: Any, key: str) -> Any:
    """The value of a dotted key; None if it is not there."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _path(dep: Any) -> str:
    return dep if isinstance(dep, str) else str(next(iter(dep)))


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), LOADER)
    except (OSError, yaml.YAMLError) as error:
        raise LikenessError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error


def _ignored(root: Path) -> list[str]:
    """The patterns of .dvcignore, each of which is a name in this repository."""
    path = root / ".dvcignore"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [line for line in lines if line and not line.startswith("#")]


def _files(path: Path, ignored: Sequence[str]) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not _matches(name, ignored)]
        yield from (Path(folder, name) for name in names if not _matches(name, ignored))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
