"""LoRA (Hu et al. 2021) on XTTS, and the choice of the best epoch by what it says.

The loss keeps falling when speech no longer improves. So the model says a few sentences at each
evaluation, and the epoch is chosen by their word error rate and their similarity to the voice.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from likeness.common.bases import describe
from likeness.common.closure import code_digest
from likeness.common.errors import LikenessError
from likeness.common.io import digest, digest_of, link, write_json
from likeness.common.manifest import (
    check_rejected_share,
    count_reasons,
    read_manifest,
    write_manifest,
)
from likeness.common.needs import check_needs
from likeness.common.precision import Precision
from likeness.common.runtime import Runtime
from likeness.common.sampling import evenly
from likeness.common.tracking import Tracker
from likeness.voice.audio import read, resample
from likeness.voice.clip_codes import load_dvae
from likeness.voice.codes import RATE
from likeness.voice.examples import REASONS, encode_rows
from likeness.voice.listening import Listener
from likeness.voice.needs import ADVICE, NEEDS
from likeness.voice.rows import Utterance, choose_references
from likeness.voice.speaker import embed_files
from likeness.voice.trainer import Trainer
from likeness.voice.wer import Hearing
from likeness.voice.whisper_files import check_model
from likeness.voice.xtts import load_xtts
from likeness.voice.xtts_files import check_speaks, check_xtts, read_settings

Array = np.ndarray


class VoiceTrain(Hearing):
    rank: Annotated[int, Field(ge=1, le=256)]
    alpha: Annotated[int, Field(ge=1, le=512)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    targets: list[str]
    top_layers: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    accumulation: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    lr_schedule: Literal["constant", "linear", "cosine"]
    warmup_steps: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    text_weight: Annotated[float, Field(ge=0, le=1)]
    decoder_targets: list[str]
    decoder_learning_rate: Annotated[float, Field(gt=0, le=1)]
    decoder_windows: Annotated[int, Field(ge=1)]
    decoder_codes: Annotated[int, Field(ge=3)]
    own_reference: Annotated[float, Field(ge=0, le=1)]
    min_reference_seconds: Annotated[float, Field(ge=0.5)]
    max_reference_seconds: Annotated[float, Field(ge=0.5, le=30)]
    max_seconds: Annotated[float, Field(ge=1)]
    max_text_tokens: Annotated[int, Field(ge=1)]
    mixed_precision: Literal["auto"] | Precision
    checkpoint_every: Annotated[int, Field(ge=1)]
    evaluate_every: Annotated[int, Field(ge=1)]
    sentences: Annotated[int, Field(ge=1, le=64)]
    references: Annotated[int, Field(ge=1, le=20)]
    wer_weight: Annotated[float, Field(ge=0)]
    patience: Annotated[int, Field(ge=0)]
    keep_adapters: Annotated[int, Field(ge=0)]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def train(
    cfg: VoiceTrain,
    *,
    dataset: Path,
    base: Path,
    asr: Path,
    speaker: Path,
    out_dir: Path,
    plots_dir: Path,
    timings_dir: Path,
    rt: Runtime,
) -> dict[str, Any]:
    """Train an adapter on the train split; choose its best epoch by how it says val sentences.

    Writes to `out_dir` `adapter.safetensors`, the adapters of other evaluated epochs as
    `adapters/<epoch>.safetensors`, `voice.safetensors` (the tuned model's `Voice` of the references),
    `training.json`, `rejected.jsonl`, and the same sentences for every evaluation as
    `samples/<epoch>-<number>.wav`, with what they were heard as in `samples/<epoch>.json`; curves to
    `plots_dir`; step time and memory to `timings_dir`.
    Checkpoints go to the scratch folder; a killed run resumes from its last.

    Raises:
        LikenessError: the base is not an XTTS or does not speak the language, a target matches no
            layer, no layer would be trained, or too little of the dataset can be used.
    """
    if cfg.min_reference_seconds > cfg.max_reference_seconds:
        raise LikenessError(
            "params.yaml: voice_train.min_reference_seconds: more than max_reference_seconds "
            f"(got {cfg.min_reference_seconds} and {cfg.max_reference_seconds})"
        )
    if not cfg.targets and not cfg.decoder_targets:
        raise LikenessError(
            "params.yaml: voice_train: targets and decoder_targets: both are []; name layers to adapt"
        )
    rows = [
        row
        for row in read_manifest(dataset / "manifest.jsonl", Utterance)
        if row.split in ("train", "val")
    ]
    check_xtts(base)
    model = load_xtts(base, rt.device)
    check_speaks(base, cfg.language, "voice_train.language")
    check_model(asr, cfg.language, "voice_train.language")
    examples, rejected = encode_rows(
        rows,
        dataset=dataset,
        base=base,
        model=model,
        language=cfg.language,
        max_seconds=cfg.max_seconds,
        max_text_tokens=cfg.max_text_tokens,
        rt=rt,
    )
    check_rejected_share(str(dataset), rejected, len(rows), cfg.max_rejected_share)
    usable = [row for row in rows if row.id in examples]
    val = [row for row in usable if row.split == "val"]
    references = [dataset / row.file_name for row in choose_references(usable, cfg.references)]
    found = {"train": len(usable) - len(val), "val": len(val)}
    check_needs(f"{dataset}: {len(usable)} usable clips", NEEDS, found, ADVICE)
    load_dvae.cache_clear()  # all clips are encoded, and training needs the memory
    listener = Listener(
        cfg=cfg, asr=asr, speaker=speaker, centroid=_centroid(val, dataset, speaker, rt), rt=rt
    )
    parts = (
        cfg.model_dump_json(),
        *map(digest, (dataset, base, asr, speaker)),
        code_digest(Path(__file__)),
        rt.seed,
    )
    trainer = Trainer(
        cfg,
        model,
        [examples[row.id] for row in usable if row.split == "train"],
        [examples[row.id] for row in val],
        [row.normalized for row in evenly(val, cfg.sentences)],
        [resample(*read(path), RATE) for path in references],
        read_settings(base),
        listener,
        rt.scratch("voice_train", digest_of(parts)),
        rt,
    )
    tracker = Tracker(plots_dir, timings_dir, rt.trackers, cfg.model_dump())
    trainer.run(tracker)
    tracker.end()
    for path in trainer.sample_paths():
        link(path, out_dir / "samples" / path.name)
    reasons = count_reasons(rejected)
    metrics = {
        **trainer.metrics(),
        "asr": asr.name,
        "speaker": speaker.name,
        **{f"rejected_{reason}": reasons.get(reason, 0) for reason in REASONS},
    }
    trainer.save(out_dir, base)
    evaluations = {"evaluations": trainer.evaluations.rows("epoch")}
    training = {**describe(base), **cfg.model_dump(), **metrics, **evaluations}
    write_json(out_dir / "training.json", training)
    write_manifest(out_dir / "rejected.jsonl", rejected)
    trainer.checkpoints.clear()
    trainer.evaluations.clear()
    return metrics


def _centroid(rows: Sequence[Utterance], dataset: Path, speaker: Path, rt: Runtime) -> Array:
    """The normalised mean (D,) of the speaker vectors of real clips that are not trained on."""
    clips = {row.id: dataset / row.file_name for row in rows}
    mean = embed_files(clips, encoder=speaker, rt=rt).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))
