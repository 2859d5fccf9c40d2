"""Which files of this package a module imports, found by parsing them instead of running them."""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def import_closure(path: Path, package: Path = PACKAGE) -> list[Path]:
    """`path` and every file of the package that it imports, at any depth, sorted.

    Imports inside functions count; imports under `if TYPE_CHECKING:` do not, as they never run.
    `__init__.py` files hold only a docstring in this package (a test holds them to it), so they do
    not count.
    """
    seen: set[Path] = set()
    todo = [path.resolve()]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += _imports(current, package.resolve())
    return sorted(seen)


@cache
def code_digest(path: Path, package: Path = PACKAGE) -> str:
    """SHA-256 over the contents of a module's import closure."""
    total = hashlib.sha256()
    for file in import_closure(path, package):
        total.update(file.read_bytes())
    return total.hexdigest()


@cache
def _imports(path: Path, package: Path) -> list[Path]:
    found: list[Path] = []
    for node in _running_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == package.name:
                file = package.joinpath(*parts[1:]).with_suffix(".py")
                if file.is_file():
                    found.append(file)
    return found


def _running_nodes(node: ast.AST) -> list[ast.AST]:
    nodes: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        guard = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        if not guard:
            nodes += [child, *_running_nodes(child)]
    return nodes
