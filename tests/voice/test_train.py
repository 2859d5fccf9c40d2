"""A voice is learned, its best epoch chosen by what it says, and resumed to the same bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import digest, read_json
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.precision import Precision, dtype_of
from likeness.common.runtime import Runtime
from likeness.voice import clip_codes, listening
from likeness.voice import trainer as module
from likeness.voice.audio import read
from likeness.voice.merge import merge
from likeness.voice.synthesize import VoiceSynthesize, synthesize
from likeness.voice.train import VoiceTrain, train
from likeness.voice.trainer import Trainer
from likeness.voice.whisper_files import check_model
from likeness.voice.xtts import ADAPTER
from likeness.voice.xtts_files import read_adapter
from models.xtts_measure import load_stock
from tests.conftest import bundled_model, files_of, runtime, section
from tests.voice.tiny_xtts import utterance, with_stop

STEPS = 6  # five train rows in batches of two, two batches a step: two steps an epoch
SMALL: dict[str, Any] = {
    "rank": 2,
    "alpha": 4,
    "dropout": 0.1,
    "targets": ["c_attn", "c_proj", "c_fc"],
    "top_layers": 0,
    "decoder_learning_rate": 0.01,
    "decoder_windows": 2,
    "decoder_codes": 5,
    "epochs": 3,
    "batch": 2,
    "accumulation": 2,
    "learning_rate": 0.01,
    "warmup_steps": 1,
    "own_reference": 0.5,
    "min_reference_seconds": 0.5,
    "max_reference_seconds": 1.0,
    "checkpoint_every": 1,
    "evaluate_every": 1,
    "sentences": 2,
    "references": 2,
    "patience": 0,
}
Folders = dict[str, Path]


@pytest.fixture(scope="module")
def folders(
    tiny_xtts: Path, tiny_speaker: Path, tiny_voice: Path, tmp_path_factory: pytest.TempPathFactory
) -> Folders:
    asr = tmp_path_factory.mktemp("tiny_asr")
    base = with_stop(tiny_xtts, tmp_path_factory.mktemp("tiny") / "tiny_xtts", stop=3.0)
    return {"dataset": tiny_voice, "base": base, "asr": asr, "speaker": tiny_speaker}


def without_whisper(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("likeness.voice.train.check_model", lambda *_: None)
    patch.setattr(listening, "hear_files", lambda clips, *_, **__: dict.fromkeys(clips, "a hat"))


@pytest.fixture(autouse=True)
def _no_whisper(monkeypatch: pytest.MonkeyPatch) -> None:
    without_whisper(monkeypatch)


def run(folders: Folders, out: Path, rt: Runtime, **changes: Any) -> dict[str, Any]:
    return train(
        section(VoiceTrain, **{**SMALL, **changes}),
        **folders,
        out_dir=out / "data",
        plots_dir=out / "plots",
        timings_dir=out / "timings",
        rt=rt,
    )


@pytest.fixture(scope="module")
def trained(
    folders: Folders, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """One uninterrupted training: its folder and its metrics."""
    out = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        without_whisper(patch)
        return out, run(folders, out, runtime(out / "cache"))


def scripted(monkeypatch: pytest.MonkeyPatch, heard: list[tuple[float, float]]) -> None:
    """Word error rate and similarity of each evaluation in turn, in place of what is said."""
    left = iter(heard)

    def listen(self: Trainer, _: Any) -> tuple[float, float]:
        self.samples.mkdir(exist_ok=True)
        return next(left)

    monkeypatch.setattr(Trainer, "_listen", listen)


class Killed(Exception):
    """What stands for a kill: nothing after it runs."""


def kill_at(monkeypatch: pytest.MonkeyPatch, method: str, step: int) -> None:
    original = getattr(Trainer, method)

    def deadly(self: Trainer, *args: Any) -> Any:
        if (args[0] if method == "_optimize" else self.step) == step:
            raise Killed
        return original(self, *args)

    monkeypatch.setattr(Trainer, method, deadly)


def test_a_whisper_that_cannot_judge_is_one_line_before_it_trains(
    folders: Folders, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeness.voice.train.check_model", check_model)
    monkeypatch.setattr(Trainer, "run", lambda *_: pytest.fail("it trains"))
    with pytest.raises(LikenessError, match="not a faster-whisper model"):
        run(folders, tmp_path, rt)


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_output_is_this_set_of_files(trained: tuple[Path, dict[str, Any]]) -> None:
    out, metrics = trained
    others = [epoch for epoch in (1, 2, 3) if epoch != metrics["best_epoch"]]
    assert sorted(files_of(out / "data")) == [
        "adapter.safetensors",
        *(f"adapters/{epoch:03d}.safetensors" for epoch in others),
        "rejected.jsonl",
        *(
            f"samples/{epoch:03d}{end}"
            for epoch in range(4)
            for end in ("-0.wav", "-1.wav", ".json")
        ),
        "training.json",
        "voice.safetensors",
    ]
    said = read_json(out / "data/samples/003.json")
    assert all(one["text"] and isinstance(one["heard"], str) for one in said)
    assert len(said) == 2
    training = read_json(out / "data" / "training.json")
    assert (training["base"], training["rank"]) == ("tiny_xtts", 2)
    assert training.items() >= metrics.items()


@pytest.mark.slow
def test_metrics_and_curves(trained: tuple[Path, dict[str, Any]]) -> None:
    out, metrics = trained
    assert (metrics["steps"], metrics["epochs"]) == (STEPS, 3)
    assert metrics["best_epoch"] in (0, 1, 2, 3)
    assert metrics["val_score"] >= metrics["val_score_without_adapter"]
    assert metrics["val_wer"] == pytest.approx(0.8, abs=0.2)
    assert (metrics["train_n"], metrics["val_n"], metrics["val_sentences"]) == (5, 2, 2)
    assert 0 < metrics["trainable_share"] < 1
    assert metrics["rejected_silent"] == 0
    plots = files_of(out / "plots")
    for name in ("loss", "wer", "similarity", "score"):
        rows = plots[f"plots/metrics/val/{name}.tsv"].decode().splitlines()
        assert [row.split("\t")[0] for row in rows] == ["step", "0", "2", "4", "6"]
    for name in ("loss", "text_loss", "code_loss", "decoded_loss"):
        assert f"plots/metrics/train/{name}.tsv" in plots
    assert "plots/metrics/seconds_per_step.tsv" in files_of(out / "timings")
    assert not any("seconds" in name for name in plots), "times differ from run to run"


@pytest.mark.slow
def test_inputs_stay_as_they_are(
    folders: Folders, trained: tuple[Path, dict[str, Any]], tmp_path: Path, rt: Runtime
) -> None:
    before = {name: digest(path) for name, path in folders.items()}
    run(folders, tmp_path, rt, epochs=1)
    assert {name: digest(path) for name, path in folders.items()} == before


# --- it learns ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "share"),
    [({"decoder_targets": []}, 0.98), ({"targets": []}, 0.995)],  # the decoder's weights are random
)
def test_training_lowers_the_validation_loss(
    folders: Folders, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any], share: float,
) -> None:  # fmt: skip
    scripted(monkeypatch, [(0.5, 0.5)] * 2)
    metrics = run(folders, tmp_path, rt, epochs=8, evaluate_every=8, dropout=0.0, **changes)
    assert metrics["epochs"] == 8
    rows = (tmp_path / "plots/plots/metrics/val/loss.tsv").read_text().split()
    assert float(rows[-1]) < share * metrics["val_loss_without_adapter"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"mixed_precision": "fp16"},
        {"top_layers": 1},
        {"targets": ["c_attn", "to_q", "to_kv"], "own_reference": 1.0, "text_weight": 0.0},
        {"lr_schedule": "constant", "accumulation": 1, "evaluate_every": 2},
        {"targets": []},
        {"decoder_targets": []},
    ],
)
def test_every_option_trains_to_finite_weights(
    folders: Folders, tmp_path: Path, rt: Runtime, changes: dict[str, Any]
) -> None:
    scores = [(0.5, 0.1 * at) for at in range(4)]
    with pytest.MonkeyPatch.context() as patch:
        scripted(patch, scores)
        metrics = run(folders, tmp_path, rt, epochs=2, **changes)
    assert metrics["best_epoch"] == 2
    adapter = read_adapter(tmp_path / "data" / ADAPTER, folders["base"])
    assert all(np.isfinite(tensor.numpy()).all() for tensor in adapter.values())
    moved = [name for name, tensor in adapter.items() if ".lora_B." in name and tensor.any()]
    assert 2 * len(moved) == len(adapter), "no layer was left untrained"


@pytest.mark.slow
def test_every_epoch_is_every_row_once(
    folders: Folders, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coqui's dataset draws with replacement, and its epoch guarantees nothing."""
    seen: list[list[str]] = []
    losses = module.next_token_losses

    def record(gpt: Any, rows: list[Any], *rest: Any) -> Any:
        if gpt.training:
            seen.append([row.id for row in rows])
        return losses(gpt, rows, *rest)

    monkeypatch.setattr(module, "next_token_losses", record)
    scripted(monkeypatch, [(0.5, 0.5)] * 3)
    run(folders, tmp_path, rt, epochs=2)
    assert [len(batch) for batch in seen].count(1) == 2
    for epoch in (seen[:3], seen[3:]):
        assert sorted(name for batch in epoch for name in batch) == ["u0", "u1", "u2", "u3", "u4"]


