"""Every figure is measured on pairs of clip and text, with its interval and its number of sentences."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.runtime import Runtime
from likeness.voice import evaluate as module
from likeness.voice.audio import encode, read
from likeness.voice.evaluate import (
    FIGURES,
    VoiceEvaluate,
    estimates,
    evaluate,
    problems_of,
    sentence_parts,
    worst_clips,
)
from likeness.voice.rows import EvaluatedSpeech, Speech
from likeness.voice.wer import read_script
from tests.conftest import ROOT, absent, files_of, section
from tests.voice.sounds import babble, write
from tests.voice.tiny_xtts import RATE, TEXTS, utterance, write_voice_dataset

SMALL: dict[str, Any] = {"rounds": 50, "samples": 2, "worst": 3}
SPLITS = ("train", "train", "train", "val", "test", "test", "test", "train")
VECTORS = {"base": [0.0, 1.0], "tuned": [0.8, 0.6], "real": [1.0, 0.0], "other": [0.6, -0.8]}


def said(voice: str, sentence: str, text: str, take: int = 0, source: str = "test") -> Speech:
    return Speech(
        id=f"{voice}/{sentence}-{take}",
        file_name=f"{voice}/{sentence}-{take}.wav",
        voice=voice,
        speaker="ann" if voice == "other" else "",
        sentence=sentence,
        source=source,
        take=take,
        text=text,
        seed=take,
        seconds=2.0,
    )


def write_synthesized(folder: Path, rejected: tuple[str, ...] = ()) -> Path:
    """Babble for two takes of each test sentence and one line of a list, but for what is rejected."""
    rows = [
        said(voice, f"u{at}", TEXTS[at], take)
        for voice in ("base", "tuned")
        for at in (4, 5, 6)
        for take in (0, 1)
    ]
    rows += [said(voice, "list-1", "A new bag.", source="list") for voice in ("base", "tuned")]
    rows += [said("other", "u4", TEXTS[4])]
    rows = [row for row in rows if row.id not in rejected]
    for at, row in enumerate(rows):
        write(folder / row.file_name, encode(babble(2.0, 24000, seed=at), 24000, "WAV"))
    write_manifest(folder / "manifest.jsonl", rows)
    reasons = [Rejection(id=name, reason="endless") for name in rejected]
    write_manifest(folder / "rejected.jsonl", reasons)
    return folder


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    return {
        "dataset": write_voice_dataset(tmp_path / "dataset", SPLITS),
        "synthesized": write_synthesized(tmp_path / "synthesized"),
        "asr": tmp_path / "some_asr",
        "speaker": tmp_path / "some_encoder",
        "mos": tmp_path / "some_mos",
    }


@pytest.fixture
def _listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the models' place: base loses the last word, tuned is heard well, and so is real."""

    def hear(clips: dict[str, Path], *_: Any, **options: Any) -> dict[str, str]:
        texts = {f"u{at}": text for at, text in enumerate(TEXTS)} | {"list-1": "A new bag."}
        heard = {name: texts[name.split("/")[1].rpartition("-")[0]] for name in clips}
        return {
            name: text.rpartition(" ")[0] if name.startswith("base/") else text
            for name, text in heard.items()
        }

    def embed(clips: dict[str, Path], **options: Any) -> np.ndarray:
        return np.array([VECTORS[name.split("/")[0]] for name in clips])

    def rate(clips: dict[str, Path], **options: Any) -> dict[str, float]:
        scores = {"base": 2.0, "tuned": 3.0, "real": 3.5, "other": 3.0}
        return {name: scores[name.split("/")[0]] for name in clips}

    monkeypatch.setattr(module, "check_model", lambda *_: None)
    monkeypatch.setattr(module, "hear_files", hear)
    monkeypatch.setattr(module, "embed_files", embed)
    monkeypatch.setattr(module, "rate_files", rate)


