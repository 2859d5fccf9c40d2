"""The loop that trains an adapter, and chooses its best epoch by the speech it produces.

All randomness is seeded by the step's number, so a run that is killed and resumes from a checkpoint
takes the same steps as one that is not.
"""

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.checkpoints import Checkpoints
from likeness.common.errors import LikenessError
from likeness.common.evaluations import KEPT, Evaluation, Evaluations, save_tensors
from likeness.common.io import write_bytes, write_json
from likeness.common.precision import MixedPrecision, check_finite
from likeness.common.runtime import Runtime
from likeness.common.tracking import Tracker, step_timings
from likeness.voice.audio import encode
from likeness.voice.codes import HOP, RATE
from likeness.voice.examples import Example, make_batches
from likeness.voice.listening import Listener
from likeness.voice.lora import inject_adapter, plain_adapter
from likeness.voice.losses import draw_style, next_token_losses, style_latents
from likeness.voice.parallel import Parallel, decoded_loss, log_mels, say_beside
from likeness.voice.xtts import (
    ADAPTER,
    EMBEDDING,
    LATENTS,
    VOICE,
    Voice,
    latents_of,
    say,
    voice_of,
)

if TYPE_CHECKING:
    import torch

    from likeness.voice.train import VoiceTrain

Array = np.ndarray

BETAS = (0.9, 0.96)  # of AdamW, as in XTTS's own recipe


