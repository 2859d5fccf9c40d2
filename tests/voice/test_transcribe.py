"""Words come with their times in the recording, none lost, whatever windows and batches are."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.runtime import Runtime
from likeness.voice import transcribe as module
from likeness.voice import whisper as whisper_module
from likeness.voice.audio import encode, read
from likeness.voice.rows import Recording, Region, Transcript
from likeness.voice.transcribe import (
    Piece,
    VoiceTranscribe,
    group,
    pad,
    place_words,
    sentence_errors,
    transcribe,
)
from likeness.voice.wer import Sentence, WordErrors
from likeness.voice.whisper import (
    RATE,
    detect_languages,
    load_whisper,
    transcribe_clips,
    whole_words,
)
from likeness.voice.windows import cut_windows
from likeness.voice.words import Word
from tests.conftest import files_of, runtime, section
from tests.voice.sounds import babble, silence, tone, write

# --- windows and words, without a model -------------------------------------------------------------


def region(start: float, end: float, number: int = 1) -> Region:
    return Region(id=f"a-{number:04d}", recording="a", start=start, end=end)


def regions(*spans: tuple[float, float]) -> list[Region]:
    return [region(start, end, number) for number, (start, end) in enumerate(spans, start=1)]


def record(*words: tuple[str, float, float]) -> dict[str, Any]:
    """A window's result of words with times in the window."""
    return {
        "words": [[word, start, end, 0.9] for word, start, end in words],
        "avg_logprob": -0.2,
        "no_speech_prob": 0.01,
        "compression_ratio": 1.2,
    }


def pieces(*spans: tuple[float, float], padding: float = 0.0) -> list[Piece]:
    return pad(regions(*spans), padding, 1000.0)


def test_padding_takes_silence_but_no_sound_twice() -> None:
    rows = regions((0.1, 2.0), (2.3, 4.0), (4.0, 5.0), (9.0, 9.9))
    found = pad(rows, 0.2, 10.0)
    assert [piece.region for piece in found] == rows
    heard = [(round(piece.start, 3), round(piece.end, 3)) for piece in found]
    assert heard == [(0.0, 2.15), (2.15, 4.0), (4.0, 5.2), (8.8, 10.0)]


def test_neighbours_share_a_window_up_to_the_limit() -> None:
    rows = pieces((0, 10), (20, 30), (31, 39), (50, 51), (60, 95), (96, 97))
    windows = group(rows, 28.0)
    assert [[piece.region.id[-1] for piece in window] for window in windows] == [
        ["1", "2", "3"],
        ["4"],
        ["5"],
        ["6"],
    ]
    assert [piece for window in windows for piece in window] == rows


def test_words_move_to_the_recording() -> None:
    # In the window, the second region is heard from 2 + 2 * 0.2 seconds on.
    rows = pieces((10.0, 12.0), (20.0, 23.0), padding=0.2)
    spoken = record(
        ("One", 0.9, 1.2), ("two.", 1.2, 1.5), ("Three.", 3.4, 4.0), ("Four.", 4.0, 4.9)
    )
    first, second = place_words(rows, spoken, ("en", 1.0))
    assert (first.text, second.text) == ("One two.", "Three. Four.")
    times = [(word.start, word.end) for word in first.words + second.words]
    assert times == [(10.7, 11.0), (11.0, 11.3), (20.8, 21.4), (21.4, 22.3)]
    assert (first.id, second.id) == ("a-0001", "a-0002")
    assert first.compression_ratio == second.compression_ratio == 1.2


def test_words_near_the_edge_of_a_region_stand_there() -> None:
    rows = pieces((10.0, 12.0), (20.0, 23.0), padding=0.2)
    spoken = record(("One", 0.5, 1.0), ("two.", 1.0, 2.0), ("Three.", 2.2, 5.9))
    first, second = place_words(rows, spoken, ("en", 1.0))
    times = [(word.start, word.end) for word in first.words + second.words]
    assert times == [(10.0, 10.8), (10.8, 12.0), (20.0, 23.0)]


def test_a_word_over_an_edge_belongs_to_the_region_that_has_most_of_it() -> None:
    rows = pieces((10.0, 12.0), (20.0, 23.0))
    spoken = record(("one", 1.2, 1.6), ("over", 1.6, 2.2), ("next", 2.2, 3.0))
    first, second = place_words(rows, spoken, ("en", 1.0))
    assert [word.word for word in first.words] == ["one", "over"]
    assert first.words[-1].end == 12.0
    assert [word.word for word in second.words] == ["next"]