def run(inputs: dict[str, Path], out: Path, rt: Runtime, **changes: Any) -> dict[str, Any]:
    return evaluate(
        section(VoiceEvaluate, **{**SMALL, **changes}),
        **inputs,
        out_dir=out / "data",
        plots_dir=out / "plots",
        reports_dir=out / "reports",
        rt=rt,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("_listeners")
def test_every_figure_has_an_interval_and_its_n(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(inputs, tmp_path / "out", rt)
    intervals = read_json(tmp_path / "out" / "reports" / "intervals.json")
    wanted = {
        *(f"{voice}_{figure}" for voice in ("base", "tuned", "difference") for figure in FIGURES),
        *(f"real_{figure}" for figure in FIGURES[:-1]),
        *(f"{voice}_list_{figure}" for voice in ("base", "tuned") for figure in FIGURES[:-1]),
        "other_similarity",
    }
    assert set(intervals) == wanted <= set(metrics)
    for name, one in intervals.items():
        assert set(one) == {"value", "low", "high", "n"}
        assert one["low"] - 1e-9 <= one["value"] <= one["high"] + 1e-9, name
        assert metrics[name] == pytest.approx(one["value"], abs=1e-5)
    assert {intervals[f"{voice}_wer"]["n"] for voice in ("base", "tuned", "real")} == {3}
    assert intervals["base_list_wer"]["n"] == intervals["other_similarity"]["n"] == 1
    named = ("asr", "normalizer", "speaker_encoder", "mos")
    assert [metrics[name] for name in named] == [
        "some_asr", "whisper english", "some_encoder", "some_mos",
    ]  # fmt: skip
    assert [metrics[f"{v}_n"] for v in ("base", "tuned", "real", "other")] == [7, 7, 3, 1]


@pytest.mark.usefixtures("_listeners")
def test_figures_are_those_of_what_was_heard(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(inputs, tmp_path / "out", rt)
    words = sum(len(text.split()) for text in TEXTS[4:7])
    assert metrics["words"] == words
    assert metrics["base_wer"] == pytest.approx(3 / words, abs=1e-5)
    assert metrics["tuned_wer"] == metrics["real_wer"] == 0
    assert metrics["difference_wer"] == pytest.approx(-3 / words, abs=1e-5)
    assert 0 < metrics["base_cer"] < 0.5
    assert (metrics["base_similarity"], metrics["tuned_similarity"]) == (0.0, 0.8)
    assert metrics["difference_similarity"] == 0.8
    assert (metrics["real_similarity"], metrics["other_similarity"]) == (1.0, 0.6)
    assert (metrics["real_dnsmos"], metrics["difference_dnsmos"]) == (3.5, 1.0)
    real = [1.0 + 0.1 * at for at in (4, 5, 6)]
    ratio = np.mean([2.0 / seconds for seconds in real])
    assert metrics["tuned_duration_ratio"] == pytest.approx(ratio, abs=1e-3)
    assert metrics["with_problems_base"] == metrics["with_problems_tuned"] == 7


@pytest.mark.usefixtures("_listeners")
@pytest.mark.plots
def test_the_table_the_worst_and_the_plots_are_written(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    run(inputs, tmp_path / "out", rt)
    rows = read_manifest(tmp_path / "out" / "data" / "manifest.jsonl", EvaluatedSpeech)
    assert len(rows) == 7 + 7 + 3 + 1
    assert all(Path(row.audio).is_file() for row in rows)
    assert {row.duration_ratio for row in rows if row.voice == "real"} == {1.0}
    assert {row.duration_ratio for row in rows if row.source == "list"} == {None}
    text = (tmp_path / "out" / "reports" / "worst.md").read_text()
    assert "7 of 7 clips are worse" in text
    assert text.count("- `") == 2 * 3
    assert (inputs["synthesized"] / "base" / "u5-0.wav").as_posix() in text
    assert "word error rate 20% (real clips: up to 0%); similarity 0.00" in text
    pictures = {"figures.png", "distributions.png", "pairs.png"}
    assert set(files_of(tmp_path / "out" / "plots")) == pictures


@pytest.mark.usefixtures("_listeners")
def test_samples_are_of_the_same_sentences(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    run(inputs, tmp_path / "out", rt)
    folder = tmp_path / "out" / "data" / "samples"
    samples = read_json(folder / "samples.json")
    assert len(samples) == 2
    for sample in samples:
        assert sample["text"] in TEXTS[4:7]
        assert list(sample["clips"]) == ["real", "base", "tuned"]
        assert len({clip["file"].partition("-")[2] for clip in sample["clips"].values()}) == 1
    assert len(files_of(folder)) == 2 * 3 + 1


@pytest.mark.slow
@pytest.mark.usefixtures("_listeners")
@pytest.mark.plots
def test_outputs_are_a_function_of_the_input(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    first, second = (run(inputs, tmp_path / name, rt) for name in ("a", "b"))
    assert first == second
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


@pytest.mark.slow
@pytest.mark.usefixtures("_listeners")
def test_what_only_one_could_say_is_left_out_of_both(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    rejected = ("tuned/u4-0", "tuned/u4-1", "base/u5-1", "base/list-1-0", "tuned/list-1-0")
    write_synthesized(tmp_path / "other", rejected)
    whole = run(inputs, tmp_path / "whole", rt)
    metrics = run({**inputs, "synthesized": tmp_path / "other"}, tmp_path / "out", rt)
    assert list(metrics) == list(whole), "keys are constant"
    intervals = read_json(tmp_path / "out" / "reports" / "intervals.json")
    found = {intervals[f"{voice}_wer"]["n"] for voice in ("base", "tuned", "difference")}
    assert found == {2}
    assert intervals["real_wer"]["n"] == 3
    assert intervals["base_list_wer"] == {"value": None, "low": None, "high": None, "n": 0}
    # Two takes of u6 and one of u5 lack a word each.
    words = [len(TEXTS[at].split()) for at in (5, 6)]
    assert metrics["base_wer"] == pytest.approx(3 / (words[0] + 2 * words[1]), abs=1e-5)


# --- pairs ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_listeners")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("synthesized/tuned/u5-1.wav", "tuned/u5-1.wav has no clip; run voice_synthesize again"),
        ("dataset/wavs/u6.wav", "u6 has no clip; run voice_dataset again"),
    ],
)
def test_a_text_without_its_clip_is_an_error(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime, path: str, message: str
) -> None:
    (tmp_path / path).unlink()
    with pytest.raises(LikenessError, match=message):
        run(inputs, tmp_path / "out", rt)


@pytest.mark.usefixtures("_listeners")
def test_a_clip_without_its_text_is_an_error(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    folder = inputs["synthesized"]
    (folder / "base" / "more.wav").write_bytes((folder / "base" / "u4-0.wav").read_bytes())
    with pytest.raises(LikenessError, match=r"base/more\.wav has no text"):
        run(inputs, tmp_path / "out", rt)


@pytest.mark.usefixtures("_listeners")
def test_other_texts_and_missing_sentences_are_errors(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    rows = [utterance(at, split=split) for at, split in enumerate(SPLITS)]
    changed = [
        row.model_copy(update={"normalized": "Other."}) if row.id == "u5" else row for row in rows
    ]
    write_manifest(inputs["dataset"] / "manifest.jsonl", changed)
    with pytest.raises(LikenessError, match="base/u5-0 has a different text"):
        run(inputs, tmp_path / "out", rt)
    more = [*rows[:3], utterance(3, split="test"), *rows[4:]]
    write_manifest(inputs["dataset"] / "manifest.jsonl", more)
    with pytest.raises(LikenessError, match="u3 is missing in base"):
        run(inputs, tmp_path / "out", rt)
    write_manifest(inputs["dataset"] / "manifest.jsonl", rows[:5])
    with pytest.raises(LikenessError, match="1 in the test split, and voice_evaluate needs 2"):
        run(inputs, tmp_path / "out", rt)


@pytest.mark.usefixtures("_listeners")
def test_a_sentence_that_one_voice_never_tried_is_an_error(
    inputs: dict[str, Path], tmp_path: Path, rt: Runtime
) -> None:
    write_synthesized(tmp_path / "other", ("tuned/u4-1",))
    write_manifest(tmp_path / "other" / "rejected.jsonl", [])
    with pytest.raises(LikenessError, match="u4-1 is missing in tuned"):
        run({**inputs, "synthesized": tmp_path / "other"}, tmp_path / "out", rt)


# --- parts ----------------------------------------------------------------------------------------


def measured(voice: str, sentence: str, take: int = 0, **changes: Any) -> EvaluatedSpeech:
    values: dict[str, Any] = {
        "id": f"{voice}/{sentence}-{take}",
        "voice": voice,
        "sentence": sentence,
        "source": "test",
        "take": take,
        "audio": f"x/{voice}/{sentence}-{take}.wav",
        "text": "A red hat.",
        "heard": "a red hat",
        "word_errors": 0,
        "words": 3,
        "character_errors": 0,
        "characters": 9,
        "similarity": 0.8,
        "dnsmos": 3.0,
        "seconds": 2.0,
        "duration_ratio": 1.0,
        "problems": [],
        **changes,
    }
    return EvaluatedSpeech(**values)


def test_takes_of_a_sentence_are_one() -> None:
    rows = [
        measured("base", "b", 0, word_errors=1, similarity=0.5),
        measured("base", "b", 1, word_errors=3, similarity=0.7),
        measured("base", "a", 0),
    ]
    assert sentence_parts(rows, "wer").tolist() == [[0, 3], [4, 6]]
    assert sentence_parts(rows, "similarity") == pytest.approx(np.array([[0.8, 1], [1.2, 2]]))
    assert sentence_parts([], "cer").shape == (0, 2)


def test_problems_are_measured_by_the_real_clips() -> None:
    real = [measured("real", "a", word_errors=1), measured("real", "b", similarity=0.7, dnsmos=2.5)]
    good = measured("tuned", "a", word_errors=1, similarity=0.7, dnsmos=2.5, duration_ratio=1.5)
    assert problems_of(good, [*real, good], 1.5) == []
    bad = measured("tuned", "a", word_errors=3, similarity=0.65, dnsmos=2.0, duration_ratio=0.5)
    assert problems_of(bad, [*real, bad], 1.5) == [
        "word error rate 100% (real clips: up to 33%)",
        "similarity 0.65 (real clips: from 0.70)",
        "DNSMOS 2.00 (real clips: from 2.50)",
        "0.50 times as long as the real clip",
    ]
    assert [problems_of(row, real, 1.5) for row in real] == [[], []]


def test_the_worst_come_first() -> None:
    rows = [
        measured("tuned", "a", problems=["x"], word_errors=1),
        measured("tuned", "b", problems=["x", "y"]),
        measured("tuned", "c", problems=["x"], word_errors=2, heard=""),
        measured("tuned", "d"),
    ]
    text = worst_clips(rows, 2)
    assert "3 of 4 clips" in text
    assert text.index("tuned/b-0.wav") < text.index("tuned/c-0.wav")
    assert "tuned/a-0.wav" not in text
    assert "(nothing)" in text


def test_pairs_make_the_difference_sharper(rt: Runtime) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for at in range(20):
        hard = int(rng.integers(0, 3))
        rows += [
            measured("base", f"{at:02d}", word_errors=hard + 1, words=6),
            measured("tuned", f"{at:02d}", word_errors=hard, words=6),
        ]
    found = estimates(section(VoiceEvaluate, rounds=200), rows, 0)
    assert found["difference_wer"].value == pytest.approx(-1 / 6)
    assert found["difference_wer"].high - found["difference_wer"].low < 1e-9
    assert found["tuned_wer"].high - found["tuned_wer"].low > 0.05
    assert found["real_wer"].n == 0


# --- the real small models ------------------------------------------------------------------------


@pytest.mark.slow
def test_by_the_real_listeners(whisper: Path, narration: Path, tmp_path: Path, rt: Runtime) -> None:
    """Recordings as base, and as tuned the same in noise: worse by every figure."""
    models = {name: ROOT / "models" / name for name in ("speaker_encoder", "dnsmos")}
    for folder in models.values():
        if not folder.is_dir():
            absent(f"{folder} is not here; `make repro` makes it")
    script = [row for row in read_script(narration / "script.jsonl") if not row.flaw]
    lines = [row for row in script if row.file.endswith(".flac")][:2]
    rng = np.random.default_rng(0)
    rows, spoken = [], []
    for at, line in enumerate(lines):
        samples, rate = read(narration / line.file, line.start, line.end)
        name, seconds = f"t{at}", round(len(samples) / rate, 4)
        rows.append(
            utterance(
                0, id=name, file_name=f"wavs/{name}.wav", normalized=line.text, seconds=seconds,
                split="test",
            )
        )  # fmt: skip
        write(tmp_path / "dataset" / "wavs" / f"{name}.wav", encode(samples, rate, "WAV"))
        noise = 0.5 * samples.std() * rng.standard_normal(len(samples))
        for voice, wave in (("base", samples), ("tuned", samples + noise)):
            row = said(voice, name, line.text).model_copy(update={"seconds": seconds})
            spoken.append(row)
            write(tmp_path / "spoken" / row.file_name, encode(wave, rate, "WAV"))
    assert rate == RATE
    write_manifest(tmp_path / "dataset" / "manifest.jsonl", rows)
    write_manifest(tmp_path / "spoken" / "manifest.jsonl", spoken)
    write_manifest(tmp_path / "spoken" / "rejected.jsonl", [])
    inputs = {
        "dataset": tmp_path / "dataset",
        "synthesized": tmp_path / "spoken",
        "asr": whisper,
        "speaker": models["speaker_encoder"],
        "mos": models["dnsmos"],
    }
    metrics = run(inputs, tmp_path / "out", rt)
    assert metrics["base_wer"] == metrics["real_wer"] < 0.3
    assert metrics["base_similarity"] == metrics["real_similarity"] > 0.7
    assert metrics["base_duration_ratio"] == 1
    assert metrics["difference_wer"] >= 0
    assert metrics["difference_similarity"] < 0
    assert metrics["difference_dnsmos"] < 0
    assert metrics["other_similarity"] is None
