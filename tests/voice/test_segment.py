"""Recordings of any form become one form with regions of speech; what is broken is counted."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from likeness.common.errors import LikenessError
from likeness.common.manifest import Rejection, read_manifest, write_manifest
from likeness.common.runtime import Runtime
from likeness.voice.rows import Download, Recording, Region
from likeness.voice.segment import VoiceSegment, segment
from tests.conftest import encoded, files_of, runtime, section, square
from tests.voice.sounds import babble, file_bytes, film_bytes, loudness, silence, tone, write

RATE = 22050
# Seconds of silence, speech, silence, … in turns.
PLAN = (1.0, 3.0, 1.5, 2.0, 1.0)


def talk(seed: int) -> np.ndarray:
    """Babble where `PLAN` says so."""
    parts = [
        babble(seconds, RATE, seed + at) if at % 2 else silence(seconds, RATE)
        for at, seconds in enumerate(PLAN)
    ]
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def encoded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings in three forms, and one file for each thing that can be wrong."""
    folder = tmp_path_factory.mktemp("recordings")
    good = file_bytes(talk(20), RATE, "flac")
    write(folder / "one.wav", file_bytes(talk(0), RATE, "wav", channels=2))
    write(folder / "two.mp3", file_bytes(talk(10), RATE, "mp3"))
    write(folder / "more" / "three.flac", good)
    write(folder / "copy.flac", good)
    write(folder / "cut.mp3", file_bytes(talk(30), RATE, "mp3")[:20000])
    write(folder / "empty.wav", b"")
    write(folder / "hiss.wav", file_bytes(30 * silence(4.0), RATE, "wav"))
    write(folder / "notes.wav", b"Notes of the session, take two.\n" * 30)
    write(folder / "short.wav", file_bytes(babble(0.5), RATE, "wav"))
    write(folder / "zeros.wav", file_bytes(np.zeros(3 * RATE, np.float32), RATE, "wav"))
    write(folder / "script.jsonl", b"{}\n")
    return folder


@pytest.fixture
def recordings(encoded_once: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(encoded_once, tmp_path / "recordings"))


def no_downloads(tmp_path: Path) -> Path:
    write_manifest(tmp_path / "downloads" / "manifest.jsonl", [])
    return tmp_path / "downloads"


def run(recordings: Path, out: Path, rt: Runtime, **changes: Any) -> dict[str, float]:
    downloads = changes.pop("downloads", None) or no_downloads(out.parent)
    return segment(
        section(VoiceSegment, **{"max_rejected_share": 0.9, **changes}),
        recordings=recordings,
        downloads=downloads,
        out_dir=out / "data",
        plots_dir=out / "plots",
        rt=rt,
    )


def test_recordings_are_kept_and_broken_files_counted(
    recordings: Path, tmp_path: Path, rt: Runtime
) -> None:
    metrics = run(recordings, tmp_path / "out", rt)
    speech = metrics.pop("speech_seconds")
    assert speech == pytest.approx(3 * 5.0, abs=3 * 1.2)
    assert metrics.pop("seconds") == pytest.approx(3 * 8.5, abs=0.3)
    assert metrics.pop("speech_ratio") == pytest.approx(speech / 25.5, abs=0.01)
    assert metrics.pop("regions") >= 6
    assert metrics == {
        "recordings": 3,
        "rejected_empty_file": 1,
        "rejected_not_audio": 1,
        "rejected_truncated": 1,
        "rejected_not_finite": 0,
        "rejected_too_short": 1,
        "rejected_no_speech": 2,
        "rejected_duplicate": 1,
        "rejected_error": 0,
    }
    rejected = read_manifest(tmp_path / "out" / "data" / "rejected.jsonl", Rejection)
    assert {row.id: row.reason for row in rejected} == {
        "cut": "truncated",
        "empty": "empty_file",
        "hiss": "no_speech",
        "more_three": "duplicate",
        "notes": "not_audio",
        "short": "too_short",
        "zeros": "no_speech",
    }
    assert next(row for row in rejected if row.id == "short").value == 0.5


def test_rows_describe_the_original_and_the_file(
    recordings: Path, tmp_path: Path, rt: Runtime
) -> None:
    run(recordings, tmp_path / "out", rt)
    data = tmp_path / "out" / "data"
    rows = {row.id: row for row in read_manifest(data / "manifest.jsonl", Recording)}
    assert sorted(rows) == ["copy", "one", "two"]
    one, two = rows["one"], rows["two"]
    assert (one.source, one.codec, one.source_channels) == ("one.wav", "pcm_s16le", 2)
    assert (two.source, two.container, two.source_rate) == ("two.mp3", "mp3", RATE)
    for row in rows.values():
        file = soundfile.info(data / row.file_name)
        assert (file.format, file.subtype) == ("FLAC", "PCM_16")
        assert (file.samplerate, file.channels) == (RATE, 1)
        assert file.frames / RATE == pytest.approx(row.seconds, abs=0.001)


