"""The files that a module is made of."""

from pathlib import Path

from likeness.common.closure import code_digest, import_closure

FILES = {
    "__init__.py": "",
    "a.py": "from house.b import thing\n\ndef later():\n    import house.sub.c\n",
    "b.py": "import os\nimport numpy\nthing = 1\n",
    "d.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house import b\n",
    "loop.py": "from house import loop2\n",
    "loop2.py": "from house import loop\n",
    "lone.py": "x = 'from house import b'\n",
    "sub/__init__.py": "",
    "sub/c.py": "from house.sub import e\nfrom house import missing\n",
    "sub/e.py": "",
}


def house(folder: Path) -> Path:
    for name, text in FILES.items():
        path = folder / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "house"


def closure(package: Path, name: str) -> list[str]:
    found = import_closure(package / name, package)
    return [path.relative_to(package.resolve()).as_posix() for path in found]


def test_imports_count_at_any_depth_and_inside_functions(tmp_path: Path) -> None:
    assert closure(house(tmp_path), "a.py") == ["a.py", "b.py", "sub/c.py", "sub/e.py"]


def test_what_never_runs_does_not_count(tmp_path: Path) -> None:
    package = house(tmp_path)
    assert closure(package, "d.py") == ["d.py"]
    assert closure(package, "lone.py") == ["lone.py"]


def test_a_loop_ends(tmp_path: Path) -> None:
    assert closure(house(tmp_path), "loop.py") == ["loop.py", "loop2.py"]


def test_the_digest_follows_the_contents(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.py", "two.py", "three.py")]
    for path, text in zip(paths, ("x = 1", "x = 1", "x = 2"), strict=True):
        path.write_text(text)
    one, two, three = map(code_digest, paths)
    assert one == two != three


def test_a_module_s_digest_covers_what_it_imports(tmp_path: Path) -> None:
    path = tmp_path / "uses.py"
    path.write_text("from likeness.common import io\n")
    assert {found.name for found in import_closure(path)} == {"errors.py", "io.py", "uses.py"}