# --- which epoch ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_best_epoch_is_the_one_that_is_heard_best_and_not_of_the_lowest_loss(
    folders: Folders, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([5.0, 4.0, 3.0, 2.0])
    monkeypatch.setattr(Trainer, "_val_loss", lambda self, voice: next(losses))
    scripted(monkeypatch, [(0.5, 0.5), (0.1, 0.6), (0.3, 0.7), (0.4, 0.7)])
    kept: list[Any] = []
    original = Trainer._evaluate

    def keep(self: Trainer, tracker: Any) -> None:
        kept.append(self._weights())
        original(self, tracker)

    monkeypatch.setattr(Trainer, "_evaluate", keep)
    metrics = run(folders, tmp_path, rt, keep_adapters=1)
    assert (metrics["best_epoch"], metrics["val_loss"]) == (1, 4.0)
    assert (metrics["val_wer"], metrics["val_similarity"]) == (0.1, 0.6)
    assert (metrics["val_score"], metrics["val_score_without_adapter"]) == (0.5, 0.0)
    # The second best stays beside it.
    assert [path.name for path in (tmp_path / "data/adapters").iterdir()] == ["002.safetensors"]
    for epoch, path in ((1, ADAPTER), (2, "adapters/002.safetensors")):
        adapter = read_adapter(tmp_path / "data" / path, folders["base"])
        for name, tensor in kept[epoch].items():
            scale = 2.0 if ".lora_B." in name else 1.0
            assert np.allclose(adapter[name.replace(".default", "")], scale * tensor)
    rows = read_json(tmp_path / "data/training.json")["evaluations"]
    figures = {"score": 0.4, "wer": 0.3, "similarity": 0.7, "loss": 3.0}
    assert rows[2] == {"epoch": 2, "name": "002", "kept": True, "figures": figures}
    assert [row["kept"] for row in rows] == [False, True, True, False]