def test_every_recording_has_the_same_loudness(tmp_path: Path, rt: Runtime) -> None:
    for name, level in (("loud", 2.5), ("soft", 0.1)):
        write(tmp_path / "in" / f"{name}.wav", file_bytes(level * talk(0), RATE, "wav"))
    run(tmp_path / "in", tmp_path / "out", rt, loudness=-25.0, peak=0.0)
    for row in read_manifest(tmp_path / "out" / "data" / "manifest.jsonl", Recording):
        samples, _ = soundfile.read(tmp_path / "out" / "data" / row.file_name)
        assert loudness(samples, RATE) == pytest.approx(-25.0, abs=0.1)
        assert row.loudness + row.gain_db == pytest.approx(-25.0, abs=0.05)


def test_no_sample_passes_the_peak(tmp_path: Path, rt: Runtime) -> None:
    clicks = talk(0)
    clicks[::RATE] = 1.0
    write(tmp_path / "in" / "a.wav", file_bytes(clicks, RATE, "wav"))
    run(tmp_path / "in", tmp_path / "out", rt, loudness=-10.0, peak=-6.0)
    samples, _ = soundfile.read(tmp_path / "out" / "data" / "audio" / "a.flac")
    assert np.abs(samples).max() == pytest.approx(10 ** (-6 / 20), abs=0.001)


def test_regions_are_where_somebody_speaks(tmp_path: Path, rt: Runtime) -> None:
    write(tmp_path / "in" / "a.wav", file_bytes(talk(0), RATE, "wav"))
    run(tmp_path / "in", tmp_path / "out", rt, min_silence_seconds=0.8)
    found = read_manifest(tmp_path / "out" / "data" / "regions.jsonl", Region)
    assert [row.id for row in found] == ["a-0001", "a-0002"]
    for row, (start, end) in zip(found, [(1.0, 4.0), (5.5, 7.5)], strict=True):
        assert row.recording == "a"
        assert row.start == pytest.approx(start, abs=0.45)
        assert row.end == pytest.approx(end, abs=0.45)


