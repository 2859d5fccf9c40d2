"""Files of weights, looked at without reading them: are they whole, and of which shapes."""

import json
import zipfile
from pathlib import Path

from likeness.common.errors import LikenessError

Shapes = dict[str, tuple[int, ...]]

AGAIN = "run its stage of models/dvc.yaml again"
PICKLED = b"\x80\x02"  # how torch.save began before it wrote zip archives


def read_shapes(path: Path) -> Shapes:
    """The shape of each tensor of a safetensors file, by name.

    Raises:
        LikenessError: it is none, or is cut off.
    """
    try:
        with path.open("rb") as file:
            begin = 8 + int.from_bytes(file.read(8), "little")
            if begin > path.stat().st_size:
                raise ValueError("cut off")
            header = json.loads(file.read(begin - 8))
        header.pop("__metadata__", None)
        end = max((one["data_offsets"][1] for one in header.values()), default=0)
        shapes = {name: tuple(one["shape"]) for name, one in header.items()}
    except FileNotFoundError as error:
        raise LikenessError(f"{path}: no such file; {AGAIN}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LikenessError(f"{path}: not safetensors, or cut off; {AGAIN}") from error
    _check_size(path, begin + end)
    return shapes


def check_pickled(path: Path) -> None:
    """Raise `LikenessError` unless a file is what `torch.save` writes, and whole.

    Of an old one, which is no zip archive, the beginning alone is looked at.
    """
    if not path.is_file():
        raise LikenessError(f"{path}: no such file; {AGAIN}")
    with path.open("rb") as file:
        old = file.read(2) == PICKLED
    if not (old or zipfile.is_zipfile(path)):  # the archive's directory stands at its end
        raise LikenessError(f"{path}: not weights by torch.save, or cut off; {AGAIN}")


def _check_size(path: Path, size: int) -> None:
    found = path.stat().st_size
    if found != size:
        raise LikenessError(f"{path}: {found} bytes of {size}; {AGAIN}")
