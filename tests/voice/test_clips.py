"""Recordings become clips; each flaw is set aside for its true reason, and nothing else is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import write_bytes
from likeness.common.manifest import read_manifest, write_manifest
from likeness.common.runtime import Runtime
from likeness.voice import quality as module
from likeness.voice.audio import encode, read
from likeness.voice.clips import VoiceClips, make_clips
from likeness.voice.rows import Clip, Correction, Recording, Region, RejectedClip, Transcript
from likeness.voice.rules import REASONS
from likeness.voice.words import Word
from tests.conftest import files_of, runtime, section
from tests.voice.spoken import RATE, Spoken, sentences, speak

Array = np.ndarray
Flaw = Callable[[Array], Array]

BREAK = 1.6  # seconds between the parts of a scene: nothing is joined over it
GOOD = "One red shirt of cotton, __ with long sleeves, and two comfortable trousers."


# --- recordings with planted flaws ----------------------------------------------------------------


def noise(samples: Array) -> Array:
    rng = np.random.default_rng(1)
    return samples + 0.03 * rng.standard_normal(len(samples))


def clipping(samples: Array) -> Array:
    top = np.abs(samples).max() / 5
    return samples.clip(-top, top) * 3


def faint(samples: Array) -> Array:
    return 0.01 * samples


def same(samples: Array) -> Array:
    return samples


def scene(parts: Mapping[str, tuple[str, Flaw]]) -> tuple[Spoken, dict[str, tuple[float, float]]]:
    """One recording of the parts in turn, and the seconds that each takes by its name."""
    pieces, words, times, at = [], [], {}, 0.0
    for number, (name, (script, flaw)) in enumerate(parts.items()):
        pitch = 230.0 if name == "other_voice" else 120.0
        spoken = speak(script, seed=number, pitch=pitch)
        pieces += [flaw(spoken.samples), 1e-3 * np.ones(round(BREAK * RATE)) * (-1) ** number]
        words += [
            word.model_copy(update={"start": word.start + at, "end": word.end + at})
            for word in spoken.words
        ]
        times[name] = (at, at + spoken.seconds)
        at += sum(map(len, pieces[-2:])) / RATE
    return Spoken(np.concatenate(pieces).astype(np.float32), words), times


def write_inputs(
    folder: Path,
    recordings: Mapping[str, Spoken],
    change: Callable[[Transcript], Transcript] = lambda row: row,
) -> Path:
    """What voice_segment and voice_transcribe write; a region for each stretch between long pauses."""
    rows, regions, transcripts = [], [], []
    for name, spoken in recordings.items():
        write_bytes(folder / f"segment/audio/{name}.flac", encode(spoken.samples, RATE, "FLAC"))
        rows.append(
            Recording(
                id=name,
                file_name=f"audio/{name}.flac",
                source=f"{name}.wav",
                container="wav",
                codec="pcm_s16le",
                source_rate=RATE,
                source_channels=1,
                other_tracks=[],
                seconds=round(spoken.seconds, 3),
                loudness=-23.0,
                gain_db=0.0,
            )
        )
        for number, words in enumerate(_runs(spoken.heard(0.05)), start=1):
            identity = f"{name}-{number:04d}"
            times = {"start": words[0].start, "end": words[-1].end}
            regions.append(Region(id=identity, recording=name, **times))
            transcripts.append(change(transcript(identity, name, words)))
    write_manifest(folder / "segment/manifest.jsonl", rows)
    write_manifest(folder / "segment/regions.jsonl", regions)
    write_manifest(folder / "transcribe/words.jsonl", transcripts)
    return folder


def _runs(words: list[Word]) -> list[list[Word]]:
    runs: list[list[Word]] = [[]]
    for word in words:
        if runs[-1] and word.start - runs[-1][-1].end > 0.5:
            runs.append([])
        runs[-1].append(word)
    return runs


def transcript(identity: str, recording: str, words: list[Word], **changes: Any) -> Transcript:
    values: dict[str, Any] = {
        "id": identity,
        "recording": recording,
        "language": "en",
        "language_probability": 1.0,
        "text": " ".join(word.word for word in words),
        "words": words,
        "avg_logprob": -0.3,
        "no_speech_prob": 0.01,
        "compression_ratio": 1.2,
        **changes,
    }
    return Transcript(**values)


# --- models by their signature --------------------------------------------------------------------


def windows(samples: Array, rate: int, _encoder: Path) -> Array:
    """A vector of a window's spectrum from 80 to 400 Hz: another pitch is another speaker."""
    size = min(len(samples), round(1.6 * rate))
    starts = range(0, len(samples) - size + 1, size // 2)
    vectors = []
    for at in starts:
        spectrum = np.abs(np.fft.rfft(samples[at : at + size] * np.hanning(size), 1 << 16))
        band = spectrum[80 * (1 << 16) // rate : 400 * (1 << 16) // rate]
        bins = np.sqrt(np.add.reduceat(band**2, np.arange(0, len(band), 30)))
        vectors.append(bins / np.linalg.norm(bins))
    return np.array(vectors, np.float32)


@pytest.fixture(autouse=True)
def _models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "embed_windows", windows)
    monkeypatch.setattr(module, "predict_mos", lambda samples, rate, folder: 3.2)


def run(folder: Path, rt: Runtime, out: str = "out", **changes: Any) -> dict[str, float]:
    for model in ("speaker", "mos"):
        (folder / model).mkdir(exist_ok=True)
    options = {
        "max_rejected_share": 0.9,
        "min_snr_db": 18.0,
        "min_bandwidth_hz": 0.0,
        "max_speaker_distance": 0.3,
        **changes,
    }
    return make_clips(
        section(VoiceClips, **options),
        recordings=folder / "segment",
        transcripts=folder / "transcribe",
        corrections=folder / "corrections.jsonl",
        speaker=folder / "speaker",
        mos=folder / "mos",
        out_dir=folder / out,
        plots_dir=folder / f"{out}_plots",
        report=folder / f"{out}_clips.md",
        rt=rt,
    )


def kept_of(folder: Path, out: str = "out") -> list[Clip]:
    rows = read_manifest(folder / out / "manifest.jsonl", Clip)
    assert all(len(read(folder / out / row.file_name)[0]) for row in rows)
    return rows


def rejected_of(folder: Path, out: str = "out") -> list[RejectedClip]:
    return read_manifest(folder / out / "rejected.jsonl", RejectedClip)


# --- the whole stage ------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_flaw_is_set_aside_for_its_true_reason(tmp_path: Path, rt: Runtime) -> None:
    spoken, times = scene(
        {
            "good_1": (GOOD, same),
            "noise": (GOOD, noise),
            "good_2": (GOOD, same),
            "clipping": (GOOD, clipping),
            "good_3": (GOOD, same),
            "other_voice": (GOOD, same),
            "good_4": (GOOD, same),
            "faint": (GOOD, faint),
            "good_5": (GOOD, same),
            "endless": ("sleeves " * 40 + "end.", same),
            "short": ("A.", same),
        }
    )
    folder = write_inputs(tmp_path, {"a": spoken})
    metrics = run(folder, rt)
    reasons = {
        name: row.reason
        for row in rejected_of(folder)
        for name, (start, end) in times.items()
        if start <= (row.start + row.end) / 2 <= end
    }
    assert reasons == {
        "noise": "snr",
        "clipping": "clipping",
        "other_voice": "several_speakers",
        "faint": "silence",
        "endless": "too_long",
        "short": "too_short",
    }
    kept = kept_of(folder)
    assert [clip.text for clip in kept] == [GOOD.replace(" __", "")] * 5
    assert metrics["kept"] == 5
    assert metrics["candidates"] == 11
    assert [key for key in metrics if key.startswith("rejected_")] == [
        "rejected_seconds",
        *(f"rejected_{reason}" for reason in REASONS),
    ]
    assert sum(metrics[f"rejected_{reason}"] for reason in REASONS) == 6
    assert metrics["kept_seconds"] == pytest.approx(sum(c.end - c.start for c in kept), abs=0.01)
    for row in rejected_of(folder):
        limit = row.threshold
        too_much = row.reason in ("silence", "clipping", "several_speakers", "too_long")
        assert row.value > limit if too_much else row.value < limit, row


def test_a_clip_is_what_was_cut(tmp_path: Path, rt: Runtime) -> None:
    spoken = speak(sentences(8, 3))
    folder = write_inputs(tmp_path, {"a": spoken})
    run(folder, rt)
    for clip in kept_of(folder):
        samples, rate = read(folder / "out" / clip.file_name)
        first = round(clip.start * RATE)
        assert rate == RATE
        assert len(samples) == pytest.approx((clip.end - clip.start) * RATE, abs=1)
        wanted = spoken.samples[first : first + len(samples)]
        assert samples.shape == wanted.shape
        assert np.abs(samples - wanted).max() <= 1e-4
        inside = [word for word in spoken.words if clip.start < word.start + 0.05 < clip.end]
        assert clip.text == " ".join(word.word for word in inside)
        assert [word.word for word in clip.words] == [word.word for word in inside]


@pytest.mark.slow
def test_every_word_is_in_one_clip_that_is_kept_or_rejected(tmp_path: Path, rt: Runtime) -> None:
    recordings = {name: speak(sentences(12, at), seed=at) for at, name in enumerate("abc")}
    folder = write_inputs(tmp_path, recordings)
    metrics = run(folder, rt)
    rows = [*kept_of(folder), *rejected_of(folder)]
    assert len({row.id for row in rows}) == len(rows) == metrics["candidates"]
    for name, spoken in recordings.items():
        mine = sorted((row for row in rows if row.recording == name), key=lambda row: row.start)
        assert " ".join(row.text for row in mine) == " ".join(word.word for word in spoken.words)
        assert [row.id for row in mine] == [f"{name}-{n:04d}" for n in range(1, len(mine) + 1)]


# --- rules by what was transcribed ----------------------------------------------------------------


def changed(target: int, **changes: Any) -> Callable[[Transcript], Transcript]:
    """A change to the transcript of one region."""

    def change(row: Transcript) -> Transcript:
        return row.model_copy(update=changes) if row.id.endswith(f"{target:04d}") else row

    return change


def unsure(row: Transcript) -> Transcript:
    if not row.id.endswith("0002"):
        return row
    words = [word.model_copy(update={"probability": 0.2}) for word in row.words]
    return row.model_copy(update={"words": words})


def doubled(row: Transcript) -> Transcript:
    """Three words for every word that is spoken: what was heard cannot be in the clip."""
    if not row.id.endswith("0002"):
        return row
    words = [
        word.model_copy(update={"word": f"{word.word} extra{at} more{at}"})
        for at, word in enumerate(row.words)
    ]
    return row.model_copy(update={"words": words})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason", "measure"),
    [
        (changed(2, language="pt"), "language", "language_probability"),
        (changed(2, language_probability=0.3), "language", "language_probability"),
        (changed(2, compression_ratio=5.0), "repetition", "compression_ratio"),
        (unsure, "confidence", "confidence"),
        (doubled, "speaking_rate", "words_per_second"),
        (changed(2, words=[]), "no_words", "words"),
    ],
)
def test_a_transcript_that_cannot_be_trusted_is_set_aside(
    tmp_path: Path,
    rt: Runtime,
    change: Callable[[Transcript], Transcript],
    reason: str,
    measure: str,
) -> None:
    spoken, _ = scene({str(at): (GOOD, same) for at in range(4)})
    folder = write_inputs(tmp_path, {"a": spoken}, change)
    run(folder, rt)
    assert [(row.id, row.reason, row.measure) for row in rejected_of(folder)] == [
        ("a-0002", reason, measure)
    ]
    assert len(kept_of(folder)) == 3


