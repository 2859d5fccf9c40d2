"""LoRA (Hu et al. 2021) on a Stable Diffusion's UNet, and on its text encoders if asked for.

All random numbers of a step come from a seed made of the step's number. So a run that was killed and
resumed from a checkpoint takes the same steps as one that was not interrupted.
"""

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from likeness.common import figures
from likeness.common.bases import describe
from likeness.common.checkpoints import Checkpoints
from likeness.common.closure import code_digest
from likeness.common.errors import LikenessError
from likeness.common.evaluations import KEPT, Evaluation, Evaluations, save_tensors
from likeness.common.io import digest, digest_of, link, write_json
from likeness.common.items import Stored, map_all
from likeness.common.manifest import read_manifest
from likeness.common.params import Section
from likeness.common.precision import MixedPrecision, check_finite
from likeness.common.runtime import Runtime
from likeness.common.sampling import evenly
from likeness.common.tracking import Tracker, step_timings
from likeness.image.adapters import OWN, count_values, folder_names, plain_adapter, value_of
from likeness.image.diffusion import (
    ADAPTER,
    FEWEST_ROWS,
    Sampler,
    draw,
    load_pipeline,
    resident_pipeline,
    scale_of,
)
from likeness.image.encoding import encode_captions, encode_images
from likeness.image.families import family_of
from likeness.image.kohya import kohya_adapter
from likeness.image.rows import PreparedImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from likeness.image.families import Tensors


