"""A real base's folder under `models/`, fetched as a user fetches it, from a hub that is made up here.

    python -m tests.real_bases.build NAME FOLDER

prints the bytes of each file as it is published, as fetching writes one anew.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from likeness.repository import fetch
from tests.conftest import ROOT
from tests.real_bases.published import publish


def build(name: str, folder: Path) -> dict[str, int]:
    """Fetch the stand-in of `name`, a base of models/hub.yaml; returns its files' published sizes.

    What comes is what that file asks for: one that it forgets is missing here too.
    """
    from huggingface_hub.utils import filter_repo_objects

    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        hub = Path(temporary)
        publish(name, hub)
        paths = [path for path in hub.rglob("*") if path.is_file()]
        sizes = {path.relative_to(hub).as_posix(): path.stat().st_size for path in paths}

        def snapshot_download(
            repository: str, *, revision: str, local_dir: Path, allow_patterns: Sequence[str]
        ) -> None:
            for file in filter_repo_objects(sizes, allow_patterns=list(allow_patterns)):
                (local_dir / file).parent.mkdir(parents=True, exist_ok=True)
                (hub / file).rename(local_dir / file)

        def download_url_to_file(url: str, path: str) -> None:
            (hub / url.rsplit("/", 1)[-1]).rename(path)

        def wrong(base: fetch.RealBase, folder: Path) -> list[str]:
            """No file here has the hash of the published one, so those are wrong that are missing."""
            return [file for file in base.files if not (folder / file).is_file()]

        with (
            patch("huggingface_hub.snapshot_download", snapshot_download),
            patch("torch.hub.download_url_to_file", download_url_to_file),
            patch.object(fetch.RealBase, "wrong", wrong),
        ):
            fetch.download(fetch.read_bases(ROOT)[name], folder)
    return sizes


if __name__ == "__main__":
    print(json.dumps(build(sys.argv[1], Path(sys.argv[2]))))