@pytest.mark.slow
def test_repetition_loops_are_rejected(tmp_path: Path, rt: Runtime) -> None:
    """3 % of a public dataset are loops of Whisper's: "eu não... eu não... eu não..."."""
    loop = "eu não... " * 6
    spoken, _ = scene({str(at): (GOOD, same) for at in range(3)} | {"loop": (loop, same)})
    folder = write_inputs(tmp_path, {"a": spoken})
    # A buzz without a pause has no quiet frame to tell the noise by.
    run(folder, rt, min_snr_db=5.0)
    (row,) = rejected_of(folder)
    assert (row.reason, row.measure, row.value) == ("repetition", "repeated", 1.0)
    assert "eu não... eu não..." in row.text


# --- corrections ----------------------------------------------------------------------------------


def correction(row: Clip | RejectedClip, **changes: Any) -> Correction:
    """A correction of a clip that an earlier run has made."""
    cut = {name: getattr(row, name) for name in ("id", "recording", "start", "end", "heard")}
    return Correction(**{**cut, **changes})


@pytest.mark.slow
def test_corrections_decide_and_cost_no_measuring_again(
    tmp_path: Path, rt: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken, _ = scene(
        {
            "text": (GOOD, same),
            "aside": (GOOD, same),
            "noise": (GOOD, noise),
            "short": ("A.", same),
            "good": (GOOD, same),
        }
    )
    folder = write_inputs(tmp_path, {"a": spoken})
    before = run(folder, rt)
    text, aside, good = kept_of(folder)
    broken, short = rejected_of(folder)
    assert (broken.reason, short.reason) == ("snr", "too_short")
    assert (before["corrections_applied"], before["corrections_unmatched"]) == (0, 0)
    assert "Corrections" not in (folder / "out_clips.md").read_text()
    capsys.readouterr()

    new = "Two, two, two, two red shirts of 100 % cotton."
    rows = [
        correction(text, text=new),
        correction(aside, verdict="set_aside"),
        correction(broken, verdict="keep"),
        correction(short, verdict="keep", text="A shirt."),
        correction(good, heard="One blue shirt.", verdict="set_aside"),
    ]
    write_manifest(folder / "corrections.jsonl", rows)
    after = run(folder, rt, "again", max_rejected_share=0.0)
    # Only the short one is new to the store.
    assert "voice_clips: 1 of 4 to do" in capsys.readouterr().err
    clips = {clip.id: clip for clip in kept_of(folder, "again")}
    assert set(clips) == {text.id, broken.id, short.id, good.id}
    assert [row.reason for row in rejected_of(folder, "again")] == ["set_aside"]
    assert (after["corrections_applied"], after["corrections_unmatched"]) == (4, 1)
    assert after["rejected_set_aside"] == 1

    corrected = clips[text.id]
    assert (corrected.text, corrected.heard, corrected.words) == (new, text.heard, text.words)
    assert (corrected.confidence, corrected.snr_db) == (1.0, text.snr_db)
    said = 11 / len(text.heard.split())  # "100 %" is three words to say
    assert corrected.words_per_second == pytest.approx(said * text.words_per_second, rel=1e-3)
    assert corrected.repeated > text.repeated == 0
    assert clips[short.id].text == "A shirt."
    report = (folder / "again_clips.md").read_text()
    assert "4 of 5 were applied" in report
    applied = [line.split()[1] for line in report.splitlines() if line.endswith("| yes |")]
    assert applied == [row.id for row in rows[:4]]


def test_a_clip_that_cannot_be_measured_is_not_taken_back(
    tmp_path: Path, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"good": (GOOD, same), "noise": (GOOD, noise)}
    folder = write_inputs(tmp_path, {"a": scene(parts)[0]})
    run(folder, rt)
    (row,) = rejected_of(folder)
    write_manifest(folder / "corrections.jsonl", [correction(row, verdict="keep")])

    def fails(samples: Array, rate: int, mos: Path) -> float:
        if module.snr_db(samples, rate) < 18:
            raise ValueError("no measure")
        return 3.2

    monkeypatch.setattr(module, "predict_mos", fails)
    run(folder, runtime(tmp_path / "other"), "again")
    (row,) = rejected_of(folder, "again")
    assert (row.reason, row.measure) == ("error", "")


# --- files, errors, the store ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.plots
def test_figures_and_report_are_written(tmp_path: Path, rt: Runtime) -> None:
    spoken, _ = scene({"0": (GOOD, same), "1": (GOOD.replace("shirt", "a|b"), noise)})
    folder = write_inputs(tmp_path, {"a": spoken})
    run(folder, rt)
    assert set(files_of(folder / "out")) == {
        "clips/a-0001.flac",
        "manifest.jsonl",
        "rejected.jsonl",
    }
    assert set(files_of(folder / "out_plots")) == {"lengths.png", "measures.png"}
    text = (folder / "out_clips.md").read_text()
    assert "| snr | 1 |" in text
    assert "| a-0002 |" in text
    assert all(line.count("|") in (0, 5, 7) for line in text.splitlines())


@pytest.mark.slow
def test_a_recording_that_cannot_be_cut_is_one_rejection(tmp_path: Path, rt: Runtime) -> None:
    folder = write_inputs(tmp_path, {"a": speak(GOOD), "b": speak(GOOD)})
    (folder / "segment/audio/b.flac").write_bytes(b"no audio")
    run(folder, rt)
    (row,) = rejected_of(folder)
    assert (row.id, row.reason, row.recording) == ("b", "error", "b")
    assert [clip.id for clip in kept_of(folder)] == ["a-0001"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"language": "nl"}, "language 'nl': no table"),
        ({"min_snr_db": 200.0, "max_rejected_share": 1.0}, "none of 1 clips is kept"),
        ({"min_snr_db": 200.0, "max_rejected_share": 0.5}, "1 of 1 items rejected"),
    ],
)
def test_what_gives_no_clips_is_one_line(
    tmp_path: Path, rt: Runtime, changes: dict[str, Any], says: str
) -> None:
    folder = write_inputs(tmp_path, {"a": speak(GOOD)})
    with pytest.raises(LikenessError, match=says) as caught:
        run(folder, rt, **changes)
    assert "\n" not in str(caught.value)
    assert not (folder / "out" / "manifest.jsonl").exists()