class ImageTrain(Section):
    rank: Annotated[int, Field(ge=1, le=256)]
    alpha: Annotated[int, Field(ge=1, le=512)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    targets: Annotated[list[str], Field(min_length=1)]
    text_encoder: bool
    epochs: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    accumulation: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    lr_schedule: Literal["constant", "linear", "cosine"]
    warmup_steps: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    min_snr_gamma: Annotated[float, Field(ge=0)]
    noise_offset: Annotated[float, Field(ge=0, le=1)]
    caption_dropout: Annotated[float, Field(ge=0, le=1)]
    mixed_precision: Literal["auto", "no", "fp16", "bf16"]
    gradient_checkpointing: bool
    evaluate_every: Annotated[int, Field(ge=1)]
    val_timesteps: Annotated[int, Field(ge=1, le=100)]
    patience: Annotated[int, Field(ge=0)]
    keep_adapters: Annotated[int, Field(ge=0)]
    checkpoint_every: Annotated[int, Field(ge=1)]
    sample_every: Annotated[int, Field(ge=1)]
    samples: Annotated[int, Field(ge=1, le=64)]
    sampler: Sampler
    sample_steps: Annotated[int, Field(ge=1)]
    guidance: Annotated[float, Field(ge=0)]
    per: str
    per_epochs: Annotated[int, Field(ge=1)]
    per_rate: Annotated[float, Field(gt=0, le=1)]
    per_least: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Split:
    """One split. Its arrays stay in the item store and are read when a step needs them.

    Attributes:
        rows: the N images.
        stored_moments: the latents' mean and standard deviation, by the images' ids.
        stored_embeddings: what the text encoders say, by caption.
    """

    rows: list[PreparedImage]
    stored_moments: Mapping[str, Stored]
    stored_embeddings: Mapping[str, Stored]

    @property
    def side(self) -> int:
        """Width and height of the latents."""
        return int(self.stored_moments[self.rows[0].id].record["moments"][-1])

    def moments(self, rows: Sequence[PreparedImage]) -> "torch.Tensor":
        """(N, 2, C, h, w) mean and standard deviation of the images' latents, scaled for the UNet."""
        return _stack([self.stored_moments[row.id] for row in rows])["moments"]

    def embeddings(self, captions: Sequence[str]) -> "Tensors":
        """What the family's `embed` gives for N captions."""
        return _stack([self.stored_embeddings[text] for text in captions])


def _stack(stored: Sequence[Stored]) -> "Tensors":
    """The arrays of N items by their names, each (N, ...)."""
    import torch

    return {
        name: torch.stack(
            [
                torch.frombuffer(bytearray(one.read(f"{name}.f32")), dtype=torch.float32).reshape(
                    one.record[name]
                )
                for one in stored
            ]
        )
        for name in stored[0].record
    }


def train(
    cfg: ImageTrain,
    *,
    dataset: Path,
    base: Path,
    out_dir: Path,
    plots_dir: Path,
    timings_dir: Path,
    rt: Runtime,
) -> dict[str, float]:
    """Train an adapter on the train split, choose its best step on the val split.

    Writes to `out_dir` the adapter in diffusers' keys and in kohya's, those of other evaluated steps
    as `adapters/<step>/` in diffusers' keys, `training.json` and a sheet of samples for every
    evaluation; curves to `plots_dir`; step time and memory to `timings_dir`. With `per`, the training
    goes on with the photos of each of the attribute's values, whose adapters are in `per/<value>/`.
    Checkpoints go to scratch, and a killed run goes on from its last one.

    Raises:
        LikenessError: the base is no Stable Diffusion, no layer's name matches `targets`, no product
            has the attribute `per`, or the learning rate is so high that the weights become NaN.
    """
    rows = read_manifest(dataset / "manifest.jsonl", PreparedImage)
    counts = count_values(rows, cfg.per)
    splits = encode_splits(rows, dataset, base, cfg, rt)
    key = [
        cfg.model_dump_json(),
        digest(dataset),
        digest(base),
        code_digest(Path(__file__)),
        rt.seed,
    ]
    scratch = rt.scratch("image_train", digest_of(key))
    places = Places(base, scratch, out_dir, plots_dir, timings_dir)
    shared = _fit(cfg, splits, places, rt)
    metrics = dict(shared.metrics)
    own: list[dict[str, Any]] = []
    for value, name in folder_names(counts).items():
        photos = {"train_n": counts[value]["train"], "val_n": counts[value]["val"]}
        if min(photos.values()) < cfg.per_least:
            rt.log(
                f"image_train: {cfg.per} {value} keeps the adapter for all: {photos['train_n']} train "
                f"and {photos['val_n']} val photos, and image_train.per_least is {cfg.per_least}"
            )
            own.append({"value": value, "folder": None, **photos})
            continue
        fitted = _fit_value(cfg, value, name, splits, shared, places, rt)
        found = {
            "own_loss": fitted.metrics["val_loss"],
            "shared_loss": fitted.metrics["val_loss_base"],
            "best_step": fitted.metrics["best_step"],
            **photos,
        }
        metrics |= {f"per_{figure}_{name}": one for figure, one in found.items()}
        evaluations = {"evaluations": fitted.evaluations}
        own.append({"value": value, "folder": f"{OWN}/{name}", **found, **evaluations})
    if cfg.per:
        _plot_values(plots_dir / "per.png", cfg.per, own)
    training = {
        **describe(base),
        **cfg.model_dump(),
        **metrics,
        "evaluations": shared.evaluations,
        "own": own,
    }
    write_json(out_dir / "training.json", training)
    Checkpoints(scratch).clear()
    Evaluations(scratch, 0).clear()
    shutil.rmtree(scratch / OWN, ignore_errors=True)
    return metrics


@dataclass(frozen=True)
class Places:
    """Where a training reads its base and writes what it makes; see `train`."""

    base: Path
    scratch: Path
    out_dir: Path
    plots_dir: Path
    timings_dir: Path

    def of(self, name: str) -> "Places":
        """Those of a value's training, by the value's name."""
        return Places(
            self.base,
            self.scratch / OWN / name,
            self.out_dir / OWN / name,
            self.plots_dir / OWN / name,
            self.timings_dir.with_name(f"{self.timings_dir.name}_{name}"),
        )


@dataclass(frozen=True)
class Fitted:
    """What a training found; `weights` are those of its best step, by the trainer's names."""

    metrics: dict[str, float]
    evaluations: list[dict[str, Any]]
    weights: "Tensors"


def _fit(
    cfg: ImageTrain,
    splits: Mapping[str, Split],
    places: Places,
    rt: Runtime,
    title: str = "image_train",
    start: "Tensors | None" = None,
) -> Fitted:
    """Train an adapter from `start`, or from nothing, and write it; its checkpoints stay in scratch."""
    resident_pipeline.release()  # and with it what a training before this one has left
    pipeline = load_pipeline(places.base, rt.device, rt.precision(cfg.mixed_precision))
    scale = scale_of(pipeline.vae)
    own, given = pipeline.unet.config.sample_size * scale, splits["val"].side * scale
    if own != given and start is None:
        rt.log(
            f"image_train: {places.base} was trained at {own} pixels, the photos have {given}; it draws "
            f"best with image_prepare.resolution {own}"
        )
    trainer = Trainer(
        cfg, pipeline, splits["train"], splits["val"], places.scratch, rt, title, start
    )
    tracker = Tracker(places.plots_dir, places.timings_dir, rt.trackers, cfg.model_dump())
    trainer.run(tracker)
    for path in sorted(places.scratch.glob("samples/*.png")):
        tracker.log_image(f"samples/{path.name}", path)
        link(path, places.out_dir / "samples" / path.name)
    tracker.end()
    trainer.save(places.out_dir)
    evaluations = trainer.evaluations
    best = evaluations.weights(evaluations.best())
    return Fitted(trainer.metrics(), evaluations.rows("step"), best)


def _fit_value(
    cfg: ImageTrain,
    value: str,
    name: str,
    splits: Mapping[str, Split],
    shared: Fitted,
    places: Places,
    rt: Runtime,
) -> Fitted:
    """Go on from the adapter for all with the photos of one value of the attribute `per`.

    Each epoch is evaluated on the value's val photos, and step 0 is the adapter for all: what is kept
    has no higher loss on them than that. The rate may be too high before it falls, so it does not stop
    early.
    """
    parts = {
        split: replace(one, rows=[row for row in one.rows if value_of(row, cfg.per) == value])
        for split, one in splits.items()
    }
    epoch = steps_of(parts["train"], cfg)
    changes = {
        "epochs": cfg.per_epochs,
        "learning_rate": cfg.per_rate * cfg.learning_rate,
        "warmup_steps": min(cfg.warmup_steps, epoch),
        "evaluate_every": epoch,
        "checkpoint_every": min(cfg.checkpoint_every, epoch),
        "patience": 0,
        "keep_adapters": 0,
        "sample_every": 0,
    }
    title = f"image_train: {value}"
    own = cfg.model_copy(update=changes)
    return _fit(own, parts, places.of(name), rt, title, shared.weights)


def steps_of(split: Split, cfg: ImageTrain) -> int:
    """Steps of an epoch."""
    return math.ceil(len(split.rows) / (cfg.batch * cfg.accumulation))


def _plot_values(path: Path, attribute: str, own: Sequence[Mapping[str, Any]]) -> None:
    """What each epoch on a value's photos takes from their loss with the adapter for all."""
    with figures.figure(path, size=(7, 3.2)) as axis:
        for row in own:
            if row["folder"]:
                losses = np.array([one["figures"]["loss"] for one in row["evaluations"]])
                label = f"{row['value']} (n {row['val_n']})"
                axis.plot(100 * (losses / losses[0] - 1), marker=".", label=label)
        axis.axhline(0, color=figures.QUIET, linewidth=0.8)
        axis.set_title(f"Validation loss by {attribute} against the adapter for all, %")
        axis.set_xlabel("epochs with the photos of that value alone")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False)


