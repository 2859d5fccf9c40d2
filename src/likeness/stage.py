"""How every stage runs: path flags, the whole params file checked, the runtime started, the work done.

It knows the section of every stage, so it is a dependency of none: it can stop a stage, but what is
written is what the stage's own code makes.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from likeness.common.cli import path_parser
from likeness.common.errors import LikenessError
from likeness.common.io import write_json
from likeness.common.logs import log_as_json
from likeness.common.params import Section, load_params
from likeness.common.runtime import Base, start
from likeness.common.tracking import parse_trackers
from likeness.image.analyze import ImageAnalyze
from likeness.image.checks import (
    check_base,
    check_clip,
    check_controlnet,
    check_extractor,
    check_writer,
)
from likeness.image.describe import ImageDescribe
from likeness.image.evaluate import ImageEvaluate
from likeness.image.failures import ImageFailures
from likeness.image.generate import ImageGenerate
from likeness.image.prepare import ImagePrepare
from likeness.image.rate import ImageRate
from likeness.image.recolour import ImageRecolour
from likeness.image.train import ImageTrain
from likeness.report import Report
from likeness.repository.dvc import open_cache_folder
from likeness.repository.guard import snapshot
from likeness.repository.lease import lease
from likeness.voice.clips import VoiceClips
from likeness.voice.dataset import VoiceDataset
from likeness.voice.download import VoiceDownload
from likeness.voice.evaluate import VoiceEvaluate
from likeness.voice.mos import check_mos
from likeness.voice.rate import VoiceRate
from likeness.voice.segment import VoiceSegment
from likeness.voice.speaker import check_encoder
from likeness.voice.synthesize import VoiceSynthesize
from likeness.voice.train import VoiceTrain
from likeness.voice.transcribe import VoiceTranscribe
from likeness.voice.whisper_files import check_asr
from likeness.voice.xtts_files import check_xtts

ROOT = Path(__file__).resolve().parents[2]


def _quotable(name: str) -> str:
    """dvc.yaml has the names in double quotes, in which a shell reads some signs as its own."""
    if set(name) & set('"$`\\'):
        raise ValueError('a name without ", $, ` and \\, which a shell does not take as they are')
    return name


Name = Annotated[str, AfterValidator(_quotable)]


class Inputs(Section):
    """Folders that dvc.yaml builds its paths from; no stage reads this section."""

    catalog: Name
    diffusion: Name
    clip: Name
    extractor: Name
    writer: Name
    controlnet: Name
    recordings: Name
    asr: Name
    speaker: Name
    mos: Name
    tts: Name
    sentences: Name


SCHEMA: dict[str, type[Section]] = {
    "base": Base,
    "inputs": Inputs,
    "image_analyze": ImageAnalyze,
    "image_prepare": ImagePrepare,
    "image_train": ImageTrain,
    "image_generate": ImageGenerate,
    "image_describe": ImageDescribe,
    "image_recolour": ImageRecolour,
    "image_evaluate": ImageEvaluate,
    "image_failures": ImageFailures,
    "image_rate": ImageRate,
    "voice_download": VoiceDownload,
    "voice_segment": VoiceSegment,
    "voice_transcribe": VoiceTranscribe,
    "voice_clips": VoiceClips,
    "voice_dataset": VoiceDataset,
    "voice_train": VoiceTrain,
    "voice_synthesize": VoiceSynthesize,
    "voice_evaluate": VoiceEvaluate,
    "voice_rate": VoiceRate,
    "report": Report,
}

# By the name of a path flag, the function that checks the folder under models/ that it is given.
MODELS: dict[str, Callable[[Path], None]] = {
    "asr": check_asr,
    "clip": check_clip,
    "controlnet": check_controlnet,
    "extractor": check_extractor,
    "mos": check_mos,
    "speaker": check_encoder,
    "writer": check_writer,
}
BASES = {"image": check_base, "voice": check_xtts}  # the flag `base`, by the lane


def stage(
    doc: str | None, work: Callable[..., Mapping[str, Any] | None]
) -> Callable[[Sequence[str]], None]:
    """The `main` of a stage's script, which does the work with what its command line names.

    The signature of the work says the rest: its parameter `cfg` has the class of the stage's section of
    params.yaml, each parameter of the type `Path` is a required flag (`out_dir` is `--out-dir`), and
    what it returns is written to `--metrics`.

    Its base models are checked first, so that a wrong one is not found after hours. No other stage uses
    the same GPU while this one runs. Under DVC, its dependencies must not change until it ends, as DVC
    hashes them only then and would write the hash of other code beside the outputs.

    Args:
        doc: the script's docstring, shown by `--help`.
        work: the verb of a lane, or the report.

    Raises:
        LikenessError: by `main`: wrong params, a wrong or broken model, or a dependency that changed.
    """
    found = signature(work)
    section = found.parameters["cfg"].annotation
    paths = [name for name, one in found.parameters.items() if one.annotation is Path]
    parser = path_parser(doc, *paths, *([] if found.return_annotation is None else ["metrics"]))

    def main(argv: Sequence[str]) -> None:
        if not {"-h", "--help"}.isdisjoint(argv):
            parser.parse_args(argv)  # ends here, and needs no params
        log_as_asked()
        trackers = parse_trackers(os.environ.get("LIKENESS_TRACKERS", ""))
        params = ROOT / "params.yaml"
        cfg, base = load_params(params, SCHEMA, section), load_params(params, SCHEMA, Base)
        # After the params, as the paths on the command line are built from their names.
        args = parser.parse_args(argv)
        address = os.environ.get("DVC_STAGE")
        before = snapshot(ROOT, address) if address else None
        check_models(section, args)
        cache = open_cache_folder(ROOT)
        if base.device in ("auto", "cuda"):
            lease(cache, partial(print, file=sys.stderr))
        given = {name: getattr(args, name) for name in paths}
        metrics = work(cfg, **given, rt=start(base, cache, trackers))
        if metrics is not None:
            write_json(args.metrics, metrics)
        if before:
            before.check()

    return main


def log_as_asked() -> None:
    """Log as JSON if `LIKENESS_LOG` says so, with the stage, and the job that it is part of."""
    form = os.environ.get("LIKENESS_LOG", "")
    if form == "json":
        given = {"stage": os.environ.get("DVC_STAGE"), "job_id": os.environ.get("LIKENESS_JOB")}
        fields = {name: value for name, value in given.items() if value}
        log_as_json(logging.WARNING, **fields)  # start() has the same level for libraries
    elif form:
        raise LikenessError(f"LIKENESS_LOG={form}: no form of logs; set json, or nothing")


def check_models(section: type[Section], args: argparse.Namespace) -> None:
    """Raise `LikenessError` at the first model among a stage's paths that is wrong or broken."""
    lane = section.__module__.split(".")[1]
    for name, path in vars(args).items():
        check = BASES[lane] if name == "base" else MODELS.get(name)
        if check is not None:
            check(path)
