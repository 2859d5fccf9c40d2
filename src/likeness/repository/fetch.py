"""Bring real base models to models/, pinned and checked, and have DVC track them: from the default remote
where a teammate shared them, else from their hub. Without a name: what there is, its licence and size.
"""

import argparse
import errno
import logging
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field

from likeness.common.errors import LikenessError, one_line
from likeness.common.io import atomic_path, digest, read_json, write_json
from likeness.common.params import Section, check_params
from likeness.repository.dvc import DVC

PINS = "models/hub.yaml"


class Pin(Section):
    """A file as it was published; its hash may be unknown."""

    bytes: Annotated[int, Field(gt=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None

    def problem(self, path: Path) -> str:
        """What is wrong with the file at a path, empty if nothing is."""
        if not path.is_file():
            return f"{path}: no such file"
        if self.sha256 is None:
            found = path.stat().st_size
            return "" if found == self.bytes else f"{path}: {found} bytes, {PINS} has {self.bytes}"
        hashed = digest(path)
        if hashed == self.sha256:
            return ""
        return f"{path}: SHA-256 is {hashed}, {PINS} has {self.sha256}"


class RealBase(Section, ABC):
    """What every real base has, whatever its source."""

    description: str
    repository: str
    revision: str
    license: str
    files: Annotated[dict[str, Pin], Field(min_length=1)]

    @property
    def size(self) -> str:
        return f"{sum(pin.bytes for pin in self.files.values()) / 1e9:.1f} GB"

    @property
    def source(self) -> dict[str, str]:
        """The content of source.json. It is written last, so a folder that has it is complete."""
        return {"repository": self.repository, "revision": self.revision, "license": self.license}

    def wrong(self, folder: Path) -> list[str]:
        """Those of `files` that are missing or differ from what was published."""
        return [name for name, pin in self.files.items() if pin.problem(folder / name)]

    @abstractmethod
    def download(self, folder: Path, names: Sequence[str]) -> list[str]:
        """Download these of `files`, and the configs, to `folder`; returns the files that are missing."""

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Change the downloaded and checked files where the pipeline needs it."""


class HubBase(RealBase):
    """A repository of a model hub."""

    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    configs: list[str]

    def download(self, folder: Path, names: Sequence[str]) -> list[str]:
        from huggingface_hub import snapshot_download

        # Its warnings about retries would stand between the lines of this command.
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        snapshot_download(
            self.repository,
            revision=self.revision,
            local_dir=folder,
            allow_patterns=sorted({*names, *self.configs}),
        )
        # It raises no error if the hub does not answer and the folder already has some files.
        return [name for name in (*names, *self.configs) if not any(folder.glob(name))]

    def prepare(self, folder: Path) -> None:
        shutil.rmtree(
            folder / ".cache", ignore_errors=True
        )  # contains times, which differ in each download


class XttsBase(HubBase):
    """A checkpoint of Coqui's XTTS; the pickled config in it is removed."""

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        take_config_out(folder / "model.pth")


class InceptionBase(RealBase):
    """InceptionV3 for torch-fidelity, with the config that `likeness.image.features` reads."""

    def download(self, folder: Path, names: Sequence[str]) -> list[str]:
        from torch.hub import download_url_to_file

        folder.mkdir(parents=True, exist_ok=True)
        release = f"https://github.com/{self.repository}/releases/download/{self.revision}"
        for name in names:
            download_url_to_file(f"{release}/{name}", str(folder / name))
        return []

    def prepare(self, folder: Path) -> None:
        config = {
            "extractor": "inception_v3",
            "weights": next(iter(self.files)),
            "name": "inception-v3-compat",
            "layers": ["2048", "logits_unbiased"],
            "features": 2048,
        }
        write_json(folder / "config.json", config)


SCHEMA: dict[str, type[Section]] = {
    "sd15": HubBase,
    "sdxl": HubBase,
    "controlnet_canny_sd15": HubBase,
    "controlnet_canny_sdxl": HubBase,
    "clip_vit_l14": HubBase,
    "inception_v3": InceptionBase,
    "dinov2": HubBase,
    "mistral_7b_instruct": HubBase,
    "xtts_v2": XttsBase,
    "whisper_small": HubBase,
    "whisper_large_v3": HubBase,
    "wavlm_sv": HubBase,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="of models/hub.yaml")


def main(args: argparse.Namespace, root: Path) -> int:
    bases = read_bases(root)
    for name in args.names:
        if name not in bases:
            raise LikenessError(f"{name}: no real base of {PINS}; it has {', '.join(bases)}")
    if not args.names:
        print(listing(bases, root))
    for name in args.names:
        fetch(bases[name], root, name)
    return 0


def read_bases(root: Path) -> dict[str, RealBase]:
    """Every base of models/hub.yaml by its name. Raises `LikenessError` that lists every problem."""
    return cast(dict[str, RealBase], check_params(root / PINS, SCHEMA))


def listing(bases: dict[str, RealBase], root: Path) -> str:
    """A line a base: its name, whether it is here, its size, licence and what it is."""
    rows = [("name", "here", "size", "licence", "what it is")]
    for name, base in bases.items():
        here = "yes" if is_whole(base, root / "models" / name) else "no"
        rows.append((name, here, base.size, base.license, base.description))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def is_whole(base: RealBase, folder: Path) -> bool:
    """Whether the folder is complete. Its hashes were checked at the download; DVC tracks it since."""
    source = folder / "source.json"
    return source.is_file() and read_json(source) == base.source


def fetch(base: RealBase, root: Path, name: str) -> None:
    """Download a base to models/NAME and have DVC track it in models/NAME.dvc.

    Raises:
        LikenessError: it cannot be downloaded, or is not the pinned one.
    """
    folder, tracked = root / "models" / name, f"models/{name}.dvc"
    shared = (root / tracked).is_file()
    if shared and _dvc(root, "pull", tracked) and is_whole(base, folder):
        print(f"{name}: in models/{name}, as {tracked} has it")
        return
    if not is_whole(base, folder):
        download(base, folder)
    if not _dvc(root, "add", f"models/{name}"):
        raise LikenessError(f"models/{name}: DVC cannot track it, as it says above")
    print(
        f"{name}: in models/{name}; `dvc push {tracked}` keeps it in your remote, "
        f"`git add {tracked}` shares it"
    )


def download(base: RealBase, folder: Path) -> None:
    """Download the missing files, check all of them, and mark the folder as complete.

    Raises:
        LikenessError: the base cannot be downloaded, or is not the pinned one.
    """
    name, source = folder.name, f"{base.repository}@{base.revision}"
    print(f"{name}: {base.size} from {source}, licence {base.license}", flush=True)
    wanted = base.wrong(folder)
    for file in wanted:
        (folder / file).unlink(missing_ok=True)  # as a downloader may take it for complete
    try:
        missing = base.download(folder, wanted)
        why = f"{', '.join(missing)} did not come" if missing else ""
    except Exception as error:  # The libraries' errors have no common base: network, look-up, disk.
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        why = one_line(error)
    if why:
        raise LikenessError(
            f"{name}: cannot fetch {source} ({why}); run this command where it can be reached"
        )
    for file in base.wrong(folder):
        raise LikenessError(base.files[file].problem(folder / file))
    base.prepare(folder)
    write_json(folder / "source.json", base.source)


def take_config_out(checkpoint: Path) -> None:
    """Remove everything but the weights from a checkpoint of XTTS.

    Coqui's loader rewrites the published file in place because of its pickled config, and a file that
    DVC tracks must not change when it is read.
    """
    import torch

    class Config:
        """Takes the place of the config's classes, as their package may not be installed."""

    # Only the classes that the checkpoint names are allowed, and each becomes the harmless one above.
    names: list[Any] = torch.serialization.get_unsafe_globals_in_checkpoint(checkpoint)
    with torch.serialization.safe_globals([(Config, name) for name in names]):
        weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    # Given a path, torch writes its name into the file, which would differ each time.
    with atomic_path(checkpoint) as temporary, temporary.open("wb") as file:
        torch.save({"model": weights}, file)


def _dvc(root: Path, *command: str) -> bool:
    """Whether a DVC command succeeds. Its progress and errors are shown, its other output is not."""
    done = subprocess.run(
        [*DVC, *command],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    return done.returncode == 0