def test_no_word_is_lost_or_doubled() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        edges = np.cumsum(rng.uniform(0.3, 4.0, 12))
        rows = pieces(*[(float(a), float(b)) for a, b in edges.reshape(-1, 2)], padding=0.2)
        times = np.sort(rng.uniform(0, sum(row.end - row.start for row in rows) + 1, 41))
        spoken = [(str(at), float(times[at]), float(times[at + 1])) for at in range(40)]
        placed = place_words(rows, record(*spoken), ("en", 1.0))
        words = [word for row in placed for word in row.words]
        assert [word.word for word in words] == [word for word, _, _ in spoken]
        assert all(left.end <= right.start for left, right in pairwise(words))
        for piece, transcript in zip(rows, placed, strict=True):
            start, end = round(piece.region.start, 3), round(piece.region.end, 3)
            assert all(start <= word.start <= word.end <= end for word in transcript.words)


def test_what_is_split_is_put_together() -> None:
    spoken = [
        SimpleNamespace(word=text, start=float(at), end=at + 1.0, probability=probability)
        for at, (text, probability) in enumerate(
            [(" Pre", 1.0), ("-paid", 0.5), (" 1", 1.0), (",000", 1.0), (" ", 1.0), (" it's.", 0.9)]
        )
    ]
    assert whole_words(spoken) == [
        ["Pre-paid", 0.0, 2.0, 0.75],
        ["1,000", 2.0, 4.0, 1.0],
        ["it's.", 5.0, 6.0, 0.9],
    ]
    chinese = [SimpleNamespace(word=w, start=0.0, end=1.0, probability=1.0) for w in "你好"]
    assert [word for word, *_ in whole_words(chinese)] == ["你", "好"]


def test_a_region_without_words_has_a_row() -> None:
    (row,) = place_words(pieces((0.0, 2.0)), record(), ("en", 1.0))
    assert (row.text, row.words) == ("", [])


def test_windows_hold_their_regions_one_after_the_other(tmp_path: Path) -> None:
    samples = np.concatenate([tone(1.0), silence(1.0), tone(1.0, frequency=880), silence(1.0)])
    path = write(tmp_path / "a.flac", encode(samples, 22050, "FLAC"))
    (found,) = cut_windows(
        [{"audio": path, "windows": [[[0.0, 1.0], [2.0, 3.0]], [[2.0, 2.5]]]}], rate=RATE
    )
    assert sorted(found.files) == ["00000.flac", "00001.flac"]
    joined, rate = read(found.files["00000.flac"])
    assert (len(joined), rate) == (2 * RATE, RATE)
    middle = np.abs(np.fft.rfft(joined[RATE + 1000 : 2 * RATE - 1000]))
    assert np.argmax(middle) * RATE / (RATE - 2000) == pytest.approx(880, abs=2)


def words(*spoken: tuple[str, float, float]) -> list[Word]:
    return [Word(word=w, start=start, end=end, probability=0.9) for w, start, end in spoken]


def transcript(spoken: list[Word], recording: str = "a") -> Transcript:
    return Transcript(
        id=f"{recording}-0001",
        recording=recording,
        language="en",
        language_probability=1.0,
        text=" ".join(word.word for word in spoken),
        words=spoken,
        avg_logprob=-0.1,
        no_speech_prob=0.0,
        compression_ratio=1.0,
    )


def test_words_count_for_the_sentence_that_they_are_nearest_to() -> None:
    script = [
        Sentence(file="a.wav", start=0.0, end=2.0, text="Red shoes."),
        Sentence(file="a.wav", start=3.0, end=5.0, text="Green hats.", flaw="noise"),
        Sentence(file="a.wav", start=6.0, end=8.0, text="Blue bags."),
        Sentence(file="b.wav", start=0.0, end=2.0, text="Socks."),
    ]
    spoken = words(
        ("Red", 0.1, 0.5),
        ("shoes.", 1.5, 2.6),
        ("green", 3.0, 4.0),
        ("Blue", 6.0, 6.5),
        ("beg", 9, 9.4),
    )
    found = sentence_errors(script, {"a.wav": "a"}, [transcript(spoken)], "english")
    # The noisy sentence does not count, the recording without a transcript neither; of the last
    # sentence one word is missing, and one that nobody said stands for it.
    assert found == {"a": [WordErrors(0, 2), WordErrors(1, 2)]}