@pytest.mark.slow
def test_word_errors_count_by_their_weight_and_loss_decides_a_tie(
    folders: Folders, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([5.0, 4.0, 3.0, 3.5])
    monkeypatch.setattr(Trainer, "_val_loss", lambda self, voice: next(losses))
    scripted(monkeypatch, [(0.0, 0.5), (0.9, 0.7), (0.1, 0.7), (0.0, 0.7)])
    assert run(folders, tmp_path, rt, wer_weight=0.0)["best_epoch"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("losses", "epochs"),
    [
        ([5.0, 6.0, 6.0, 6.0, 6.0], 2),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 4),
        ([5.0, 6.0, 4.0, 6.0, 6.0], 4),
    ],
)
def test_training_stops_when_neither_score_nor_loss_gets_better(
    folders: Folders,
    tmp_path: Path,
    rt: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    losses: list[float],
    epochs: int,
) -> None:
    left = iter(losses)
    monkeypatch.setattr(Trainer, "_val_loss", lambda self, voice: next(left))
    scripted(monkeypatch, [(0.0, 0.5)] + [(0.2, 0.5)] * 4)
    assert run(folders, tmp_path, rt, epochs=4, patience=2)["epochs"] == epochs


@pytest.mark.slow
def test_the_validation_loss_is_the_same_when_computed_twice(
    folders: Folders, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer._val_loss

    def twice(self: Trainer, voice: Any) -> float:
        import torch

        first = original(self, voice)
        torch.rand(7)
        assert original(self, voice) == first
        return first

    monkeypatch.setattr(Trainer, "_val_loss", twice)
    scripted(monkeypatch, [(0.5, 0.5)] * 2)
    assert run(folders, tmp_path, rt, epochs=1)["val_loss_without_adapter"] > 0


# --- what it leaves -------------------------------------------------------------------------------


@pytest.mark.slow
def test_stock_coqui_says_with_what_is_merged_what_the_best_epoch_said(
    folders: Folders, trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    import torch

    out, metrics = trained
    merge(folders["base"], out / "data", tmp_path / "merged")
    model = load_stock(tmp_path / "merged")
    # As Coqui takes them, by their order.
    latents, embedding = model.speaker_manager.speakers["tuned"].values()
    settings = {
        name: model.config[name] for name in ("temperature", "top_k", "top_p", "repetition_penalty")
    }
    for number, name in enumerate(("u5", "u6")):
        text = utterance(int(name[1])).normalized
        torch.manual_seed(runtime(out).seed_for("sample", number))
        wave = model.inference(text, "en", latents, embedding, **settings)["wav"]
        sample, rate = read(out / "data" / "samples" / f"{metrics['best_epoch']:03d}-{number}.wav")
        assert rate == 24000
        assert len(wave) == len(sample)
        assert np.allclose(wave, sample, atol=2e-3)


@pytest.mark.slow
def test_what_made_the_codes_is_forgotten_before_training(
    folders: Folders, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The DVAE would stay on the GPU."""
    held: list[int] = []

    def look(self: Trainer, tracker: Any) -> None:
        held.append(clip_codes.load_dvae.cache_info().currsize)
        raise Killed

    monkeypatch.setattr(Trainer, "run", look)
    with pytest.raises(Killed):
        run(folders, tmp_path, rt)
    assert held == [0]


# --- resuming -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("method", "step"), [("_val_loss", 0), ("_optimize", 4), ("_listen", 4)])
def test_a_killed_run_goes_on_to_the_same_bytes(
    folders: Folders,
    trained: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    method: str,
    step: int,
) -> None:
    rt = runtime(tmp_path / "cache")
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, method, step)
        with pytest.raises(Killed):
            run(folders, tmp_path / "killed", rt)
    assert not (tmp_path / "killed" / "data" / ADAPTER).exists()
    capsys.readouterr()
    metrics = run(folders, tmp_path / "resumed", rt)
    assert ("resumes from step" in capsys.readouterr().err) == (step > 0)
    out, uninterrupted = trained
    assert metrics == uninterrupted
    assert files_of(tmp_path / "resumed" / "data") == files_of(out / "data")
    assert files_of(tmp_path / "resumed" / "plots") == files_of(out / "plots")


@pytest.mark.slow
def test_a_second_run_gives_the_same_bytes(
    folders: Folders, trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, metrics = trained
    # In the same store, whose scratch folder the first run left.
    assert run(folders, tmp_path, runtime(out / "cache")) == metrics
    assert files_of(tmp_path / "data") == files_of(out / "data")


@pytest.mark.slow
def test_another_param_or_seed_starts_anew(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    scripted(monkeypatch, [(0.5, 0.5)] * 3)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "_optimize", 2)
        with pytest.raises(Killed):
            run(folders, tmp_path, runtime(cache))
    restored: list[int] = []
    monkeypatch.setattr(Trainer, "_restore", lambda self, state: restored.append(state["step"]))
    monkeypatch.setattr(Trainer, "_optimize", lambda self, step: (_ for _ in ()).throw(Killed))
    for changes, rt in (({"dropout": 0.2}, runtime(cache)), ({}, runtime(cache, seed=8))):
        with pytest.raises(Killed):
            run(folders, tmp_path, rt, **changes)
    assert restored == []


# --- half precision -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_what_auto_is_on_a_gpu_learns_and_goes_on_after_a_kill(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: Precision
) -> None:
    import torch

    kinds: list[Any] = []
    scales: list[float] = []
    losses, state_of = module.next_token_losses, Trainer._state

    def first_overflows(gpt: Any, *rest: Any) -> Any:
        text, code, latents = losses(gpt, *rest)
        if gpt.training:
            kinds.append(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"))
            code = code * torch.inf if half == "fp16" and len(kinds) == 1 else code
        return text, code, latents

    def watched(self: Trainer) -> dict[str, Any]:
        state = state_of(self)
        scales.append(state["mixed"].get("scale", 1.0))
        return state

    monkeypatch.setattr(module, "next_token_losses", first_overflows)
    monkeypatch.setattr(Trainer, "_state", watched)
    heard = [(0.5, 0.1 * at) for at in range(4)]
    scripted(monkeypatch, heard)
    metrics = run(folders, tmp_path / "whole", runtime(tmp_path / "a", half=half))
    assert set(kinds) == {dtype_of(half)}
    assert (metrics["best_epoch"], metrics["steps"]) == (3, STEPS)
    assert all(np.isfinite(metrics[name]) for name in ("val_loss", "val_loss_without_adapter"))
    if half == "fp16":  # a step without the first, at half the scale from then on
        assert scales[1:] == [scales[0] / 2] * (len(scales) - 1)
    adapter = read_adapter(tmp_path / "whole" / "data" / ADAPTER, folders["base"])
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float32}
    assert all(tensor.isfinite().all() for tensor in adapter.values())
    moved = [name for name, tensor in adapter.items() if ".lora_B." in name and tensor.any()]
    assert 2 * len(moved) == len(adapter), "no layer was left untrained"

    kinds.clear()
    rt = runtime(tmp_path / "b", half=half)
    scripted(monkeypatch, heard)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "_optimize", 4)
        with pytest.raises(Killed):
            run(folders, tmp_path / "killed", rt)
    last = scales[-1]
    scripted(monkeypatch, heard[2:])
    assert run(folders, tmp_path / "resumed", rt) == metrics
    assert scales[-1] == last
    assert files_of(tmp_path / "resumed" / "data") == files_of(tmp_path / "whole" / "data")


@pytest.mark.slow
@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_the_bundled_base_learns_in_half_precision_and_speaks(
    folders: Folders, tmp_path: Path, half: Precision
) -> None:
    base = bundled_model("xtts_mini", tmp_path / "xtts_mini")
    rt = runtime(tmp_path / "cache", half=half)
    rates = {"learning_rate": 1e-4, "decoder_learning_rate": 1e-4}
    one_step = {"epochs": 1, "batch": 8, "accumulation": 1, "sentences": 1, **rates}
    metrics = run({**folders, "base": base}, tmp_path, rt, **one_step)
    assert metrics["steps"] == 1
    assert np.isfinite([metrics["val_loss"], metrics["val_score"]]).all()
    (tmp_path / "none.txt").touch()
    spoken = synthesize(
        section(VoiceSynthesize, others=1),
        dataset=folders["dataset"],
        texts=tmp_path / "none.txt",
        base=base,
        adapter=tmp_path / "data",
        out_dir=tmp_path / "spoken",
        plots_dir=tmp_path / "plots",
        timings=tmp_path / "timings.json",
        rt=rt,
    )
    assert [spoken[f"{voice}_n"] for voice in ("base", "tuned", "other")] == [1, 1, 1]


# --- what can be wrong ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_bad_row_is_counted_and_set_aside(
    folders: Folders, tiny_voice: Path, tmp_path: Path, rt: Runtime
) -> None:
    rows = [utterance(at) for at in range(8)]
    for row in rows[1:]:
        (tmp_path / row.file_name).parent.mkdir(exist_ok=True)
        (tmp_path / row.file_name).write_bytes((tiny_voice / row.file_name).read_bytes())
    write_manifest(tmp_path / "manifest.jsonl", rows)
    scattered = {**folders, "dataset": tmp_path}
    with pytest.MonkeyPatch.context() as patch:
        scripted(patch, [(0.5, 0.1), (0.5, 0.2)])
        metrics = run(scattered, tmp_path / "out", rt, epochs=1, max_rejected_share=0.2)
    assert (metrics["rejected_unreadable"], metrics["train_n"]) == (1, 4)
    (row,) = read_manifest(tmp_path / "out" / "data" / "rejected.jsonl", Rejection)
    assert (row.id, row.reason) == ("u0", "unreadable")
    with pytest.raises(LikenessError, match=r"1 of 7 items rejected, more than max_rejected_share"):
        run(scattered, tmp_path / "other", rt, max_rejected_share=0.1)


@pytest.mark.slow
def test_a_base_that_does_not_come_to_an_end_is_one_line(
    folders: Folders, tiny_xtts: Path, tmp_path: Path, rt: Runtime
) -> None:
    endless = with_stop(tiny_xtts, tmp_path / "base", stop=-30.0)
    with pytest.raises(
        LikenessError, match=r"decoder_targets: the base says too few .* \(0 of train"
    ):
        run({**folders, "base": endless}, tmp_path, rt)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": ["q_proj"]}, r"voice_train\.targets: no layer"),
        ({"targets": [], "decoder_targets": []}, r"targets and decoder_targets: both are \[\]"),
        ({"language": "pt"}, r"voice_train\.language: pt: this base speaks en"),
        ({"min_reference_seconds": 2.0}, r"min_reference_seconds: more than max_reference_seconds"),
        (
            {"max_seconds": 1.05, "max_rejected_share": 1.0},
            r"usable clips: 1 in the train split, and voice_train needs 2",
        ),
    ],
)
def test_a_mistake_is_one_line(
    folders: Folders, tmp_path: Path, rt: Runtime, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(LikenessError, match=message) as error:
        run(folders, tmp_path, rt, **changes)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_xtts_is_one_line(
    folders: Folders, tmp_path: Path, rt: Runtime
) -> None:
    with pytest.raises(LikenessError, match="not an XTTS"):
        run({**folders, "base": tmp_path}, tmp_path, rt)


@pytest.mark.slow
def test_it_speaks_in_evaluation_mode_after_a_step(
    folders: Folders, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coqui's GPT gives other latents in training mode, and dropout with them."""
    modes: list[bool] = []
    said = module.say

    def record(model: Any, *rest: Any, **more: Any) -> Any:
        modes.append(any(part.training for part in model.gpt.modules()))
        return said(model, *rest, **more)

    monkeypatch.setattr(module, "say", record)
    run(folders, tmp_path, rt, epochs=1)
    assert modes == [False] * 4