class Trainer:
    """The loop and all of its state; a checkpoint holds what `_state()` returns."""

    def __init__(
        self,
        cfg: "VoiceTrain",
        model: Any,
        train_split: list[Example],
        val_split: list[Example],
        sentences: list[str],
        references: list[Array],
        settings: dict[str, float],
        listener: Listener,
        scratch: Path,
        rt: Runtime,
    ) -> None:
        import torch
        from accelerate import Accelerator
        from transformers import get_scheduler

        self.cfg, self.rt, self.model, self.listener = cfg, rt, model, listener
        self.train_split, self.val_split = train_split, val_split
        self.sentences, self.references, self.settings = sentences, references, settings
        voice = voice_of(model, references)
        self.embedding = voice.embedding
        self.mels = log_mels(model.config.audio.output_sample_rate, rt.device)
        rows = [*train_split, *val_split] if cfg.decoder_targets else []
        seeds = [rt.seed_for("parallel", row.id) for row in rows]
        beside = say_beside(
            model, rows, seeds, voice=voice, settings=settings, progress=rt.progress
        )
        self.parallel, self.val_parallel = (
            [beside[row.id] for row in split if row.id in beside]
            for split in (train_split, val_split)
        )
        if rows and not (self.parallel and self.val_parallel):
            raise LikenessError(
                "params.yaml: voice_train.decoder_targets: the base says too few of the clips' texts "
                f"to their end ({len(self.parallel)} of train, {len(self.val_parallel)} of val); set "
                "them to []"
            )
        self.checkpoints, self.samples = Checkpoints(scratch), scratch / "samples"
        self.evaluations = Evaluations(scratch, cfg.keep_adapters)
        self.accelerator = Accelerator(cpu=rt.device == "cpu", mixed_precision="no")
        self.mixed = MixedPrecision(rt.precision(cfg.mixed_precision), rt.device)
        self.total = sum(parameter.numel() for parameter in model.parameters())
        torch.manual_seed(rt.seed)
        self.parameters = inject_adapter(
            model,
            rank=cfg.rank,
            alpha=cfg.alpha,
            dropout=cfg.dropout,
            targets=cfg.targets,
            top_layers=cfg.top_layers,
            decoder_targets=cfg.decoder_targets,
        )
        rates = {"gpt.": cfg.learning_rate, "hifigan_decoder.": cfg.decoder_learning_rate}
        self.optimizer = torch.optim.AdamW(
            [
                {
                    "params": [p for name, p in self.parameters.items() if name.startswith(part)],
                    "lr": lr,
                }
                for part, lr in rates.items()
            ],
            betas=BETAS,
            weight_decay=cfg.weight_decay,
        )
        batches = math.ceil(len(train_split) / cfg.batch)
        self.steps_per_epoch = math.ceil(batches / cfg.accumulation)
        self.steps = cfg.epochs * self.steps_per_epoch
        self.lr_scheduler = get_scheduler(
            cfg.lr_schedule,
            self.optimizer,
            num_warmup_steps=cfg.warmup_steps,
            num_training_steps=self.steps,
        )
        self.optimizer = self.accelerator.prepare(self.optimizer)
        self.step = 0
        self.stale = 0
        self.lowest = math.inf  # validation loss
        self.history: list[tuple[int, dict[str, float]]] = []
        self.seconds: list[float] = []

    def run(self, tracker: Tracker) -> None:
        """Train to the last step or until early stopping, from the newest checkpoint if there is one."""
        state = self.checkpoints.load()
        if state is not None:
            self._restore(state)
            self.rt.log(f"voice_train: resumes from step {self.step} of {self.steps}")
        for step, values in self.history:
            tracker.log(step, values)
        if not self.history:
            self._evaluate(tracker)  # untrained: the baseline of all epochs
            self._save_checkpoint()
        steps = range(self.step + 1, self.steps + 1)
        for step in self.rt.progress(steps, "voice_train: steps", len(steps)):
            if 0 < self.cfg.patience <= self.stale:
                break
            started = time.monotonic()
            losses = self._optimize(step)
            self.step = step
            self.seconds.append(time.monotonic() - started)
            epoch, rest = divmod(step, self.steps_per_epoch)
            if step % 10 == 0 or rest == 0:
                self._log(tracker, losses)
                tracker.log_timings(step, step_timings(self.seconds, self.rt.device))
            evaluates = rest == 0 and (epoch % self.cfg.evaluate_every == 0 or step == self.steps)
            if evaluates:
                self._evaluate(tracker)
            if evaluates or step % self.cfg.checkpoint_every == 0:
                self._save_checkpoint()

    def metrics(self) -> dict[str, Any]:
        """Figures of the best epoch, and of the base before the adapter is trained."""
        trainable = sum(parameter.numel() for parameter in self.parameters.values())
        best, first = self.evaluations.best(), self.evaluations.all[0]
        return {
            **{f"val_{name}": round(value, 6) for name, value in best.figures.items()},
            **{
                f"val_{name}_without_adapter": round(value, 6)
                for name, value in first.figures.items()
            },
            "val_n": len(self.val_split),
            "val_sentences": len(self.sentences),
            "train_n": len(self.train_split),
            "decoder_n": len(self.parallel),
            "best_epoch": int(best.name),
            "epochs": self.step // self.steps_per_epoch,
            "steps": self.step,
            "trainable_parameters": trainable,
            "trainable_share": round(trainable / self.total, 6),
        }

    def sample_paths(self) -> list[Path]:
        return sorted(self.samples.iterdir())

    def save(self, out_dir: Path, base: Path) -> None:
        """Write the adapters of `base`, and the `Voice` that the best one makes of the references."""
        scale = self.cfg.alpha / self.cfg.rank
        best, *others = self.evaluations.kept()
        for one in others:
            adapter = plain_adapter(self.evaluations.weights(one), scale, base)
            save_tensors(out_dir / KEPT / f"{one.name}.safetensors", adapter)
        self._load(self.evaluations.weights(best))
        save_tensors(out_dir / ADAPTER, plain_adapter(self.parameters, scale, base))
        latents = latents_of(self.model, self.references)
        save_tensors(out_dir / VOICE, {LATENTS[0]: latents, EMBEDDING: self.embedding})

    def _optimize(self, step: int) -> dict[str, float]:
        """One optimiser step over `accumulation` batches; returns their mean losses."""
        import torch

        cfg = self.cfg
        torch.manual_seed(self.rt.seed_for("train", step))  # dropout
        rng = np.random.default_rng(self.rt.seed_for("styles", step))
        batches = self._batches(step)
        sums: dict[str, float] = defaultdict(float)
        self.model.gpt.train(bool(cfg.targets))
        for rows in batches:
            losses: dict[str, torch.Tensor] = {}
            if cfg.targets:
                seconds = rng.uniform(cfg.min_reference_seconds, cfg.max_reference_seconds)
                losses["text"], losses["code"] = self._next_token_losses(rows, seconds, rng)
            if cfg.decoder_targets:
                losses["decoded"] = self._decoded_loss(
                    self.parallel, cfg.decoder_windows, cfg.decoder_codes, rng
                )
            weights = {"text": cfg.text_weight}
            loss = torch.stack([weights.get(name, 1.0) * losses[name] for name in losses]).sum()
            self.accelerator.backward(self.mixed.scaled(loss / len(batches)))
            sums["train/loss"] += float(loss) / len(batches)
            for name, one in losses.items():
                sums[f"train/{name}_loss"] += float(one) / len(batches)
        self.model.gpt.eval()  # in training mode, the GPT returns too many latents for inference
        rate = float(self.lr_scheduler.get_last_lr()[0])
        self.mixed.step(self.optimizer, list(self.parameters.values()), cfg.max_grad_norm)
        self.lr_scheduler.step()
        self.optimizer.zero_grad()
        check_finite(
            sums["train/loss"], self.parameters.values(), stage="voice_train", step=step,
            learning_rate=cfg.learning_rate,
        )  # fmt: skip
        return {**sums, "train/learning_rate": rate}

    def _next_token_losses(
        self, rows: list[int], seconds: float, rng: np.random.Generator
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """Losses of the texts and of the codes of rows, conditioned on so many seconds of speech."""
        frames, own = round(seconds * RATE / HOP), self.cfg.own_reference
        styles = [draw_style(self.train_split, row, frames, own, rng) for row in rows]
        with self.mixed.autocast():
            text, code, _ = next_token_losses(
                self.model.gpt,
                [self.train_split[row] for row in rows],
                style_latents(self.model.gpt, styles),
                [(style.start, style.end) for style in styles],
            )
        return text.float(), code.float()

    def _decoded_loss(
        self, rows: Sequence[Parallel], windows: int, longest: int, rng: np.random.Generator
    ) -> "torch.Tensor":
        return decoded_loss(
            self.model, rows, embedding=self.embedding, mels=self.mels, windows=windows,
            longest=longest, rng=rng,
        )  # fmt: skip

    def _batches(self, step: int) -> list[list[int]]:
        """Rows of the train split for a step's batches; each row occurs once in an epoch."""
        epoch, at = divmod(step - 1, self.steps_per_epoch)
        rng = np.random.default_rng(self.rt.seed_for("epoch", epoch))
        lengths = [example.length for example in self.train_split]
        first = at * self.cfg.accumulation
        return make_batches(lengths, self.cfg.batch, rng)[first : first + self.cfg.accumulation]

    def _evaluate(self, tracker: Tracker) -> None:
        """Say the sentences, measure them, and keep the weights if they rank high enough.

        The score is similarity less `wer_weight` times the word error rate. An epoch is stale if
        neither its score nor its validation loss is the best so far.
        """
        voice = Voice(latents_of(self.model, self.references), self.embedding)
        loss = self._val_loss(voice)
        wer, similarity = self._listen(voice)
        score = similarity - self.cfg.wer_weight * wer
        measured = {"score": score, "wer": wer, "similarity": similarity, "loss": loss}
        self._log(tracker, {f"val/{name}": value for name, value in measured.items()})
        evaluation = Evaluation(self._epoch_name(), measured, order=(score, -loss))
        self.evaluations.add(evaluation, self.parameters)
        better = self.evaluations.best() is evaluation
        self.stale = 0 if better or loss < self.lowest else self.stale + 1
        self.lowest = min(loss, self.lowest)

    def _val_loss(self, voice: Voice) -> float:
        """Loss of a code if the GPT is adapted, and of what is decoded if the decoder is, on val.

        Codes are conditioned on the references as in inference. Row by row and without dropout, so
        that equal weights give equal losses.
        """
        import torch

        rng = np.random.default_rng(0)  # draws nothing, as all of a row is decoded
        parts: dict[str, list[tuple[float, int]]] = defaultdict(list)
        with torch.inference_mode():
            for example in self.val_split if self.cfg.targets else []:
                loss = next_token_losses(self.model.gpt, [example], voice.latents, [(0, 0)])[1]
                parts["code"].append((float(loss), len(example.codes) + 1))
            for row in self.val_parallel:
                count = len(row.latents)
                parts["decoded"].append((float(self._decoded_loss([row], 1, count, rng)), count))
        return sum(
            sum(loss * count for loss, count in found) / sum(count for _, count in found)
            for found in parts.values()
        )

    def _listen(self, voice: Voice) -> tuple[float, float]:
        """Word error rate and similarity of the sentences, which are kept as samples: their audio, and
        what they are and were heard as.
        """
        rate = self.model.config.audio.output_sample_rate
        paths = []
        for number, text in enumerate(self.sentences):
            seed = self.rt.seed_for("sample", number)
            wave = say(
                self.model,
                text,
                language=self.cfg.language,
                voice=voice,
                seed=seed,
                settings=self.settings,
            )
            wave = wave if np.isfinite(wave).all() else np.zeros_like(wave)
            path = self.samples / f"{self._epoch_name()}-{number}.wav"
            write_bytes(path, encode(wave, rate, "WAV"))
            paths.append(path)
        wer, similarity, transcripts = self.listener.listen(paths, self.sentences)
        pairs = zip(self.sentences, transcripts, strict=True)
        rows = [{"text": text, "heard": heard} for text, heard in pairs]
        write_json(self.samples / f"{self._epoch_name()}.json", rows)
        return wer, similarity

    def _epoch_name(self) -> str:
        return f"{self.step // self.steps_per_epoch:03d}"

    def _log(self, tracker: Tracker, values: dict[str, float]) -> None:
        self.history.append((self.step, values))
        tracker.log(self.step, values)

    def _weights(self) -> "dict[str, torch.Tensor]":
        return {name: p.detach().cpu().clone() for name, p in self.parameters.items()}

    def _load(self, weights: "dict[str, torch.Tensor]") -> None:
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])

    def _save_checkpoint(self) -> None:
        self.checkpoints.save(self._state())
        self.evaluations.drop_others()

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "stale": self.stale,
            "lowest": self.lowest,
            "weights": self._weights(),
            "optimizer": self.optimizer.state_dict(),
            "mixed": self.mixed.state_dict(),
            "lr_scheduler": self.lr_scheduler.state_dict(),
            "evaluations": self.evaluations.all,
            "history": self.history,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._load(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.mixed.load_state_dict(state["mixed"])
        self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        self.step, self.stale, self.lowest = state["step"], state["stale"], state["lowest"]
        self.evaluations.all, self.history = state["evaluations"], state["history"]
