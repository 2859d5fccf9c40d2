"""Seconds and peak memory of voice_train against full fine-tuning by Coqui's GPTTrainer.

Both start from one base. GPTTrainer tunes the whole GPT, and reads and encodes each clip again at every
step; voice_train tunes an adapter on codes and mels out of the item store. Same clips, base, batch and
lengths of references; each measurement is a process of its own, the two in turns.

- Same settings: an epoch's steps with the loading of their data, in full precision, after a warm-up
  epoch. The store is filled.
- Whole recipe: all of voice_train from an empty store to its adapter, with its evaluations and no early
  stop, against GPTTrainer's loading, epochs, evaluations and checkpoints. GPTTrainer runs
  for `--epochs`; those that it lacks are extrapolated.

What both reach is measured by voice_train's loss and listener: of voice_train in the epoch that it chose
by sentences of val, of GPTTrainer in that of its lowest loss on val. `--split test` measures on clips
by which neither chose, `--epochs 12` what GPTTrainer reaches in as many epochs as voice_train.

    python benchmarks/voice_train.py [--rounds 3] [--epochs 2]

Needs `data/voice_dataset` and the models: run `make repro` first.
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context, set_start_method
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# GPTTrainer has no loss of what is decoded.
GPT = {"targets": ["c_attn", "c_proj", "c_fc"], "decoder_targets": [], "decoder_weight": 0.0}
sys.path.insert(0, str(ROOT / "src"))

from likeness.common import cli  # noqa: E402
from likeness.common.errors import LikenessError  # noqa: E402
from likeness.common.io import read_json  # noqa: E402
from likeness.common.manifest import read_manifest  # noqa: E402
from likeness.common.params import check_params  # noqa: E402
from likeness.common.runtime import Base, Runtime, start  # noqa: E402
from likeness.stage import SCHEMA  # noqa: E402
from likeness.voice import xtts  # noqa: E402
from likeness.voice.audio import read, resample  # noqa: E402
from likeness.voice.codes import RATE  # noqa: E402
from likeness.voice.examples import Example, encode_rows  # noqa: E402
from likeness.voice.listening import Listener  # noqa: E402
from likeness.voice.merge import merge  # noqa: E402
from likeness.voice.rows import Utterance, choose_references  # noqa: E402
from likeness.voice.train import VoiceTrain, _centroid, train  # noqa: E402
from likeness.voice.trainer import BETAS, Trainer  # noqa: E402
from likeness.voice.wer import word_errors  # noqa: E402
from likeness.voice.xtts_files import read_settings  # noqa: E402


@dataclass(frozen=True)
class Job:
    """What each process is told: `folders` are train's, all is written to `work`."""

    cfg: VoiceTrain
    runtime: Base
    folders: dict[str, Path]
    work: Path
    learning_rate: float  # GPTTrainer's
    split: str
    clips: frozenset[str] = frozenset()  # ids of the usable ones


@dataclass(frozen=True)
class Run:
    """Seconds of all of it, of each epoch's steps and of each whole epoch; its peak in MiB."""

    seconds: float
    steps: list[float]
    epochs: list[float]
    peak: float


def main(argv: Sequence[str]) -> None:
    args = parse(argv)
    params = check_params(args.params, SCHEMA)
    inputs, cfg = params["inputs"], params["voice_train"].model_copy(update={"patience": 0})
    names = {"base": inputs.tts, "asr": inputs.asr, "speaker": inputs.speaker}
    folders = {key: ROOT / "models" / name for key, name in names.items()}
    runtime = params["base"].model_copy(update={"device": choose_device(params["base"].device)})
    rate = args.learning_rate or cfg.learning_rate / 10
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        job = Job(cfg, runtime, {**folders, "dataset": args.dataset}, work, rate, args.split)
        trained, validated = alone(fill, job)
        job = replace(job, clips=frozenset(trained + validated))
        base = folders["base"]
        shutil.copytree(base, work / "base")  # Coqui's loading may write into it
        print(f"{len(trained)} train clips, batch {cfg.batch}, {runtime.device}, {base.name}")
        print(f"an epoch's steps after a warm-up epoch, median and range (n {args.rounds}):")
        rounds = [(alone(our_epochs, job), alone(theirs, job, 2)) for _ in range(args.rounds)]
        sides = ([(run.steps[-1], run.peak) for run in runs] for runs in zip(*rounds))
        show("same settings", *sides)
        epochs = min(args.epochs, cfg.epochs)
        ours, peer = alone(our_recipe, job), alone(theirs, job, epochs, True)
        missing = cfg.epochs - epochs
        seconds = peer.seconds + missing * median(peer.epochs[1:] or peer.epochs)
        print(f"{cfg.epochs} epochs and all else (n 1), {missing} of GPTTrainer's extrapolated:")
        show("whole recipe", [(ours.seconds, ours.peak)], [(seconds, peer.peak)])
        print(f"{args.split} split: loss, word error rate, similarity")
        best = read_json(work / "ours" / "training.json")["best_epoch"]
        merge(base, work / "ours", work / "merged")
        models = {
            "base": base,
            f"likeness, epoch {best} of {cfg.epochs}": work / "merged",
            f"GPTTrainer, best of {epochs} at {rate:g}": work / "theirs",
        }
        for name, folder in models.items():
            print(f"{name:>30}: {alone(quality, job, folder)}")


