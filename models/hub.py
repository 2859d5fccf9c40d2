"""Fetch a real base model, pinned and checked; needs a machine that reaches its model hub."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from settings import FileModel, Hub, HubModel, TorchHubModel, XttsModel, begin

from likeness.common.cli import run
from likeness.common.errors import LikenessError
from likeness.common.io import atomic_path, digest, write_json


def main(argv: Sequence[str]) -> None:
    args, cfg, _ = begin(__doc__, argv, Hub, "out_dir")
    name, models = args.out_dir.name, dict(cfg)
    if name not in models:
        raise LikenessError(
            f"--out-dir {args.out_dir}: its name must be one of {', '.join(models)} (params.yaml: hub)"
        )
    fetch(models[name], args.out_dir)


def fetch(model: HubModel | FileModel | TorchHubModel, folder: Path) -> None:
    """Download the model into `folder` and check its hashes.

    Raises:
        LikenessError: the model cannot be had, or is not the pinned one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if isinstance(model, HubModel):
            expected = _snapshot(model, folder)
        elif isinstance(model, FileModel):
            expected = _file(model, folder)
        else:
            expected = _torch_hub(model, folder)
    except Exception as error:  # The libraries' errors have no common base: network, lookup, disk.
        values = model.model_dump()
        source = values.get("repository") or values.get("url") or values["source"]
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise LikenessError(
            f"{folder.name}: cannot fetch {source} ({why}); run this stage where it can be reached"
        ) from error
    for name, pinned in expected.items():
        if (found := digest(folder / name)) != pinned:
            raise LikenessError(f"{folder / name}: SHA-256 is {found}, params.yaml has {pinned}")
    if isinstance(model, XttsModel):
        take_config_out(folder / "model.pth")


def take_config_out(checkpoint: Path) -> None:
    """Leave only the weights in a checkpoint of XTTS.

    Coqui's loader meets the published one's pickled config by rewriting the file in place, and a
    file that DVC tracks must not change when it is read.
    """
    import torch

    class Config:
        """Stands for the config's classes, whose package need not be there."""

    # Only the classes that the checkpoint names may be made, and all as that harmless one.
    names = torch.serialization.get_unsafe_globals_in_checkpoint(checkpoint)
    with torch.serialization.safe_globals([(Config, name) for name in names]):
        weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    with atomic_path(checkpoint) as temporary:
        torch.save({"model": weights}, temporary)


def _snapshot(model: HubModel, folder: Path) -> dict[str, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.logging import set_verbosity_error

    set_verbosity_error()  # Its retries are not this stage's one line.
    snapshot_download(
        model.repository, revision=model.revision, local_dir=folder, allow_patterns=model.files
    )
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # holds times of the download
    write_json(folder / "source.json", model.model_dump())
    return model.sha256


def _file(model: FileModel, folder: Path) -> dict[str, str]:
    """InceptionV3 for torch-fidelity, with the config that `likeness.image.features` reads."""
    from torch.hub import download_url_to_file

    name = model.url.rsplit("/", 1)[-1]
    download_url_to_file(model.url, str(folder / name))
    config = {
        "extractor": "inception_v3",
        "weights": name,
        "name": "inception-v3-compat",
        "layers": ["2048", "logits_unbiased"],
        "features": 2048,
        "source": model.url,
    }
    write_json(folder / "config.json", config)
    return {name: model.sha256}


def _torch_hub(model: TorchHubModel, folder: Path) -> dict[str, str]:
    """DINOv2 for torch-fidelity, which loads it from torch.hub's folder."""
    import torch

    torch.hub.set_dir(str(folder))
    torch.hub.load(model.source, model.entry, trust_repo=True)
    config = {"extractor": "dinov2", "weights": None, "name": model.name, "layers": ["dinov2"]}
    write_json(folder / "config.json", config)
    return {}


if __name__ == "__main__":
    run(main)