@pytest.mark.slow
def test_a_changed_recording_costs_its_own_clips(
    tmp_path: Path, rt: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings = {name: speak(GOOD, seed=at) for at, name in enumerate("abc")}
    folder = write_inputs(tmp_path, recordings)
    run(folder, rt)
    assert "voice_clips: 3 of 3 to do" in capsys.readouterr().err
    recordings["b"] = speak(GOOD, seed=9)
    write_inputs(tmp_path, recordings)
    run(folder, rt, "again")
    said = capsys.readouterr().err
    assert "voice_cuts: 1 of 3 to do" in said
    assert "voice_clips: 1 of 3 to do" in said


@pytest.mark.slow
@pytest.mark.plots
def test_the_same_inputs_give_the_same_outputs(tmp_path: Path) -> None:
    folder = write_inputs(tmp_path, {"a": speak(sentences(8, 5))})
    run(folder, runtime(tmp_path / "c1"), "one")
    run(folder, runtime(tmp_path / "c1"), "two")
    run(folder, runtime(tmp_path / "c2"), "three")
    for name in ("two", "three"):
        assert files_of(folder / "one") == files_of(folder / name)
        assert files_of(folder / "one_plots") == files_of(folder / f"{name}_plots")


@pytest.mark.slow
def test_a_limit_costs_no_measuring_again(
    tmp_path: Path, rt: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_inputs(tmp_path, {"a": speak(GOOD)})
    run(folder, rt)
    capsys.readouterr()
    run(folder, rt, "again", min_dnsmos=1.0)
    assert "voice_clips: 0 of 1 to do" in capsys.readouterr().err
