"""Base and tuned say the same sentences, each a function of its text, its seed and its model alone."""

import shutil
import weakref
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import soundfile

from likeness.common.errors import LikenessError
from likeness.common.io import digest, read_json, write_json
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.resident import OneAtATime
from likeness.common.result import Result
from likeness.common.runtime import Runtime
from likeness.voice import speech
from likeness.voice.audio import encode, read, resample
from likeness.voice.rows import Pair, Speech
from likeness.voice.synthesize import VoiceSynthesize, make_pairs, read_list, synthesize
from likeness.voice.xtts import load_xtts, say, voice_of
from likeness.voice.xtts_files import read_settings
from tests.conftest import files_of, runtime, section
from tests.voice.tiny_xtts import (
    TEXTS,
    build_voice_folder,
    utterance,
    with_stop,
    write_voice_dataset,
)

CHATTY = {"stop": 1.4, "spread": 0.0}  # says about ten codes, other ones with each seed
SMALL: dict[str, Any] = {"takes": 1, "others": 0, "references": 2}
SPLITS = ("train", "train", "train", "val", "test", "test", "test", "train")


@pytest.fixture(scope="module")
def folders(tiny_xtts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tts")
    base = with_stop(tiny_xtts, root / "tiny_base", **CHATTY)
    return {
        "dataset": write_voice_dataset(root / "dataset", SPLITS),
        "base": base,
        "adapter": build_voice_folder(base, root / "adapter"),
    }


def run(
    folders: dict[str, Path], out: Path, rt: Runtime, lines: str = "", **changes: Any
) -> dict[str, Any]:
    out.mkdir()
    (out / "list.txt").write_text(lines)
    return synthesize(
        section(VoiceSynthesize, **{**SMALL, **changes}),
        **folders,
        texts=out / "list.txt",
        out_dir=out / "data",
        plots_dir=out / "plots",
        timings=out / "timings.json",
        rt=rt,
    )


@pytest.fixture(scope="module")
def whole(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run over the test split and one more line, two takes each."""
    out = tmp_path_factory.mktemp("whole") / "out"
    rt = runtime(out.parent / "cache")
    metrics = run(folders, out, rt, "A green hat.\n", takes=2, others=2)
    write_json(out / "metrics.json", metrics)
    return out


@pytest.mark.slow
def test_every_sentence_is_said_by_both(whole: Path) -> None:
    rows = read_manifest(whole / "data" / "manifest.jsonl", Speech)
    names = [f"{row.sentence}-{row.take}" for row in rows if row.voice == "base"]
    (listed,) = {row.sentence for row in rows if row.source == "list"}
    assert names == sorted(f"{s}-{take}" for s in ("u4", "u5", "u6", listed) for take in (0, 1))
    assert names == [f"{row.sentence}-{row.take}" for row in rows if row.voice == "tuned"]
    assert {(row.voice, row.speaker) for row in rows if row.sentence == "u4"} == {
        ("base", ""), ("tuned", ""), ("other", "ann"),
    }  # fmt: skip
    assert [row.sentence for row in rows if row.voice == "other"] == ["u4", "u5"]
    assert {row.text for row in rows} == {*TEXTS[4:7], "A green hat."}
    files = {name for name in files_of(whole / "data") if name.endswith(".wav")}
    assert files == {row.file_name for row in rows}
    for row in rows:
        info = soundfile.info(whole / "data" / row.file_name)
        assert (info.samplerate, info.channels, info.subtype) == (24000, 1, "PCM_16")
        assert info.duration == pytest.approx(row.seconds, abs=1e-3)


@pytest.mark.slow
def test_base_and_tuned_share_seeds_and_nothing_else(whole: Path) -> None:
    rows = {row.id: row for row in read_manifest(whole / "data" / "manifest.jsonl", Speech)}
    base = [row for row in rows.values() if row.voice == "base"]
    assert len({row.seed for row in base}) == len(base)
    for row in base:
        other = rows[f"tuned/{row.sentence}-{row.take}"]
        assert other.seed == row.seed
        audio = [(whole / "data" / one.file_name).read_bytes() for one in (row, other)]
        assert audio[0] != audio[1]
    takes = {(whole / "data" / row.file_name).read_bytes() for row in base}
    assert len(takes) == len(base), "another seed, another take"


@pytest.mark.slow
def test_pairs_name_their_files_and_the_recording(whole: Path, folders: dict[str, Path]) -> None:
    pairs = read_manifest(whole / "data" / "pairs.jsonl", Pair)
    assert len(pairs) == 8
    for pair in pairs:
        assert (whole / "data" / pair.base).is_file()
        assert (whole / "data" / pair.tuned).is_file()
        assert pair.real == "" or (folders["dataset"] / pair.real).is_file()
        assert bool(pair.real) == pair.id.startswith("u")
        assert pair.first in ("base", "tuned")


@pytest.mark.slow
@pytest.mark.plots
def test_metrics_and_files(whole: Path) -> None:
    metrics = read_json(whole / "metrics.json")
    assert metrics["base_model"] == "tiny_base"
    assert (metrics["sentences_test"], metrics["sentences_list"]) == (3, 1)
    assert (metrics["pairs"], metrics["base_n"], metrics["other_n"]) == (8, 8, 2)
    assert metrics["temperature"] == 0.3, "the base's own"
    assert not any(value for name, value in metrics.items() if name.startswith("rejected_"))
    assert read_json(whole / "timings.json")["seconds_per_second"] > 0
    assert set(files_of(whole / "plots")) == {"durations.png"}
    extra = {name for name in files_of(whole / "data") if not name.endswith(".wav")}
    assert extra == {"manifest.jsonl", "pairs.jsonl", "rejected.jsonl"}


@pytest.mark.slow
def test_what_is_said_does_not_depend_on_what_else_is(
    whole: Path, folders: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    """Fewer takes, other neighbours, another order and an empty store: the same bytes."""
    run(folders, tmp_path / "out", rt, "It is new.\n\nA green hat.\n")
    mine, theirs = files_of(tmp_path / "out" / "data"), files_of(whole / "data")
    common = {name for name in mine.keys() & theirs.keys() if name.endswith(".wav")}
    assert len(common) == 2 * 4
    assert all(mine[name] == theirs[name] for name in common)


@pytest.mark.slow
def test_speech_is_what_coqui_s_inference_says(tiny_xtts: Path, tiny_voice: Path) -> None:
    settings, model = read_settings(tiny_xtts), load_xtts(tiny_xtts, "cpu")
    clip, rate = tiny_voice / "wavs" / "u0.wav", model.config.audio.sample_rate
    voice = voice_of(model, [resample(*read(clip), rate)])
    text, seeds = "The red hat is warm.", (1, 2)
    payloads = [{"text": text, "seed": seed, "speaker": ""} for seed in seeds]
    found = speech.speak(
        payloads, base=tiny_xtts, adapter=None, references=[clip], language="en", settings=settings,
        device="cpu",
    )  # fmt: skip
    for seed, result in zip(seeds, found, strict=True):
        assert isinstance(result, Result)
        wave = say(model, text, language="en", voice=voice, seed=seed, settings=settings)
        expected = encode(wave, model.config.audio.output_sample_rate, "WAV")
        assert result.files["audio.wav"] == expected


@pytest.mark.slow
def test_an_added_sentence_costs_one_sentence(
    folders: dict[str, Path], tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    check_text = speech.check_text

    def counted(model: Any, text: str, language: str) -> list[int]:
        said.append(text)
        return check_text(model, text, language)

    monkeypatch.setattr(speech, "check_text", counted)
    run(folders, tmp_path / "a", rt, "A green hat.\n")
    assert len(said) == 2 * 4
    said.clear()
    run(folders, tmp_path / "b", rt, "It is new.\nA green hat.\n")
    assert said == ["It is new."] * 2
    said.clear()
    run(folders, tmp_path / "c", rt, "A green hat.\n")
    assert said == []
    assert files_of(tmp_path / "a" / "data") == files_of(tmp_path / "c" / "data")
    run(folders, tmp_path / "d", rt, "A green hat.\n", temperature=0.25)
    assert len(said) == 2 * 4, "settings are what a sentence depends on"


@pytest.mark.slow
def test_what_cannot_be_said_is_set_aside_with_its_reason(
    folders: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    lines = f"...\n{'A new hat ' * 30}\nA green hat.\nAn их hat.\n"
    metrics = run(folders, tmp_path / "out", rt, lines, max_rejected_share=0.5)
    rejected = read_manifest(tmp_path / "out" / "data" / "rejected.jsonl", Rejection)
    assert sorted((row.id.split("/")[0], row.reason) for row in rejected) == [
        (voice, reason)
        for voice in ("base", "tuned")
        for reason in ("empty", "too_long", "unknown_letters")
    ]
    (first, _) = [row for row in rejected if row.reason == "too_long"]
    assert (first.value["found"], first.value["line"], first.threshold) == (
        "299 characters",
        2,
        250,
    )
    (first, _) = [row for row in rejected if row.reason == "unknown_letters"]
    assert first.value == {"line": 4, "text": "An их hat.", "found": "их"}
    assert (metrics["rejected_empty"], metrics["rejected_too_long"]) == (2, 2)
    assert metrics["pairs"] == 4
    with pytest.raises(LikenessError, match="voice_synthesize: 6 of 14 items rejected"):
        run(folders, tmp_path / "strict", rt, lines, max_rejected_share=0.1)


@pytest.mark.slow
def test_a_line_with_an_unknown_sign_is_set_aside_and_the_others_are_normalized(
    folders: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(folders, tmp_path / "out", rt, "A hat → 😀\nIt costs $5.\n")
    (row,) = read_manifest(tmp_path / "out" / "data" / "rejected.jsonl", Rejection)
    assert row.reason == "unknown_symbols"
    assert row.value == {"line": 1, "text": "A hat → 😀", "found": "→😀"}
    assert (metrics["rejected_unknown_symbols"], metrics["sentences_list"]) == (1, 2)
    rows = read_manifest(tmp_path / "out" / "data" / "manifest.jsonl", Speech)
    assert {row.text for row in rows if row.source == "list"} == {"It costs five dollars."}


@pytest.mark.slow
def test_a_model_that_does_not_stop_is_set_aside(
    folders: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    endless = {**folders, "base": with_stop(folders["base"], tmp_path / "endless", stop=-100)}
    metrics = run(endless, tmp_path / "out", rt, max_rejected_share=1.0)
    assert (metrics["rejected_endless"], metrics["base_n"], metrics["tuned_n"]) == (6, 0, 0)
    assert metrics["pairs"] == 0
    rows = read_manifest(tmp_path / "out" / "data" / "rejected.jsonl", Rejection)
    assert {row.id for row in rows} == {f"{v}/u{n}-0" for v in ("base", "tuned") for n in (4, 5, 6)}
    assert all(row.value >= row.threshold > 50 for row in rows)


@pytest.mark.slow
def test_one_model_is_held_at_a_time(
    folders: dict[str, Path], tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two XTTS-v2 are more than some GPUs have room for, and none is needed where all is known."""
    models: list[Any] = []

    @wraps(load_xtts)
    def counted(*args: Any, **options: Any) -> Any:
        assert not any(model() for model in models), "the one before is still there"
        model = load_xtts(*args, **options)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(speech, "resident_xtts", OneAtATime(counted))
    run(folders, tmp_path / "a", rt, others=2)
    assert len(models) == 2, "the base says all it has to before the tuned one is loaded"
    run(folders, tmp_path / "b", rt, others=2)
    assert len(models) == 2


@pytest.mark.slow
def test_the_adapter_is_what_the_tuned_voice_depends_on(
    folders: dict[str, Path], tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[bool] = []
    asked: dict[str, Any] = {}
    decoded, resident_xtts = speech._decoded, speech.resident_xtts

    def recorded(*args: Any, **options: Any) -> Any:
        asked.update(options)
        return resident_xtts(*args, **options)

    def counted(*args: Any) -> Any:
        said.append(asked["adapter"] is not None)
        return decoded(*args)

    monkeypatch.setattr(speech, "resident_xtts", recorded)
    monkeypatch.setattr(speech, "_decoded", counted)
    run(folders, tmp_path / "a", rt)
    assert said == [False] * 3 + [True] * 3
    said.clear()
    adapter = tmp_path / "adapter"
    shutil.copytree(folders["adapter"], adapter)
    write_json(adapter / "training.json", {"base": "tiny_base", "seconds": 1})
    run({**folders, "adapter": adapter}, tmp_path / "b", rt)
    assert said == [], "what else a training writes is not heard"
    other = build_voice_folder(folders["base"], tmp_path / "other", seed=2)
    run({**folders, "adapter": other}, tmp_path / "c", rt)
    assert said == [True] * 3


@pytest.mark.slow
def test_the_checkpoints_stay_as_they_are(
    folders: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    before = digest(folders["base"]), digest(folders["adapter"])
    run(folders, tmp_path / "out", rt)
    assert (digest(folders["base"]), digest(folders["adapter"])) == before


# --- parts ----------------------------------------------------------------------------------------


def test_a_line_keeps_its_id(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("One  hat.\n\n  \nIt costs $5.\nOne hat.\n")
    found = read_list(path)
    assert list(found.values()) == [(1, "One hat."), (4, "It costs $5.")]
    path.write_text("New.\nIt costs $5.\n")
    assert list(found)[1] in read_list(path)


def test_a_long_line_is_split_where_sentences_end(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    sentence = (
        "The black backpack has three pockets and costs less than the other one."  # 71 letters
    )
    path.write_text(f"\ufeffA hat.\n{' '.join([sentence] * 4)} {'No end ' * 40}\n", "utf-8")
    assert list(read_list(path).values()) == [
        (1, "A hat."),
        (2, f"{sentence} {sentence}"),
        (2, ("No end " * 40).strip()),
    ]


def test_a_pair_needs_both(rt: Runtime) -> None:
    def said(voice: str, sentence: str) -> Speech:
        return Speech(
            id=f"{voice}/{sentence}-0", file_name=f"{voice}/{sentence}-0.wav", voice=voice,
            speaker="", sentence=sentence, source="test", take=0, text="A", seed=1, seconds=1.0,
        )  # fmt: skip

    spoken = [said("base", "a"), said("base", "b"), said("tuned", "b"), said("tuned", "c")]
    (pair,) = make_pairs(spoken, {"b": "wavs/b.wav"}, rt)
    assert (pair.id, pair.base, pair.real) == ("b-0", "base/b-0.wav", "wavs/b.wav")
    many = [said(voice, str(at)) for at in range(40) for voice in ("base", "tuned")]
    assert 8 < sum(pair.first == "base" for pair in make_pairs(many, {}, rt)) < 32


# --- errors ---------------------------------------------------------------------------------------


def test_errors_are_one_line(folders: dict[str, Path], tmp_path: Path, rt: Runtime) -> None:
    with pytest.raises(LikenessError, match=r"adapter\.safetensors: not an adapter"):
        run({**folders, "adapter": tmp_path}, tmp_path / "a", rt)
    with pytest.raises(LikenessError, match=r"voice_synthesize\.language: es: this base speaks en"):
        run(folders, tmp_path / "b", rt, language="es")
    write_manifest(tmp_path / "empty" / "manifest.jsonl", [utterance(0)])
    with pytest.raises(LikenessError, match="no row in the test split"):
        run({**folders, "dataset": tmp_path / "empty"}, tmp_path / "c", rt)
    with pytest.raises(LikenessError, match=r"inputs\.sentences names a file"):
        read_list(tmp_path / "missing.txt")


def test_a_base_that_cannot_speak_is_found_before_anything_is_said(
    folders: dict[str, Path], tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(speech, "resident_xtts", None)  # not even loaded
    base = tmp_path / "base"
    shutil.copytree(folders["base"], base)
    (base / "model.pth").write_bytes((base / "model.pth").read_bytes()[:1000])
    with pytest.raises(LikenessError, match=r"base/model\.pth: not an archive of PyTorch's"):
        run({**folders, "base": base}, tmp_path / "a", rt)
    shutil.copyfile(folders["base"] / "model.pth", base / "model.pth")
    torch.save({"ann": {"latents": torch.zeros(1)}}, base / "speakers_xtts.pth")
    with pytest.raises(LikenessError, match=r"speakers_xtts\.pth: ann: no gpt_cond_latent"):
        run({**folders, "base": base}, tmp_path / "b", rt)