def encode_splits(
    rows: Sequence[PreparedImage], dataset: Path, base: Path, cfg: ImageTrain, rt: Runtime
) -> dict[str, Split]:
    """The train and val splits with their latents and caption embeddings in the item store."""
    of_split = {name: [row for row in rows if row.split == name] for name in ("train", "val")}
    for name, members in of_split.items():
        if not members:
            raise LikenessError(
                f"{dataset / 'manifest.jsonl'}: the {name} split is empty; run image_prepare again"
            )
    rows = [row for members in of_split.values() for row in members]
    # Images first, then captions: on a GPU they need the base in two precisions, one at a time.
    moments = map_all(
        partial(encode_images, base=base, device=rt.device),
        {row.id: dataset / row.file_name for row in rows},
        problem=f"cannot be encoded by {base}",
        what="image_latents",
        rt=rt,
    )
    embeddings = map_all(
        partial(
            encode_captions,
            base=base,
            device=rt.device,
            precision=rt.precision(cfg.mixed_precision),
        ),
        {text: text for text in ["", *sorted({row.caption for row in rows})]},
        problem=f"cannot be encoded by {base}",
        what="image_captions",
        rt=rt,
        batch=64,
    )
    return {name: Split(members, moments, embeddings) for name, members in of_split.items()}


