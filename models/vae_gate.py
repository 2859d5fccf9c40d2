"""The gate of sd_mini: real photos through its autoencoder alone.

What is lost here no denoiser and no adapter brings back, so sd_mini trains none before the gate is
passed. Afterwards image_evaluate measures the same. To measure a base by itself, run
`python -m models.vae_gate` with `--base models/sd_mini --dataset data/image_prepare` and
`--extractor models/vision_features`.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from likeness.common.cli import run
from likeness.common.errors import LikenessError
from likeness.common.estimates import Array
from likeness.common.manifest import read_manifest
from likeness.common.runtime import Runtime
from likeness.image import fidelity
from likeness.image.autoencoder import through
from likeness.image.extract import extract
from likeness.image.rows import PreparedImage
from models.settings import Gate, SdMini, begin


def main(argv: Sequence[str]) -> None:
    args, cfg, rt = begin(__doc__, argv, SdMini, "base", "dataset", "extractor")
    pass_gate(cfg.gate, base=args.base, dataset=args.dataset, extractor=args.extractor, rt=rt)


def pass_gate(
    cfg: Gate, *, base: Path, dataset: Path, extractor: Path, rt: Runtime
) -> dict[str, Any]:
    """Compare train photos, as they are and through the autoencoder in `base`, with test photos.

    Returns:
        `gate_n`, and Fréchet distance and precision of both (`gate_floor_*`, `gate_*`).

    Raises:
        LikenessError: the figures miss the limits in `cfg`.
    """
    rows = read_manifest(dataset / "manifest.jsonl", PreparedImage)
    paths = {
        split: {row.id: dataset / row.file_name for row in rows if row.split == split}
        for split in ("train", "test")
    }
    test = extract(paths["test"], extractor=extractor, rt=rt).vectors
    with tempfile.TemporaryDirectory() as folder:
        decoded = write_decoded(paths["train"], base / "vae", Path(folder), rt)
        pools = {
            "gate_floor": extract(paths["train"], extractor=extractor, rt=rt).vectors,
            "gate": extract(decoded, extractor=extractor, rt=rt).vectors,
        }
    n = min(len(test), len(pools["gate"]))

    def mean(pool: Array, measure: Callable[[Array], float]) -> Any:
        estimate = fidelity.subset_estimate(
            lambda chosen: measure(pool[chosen]), len(pool), n, cfg.rounds, rt.seed
        )
        return estimate.rounded().value

    found: dict[str, Any] = {"gate_n": n}
    for name, pool in pools.items():
        found[f"{name}_frechet"] = mean(pool, lambda made: fidelity.frechet(made, test))
        found[f"{name}_precision"] = mean(
            pool, lambda made: fidelity.prdc(test, made, cfg.neighbours)["precision"]
        )
    ratio = found["gate_frechet"] / found["gate_floor_frechet"]
    said = (
        f"{base}: {n} real photos through the autoencoder have {ratio:.2f} times the Fréchet distance "
        f"of untouched ones (at most {cfg.frechet}) and precision {found['gate_precision']:.2f} (at "
        f"least {cfg.precision})"
    )
    if ratio > cfg.frechet or found["gate_precision"] < cfg.precision:
        raise LikenessError(f"{said}; train sd_mini.vae longer, or with other weights of its loss")
    rt.log(said)
    return found


def write_decoded(
    paths: dict[str, Path], vae_folder: Path, folder: Path, rt: Runtime
) -> dict[str, Path]:
    """Write the photos that the autoencoder makes of `paths` to `folder`, and give their paths."""
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(vae_folder, torch_dtype=torch.float32).to(rt.device)
    names = list(paths)
    for at in rt.progress(range(0, len(names), 8), "gate"):
        part = names[at : at + 8]
        for name, image in zip(part, through(vae, [paths[name] for name in part]), strict=True):
            image.save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in names}


if __name__ == "__main__":
    run(main)
