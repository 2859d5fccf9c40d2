"""Clips are played and corrected; the file of corrections is what git and voice_clips see."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from likeness.common.io import write_jsonl, write_text
from likeness.voice.audio import read
from likeness.voice.rows import Correction
from tests.studio.conftest import RATE, ask

REJECTED, ACCEPTED = "04_care-0026", "04_care-0001"
LOCK = "stages:\n  voice_segment:\n    outs:\n    - path: data/voice_segment\n"


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of what clips are read from, to be written into."""
    for name in ("data/voice_clips", "data/voice_segment"):
        shutil.copytree(made / name, tmp_path / name)
    shutil.copy(made / "params.yaml", tmp_path)
    write_text(tmp_path / "dvc.lock", LOCK)
    write_text(tmp_path / ".dvc/config", "")
    return tmp_path


def rows(root: Path) -> list[dict[str, Any]]:
    text = (root / "data/corrections.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def shown(client: Any, identity: str) -> Any:
    (row,) = (row for row in client.get("/api/clips").json()["clips"] if row["id"] == identity)
    return row


def test_a_rejected_clip_says_why(client: Any) -> None:
    found = client.get("/api/clips?accepted=false").json()
    assert found["total"] == 1
    (row,) = found["clips"]
    assert (row["reason"], row["value"], row["limit"]) == ("snr", 2.5, 14.0)
    assert row["url"] == f"/api/clips/{REJECTED}/audio"
    everything = client.get("/api/clips?offset=1&limit=1").json()
    assert (everything["total"], len(everything["clips"])) == (3, 1)
    accepted = client.get("/api/clips?accepted=true").json()["clips"]
    assert all(row["accepted"] and row["url"].endswith(".flac") for row in accepted)


# --- corrections ----------------------------------------------------------------------------------


def test_a_decision_is_written_changed_and_withdrawn(root: Path) -> None:
    client, path = ask(root), f"/api/clips/{REJECTED}"
    assert shown(client, REJECTED)["correction"] is None
    answer = client.post(path, json={"text": "  Água\n quente. ", "verdict": "keep"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == shown(client, REJECTED)
    assert answer.json()["correction"] == {"text": "Água quente.", "verdict": "keep"}
    assert answer.json()["heard"] == "Hm."
    (row,) = rows(root)
    assert Correction(**row) == Correction(
        id=REJECTED, recording="04_care", start=20.0, end=21.5, heard="Hm.", text="Água quente.",
        verdict="keep",
    )  # fmt: skip
    client.post(f"/api/clips/{ACCEPTED}", json={"verdict": "set_aside"})
    assert [row["id"] for row in rows(root)] == [ACCEPTED, REJECTED]
    # What is absent stays, what is null goes, and the recognised text is no correction.
    for body, left in (
        ({"verdict": "set_aside"}, {"text": "Água quente.", "verdict": "set_aside"}),
        ({"text": "Hm."}, {"text": None, "verdict": "set_aside"}),
        ({"verdict": None}, None),
    ):
        assert client.post(path, json=body).json()["correction"] == left
    assert [row["id"] for row in rows(root)] == [ACCEPTED]


def test_a_correction_of_an_earlier_cut_is_not_shown_and_gives_way(root: Path) -> None:
    client = ask(root)
    old = {
        "id": REJECTED, "recording": "04_care", "start": 19.0, "end": 21.5, "heard": "Hm.",
        "text": "Hm, hm.",
    }  # fmt: skip
    write_jsonl(root / "data/corrections.jsonl", [old])
    assert shown(client, REJECTED)["correction"] is None
    answer = client.post(f"/api/clips/{REJECTED}", json={"verdict": "keep"})
    assert answer.json()["correction"] == {"text": None, "verdict": "keep"}
    assert [row["start"] for row in rows(root)] == [20.0]


def test_no_decision_is_lost_among_parallel_ones(root: Path) -> None:
    client = ask(root)
    (rejected,) = [json.loads(line) for line in (root / "data/voice_clips/rejected.jsonl").open()]
    ids = [f"04_care-{number:04d}" for number in range(100, 140)]
    write_jsonl(
        root / "data/voice_clips/rejected.jsonl", [{**rejected, "id": each} for each in ids]
    )

    def decide(identity: str) -> int:
        answer = client.post(f"/api/clips/{identity}", json={"verdict": "keep"})
        return int(answer.status_code)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(decide, ids)) == {200}
    assert [row["id"] for row in rows(root)] == ids


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (ACCEPTED, {}, 400, "nothing_given"),
        (ACCEPTED, {"text": " \n"}, 400, "blank"),
        (ACCEPTED, {"text": "a" * 1001}, 400, "string_too_long"),
        (ACCEPTED, {"verdict": "drop"}, 400, "literal_error"),
        (ACCEPTED, {"heard": "x"}, 400, "extra_forbidden"),
        ("04_care-9999", {"verdict": "keep"}, 404, "not_found"),
        ("..%2f..%2fparams.yaml", {"verdict": "keep"}, 404, "not_found"),
        ("04_care-0030", {"verdict": "keep"}, 409, "not_possible"),
    ],
)
def test_what_is_no_decision_is_refused(
    root: Path, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    failed = {
        "id": "04_care-0030", "reason": "error", "value": "no measure", "recording": "04_care",
        "start": 25.0, "end": 26.0, "heard": "Hm.", "text": "Hm.", "measure": "",
    }  # fmt: skip
    write_jsonl(root / "data/voice_clips/rejected.jsonl", [failed])
    answer = ask(root).post(f"/api/clips/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not (root / "data/corrections.jsonl").exists()


def test_a_file_with_a_conflict_is_left_as_it_is(root: Path) -> None:
    text = "<<<<<<< HEAD\n"
    write_text(root / "data/corrections.jsonl", text)
    client = ask(root)
    for answer in (
        client.get("/api/clips"),
        client.post(f"/api/clips/{ACCEPTED}", json={"verdict": "keep"}),
    ):
        assert answer.status_code == 409
        assert answer.json()["error"]["message"].startswith("data/corrections.jsonl:1: not JSON")
    assert (root / "data/corrections.jsonl").read_text() == text


# --- audio ----------------------------------------------------------------------------------------


def test_a_rejected_clip_is_played_as_it_was_cut(root: Path) -> None:
    client = ask(root)
    answer = client.get(shown(client, REJECTED)["url"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    samples, rate = read(answer.content)
    wanted, _ = read(root / "data/voice_segment/audio/04_care.flac", 20.0, 21.5)
    assert rate == RATE
    assert samples.tolist() == wanted.tolist()
    part = client.get(f"/api/clips/{REJECTED}/audio", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")


def test_audio_that_is_not_there_is_a_404(root: Path) -> None:
    file = root / "data/voice_clips/rejected.jsonl"
    (row,) = [json.loads(line) for line in file.open()]
    whole = {**row, "id": "04_care", "reason": "error", "start": 0.0, "end": 30.0}
    later = {**row, "start": 30.0, "end": 31.0}
    gone = {**row, "id": "b-0001", "recording": "b"}
    write_jsonl(file, [whole, later, gone])
    client = ask(root)
    assert shown(client, "04_care")["url"] is None
    for identity in ("04_care", REJECTED, "b-0001", "..%2f..%2fparams.yaml"):
        answer = client.get(f"/api/clips/{identity}/audio")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), identity


def test_a_recording_that_leads_out_of_its_folder_is_not_read(root: Path) -> None:
    manifest = root / "data/voice_segment/manifest.jsonl"
    audio = root / "data/voice_segment/audio/04_care.flac"
    shutil.copy(audio, root / "secret.flac")
    text = manifest.read_text()
    client = ask(root)
    manifest.write_text(text.replace("audio/04_care.flac", "../../secret.flac"))
    assert client.get(f"/api/clips/{REJECTED}/audio").status_code == 404
    manifest.write_text(text)
    audio.unlink()
    audio.symlink_to(root / "secret.flac")
    assert client.get(f"/api/clips/{REJECTED}/audio").status_code == 404