class Trainer:
    """The loop and all of its state; `state()` is what a checkpoint holds."""

    def __init__(
        self,
        cfg: ImageTrain,
        pipeline: Any,
        train_split: Split,
        val_split: Split,
        scratch: Path,
        rt: Runtime,
        title: str = "image_train",
        start: "Tensors | None" = None,
    ) -> None:
        import torch
        from accelerate import Accelerator
        from diffusers import DDPMScheduler
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel, cast_training_params

        self.cfg, self.rt, self.pipeline, self.title = cfg, rt, pipeline, title
        self.family = family_of(pipeline)
        self.train_split, self.val_split = train_split, val_split
        self.checkpoints, self.scratch = Checkpoints(scratch), scratch
        self.evaluations = Evaluations(scratch, cfg.keep_adapters)
        self.accelerator = Accelerator(cpu=rt.device == "cpu", mixed_precision="no")
        self.mixed = MixedPrecision(rt.precision(cfg.mixed_precision), rt.device)
        self.noise_scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
        torch.manual_seed(rt.seed)
        self.networks = _add_adapters(cfg, pipeline)
        # Rounded to half precision, the sums would lose most of what is small beside the weights.
        if not cfg.dropout and rt.precision(cfg.mixed_precision) == "no":
            for network in self.networks.values():
                fold_branches(network)
        # Half-precision bases train float32 adapters: gradients of half weights cannot be unscaled.
        cast_training_params(list(self.networks.values()))
        self.parameters = {
            f"{name}.{key}": parameter
            for name, network in self.networks.items()
            for key, parameter in network.named_parameters()
            if parameter.requires_grad
        }
        if start is not None:
            self._set_weights(start)
        self.total = sum(p.numel() for n in self.networks.values() for p in n.parameters())
        weights = list(self.parameters.values())
        self.optimizer = torch.optim.AdamW(
            weights, lr=cfg.learning_rate, weight_decay=cfg.weight_decay, fused=True
        )
        self.steps_per_epoch = steps_of(train_split, cfg)
        self.steps = cfg.epochs * self.steps_per_epoch
        self.lr_scheduler = get_scheduler(
            cfg.lr_schedule,
            self.optimizer,
            num_warmup_steps=cfg.warmup_steps,
            num_training_steps=self.steps,
        )
        self.ema = EMAModel(weights, decay=cfg.ema_decay, use_ema_warmup=True, foreach=True)
        for name, network in self.networks.items():
            self.networks[name] = self.accelerator.prepare(network)
        self.optimizer = self.accelerator.prepare(self.optimizer)
        self.step = 0
        self.stale = 0
        self.history: list[tuple[int, dict[str, float]]] = []
        self.seconds: list[float] = []

    def run(self, tracker: Tracker) -> None:
        """Train to the end, or to the early stop, from the newest checkpoint if there is one."""
        state = self.checkpoints.load()
        if state is not None:
            self._restore(state)
            self.rt.log(f"{self.title}: goes on from step {self.step} of {self.steps}")
        for step, values in self.history:
            tracker.log(step, values)
        if self.step == 0 and not self.history:
            self._evaluate(tracker)
        steps = range(self.step + 1, self.steps + 1)
        for step in self.rt.progress(steps, f"{self.title}: steps", len(steps)):
            if 0 < self.cfg.patience <= self.stale:
                break
            started = time.monotonic()
            loss = self._optimize(step)
            self.step = step
            self.seconds.append(time.monotonic() - started)
            if step % 10 == 0 or step == self.steps:
                rate = float(self.lr_scheduler.get_last_lr()[0])
                self._log(tracker, {"train/loss": loss, "train/learning_rate": rate})
                tracker.log_timings(step, step_timings(self.seconds, self.rt.device))
            if step % self.cfg.evaluate_every == 0 or step == self.steps:
                self._evaluate(tracker)
            if step % self.cfg.checkpoint_every == 0:
                self._save_checkpoint()
        self._save_checkpoint()

    def metrics(self) -> dict[str, float]:
        best, first = self.evaluations.best(), self.evaluations.all[0]
        trainable = sum(parameter.numel() for parameter in self.parameters.values())
        return {
            "val_loss": round(best.figures["loss"], 6),
            "val_loss_base": round(first.figures["loss"], 6),
            "val_n": len(self.val_split.rows),
            "train_n": len(self.train_split.rows),
            "best_step": int(best.name),
            "steps": self.step,
            "trainable_parameters": trainable,
            "trainable_share": round(trainable / self.total, 6),
        }

    def save(self, out_dir: Path) -> None:
        """Write the best step's adapter with diffusers' keys and kohya's, the others with diffusers'."""
        scale = self.cfg.alpha / self.cfg.rank
        best, *others = self.evaluations.kept()
        for one in others:
            adapter = plain_adapter(self.evaluations.weights(one), scale)
            save_tensors(out_dir / KEPT / one.name / ADAPTER, adapter)
        adapter = plain_adapter(self.evaluations.weights(best), scale)
        save_tensors(out_dir / ADAPTER, adapter)
        layers = self.pipeline.unet.config.layers_per_block
        save_tensors(out_dir / "kohya.safetensors", kohya_adapter(adapter, self.family, layers))

    def _optimize(self, step: int) -> float:
        """One optimiser step over `accumulation` batches; returns their mean loss."""
        import torch

        cfg, losses = self.cfg, []
        torch.manual_seed(self.rt.seed_for("train", step, self.accelerator.process_index))
        for network in self.networks.values():
            network.train()
        for part in range(cfg.accumulation):
            with self.mixed.autocast():
                loss = self._loss(self._batch(step, part)) / cfg.accumulation
            self.accelerator.backward(self.mixed.scaled(loss))
            losses.append(loss.detach())
        self.mixed.step(self.optimizer, list(self.parameters.values()), cfg.max_grad_norm)
        self.lr_scheduler.step()
        self.optimizer.zero_grad()
        if cfg.ema_decay:
            self.ema.step(list(self.parameters.values()))
        mean = float(torch.stack(losses).sum())
        weights = self.parameters.values()
        check_finite(mean, weights, stage="image_train", step=step, learning_rate=cfg.learning_rate)
        return mean

    def _batch(self, step: int, part: int) -> list[int]:
        """Rows of the train split: every epoch is a new order of all of them, its end filled up."""
        cfg, size = self.cfg, len(self.train_split.rows)
        epoch, at = divmod(step - 1, self.steps_per_epoch)
        order = np.random.default_rng(self.rt.seed_for("epoch", epoch)).permutation(size)
        first = (at * cfg.accumulation + part) * cfg.batch
        rows = [int(order[(first + number) % size]) for number in range(cfg.batch)]
        return rows[self.accelerator.process_index :: self.accelerator.num_processes]

    def _loss(self, rows: list[int]) -> "torch.Tensor":
        """Mean squared error of the prediction, weighted by min-SNR (Hang et al. 2023) if asked for."""
        import torch
        from diffusers.training_utils import compute_snr

        cfg, split, scheduler = self.cfg, self.train_split, self.noise_scheduler
        mean, deviation = split.moments([split.rows[row] for row in rows]).unbind(1)
        latents = mean + deviation * torch.randn_like(mean)
        noise = torch.randn_like(latents)
        if cfg.noise_offset:
            noise += cfg.noise_offset * torch.randn(len(rows), latents.shape[1], 1, 1)
        timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (len(rows),))
        dropped = torch.rand(len(rows)) < cfg.caption_dropout
        captions = [
            "" if drop else split.rows[row].caption for row, drop in zip(rows, dropped, strict=True)
        ]
        conditions = self._conditions(split, [split.rows[row] for row in rows], captions)
        error = self._error(latents, noise, timesteps, conditions)
        if not cfg.min_snr_gamma:
            return error.mean()
        snr = compute_snr(scheduler, timesteps)
        weight = snr.clamp(max=cfg.min_snr_gamma)
        predicts_v = scheduler.config.prediction_type == "v_prediction"
        weight = weight / (snr + 1 if predicts_v else snr)
        weighted: torch.Tensor = error * weight.to(error.device)
        return weighted.mean()

    def _conditions(
        self, split: Split, rows: Sequence[PreparedImage], captions: list[str]
    ) -> dict[str, Any]:
        """What the UNet is told of these images."""
        if self.cfg.text_encoder:
            embedded = self.family.embed(self.pipeline, captions)
        else:
            embedded = split.embeddings(captions)
        embedded = {
            name: one.to(self.accelerator.device, self.pipeline.unet.dtype)
            for name, one in embedded.items()
        }
        side = split.side * scale_of(self.pipeline.vae)
        return self.family.conditions(embedded, [row.original_size for row in rows], side)

    def _error(
        self,
        latents: "torch.Tensor",
        noise: "torch.Tensor",
        timesteps: "torch.Tensor",
        conditions: dict[str, Any],
    ) -> "torch.Tensor":
        """(N,) mean squared error of each image's prediction."""
        device, scheduler = self.accelerator.device, self.noise_scheduler
        dtype = self.pipeline.unet.dtype
        noisy = scheduler.add_noise(latents, noise, timesteps).to(device, dtype)
        target = noise
        if scheduler.config.prediction_type == "v_prediction":
            target = scheduler.get_velocity(latents, noise, timesteps)
        predicted = self.networks["unet"](noisy, timesteps.to(device), **conditions).sample
        return (predicted.float() - target.to(device)).square().mean(dim=(1, 2, 3))  # type: ignore[no-any-return]

    def _evaluate(self, tracker: Tracker) -> None:
        """Validation loss with the averaged weights, which are kept if they rank high enough."""
        with self._averaged():
            loss = self._val_loss()
            self._log(tracker, {"val/loss": loss})
            evaluation = Evaluation(f"{self.step:06d}", {"loss": loss}, order=(-loss,))
            self.evaluations.add(evaluation, self.parameters)
            self.stale = 0 if self.evaluations.best() is evaluation else self.stale + 1
            every = self.cfg.sample_every  # 0 for a value's training, which draws none
            if every and (self.step % every == 0 or self.step == self.steps):
                self._sample()

    def _val_loss(self) -> float:
        """Mean loss over the val split at fixed timesteps with fixed noise: the same at every step."""
        import torch

        split, cfg = self.val_split, self.cfg
        count = self.noise_scheduler.config.num_train_timesteps
        steps = [int((at + 0.5) * count / cfg.val_timesteps) for at in range(cfg.val_timesteps)]
        size = max(cfg.batch, 8)
        losses: list[torch.Tensor] = []
        with torch.inference_mode():
            for first in range(0, len(split.rows), size):
                rows = split.rows[first : first + size]
                latents = split.moments(rows)[:, 0]
                conditions = self._conditions(split, rows, [row.caption for row in rows])
                for timestep in steps:
                    seeds = [self.rt.seed_for("val", row.id, timestep) for row in rows]
                    noise = torch.stack(
                        [
                            torch.randn(
                                latents.shape[1:], generator=torch.Generator().manual_seed(seed)
                            )
                            for seed in seeds
                        ]
                    )
                    timesteps = torch.full((len(rows),), timestep)
                    losses.append(self._error(latents, noise, timesteps, conditions).cpu())
        return float(torch.cat(losses).double().mean())

    def _sample(self) -> None:
        """A sheet of fixed captions of the val split with fixed seeds.

        On a GPU as many at a time as a step takes: all at once could need more memory than a step.
        """
        chosen = evenly(self.val_split.rows, self.cfg.samples)
        at_once = FEWEST_ROWS if self.rt.device == "cpu" else self.cfg.batch
        images: list[Image.Image] = []
        for first in range(0, len(chosen), at_once):
            part = chosen[first : first + at_once]
            images += draw(
                self.pipeline,
                [row.caption for row in part],
                [self.rt.seed_for("sample", row.id) for row in part],
                resolution=self.val_split.side * scale_of(self.pipeline.vae),
                sampler=self.cfg.sampler,
                steps=self.cfg.sample_steps,
                guidance=self.cfg.guidance,
                negative_prompt="",
            )
        labels = [f"{row.gender} {row.baseColour}" for row in chosen]
        path = self.scratch / "samples" / f"{self.step:06d}.png"
        figures.contact_sheet(path, images, columns=4, size=128, labels=labels)

    @contextmanager
    def _averaged(self) -> "Iterator[None]":
        """The networks in evaluation mode, with the averaged weights in place of the newest."""
        parameters = list(self.parameters.values())
        for network in self.networks.values():
            network.eval()
        if self.cfg.ema_decay:
            self.ema.store(parameters)
            self.ema.copy_to(parameters)
        yield
        if self.cfg.ema_decay:
            self.ema.restore(parameters)

    def _log(self, tracker: Tracker, values: dict[str, float]) -> None:
        self.history.append((self.step, values))
        tracker.log(self.step, values)

    def _save_checkpoint(self) -> None:
        self.checkpoints.save(self._state())
        self.evaluations.drop_others()

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "stale": self.stale,
            "weights": {
                name: parameter.detach().cpu() for name, parameter in self.parameters.items()
            },
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": self.lr_scheduler.state_dict(),
            "ema": self.ema.state_dict(),
            "mixed": self.mixed.state_dict(),
            "evaluations": self.evaluations.all,
            "history": self.history,
        }

    def _set_weights(self, weights: "Tensors") -> None:
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])

    def _restore(self, state: dict[str, Any]) -> None:
        self._set_weights(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        self.ema.load_state_dict(state["ema"])
        self.ema.to(self.accelerator.device)  # unlike an optimiser, it takes the state's
        self.mixed.load_state_dict(state["mixed"])
        self.step, self.stale = state["step"], state["stale"]
        self.evaluations.all, self.history = state["evaluations"], state["history"]


def _add_adapters(cfg: ImageTrain, pipeline: Any) -> dict[str, Any]:
    """Freeze the base and put trainable LoRA layers on it; returns the networks by their part."""
    from peft import LoraConfig

    text_encoders = family_of(pipeline).text_encoders
    for part in ("unet", *text_encoders, "vae"):
        getattr(pipeline, part).requires_grad_(False)
    if cfg.gradient_checkpointing:
        pipeline.unet.enable_gradient_checkpointing()
    names = [name for name, _ in pipeline.unet.named_modules()]
    for target in cfg.targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise LikenessError(
                f"params.yaml: image_train.targets: no layer of this base is named {target}"
            )
    common = {"r": cfg.rank, "lora_alpha": cfg.alpha, "lora_dropout": cfg.dropout}
    pipeline.unet.add_adapter(LoraConfig(target_modules=cfg.targets, **common))
    networks = {"unet": pipeline.unet}
    if cfg.text_encoder:
        attention = ["q_proj", "k_proj", "v_proj", "out_proj"]
        for part in text_encoders:
            networks[part] = getattr(pipeline, part)
            networks[part].add_adapter(LoraConfig(target_modules=attention, **common))
    return networks


def fold_branches(network: Any) -> None:
    """Let small layers compute (W + s B A) x where peft computes W x + s B (A x): fewer, larger products.

    That is one more pass over W in a step, for its gradient, and three fewer over each of A and B. So
    it is done where those have more than a third of W's numbers.
    """
    from peft.tuners.lora import LoraLayer

    for layer in network.modules():
        if isinstance(layer, LoraLayer):
            (down,), (up,) = layer.lora_A.values(), layer.lora_B.values()
            if 3 * (down.weight.numel() + up.weight.numel()) > layer.weight.numel():
                layer.forward = partial(_folded, layer)


def _folded(layer: Any, x: "torch.Tensor") -> "torch.Tensor":
    import torch

    (down,), (up,), (scale,) = (
        part.values() for part in (layer.lora_A, layer.lora_B, layer.scaling)
    )
    flat = (part.weight.flatten(1) for part in (layer, up, down))
    weight = torch.addmm(*flat, alpha=scale).view_as(layer.weight)
    return torch.func.functional_call(layer.base_layer, {"weight": weight}, (x,))  # type: ignore[no-any-return]
