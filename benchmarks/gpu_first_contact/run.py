"""First contact with a GPU: every stage that computes there, small and at full size, in ten minutes.

It runs the folder that pack.py makes, on a machine that needs no network. Each item is a process of its
own, so that its peak memory is its own and what breaks ends only itself. After each of them `table.md`
and `results.json` are written again, so that a run that is cut off leaves what was done.

    python run.py [--device cuda] [--out .] [--seconds 560] [--dry-run] [ITEM ...]

README.md beside it says what the table shows and what it cannot show.
"""

import argparse
import importlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
# In the packed folder this script lies at its root, in the repository it does not.
PACKED = HERE if (HERE / "params.yaml").is_file() else HERE.parents[1] / ".gpu" / "first_contact"
DATA = ("raw", "voice_dataset")  # that are packed
NETWORKS = {  # at full size, in the order in which they are needed, and what a dry run has instead
    "inception_v3": "vision_features",
    "sd15": "sd_mini",
    "xtts_v2": "xtts_mini",
    "clip_vit_l14": "clip_mini",
    "dinov2": "vision_features",
    "wavlm_sv": "speaker_encoder",
    "whisper_small": "whisper_tiny_en",
}
# Amounts by which every line runs and little is learnt. What was hardly learnt breaks every rule.
FEW: dict[str, Any] = {
    "base.workers": 4,
    "image_train.epochs": 2,
    "image_train.warmup_steps": 0,
    "image_train.evaluate_every": 9,
    "image_train.sample_every": 9,
    "image_train.samples": 4,
    "image_train.sample_steps": 4,
    "image_generate.count": 24,
    "image_generate.baseline": 16,
    "image_generate.steps": 6,
    "image_generate.min_clean_background": 0.0,
    "image_generate.max_cut_off": 1.0,
    "image_generate.min_coverage": 0.0,
    "image_generate.outlier_factor": 1e9,
    "image_generate.copy_factor": 0.0,
    "image_evaluate.neighbours": 3,
    "image_evaluate.rounds": 20,
    "voice_dataset.train_share": 0.6,
    "voice_dataset.val_share": 0.2,
    "voice_dataset.block_seconds": 5.0,
    "voice_train.epochs": 1,
    "voice_train.warmup_steps": 0,
    "voice_train.evaluate_every": 1,
    "voice_train.sentences": 2,
    "voice_train.references": 2,
    "voice_synthesize.references": 2,
    "voice_synthesize.others": 2,
    "voice_synthesize.max_rejected_share": 1.0,
    "voice_evaluate.rounds": 20,
    "voice_evaluate.samples": 0,
}
SD15: dict[str, Any] = {
    "image_train.epochs": 1,
    "image_generate.steps": 4,
    # InceptionV3 with random weights takes all photos for one.
    "image_prepare.near_hash_bits": 0,
}
XTTS: dict[str, Any] = {
    "voice_train.sentences": 1,
    "inputs.asr": "whisper_tiny_en",  # the larger ones take longer to build than to try
}
DRY: dict[str, Any] = {
    "image_prepare.resolution": 64,
    "image_prepare.min_side": 32,
    "image_train.epochs": 1,
    "image_train.samples": 2,
    "image_train.sample_steps": 1,
    "image_generate.count": 8,
    "image_generate.baseline": 8,
    "image_generate.steps": 1,
    "voice_train.sentences": 1,
    "voice_synthesize.others": 1,
}


# --- one item, in a process of its own -------------------------------------------------------------