def show(what: str, *sides: list[tuple[float, float]]) -> None:
    """Print each side's (seconds, peak) of all rounds, and their ratios."""
    found = []
    for name, runs in zip(("likeness", "GPTTrainer"), sides):
        seconds, peaks = zip(*runs)
        found.append((median(seconds), max(peaks)))
        spread = f" ({min(seconds):.2f} to {max(seconds):.2f})" if len(runs) > 1 else ""
        print(f"{name:>30}: {found[-1][0]:.2f} s{spread}, peak {found[-1][1]:.0f} MiB")
    (ours, our_peak), (peer, peer_peak) = found
    print(f"{what}: {peer / ours:.2f} times as fast, in {our_peak / peer_peak:.2f} of the memory")


def alone(function: Callable[..., Any], *args: Any) -> Any:
    """What a call gives in a new process, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def choose_device(asked: str) -> str:
    """GPTTrainer takes a GPU of CUDA whenever it sees one, and knows no other."""
    import torch

    if asked != "cpu" and torch.cuda.is_available():
        return "cuda"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return "cpu"


def now() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def peak() -> float:
    """MiB of this process or, where there is one, of the GPU."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


# --- ours -----------------------------------------------------------------------------------------


def encoded(job: Job, model: Any, rt: Runtime) -> tuple[list[Utterance], dict[str, Example]]:
    """The usable rows, and what voice_train makes of each by its id."""
    cfg, dataset = job.cfg, job.folders["dataset"]
    rows = read_manifest(dataset / "manifest.jsonl", Utterance)
    examples, _ = encode_rows(
        rows, dataset=dataset, base=job.folders["base"], model=model, language=cfg.language,
        max_seconds=cfg.max_seconds, max_text_tokens=cfg.max_text_tokens, rt=rt,
    )  # fmt: skip
    return [row for row in rows if row.id in examples], examples


def build(job: Job, folder: Path, **changes: Any) -> Trainer:
    """voice_train's trainer of the model in `folder`, to which its new adapter adds nothing yet."""
    cfg, dataset = job.cfg.model_copy(update=GPT | changes), job.folders["dataset"]
    rt = start(job.runtime, job.work / "cache")
    model = xtts.load_xtts(folder, rt.device)
    rows, examples = encoded(job, model, rt)
    held = [row for row in rows if row.split == job.split]
    references = choose_references(rows, cfg.references)
    if not held or not references:
        raise LikenessError(f"{dataset}: no usable clip in its train or its {job.split} split")
    speaker = job.folders["speaker"]
    listener = Listener(cfg, job.folders["asr"], speaker, _centroid(held, dataset, speaker, rt), rt)
    return Trainer(
        cfg, model, [examples[row.id] for row in rows if row.split == "train"],
        [examples[row.id] for row in held], [row.normalized for row in held],
        [resample(*read(dataset / row.file_name), RATE) for row in references],
        read_settings(folder), listener,
        Path(tempfile.mkdtemp(dir=job.work)), rt,
    )  # fmt: skip


def fill(job: Job) -> tuple[list[str], list[str]]:
    """Fill the store; the usable clips of train and, for GPTTrainer's evaluations, of val."""
    trainer = build(replace(job, split="val"), job.folders["base"])
    return [one.id for one in trainer.train_split], [one.id for one in trainer.val_split]


def our_epochs(job: Job) -> Run:
    begun, steps = now(), []
    trainer = build(job, job.folders["base"], mixed_precision="no")
    for first in (1, 1 + trainer.steps_per_epoch):
        started = now()
        for step in range(first, first + trainer.steps_per_epoch):
            trainer._optimize(step)
        steps.append(now() - started)
    return Run(now() - begun, steps, [], peak())


def our_recipe(job: Job) -> Run:
    begun, out = now(), job.work / "ours"
    rt = start(job.runtime, job.work / "empty")
    written = {"out_dir": out, "plots_dir": out / "plots", "timings_dir": out / "timings"}
    train(job.cfg, **job.folders, **written, rt=rt)
    return Run(now() - begun, [], [], peak())


def quality(job: Job, folder: Path) -> str:
    """What the model in a folder reaches on the split, by voice_train's measures."""
    trainer = build(job, folder)
    latents = xtts.latents_of(trainer.model, trainer.references)
    voice = xtts.Voice(latents, trainer.embedding)
    loss = trainer._val_loss(voice)
    wer, similarity = trainer._listen(voice)
    n = len(trainer.sentences)
    words = sum(word_errors(text, "", job.cfg.normalizer).words for text in trainer.sentences)
    return f"{loss:.3f} (n {n}), {wer:.1%} (n {words} words), {similarity:.3f} (n {n})"


