"""Make the folder that run.py runs on a machine with a GPU and no network, and an archive of it.

    python benchmarks/gpu_first_contact/pack.py PART ... [--wheels 3.12] [--limit 56]

It holds the source, the mini bases of a lane, a few inputs and, if asked for, the packages that such a
machine may lack, for its version of Python. What else it needs is made there: networks of full size
with random weights.
"""

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from run import PACKED, Job, begin  # noqa: E402

from likeness.common.io import read_jsonl, write_json  # noqa: E402
from likeness.common.manifest import write_manifest  # noqa: E402
from tests.conftest import bundled_model  # noqa: E402

SOURCE = ("src", "stages", "conf", "tests/__init__.py", "tests/conftest.py", "tests/real_bases")
FILES = ("dvc.yaml", "params.yaml")
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", "test_*.py")
PHOTOS, RECORDINGS = 96, ("01_collection.flac",)
BUNDLED = ("sd_mini", "clip_mini", "xtts_mini")  # the others are made from packages
PLATFORMS = ("2_28", "2_27", "2_17", "2014", "1")


@dataclass(frozen=True)
class Part:
    """What can be left out: bases, and packages that a machine with PyTorch may lack."""

    bases: tuple[str, ...]
    packages: tuple[str, ...]


PARTS = {
    "image": Part(
        ("sd_mini", "clip_mini", "vision_features"),
        ("diffusers", "efficientnet-lite-pytorch", "torch-fidelity", "imagehash"),
    ),
    "voice": Part(
        ("xtts_mini", "speaker_encoder", "dnsmos"),
        (
            "coqui-tts",
            "coqui-tts-trainer",
            "coqpit-config",
            "anyascii",
            "ko-speech-tools",
            "librosa",
            "audioread",
            "decorator",
            "pooch",
            "platformdirs",
            "jiwer",
            "rapidfuzz",
        ),
    ),
    "recogniser": Part((), ("ctranslate2", "faster-whisper")),
    "whisper": Part(("whisper_tiny_en",), ("ctranslate2", "faster-whisper", "av")),
}
# Of the library itself, whatever part.
PACKAGES = (
    "pydantic", "pydantic-core", "annotated-types", "typing-inspection", "soundfile", "cffi", "soxr",
    "pyloudnorm", "whisper-normalizer", "more-itertools", "num2words",
)  # fmt: skip


def pack(parts: Sequence[str], python: str) -> None:
    """Fill the folder."""
    shutil.rmtree(PACKED, ignore_errors=True)
    PACKED.mkdir(parents=True)
    for name in (*SOURCE, *FILES):
        source, target = ROOT / name, PACKED / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=IGNORED)
        else:
            shutil.copy(source, target)
    (PACKED / "models").mkdir()
    for path in (ROOT / "models").glob("*.*"):
        shutil.copy(path, PACKED / "models")
    shutil.copy(Path(__file__).parent / "run.py", PACKED)
    for part in parts:
        for name in PARTS[part].bases:
            put_base(name, PACKED / "models" / name)
    write_json(PACKED / "parts.json", list(parts))
    if "image" in parts:
        put_photos(PACKED / "data" / "raw" / "sample_catalog")
    if set(parts) - {"image"}:
        put_speech(PACKED / "data")
    if python:
        needed = {*PACKAGES, *(name for part in parts for name in PARTS[part].packages)}
        put_wheels(sorted(needed), python, PACKED / "wheels")


def put_base(name: str, folder: Path) -> None:
    """A mini base."""
    if name in BUNDLED:
        bundled_model(name, folder)
    else:
        script = [sys.executable, f"{name}.py", "--out-dir", str(folder)]
        subprocess.run(script, cwd=ROOT / "models", check=True)


def put_photos(folder: Path) -> None:
    """The first sound casual shoes of the sample catalogue."""
    with tempfile.TemporaryDirectory() as temporary:
        sample = bundled_model("sample_catalog", Path(temporary) / "sample")
        broken = {row["id"] for row in read_jsonl(sample / "flaws.jsonl")}
        with (sample / "styles.csv").open(encoding="utf-8", newline="") as file:
            head, *lines = csv.reader(file)
        kind = head.index("articleType")
        rows = [row for row in lines if row[kind] == "Casual Shoes" and row[0] not in broken]
        (folder / "images").mkdir(parents=True)
        with (folder / "styles.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *rows[:PHOTOS]])
        for row in rows[:PHOTOS]:
            shutil.copy(sample / "images" / f"{row[0]}.jpg", folder / "images")


def put_speech(data: Path) -> None:
    """What voice_dataset makes of some recordings of the sample, and a text list.

    The stages up to it run here: none of them computes on a GPU but the recogniser, and on the other
    machine there may be none.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for name in ("whisper_tiny_en", "speaker_encoder", "dnsmos"):
            put_base(name, work / "models" / name)
        sample = bundled_model("sample_voice", work / "sample")
        root = work / "main"
        recordings = root / "data" / "raw" / "sample_voice"
        recordings.mkdir(parents=True)
        for name in RECORDINGS:
            shutil.copy(sample / name, recordings)
        write_manifest(root / "data" / "voice_download" / "manifest.jsonl", [])
        begin()
        job = Job(work, "cpu", False, work / "rows.jsonl")
        for verb in ("segment", "transcribe", "clips", "dataset"):
            job.stage(f"voice_{verb}", job.checkout("main"))
        shutil.copytree(root / "data" / "voice_dataset", data / "voice_dataset")
    (data / "raw").mkdir(exist_ok=True)
    (data / "raw" / "sample_sentences.txt").write_text("Free delivery on all orders.\n")


def put_wheels(names: Sequence[str], python: str, folder: Path) -> None:
    """Packages of requirements.lock for another Python on 64-bit Linux, without what they need."""
    lock = (ROOT / "requirements.lock").read_text()
    pinned = {plain(line.split("==")[0]): line for line in lock.splitlines() if "==" in line}
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
    for version in PLATFORMS:
        command += ["--platform", f"manylinux{'_' * ('_' in version)}{version}_x86_64"]
    command += ["--dest", str(folder), *(pinned[plain(name)] for name in names)]
    subprocess.run(command, check=True)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(args: argparse.Namespace) -> None:
    pack(args.parts, args.wheels)
    for path in sorted(path for path in PACKED.rglob("*") if path.is_file()):
        if path.stat().st_size > 2_000_000:
            print(f"{path.stat().st_size / 2**20:6.1f} MiB  {path.relative_to(PACKED)}")
    made = shutil.make_archive(str(PACKED.parent / "-".join(args.parts)), "gztar", PACKED)
    size = Path(made).stat().st_size / 2**20
    print(f"{size:6.1f} MiB  {made}, of {args.limit:.0f} that it may have")
    if size > args.limit:
        sys.exit("too large: pack fewer parts, or set another --limit")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--wheels", default="", metavar="PYTHON", help="pack packages for 3.12, say"
    )
    parser.add_argument("--limit", type=float, default=56.0, help="MiB that the archive may have")
    main(parser.parse_args())