@dataclass
class Job:
    """What an item has to work with.

    Attributes:
        work: folder of this run, with a checkout for each set of outputs.
        device: cpu or cuda.
        dry: small bases stand for those of full size.
        rows: file that the item's measurements are appended to.
    """

    work: Path
    device: str
    dry: bool
    rows: Path

    def checkout(self, name: str, *borrowed: str) -> Path:
        """A root for stages; what is `borrowed` of another (`main/data/image_prepare`) is linked."""
        root = self.work / name
        (root / "data").mkdir(parents=True, exist_ok=True)
        links = {
            root / "models": self.work / "models",
            **{root / "data" / part: PACKED / "data" / part for part in DATA},
            **{
                root / Path(part).relative_to(Path(part).parts[0]): self.work / part
                for part in borrowed
            },
        }
        for link, target in links.items():
            if target.exists() and not link.exists():
                link.symlink_to(target)
        return root

    def stage(
        self, name: str, root: Path, conf: str = "", changes: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run a stage's script in a checkout with few items, as dvc.yaml calls it; returns its metrics.

        Args:
            name: of the stage.
            root: the checkout.
            conf: a file of conf/ whose base is taken, such as image/sd15.
            changes: params by dotted key.
        """
        import yaml

        from likeness import stage

        params = self.params(conf, changes or {})
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        command = yaml.safe_load((PACKED / "dvc.yaml").read_text())["stages"][name]["cmd"]
        for key, value in params["inputs"].items():
            command = command.replace(f"${{inputs.{key}}}", value)
        stage.ROOT = root
        with chdir(root):
            importlib.import_module(f"stages.{name}").main(shlex.split(command)[3:])
        found: dict[str, Any] = json.loads((root / "metrics" / f"{name}.json").read_text())
        return found

    def params(self, conf: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The repository's params with few items, those of a file of conf/, and changes."""
        import yaml

        params: dict[str, Any] = yaml.safe_load((PACKED / "params.yaml").read_text())
        more = yaml.safe_load((PACKED / "conf" / f"{conf}.yaml").read_text()) if conf else {}
        for section, values in more.items():
            params[section].update(values)
        dry = DRY if self.dry else {}
        for key, value in {**FEW, **changes, **dry, "base.device": self.device}.items():
            section, name = key.split(".")
            params[section][name] = value
        params["inputs"] = {key: self.base(value) for key, value in params["inputs"].items()}
        return params

    def base(self, name: str) -> str:
        """The folder under models/ for a base of this name."""
        return NETWORKS.get(name, name) if self.dry else name

    @contextmanager
    def measured(self, what: str) -> Iterator[dict[str, Any]]:
        """Seconds and peak memory of what is inside; `note` of the row is the caller's to fill in."""
        import resource

        import torch

        cuda = self.device == "cuda"
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        row: dict[str, Any] = {"what": what, "ok": True, "note": ""}
        started = time.monotonic()
        yield row
        if cuda:
            torch.cuda.synchronize()
            row["allocated_gib"] = torch.cuda.max_memory_allocated() / 2**30
            row["reserved_gib"] = torch.cuda.max_memory_reserved() / 2**30
        else:  # of the process since its start
            row["allocated_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        row["seconds"] = time.monotonic() - started
        self.write(row)

    def write(self, row: Mapping[str, Any]) -> None:
        with self.rows.open("a") as file:
            file.write(json.dumps(row) + "\n")


def machine(job: Job) -> None:
    """What is here."""
    import torch

    from likeness.common.runtime import half_of

    with job.measured("a matrix product") as row:
        ones = torch.ones(512, 512, device=job.device)
        row["ok"] = float((ones @ ones)[0, 0]) == 512
    name, driver = "CPU", ""
    if job.device == "cuda":
        name = torch.cuda.get_device_name()
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    found = {
        "device": name,
        "driver": driver,
        "cuda": torch.version.cuda if job.device == "cuda" else "",
        "auto precision": half_of(job.device),
        "recogniser": ""
        if hears()
        else "none: nothing is heard, and every word counts as an error",
        "python": sys.version.split()[0],
        **{one: version(one) for one in ("torch", "diffusers", "transformers", "coqui-tts")},
    }
    (job.work / "machine.json").write_text(json.dumps(found))


def version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


# --- the lanes with the mini bases -----------------------------------------------------------------


def prepare_images(job: Job) -> None:
    root = job.checkout("main")
    job.stage("image_analyze", root)
    with job.measured("features of photos, splits") as row:
        found = job.stage("image_prepare", root)
        row["note"] = f"{found['train']} train, {found['val']} val, {found['test']} test photos"


def train_images(job: Job) -> None:
    with job.measured("stage image_train") as row:
        root = job.checkout("main")
        row["note"] = learnt(job.stage("image_train", root)) + pace(root, "image_train")


def generate_images(job: Job) -> None:
    with job.measured("stage image_generate") as row:
        row["note"] = drawn(job.stage("image_generate", job.checkout("main")))


def evaluate_images(job: Job) -> None:
    with job.measured("stage image_evaluate") as row:
        row["note"] = judged(job.stage("image_evaluate", job.checkout("main")), "frechet")


def train_voice(job: Job) -> None:
    with job.measured("stage voice_train") as row:
        root = job.checkout("main")
        row["note"] = learnt(job.stage("voice_train", root)) + pace(root, "voice_train")


def speak(job: Job) -> None:
    with job.measured("stage voice_synthesize") as row:
        row["note"] = said(job.stage("voice_synthesize", job.checkout("main")))


def evaluate_voice(job: Job) -> None:
    with job.measured("stage voice_evaluate") as row:
        found = job.stage("voice_evaluate", job.checkout("main"))
        row["note"] = f"similarity {found['base_similarity']}, real {found['real_similarity']}"


def learnt(metrics: Mapping[str, Any]) -> str:
    before = metrics.get("val_loss_base", metrics.get("val_loss_without_adapter"))
    return (
        f"{metrics['steps']} steps, {metrics['trainable_parameters']} weights, validation loss "
        f"{before:.4f}, then {metrics['val_loss']:.4f}"
    )


def pace(root: Path, stage: str) -> str:
    newest = json.loads((root / "timings" / stage / "newest.json").read_text())
    return f"; {newest['seconds_per_step']:.3f} s a step"


def drawn(metrics: Mapping[str, Any]) -> str:
    return f"{metrics['kept']} images kept"


def judged(metrics: Mapping[str, Any], distance: str) -> str:
    return f"{distance} {metrics[f'base_{distance}']}, CLIP score {metrics['base_clip']}"


def said(metrics: Mapping[str, Any]) -> str:
    return f"{metrics['pairs']} pairs; {metrics['base_seconds']} and {metrics['tuned_seconds']} s"


# --- the same at the real bases' shapes ------------------------------------------------------------


def prepare_full(job: Job) -> None:
    root = job.checkout("sd15")
    job.stage("image_analyze", root)
    with job.measured("stage image_prepare, InceptionV3") as row:
        found = job.stage("image_prepare", root, "image/sd15", SD15)
        row["note"] = f"{found['train']} train photos"


def train_full(job: Job) -> None:
    with job.measured("stage image_train") as row:
        root = job.checkout("sd15")
        found = job.stage("image_train", root, "image/sd15", SD15)
        row["note"] = learnt(found) + pace(root, "image_train")


def generate_full(job: Job) -> None:
    with job.measured("stage image_generate, 8 at a time") as row:
        found = job.stage("image_generate", job.checkout("sd15"), "image/sd15", SD15)
        row["note"] = drawn(found)


def evaluate_full(job: Job) -> None:
    with job.measured("stage image_evaluate, CLIP ViT-L/14 and InceptionV3") as row:
        found = job.stage("image_evaluate", job.checkout("sd15"), "image/sd15", SD15)
        row["note"] = judged(found, "frechet" if job.dry else "fid")


def steps(job: Job, precision: str) -> None:
    """The phases of a training one by one: each has a peak of its own."""
    from likeness.common.manifest import read_manifest
    from likeness.common.runtime import Base, start
    from likeness.image.diffusion import load_pipeline, resident_pipeline
    from likeness.image.rows import PreparedImage
    from likeness.image.train import ImageTrain, Trainer, encode_splits

    more = {"image_train.mixed_precision": precision, "image_train.samples": 16}
    params = job.params("image/sd15", {**SD15, **more})
    cfg = ImageTrain.model_validate(params["image_train"])
    root = job.checkout("sd15")
    rt = start(Base.model_validate(params["base"]), job.work / precision)
    dataset, base = root / "data" / "image_prepare", root / "models" / params["inputs"]["diffusion"]
    rows = read_manifest(dataset / "manifest.jsonl", PreparedImage)
    train, val = ([row for row in rows if row.split == split][:16] for split in ("train", "val"))
    with job.measured(f"encode {len(train)} and {len(val)} photos"):
        splits = encode_splits([*train, *val], dataset, base, cfg, rt).values()
    resident_pipeline.release()
    with job.measured("load"):
        pipeline = load_pipeline(base, rt.device, rt.precision(cfg.mixed_precision))
        trainer = Trainer(cfg, pipeline, *splits, job.work / precision, rt)
    batches = f"{cfg.accumulation} × {cfg.batch} photos"
    with job.measured(f"first step, {batches}"):
        trainer._optimize(1)
    with job.measured("second step") as row:
        row["note"] = f"loss {trainer._optimize(2):.4f}"
    with job.measured("validation loss") as row:
        row["note"] = f"{trainer._val_loss():.6f}"
    with job.measured(f"a sheet of {cfg.samples}, {cfg.sample_steps} denoising steps"):
        trainer._sample()


def see_dinov2(job: Job) -> None:
    """The other extractor, on the photos."""
    from likeness.common.runtime import Base, start
    from likeness.image.extract import extract

    root = job.checkout("sd15")
    rt = start(Base.model_validate(job.params("", {})["base"]), root / "cache")
    photos = {path.stem: path for path in sorted((root / "data/image_prepare/val").glob("*.png"))}
    with job.measured(f"features of {len(photos)} photos") as row:
        found = extract(photos, extractor=root / "models" / job.base("dinov2"), rt=rt)
        row["note"] = f"{found.vectors.shape[1]} values each"


def train_xtts(job: Job) -> None:
    root = job.checkout("xtts_v2")
    with job.measured("stage voice_train") as row:
        found = job.stage("voice_train", root, "voice/xtts_v2", XTTS)
        row["note"] = learnt(found) + pace(root, "voice_train")


def speak_xtts(job: Job) -> None:
    root = job.checkout("xtts_v2")
    with job.measured("stage voice_synthesize") as row:
        found = job.stage("voice_synthesize", root, "voice/xtts_v2", XTTS)
        row["note"] = said(found)


def embed_wavlm(job: Job) -> None:
    """The speaker encoder of published figures, on the clips."""
    from likeness.common.runtime import Base, start
    from likeness.voice.speaker import embed_files

    root = job.checkout("wavlm_sv")
    rt = start(Base.model_validate(job.params("", {})["base"]), root / "cache")
    clips = {path.stem: path for path in sorted((root / "data" / "voice_dataset").rglob("*.wav"))}
    with job.measured(f"vectors of {len(clips)} clips") as row:
        vectors = embed_files(clips, encoder=root / "models" / job.base("wavlm_sv"), rt=rt)
        row["note"] = f"{vectors.shape[1]} values each"


def hear_clip(job: Job) -> None:
    """Where Whisper runs here, and whether it makes the same of a clip there as on the CPU.

    With random weights it says nothing, so what its encoder makes is compared.
    """
    import ctranslate2
    import numpy as np

    from likeness.voice.audio import read, resample
    from likeness.voice.whisper import RATE, hearing_device, load_whisper

    if not here("av"):
        with pretended("av"):
            importlib.import_module("faster_whisper")
    folder = job.work / "models" / job.base("whisper_small")
    (clip,) = sorted((PACKED / "data" / "voice_dataset" / "wavs").glob("*.wav"))[:1]
    samples, rate = read(clip)
    wave, encoded = resample(samples, rate, RATE), []
    for asked in (job.device, "cpu"):
        with job.measured(f"a clip heard, asked for {asked}") as row:
            model = load_whisper(folder, hearing_device(asked), "default", 1)
            list(model.transcribe(wave, language="en", temperature=0.0)[0])
            mel = model.feature_extractor(wave)[:, :3000]
            found = model.encode(np.pad(mel, ((0, 0), (0, 3000 - mel.shape[1]))))
            encoded.append(np.array(found.to_device(ctranslate2.Device.cpu), np.float32))
            row["note"] = f"ran on {model.model.device}"
    there, cpu = encoded
    note = f"{np.abs(there - cpu).mean() / np.abs(cpu).mean():.2g} of the mean size"
    job.write({"what": "difference of what its encoder makes", "ok": True, "note": note})


# --- the GPU against the CPU -----------------------------------------------------------------------


def image_numbers(job: Job, name: str, half: str) -> None:
    """The same training and images at another precision; against the CPU's, where those are done."""
    from likeness.common import runtime

    if (job.device, half) == ("cpu", "fp16"):
        note = "left out: one step takes a CPU half a minute in fp16"
        return job.write({"what": "nothing", "ok": True, "note": note})
    runtime.half_of = lambda _: half
    root = job.checkout(name, "main/data/image_prepare")
    with job.measured("stages image_train and image_generate") as row:
        row["note"] = learnt(job.stage("image_train", root))
        job.stage("image_generate", root)
    if name != "cpu":
        compare_images(job, name)
    return None


def compare_images(job: Job, name: str) -> None:
    """What the base draws and its validation loss, which depend on nothing that was learnt."""
    import numpy as np
    from PIL import Image

    losses = [
        json.loads((job.work / root / "metrics" / "image_train.json").read_text())["val_loss_base"]
        for root in (name, "cpu")
    ]
    folder = job.work / "cpu" / "data" / "image_generate" / "base"
    differences = []
    for path in sorted(folder.rglob("*.png")):
        here = job.work / name / path.relative_to(job.work / "cpu")
        levels = [np.asarray(Image.open(one), np.float64) for one in (path, here)]
        differences.append(float(np.abs(levels[0] - levels[1]).mean()))
    note = (
        f"validation loss of the base {losses[0]:.6f}, the CPU's {losses[1]:.6f}; {len(differences)} "
        f"images differ by {np.mean(differences):.3f} levels of 255, one by {max(differences):.3f}"
    )
    job.write({"what": f"{name} against the CPU", "ok": True, "note": note})


def compare_main(job: Job) -> None:
    compare_images(job, "main")


def voice_numbers(job: Job, name: str) -> None:
    root = job.checkout(f"voice-{name}")
    with job.measured("stage voice_train") as row:
        found = job.stage("voice_train", root, changes=XTTS)
        row["note"] = f"validation loss of the base {found['val_loss_without_adapter']:.6f}"


@dataclass(frozen=True)
class Item:
    """One process.

    Attributes:
        part: of the pack; "" runs with each.
        seconds: after which it is stopped.
        needs: of `NETWORKS`, or a module that must be here.
        device: another than the run's.
    """

    part: str
    seconds: int
    run: Callable[[Job], None]
    needs: tuple[str, ...] = ()
    device: str = ""


# Most wanted first.
ITEMS = {
    "machine": Item("", 60, machine),
    "image_prepare": Item("image", 60, prepare_images),
    "image_train": Item("image", 90, train_images),
    "image_generate": Item("image", 90, generate_images),
    "image_evaluate": Item("image", 90, evaluate_images),
    "sd15_prepare": Item("image", 90, prepare_full, ("inception_v3",)),
    "sd15_train": Item("image", 150, train_full, ("sd15",)),
    "sd15_generate": Item("image", 120, generate_full, ("sd15", "inception_v3")),
    "voice_train": Item("voice", 120, train_voice),
    "voice_synthesize": Item("voice", 120, speak),
    "voice_evaluate": Item("voice", 90, evaluate_voice),
    "xtts_v2_train": Item("voice", 150, train_xtts, ("xtts_v2",)),
    "xtts_v2_synthesize": Item("voice", 120, speak_xtts, ("xtts_v2",)),
    "sd15_steps_bf16": Item("image", 120, partial(steps, precision="bf16"), ("sd15",)),
    "sd15_steps_fp16": Item("image", 120, partial(steps, precision="fp16"), ("sd15",)),
    "sd15_evaluate": Item("image", 90, evaluate_full, ("clip_vit_l14", "inception_v3")),
    "image_on_cpu": Item("image", 120, partial(image_numbers, name="cpu", half="no"), device="cpu"),
    "image_compared": Item("image", 30, compare_main),
    "image_float32": Item("image", 90, partial(image_numbers, name="float32", half="no")),
    "image_fp16": Item("image", 90, partial(image_numbers, name="fp16", half="fp16")),
    "dinov2": Item("image", 60, see_dinov2, ("dinov2",)),
    "wavlm_sv": Item("voice", 60, embed_wavlm, ("wavlm_sv",)),
    "voice_on_device": Item("voice", 90, partial(voice_numbers, name="device")),
    "voice_on_cpu": Item("voice", 90, partial(voice_numbers, name="cpu"), device="cpu"),
    "recogniser": Item("recogniser", 90, hear_clip, ("ctranslate2", "whisper_small")),
}


def hears() -> bool:
    """Is a recogniser here: its package, and the small model of the sample."""
    there = (PACKED / "models" / "whisper_tiny_en" / "model.bin").is_file()
    return there and here("faster_whisper")


def begin() -> None:
    """Do without what a packed folder may lack: DVC and DVCLive, an ear, packages that open files."""
    from likeness import stage
    from likeness.image import train as image_train
    from likeness.voice import evaluate, listening
    from likeness.voice import train as voice_train

    stage.open_cache_folder = lambda root: root / "cache"
    stage.lease = lambda *_: None  # what measures has started CUDA already, and is alone
    image_train.Tracker = voice_train.Tracker = Curves
    if not hears():
        del stage.MODELS["asr"]
        listening.hear_files = lambda clips, *_, **__: dict.fromkeys(clips, "")
        evaluate.check_model = voice_train.check_model = lambda *_: None
        evaluate.hear_files = lambda clips, *_, **__: dict.fromkeys(clips, "")
    if here("TTS") and not here("torchcodec"):
        with pretended("torchcodec"):  # Coqui looks for it once
            importlib.import_module("TTS")


def here(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@contextmanager
def pretended(package: str) -> Iterator[None]:
    """An empty package for who imports one that opens audio files, where none is opened."""
    sys.modules[package] = ModuleType(package)
    sys.modules[package].__spec__ = ModuleSpec(package, None)
    yield
    del sys.modules[package]


class Curves:
    """In place of DVCLive, which needs DVC: the newest timings of a training, in a JSON file."""

    def __init__(self, plots_dir: Path, timings_dir: Path) -> None:
        self._timings = timings_dir / "newest.json"

    def log(self, step: int, values: dict[str, float]) -> None:
        pass

    def log_timings(self, step: int, values: dict[str, float]) -> None:
        self._timings.parent.mkdir(parents=True, exist_ok=True)
        self._timings.write_text(json.dumps({"step": step, **values}))

    def log_image(self, name: str, path: Path) -> None:
        pass

    def end(self) -> None:
        pass


def run_item(args: argparse.Namespace) -> int:
    """This process is one item."""
    rows = args.work / f"{args.item}.jsonl"
    job = Job(args.work, args.device, args.dry_run, rows)
    try:
        begin()
        ITEMS[args.item].run(job)
    except Exception as error:  # whatever it is, it is a line of the table
        traceback.print_exc()
        job.write({"what": "failed", "ok": False, "note": f"{type(error).__name__}: {error}"})
        return 1
    return 0


# --- all of them -----------------------------------------------------------------------------------


@dataclass
class Run:
    """The items of this run, and what came of them."""

    args: argparse.Namespace
    work: Path
    deadline: float
    rows: list[dict[str, Any]] = field(default_factory=list)
    builder: "subprocess.Popen[bytes] | None" = None

    def environment(self) -> dict[str, str]:
        paths = [str(self.work / "site"), str(PACKED), str(PACKED / "src")]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "HF_HUB_OFFLINE": "1",
        }

    def install(self) -> None:
        """The packages that were packed, beside those that are here."""
        wheels = sorted((PACKED / "wheels").glob("*.whl"))
        if wheels:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
            pip += ["--no-compile", "--target", str(self.work / "site"), *map(str, wheels)]
            subprocess.run(pip, check=True)

    def models(self) -> None:
        """The packed bases, and in the background those of full size."""
        (self.work / "models").mkdir()
        for folder in (PACKED / "models").iterdir():
            if folder.is_dir():
                (self.work / "models" / folder.name).symlink_to(folder)
        (self.work / "models" / "whisper_tiny_en").mkdir(exist_ok=True)
        if not self.args.dry_run:
            wanted = {need for name in self.args.items for need in ITEMS[name].needs}
            names = [name for name in NETWORKS if name in wanted]
            command = [sys.executable, __file__, "--work", str(self.work), "--build", *names]
            self.builder = self.start(command, self.work / "build.log")

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def one(self, name: str) -> None:
        """Run an item in a process of its own, within its time and what is left of all."""
        item, rows, log = ITEMS[name], self.work / f"{name}.jsonl", self.work / f"{name}.log"
        missing = self.wait_for(item.needs)
        if missing or self.left() < 5:
            note = missing or "no time was left"
            return self.add(name, [{"what": "not run", "ok": False, "note": note}])
        command = [sys.executable, __file__, "--item", name, "--work", str(self.work)]
        command += ["--device", item.device or self.args.device]
        command += ["--dry-run"] if self.args.dry_run else []
        # The limits are a GPU's; two cores take longer.
        limit = self.left() if self.args.device == "cpu" else min(item.seconds, self.left())
        started, failed = time.monotonic(), ""
        process = self.start(command, log)
        try:
            if process.wait(limit):
                failed = f"ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            failed = f"stopped after {limit:.0f} s"
        finally:
            stop(process)
        found = (
            [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
        )
        if failed and all(row["ok"] for row in found):
            found.append({"what": "failed", "ok": False, "note": failed})
        seconds = time.monotonic() - started
        self.add(name, [*found, {"what": "the whole process", "ok": True, "seconds": seconds}], log)
        return None

    def start(self, command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
        # A group of its own, to be stopped with all that it starts.
        with log.open("w") as file:
            return subprocess.Popen(
                command, env=self.environment(), stdout=file, stderr=file, process_group=0
            )

    def wait_for(self, needs: Sequence[str]) -> str:
        """Wait for what is being built; returns why the item cannot run, if it cannot."""
        for need in needs:
            folder = self.work / "models" / need
            if need not in NETWORKS:
                if not here(need) and not (self.work / "site" / need).is_dir():
                    return f"{need} is not here"
            elif not self.builder:
                if not (PACKED / "models" / NETWORKS[need]).is_dir():
                    return f"{NETWORKS[need]} is not packed"
            else:
                while not folder.is_dir() and self.builder.poll() is None and self.left() > 5:
                    time.sleep(0.5)
                if not folder.is_dir() and self.left() > 5:
                    return f"{need} could not be built; build.log says why"
        return ""

    def add(self, name: str, rows: list[dict[str, Any]], log: Path | None = None) -> None:
        """Keep an item's rows, and write everything again."""
        self.rows += [{"item": name, **row} for row in rows]
        for row in rows:
            print(f"{name}: {row['what']}: {'ok' if row['ok'] else row['note']}", flush=True)
        if log:
            with (self.args.out / "log.txt").open("a") as file:
                file.write(f"===== {name}\n{log.read_text(errors='replace')[-20000:]}\n")
        path = self.work / "machine.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        found["dry run"] = self.args.dry_run
        values = {"machine": found, "rows": self.rows}
        (self.args.out / "results.json").write_text(json.dumps(values, indent=1) + "\n")
        (self.args.out / "table.md").write_text(table(found, self.rows))


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a process and of those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def table(machine: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"- {key}: {value}" for key, value in machine.items() if value not in ("", False)]
    if machine.get("dry run"):
        lines += ["", "**A dry run: mini bases stand for those of full size, and little is done.**"]
    lines += ["", "| item | what | seconds | peak, GiB | reserved, GiB | |"]
    lines += ["| --- | --- | ---: | ---: | ---: | --- |"]
    for row in rows:
        numbers = (
            f"{row[key]:.2f}" if key in row else ""
            for key in ("seconds", "allocated_gib", "reserved_gib")
        )
        note = " ".join(str(row.get("note", "")).split())[:300].replace("|", "/")
        note = note if row["ok"] else f"**{note}**"
        lines.append(f"| {row['item']} | {row['what']} | {' | '.join(numbers)} | {note} |")
    return "\n".join(lines) + "\n"


def build(work: Path, names: Sequence[str]) -> None:
    """Stand-ins for the real bases, one after the other; a folder is there when it is whole."""
    begin()
    from tests.real_bases.build import build as build_base

    (work / "building").mkdir()
    for name in names:
        started = time.monotonic()
        try:
            build_base(name, work / "building" / name)
            (work / "building" / name).rename(work / "models" / name)
        except Exception:  # the others may do
            traceback.print_exc()
        print(f"{name}: {time.monotonic() - started:.1f} s", flush=True)


def main(args: argparse.Namespace) -> int:
    if not (PACKED / "params.yaml").is_file():
        sys.exit(f"{PACKED}: nothing is packed; run benchmarks/gpu_first_contact/pack.py")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "log.txt").unlink(missing_ok=True)
    unknown = set(args.items) - set(ITEMS)
    if unknown:
        sys.exit(f"{', '.join(sorted(unknown))}: no such item; known are {', '.join(ITEMS)}")
    parts = ["", *json.loads((PACKED / "parts.json").read_text())]
    wanted = args.items or [name for name, item in ITEMS.items() if item.part in parts]
    args.items = [name for name in ITEMS if name in wanted]
    with tempfile.TemporaryDirectory(prefix="first_contact-") as folder:
        run = Run(args, Path(folder), time.monotonic() + args.seconds)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        run.install()
        run.models()
        try:
            for name in args.items:
                run.one(name)
        finally:
            if run.builder:
                stop(run.builder)
                shutil.copy(run.work / "build.log", args.out / "build.log")
    print((args.out / "table.md").read_text())
    return int(not all(row["ok"] for row in run.rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "items", nargs="*", metavar="ITEM", help=f"of {', '.join(ITEMS)}; all that are packed"
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the tables")
    parser.add_argument("--seconds", type=float, default=560.0, help="no item begins after")
    parser.add_argument("--dry-run", action="store_true", help="mini bases stand for all others")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--item", help=argparse.SUPPRESS)
    parser.add_argument("--build", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.build:
        build(given.work, given.build)
    elif given.item:
        sys.exit(run_item(given))
    else:
        given.out = given.out.resolve()
        sys.exit(main(given))