# --- theirs ---------------------------------------------------------------------------------------


def theirs(job: Job, epochs: int, whole: bool = False) -> Run:
    """GPTTrainer as Coqui's demo runs it; unless `whole`, it neither evaluates nor saves."""
    begun = now()
    import logging

    import torch
    import trainer as coqui
    from trainer.logging import DummyLogger
    from TTS.tts.configs.xtts_config import XttsAudioConfig

    threads = job.runtime.threads or torch.get_num_threads()
    from TTS.tts.layers.xtts.trainer import dataset
    from TTS.tts.layers.xtts.trainer.gpt_trainer import GPTArgs, GPTTrainer, GPTTrainerConfig

    torch.set_num_threads(threads)  # the import of its dataset has left one
    set_start_method("fork", force=True)  # of its loading processes; a spawned process would spawn
    dataset.load_audio = load_audio
    logging.getLogger("trainer").setLevel(logging.ERROR)
    cfg, base = job.cfg, job.work / "base"
    settings = read_json(base / "config.json")
    model_args = settings["model_args"] | {
        "min_conditioning_length": round(cfg.min_reference_seconds * RATE),
        "max_conditioning_length": round(cfg.max_reference_seconds * RATE),
        "max_wav_length": round(cfg.max_seconds * RATE),
        "max_text_length": cfg.max_text_tokens,
        "gpt_loss_text_ce_weight": cfg.text_weight,
        "tokenizer_file": str(base / "vocab.json"),
        "mel_norm_file": str(base / "mel_stats.pth"),
        "dvae_checkpoint": str(base / "dvae.pth"),
        "xtts_filespoint": str(base / "model.pth"),
    }
    config = GPTTrainerConfig(
        model_args=GPTArgs(**model_args), audio=XttsAudioConfig(**settings["audio"]),
        languages=settings["languages"], epochs=epochs, run_eval=whole,
        save_best_after=0 if whole else sys.maxsize, batch_size=cfg.batch, eval_batch_size=cfg.batch,
        num_loader_workers=job.runtime.workers or os.cpu_count(), lr=job.learning_rate,
        optimizer="AdamW", optimizer_wd_only_on_weights=True,
        optimizer_params={"betas": list(BETAS), "eps": 1e-8, "weight_decay": cfg.weight_decay},
    )  # fmt: skip
    folder = job.folders["dataset"]
    samples: dict[str, list[dict[str, str]]] = {"train": [], "val": [], "test": []}
    tokenizer = xtts.load_tokenizer(base)  # Coqui's own would read letters to a base of phonemes
    for row in read_manifest(folder / "manifest.jsonl", Utterance):
        if row.id in job.clips:
            text = tokenizer.preprocess_text(row.normalized.lower(), cfg.language)
            sample = {"text": text, "audio_file": str(folder / row.file_name)}
            samples[row.split].append({**sample, "language": cfg.language})
    names = ("on_epoch_start", "on_train_epoch_start", "on_train_epoch_end", "on_epoch_end")
    times: dict[str, list[float]] = {name: [] for name in names}
    fitting = coqui.Trainer(
        coqui.TrainerArgs(grad_accum_steps=cfg.accumulation), config,
        output_path=tempfile.mkdtemp(dir=job.work),
        dashboard_logger=DummyLogger(), model=GPTTrainer(config),
        train_samples=samples["train"], eval_samples=samples["val"], parse_command_line_args=False,
        callbacks={name: lambda _, name=name: times[name].append(now()) for name in names},
    )  # fmt: skip
    fitting.fit()
    starts, step_starts, step_ends, ends = times.values()
    steps = [end - at for at, end in zip(step_starts, step_ends)]
    run = Run(now() - begun, steps, [end - at for at, end in zip(starts, ends)], peak())
    if whole:
        best = fitting.output_path / "best_model.pth"
        if not best.is_file():
            raise LikenessError("GPTTrainer: no loss is a number; give a lower --learning-rate")
        shutil.copytree(base, job.work / "theirs")
        shutil.move(best, job.work / "theirs" / "model.pth")
    return run


def load_audio(path: str, rate: int) -> Any:
    """In place of GPTTrainer's, which needs FFmpeg's libraries; it is at least as fast."""
    import torch

    samples, source = read(Path(path))
    return torch.from_numpy(samples if source == rate else resample(samples, source, rate))[None]


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2, help="of GPTTrainer's whole recipe")
    parser.add_argument("--learning-rate", type=float, help="GPTTrainer's; else a tenth of ours")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="for the quality")
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--dataset", type=Path, default=ROOT / "data/voice_dataset")
    args = parser.parse_args(argv)
    if min(args.rounds, args.epochs) < 1:
        parser.error("--rounds and --epochs: 1 and more")
    return args


if __name__ == "__main__":
    cli.run(main)
