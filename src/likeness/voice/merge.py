"""Merge a trained voice into its base, as a folder that Coqui's `Xtts.load_checkpoint` loads.

The pipeline adds the adapter when it loads the base, so that no experiment stores a copy of the base.
"""

import argparse
import shutil
from pathlib import Path

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.voice.packing import write_archive
from likeness.voice.xtts import (
    ADAPTER,
    EMBEDDING,
    FILES,
    LATENTS,
    SPEAKERS,
    VOICE,
    Voice,
    load_xtts,
    read_speakers,
    read_weights,
)
from likeness.voice.xtts_files import check_xtts, read_adapter

SPEAKER = "tuned"  # the learnt voice's name among the speakers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to write; it must not exist yet")


def main(args: argparse.Namespace, root: Path) -> int:
    trained = root / "data" / "voice_train"
    merge(root / "models" / read_json(trained / "training.json")["base"], trained, args.out)
    print(f"{args.out}: a checkpoint for Coqui's Xtts; its speaker {SPEAKER} is the learnt voice")
    return 0


def merge(base: Path, trained: Path, out_dir: Path) -> None:
    """Write a base merged with what voice_train wrote; the same input gives the same bytes.

    Changed weights are stored in full precision, all others as in the base. The voice is added to the
    speakers, so that it can be used without references.

    Raises:
        LikenessError: the base is not an XTTS, the adapter belongs to another base, or `out_dir` exists.
    """
    import torch
    from safetensors.torch import load_file

    if out_dir.exists():
        raise LikenessError(f"{out_dir}: already exists; name a new folder")
    check_xtts(base)
    read_adapter(trained / ADAPTER, base)
    tuned = load_xtts(base, "cpu", adapter=trained / ADAPTER, whole=True).state_dict()
    state = {
        name: own if torch.equal(own.float(), tuned[name]) else tuned[name]
        for name, own in read_weights(base).items()
    }
    voice = load_file(trained / VOICE)
    speakers = read_speakers(base) | {SPEAKER: Voice(voice[LATENTS[0]], voice[EMBEDDING])}
    # Coqui reads a speaker's values by their order and not by their names.
    stored = {
        name: {LATENTS[0]: one.latents, EMBEDDING: one.embedding} for name, one in speakers.items()
    }
    out_dir.mkdir(parents=True)
    for name in FILES:
        if name != "model.pth":
            shutil.copyfile(base / name, out_dir / name)
    write_archive(out_dir / SPEAKERS, stored, like=base / "model.pth")
    write_archive(out_dir / "model.pth", {"model": state}, like=base / "model.pth")