def test_a_recording_s_language_is_the_likeliest_over_its_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = {1: [("pt", 0.6), ("es", 0.4)], 2: [("es", 0.9), ("pt", 0.1)], 3: [("pt", 1.0)]}

    class Model:
        model = SimpleNamespace(is_multilingual=True)

        def detect_language(self, samples: np.ndarray) -> tuple[str, float, list[Any]]:
            found = heard[len(samples) // RATE]
            return (*found[0], found)

    monkeypatch.setattr(whisper_module, "load_whisper", lambda *_, **__: Model())
    paths = [
        write(tmp_path / f"{at}.flac", encode(silence(at, RATE), RATE, "FLAC")) for at in heard
    ]
    first, second = detect_languages(
        [paths, paths[:2]], asr=tmp_path, device="cpu", compute_type="default"
    )
    assert first.record == {"language": "pt", "probability": pytest.approx(1.7 / 3, abs=1e-4)}
    assert second.record == {"language": "es", "probability": 0.65}


# --- with the model ---------------------------------------------------------------------------------


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    """Two recordings of babble as voice_segment writes them, with three regions each."""
    rows: list[Recording] = []
    found: list[Region] = []
    for name, seed in (("a", 0), ("b", 5)):
        samples = np.concatenate([babble(12.0, seed=seed), silence(1.0)])
        write(tmp_path / "segments" / "audio" / f"{name}.flac", encode(samples, 22050, "FLAC"))
        rows.append(
            Recording(
                id=name,
                file_name=f"audio/{name}.flac",
                source=f"{name}.wav",
                container="wav",
                codec="pcm_s16le",
                source_rate=22050,
                source_channels=1,
                other_tracks=[],
                seconds=13.0,
                loudness=-23.0,
                gain_db=0.0,
            )
        )
        found += [
            Region(id=f"{name}-{at:04d}", recording=name, start=4.0 * at - 4, end=4.0 * at)
            for at in (1, 2, 3)
        ]
    write_manifest(tmp_path / "segments" / "manifest.jsonl", rows)
    write_manifest(tmp_path / "segments" / "regions.jsonl", found)
    return tmp_path / "segments"


def run(
    segments: Path,
    asr: Path,
    out: Path,
    rt: Runtime,
    recordings: Path | None = None,
    **changes: Any,
) -> Mapping[str, Any]:
    return transcribe(
        section(VoiceTranscribe, **{"window_seconds": 8.0, "rounds": 50, "parallel": 1, **changes}),
        segments=segments,
        recordings=recordings or segments,
        asr=asr,
        out_dir=out / "data",
        plots_dir=out / "plots",
        report=out / "transcripts.md",
        timings=out / "timings" / "t.json",
        rt=rt,
    )


def compared(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in files_of(out).items() if not name.startswith("timings/")}


@pytest.mark.plots
def test_files_and_metrics(segments: Path, whisper: Path, tmp_path: Path, rt: Runtime) -> None:
    metrics = run(segments, whisper, tmp_path / "out", rt)
    assert sorted(files_of(tmp_path / "out")) == [
        "data/rejected.jsonl",
        "data/words.jsonl",
        "plots/wer.png",
        "plots/words.png",
        "timings/t.json",
        "transcripts.md",
    ]
    rows = read_manifest(tmp_path / "out" / "data" / "words.jsonl", Transcript)
    assert len(rows) == metrics["regions"] == 6
    assert metrics["windows"] == 4
    assert metrics["words"] == sum(len(row.words) for row in rows)
    assert (metrics["asr"], metrics["normalizer"]) == ("whisper_tiny_en", "whisper english")
    # Without a script the keys are there and empty.
    assert metrics["wer"] is metrics["wer_low"] is metrics["wer_high"] is None
    assert metrics["wer_n"] == metrics["wer_sentences"] == 0
    assert read_manifest(tmp_path / "out" / "data" / "rejected.jsonl", Rejection) == []


def test_the_number_of_threads_changes_nothing(
    segments: Path, whisper: Path, tmp_path: Path
) -> None:
    for name, parallel in (("a", 1), ("b", 3)):
        run(segments, whisper, tmp_path / name, runtime(tmp_path / f"c{name}"), parallel=parallel)
    assert compared(tmp_path / "a") == compared(tmp_path / "b")


def test_a_gpu_gets_one_caller_and_results_of_its_own(
    segments: Path, whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = replace(runtime(tmp_path / "cache", workers=3), device="cuda")
    loaded: list[tuple[str, int]] = []

    def load(asr: Path, device: str, compute_type: str, threads: int) -> Any:
        loaded.append((device, threads))
        return load_whisper(asr, "cpu", compute_type, threads)

    monkeypatch.setattr(whisper_module, "load_whisper", load)
    for heard in ("cpu", "cuda", "cpu"):  # where CTranslate2 can run, whatever torch uses
        monkeypatch.setattr(module, "hearing_device", lambda _, heard=heard: heard)
        run(segments, whisper, tmp_path / heard, rt, parallel=0)
    assert loaded == [("cpu", 3), ("cuda", 1)]


def test_company_changes_nothing(segments: Path, whisper: Path, tmp_path: Path) -> None:
    rows = {"a": tmp_path / "a.flac", "b": tmp_path / "b.flac", "c": tmp_path / "c.flac"}
    jobs = []
    for seed, path in enumerate(rows.values()):
        write(path, encode(babble(4.0 + seed, RATE, seed), RATE, "FLAC"))
        jobs.append({"audio": path, "language": "en"})
    listen = partial(
        transcribe_clips, asr=whisper, device="cpu", compute_type="default", beam_size=5
    )
    together = listen([*jobs, jobs[-1], jobs[-1]])
    assert [one.record for one in together[3:]] == [together[2].record] * 2
    alone = [listen([job])[0].record for job in jobs]
    assert [one.record for one in together[:3]] == alone
    assert any(record["words"] for record in alone)


def stored(rt: Runtime, what: str) -> set[Path]:
    return {path.parent for path in (rt.cache / "items" / what).rglob("record.json")}


def test_one_changed_recording_costs_its_windows(
    segments: Path, whisper: Path, tmp_path: Path, rt: Runtime
) -> None:
    run(segments, whisper, tmp_path / "a", rt)
    before = {what: stored(rt, what) for what in ("voice_windows", "voice_transcribe")}
    samples, _ = read(segments / "audio" / "b.flac")
    samples[-5000:] = 0.0  # after the last region, so no window changes
    write(segments / "audio" / "b.flac", encode(samples, 22050, "FLAC"))
    run(segments, whisper, tmp_path / "b", rt)
    assert len(stored(rt, "voice_windows") - before["voice_windows"]) == 1
    assert stored(rt, "voice_transcribe") == before["voice_transcribe"]
    samples[: 22050 * 2] *= 0.5
    write(segments / "audio" / "b.flac", encode(samples, 22050, "FLAC"))
    run(segments, whisper, tmp_path / "c", rt)
    assert len(stored(rt, "voice_transcribe") - before["voice_transcribe"]) == 1


def test_what_is_not_speech_is_kept_with_its_scores(whisper: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sounds = {
        "noise": 0.1 * rng.standard_normal(4 * RATE),
        "nothing": np.zeros(2 * RATE),
        "short": tone(0.05, RATE),
        "babble": babble(5.0, RATE),
    }
    paths = [
        write(tmp_path / f"{name}.flac", encode(x, RATE, "FLAC")) for name, x in sounds.items()
    ]
    found = transcribe_clips(
        [{"audio": path, "language": "en"} for path in paths],
        asr=whisper,
        device="cpu",
        compute_type="default",
        beam_size=2,
    )
    assert len(found) == len(paths)
    for one in found:
        assert set(one.record) == {"words", "avg_logprob", "no_speech_prob", "compression_ratio"}


def test_language_auto_is_told_by_the_model(
    segments: Path, whisper: Path, tmp_path: Path, rt: Runtime
) -> None:
    run(segments, whisper, tmp_path / "out", rt, language="auto")
    rows = read_manifest(tmp_path / "out" / "data" / "words.jsonl", Transcript)
    assert {(row.language, row.language_probability) for row in rows} == {("en", 1.0)}


def test_a_recording_in_a_language_without_rules_is_not_transcribed(
    segments: Path, whisper: Path, tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = {row.id for row in read_manifest(segments / "manifest.jsonl", Recording)}
    foreign = min(recordings)
    told = {name: ("xx" if name == foreign else "en", 0.9) for name in recordings}
    monkeypatch.setattr(module, "_languages", lambda *_: told)
    metrics = run(segments, whisper, tmp_path / "out", rt, language="auto", max_rejected_share=1.0)
    regions = {row.id: row.recording for row in read_manifest(segments / "regions.jsonl", Region)}
    expected = {name for name, recording in regions.items() if recording == foreign}
    rows = read_manifest(tmp_path / "out" / "data" / "rejected.jsonl", Rejection)
    assert {(row.id, row.reason, row.value) for row in rows} == {
        (name, "unknown_language", "xx") for name in expected
    }
    assert metrics["rejected_unknown_language"] == len(expected) > 0
    assert metrics["regions"] == len(regions)
    heard = read_manifest(tmp_path / "out" / "data" / "words.jsonl", Transcript)
    assert {row.id for row in heard} == regions.keys() - expected


def test_a_wrong_model_folder_stops_before_any_work(
    segments: Path, tmp_path: Path, rt: Runtime
) -> None:
    with pytest.raises(LikenessError, match="not a faster-whisper model"):
        run(segments, tmp_path / "nothing", tmp_path / "out", rt)
    assert not (tmp_path / "out").exists()


def test_a_language_without_text_rules_stops_before_any_work(
    segments: Path, tmp_path: Path, rt: Runtime
) -> None:
    with pytest.raises(LikenessError, match=r"'nl': no table of text rules.*en, es, pt"):
        run(segments, tmp_path / "nothing", tmp_path / "out", rt, language="nl")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("asked", "language"), [("en-US", "en"), ("PT_br", "pt"), ("auto", "auto")]
)
def test_a_region_of_a_language_changes_nothing(asked: str, language: str) -> None:
    assert section(VoiceTranscribe, language=asked).language == language