@pytest.mark.slow
def test_worker_count_changes_nothing(recordings: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        run(
            recordings,
            tmp_path / str(workers),
            runtime(tmp_path / f"cache{workers}", workers=workers),
        )
    assert files_of(tmp_path / "0") == files_of(tmp_path / "2")


def stored(rt: Runtime) -> set[Path]:
    return {path.parent for path in (rt.cache / "items" / "voice_segment").rglob("record.json")}


def test_one_changed_recording_costs_one(recordings: Path, tmp_path: Path, rt: Runtime) -> None:
    run(recordings, tmp_path / "a", rt)
    before = stored(rt)
    write(recordings / "one.wav", file_bytes(talk(50), RATE, "wav"))
    (recordings / "two.mp3").rename(recordings / "renamed.mp3")
    run(recordings, tmp_path / "b", rt, max_rejected_share=0.8)
    assert len(stored(rt) - before) == 1


def test_a_changed_threshold_is_computed_again(
    recordings: Path, tmp_path: Path, rt: Runtime
) -> None:
    run(recordings, tmp_path / "a", rt)
    before = stored(rt)
    run(recordings, tmp_path / "b", rt, vad_threshold=0.4)
    assert len(stored(rt)) == 2 * len(before)


def test_downloads_are_recordings_too(tmp_path: Path, rt: Runtime) -> None:
    downloads = tmp_path / "downloads"
    data = file_bytes(talk(0), RATE, "webm")
    write(downloads / "media" / "Site-x-123.webm", data)
    write(downloads / "info" / "Site-x-123.json", b"{}")
    row = Download(
        id="Site-x-123",
        file_name="media/Site-x-123.webm",
        info="info/Site-x-123.json",
        url="u",
        title="t",
        format="f",
        version="v",
        sha256="s",
        seconds=None,
    )
    write_manifest(downloads / "manifest.jsonl", [row])
    (tmp_path / "in").mkdir()
    metrics = run(tmp_path / "in", tmp_path / "out", rt, downloads=downloads)
    assert metrics["recordings"] == 1
    (found,) = read_manifest(tmp_path / "out" / "data" / "manifest.jsonl", Recording)
    assert (found.id, found.source) == ("Site-x-123", "media/Site-x-123.webm")


@pytest.mark.parametrize(("form", "channels"), [("mp3", 1), ("webm", 1), ("ogg", 2), ("flac", 1)])
def test_one_recording_in_two_formats_is_one(
    tmp_path: Path, rt: Runtime, form: str, channels: int
) -> None:
    speech = np.concatenate([talk(0), talk(3)])
    write(tmp_path / "in" / "a.wav", file_bytes(speech, RATE, "wav"))
    copy = file_bytes(0.5 * speech, RATE, form, channels=channels)
    write(tmp_path / "in" / f"copy.{form}", copy)
    write(tmp_path / "in" / "other.wav", file_bytes(talk(40), RATE, "wav"))
    metrics = run(tmp_path / "in", tmp_path / "out", rt)
    assert (metrics["recordings"], metrics["rejected_duplicate"]) == (2, 1)
    rows = read_manifest(tmp_path / "out/data/manifest.jsonl", Recording)
    assert [row.id for row in rows] == ["a", "other"]
    (rejected,) = read_manifest(tmp_path / "out/data/rejected.jsonl", Rejection)
    assert (rejected.id, rejected.reason, rejected.value) == ("copy", "duplicate", "a")


def test_an_excerpt_is_a_copy_and_the_whole_is_kept(tmp_path: Path, rt: Runtime) -> None:
    speech = np.concatenate([talk(0), talk(3)])
    write(tmp_path / "in" / "excerpt.wav", file_bytes(speech[RATE : 9 * RATE], RATE, "wav"))
    write(tmp_path / "in" / "whole.mp3", file_bytes(speech, RATE, "mp3"))
    run(tmp_path / "in", tmp_path / "out", rt)
    (row,) = read_manifest(tmp_path / "out/data/manifest.jsonl", Recording)
    assert row.id == "whole"


def test_tracks_that_are_not_taken_are_named(
    tmp_path: Path, rt: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    speech = np.concatenate([talk(0)]).repeat(2)
    data = film_bytes([tone(17.0, 44100), speech], 44100, "mka", default=1)
    write(tmp_path / "in" / "a.mka", data)
    run(tmp_path / "in", tmp_path / "out", rt)
    (row,) = read_manifest(tmp_path / "out/data/manifest.jsonl", Recording)
    assert row.other_tracks == ["0: aac, track 0"]
    assert "a.mka: audio tracks that are not used: 0: aac, track 0" in capsys.readouterr().err


def test_what_lies_beside_recordings_is_no_recording(
    recordings: Path, tmp_path: Path, rt: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run(recordings, tmp_path / "a", rt)
    for path in list(recordings.iterdir()):
        write(path.with_name(f"._{path.name}"), b"\0\x05\x16\x07" + bytes(4096))
        write(path.with_suffix(".srt"), b"1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    write(recordings / ".DS_Store", bytes(6148))
    write(recordings / "cover.jpg", encoded(square(), "JPEG"))
    assert run(recordings, tmp_path / "b", rt) == before
    assert ".srt, 1 .jpg beside the recordings are ignored" in capsys.readouterr().err


def test_samples_that_are_no_numbers_are_rejected(tmp_path: Path, rt: Runtime) -> None:
    samples = talk(0)
    write(tmp_path / "in" / "a.wav", file_bytes(samples, RATE, "wav"))
    samples[RATE] = np.nan
    soundfile.write(tmp_path / "in" / "nan.wav", samples, RATE, subtype="FLOAT")
    metrics = run(tmp_path / "in", tmp_path / "out", rt)
    assert (metrics["recordings"], metrics["rejected_not_finite"]) == (1, 1)


def test_long_names_come_out(tmp_path: Path, rt: Runtime) -> None:
    write(
        tmp_path / "in" / ("pasta " * 20).strip() / ("aula " * 30 + ".wav"),
        file_bytes(talk(0), RATE, "wav"),
    )
    write(tmp_path / "in" / ("A" * 246 + ".wav"), file_bytes(talk(60), RATE, "wav"))
    write(
        tmp_path / "in" / ("日本語のとても長い題名の動画" * 5 + ".wav"),
        file_bytes(talk(7), RATE, "wav"),
    )
    run(tmp_path / "in", tmp_path / "out", rt, max_rejected_share=1.0)
    rows = read_manifest(tmp_path / "out/data/manifest.jsonl", Recording)
    assert len(rows) == 3
    assert max(len(row.id.encode()) for row in rows) <= 107


@pytest.mark.plots
def test_figures_are_there_and_the_same_each_time(
    recordings: Path, tmp_path: Path, rt: Runtime
) -> None:
    for name in ("a", "b"):
        run(recordings, tmp_path / name, rt)
    plots = files_of(tmp_path / "a" / "plots")
    assert sorted(plots) == ["lengths.png", "timelines.png"]
    assert plots == files_of(tmp_path / "b" / "plots")
    for data in plots.values():
        assert min(Image.open(io.BytesIO(data)).size) > 100


def emptied(folder: Path) -> None:
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.unlink()


def removed(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def unchanged(folder: Path) -> None:
    assert folder.is_dir()


def broken(folder: Path) -> None:
    emptied(folder)
    write(folder / "a.wav", b"")


@pytest.mark.parametrize(
    ("damage", "share", "says"),
    [
        (emptied, 0.9, "no recordings; put audio files there"),
        (removed, 0.9, "no such folder; inputs.recordings names it"),
        (unchanged, 0.2, r"7 of 10 items rejected, more than max_rejected_share 0.2 \(duplicate 1"),
        (broken, 1.0, "1 of 1 items rejected"),
    ],
)
def test_a_wrong_folder_is_one_line(
    recordings: Path, tmp_path: Path, rt: Runtime, damage: Any, share: float, says: str
) -> None:
    damage(recordings)
    with pytest.raises(LikenessError, match=says) as caught:
        run(recordings, tmp_path / "out", rt, max_rejected_share=share)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "data" / "manifest.jsonl").exists()
