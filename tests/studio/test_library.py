"""Lists of what the stages have made."""

from pathlib import Path
from typing import Any

import pytest

from tests.studio.conftest import ask


def test_checkpoints_have_their_figures_and_samples(client: Any) -> None:
    rows = client.get("/api/checkpoints").json()["checkpoints"]
    voice = [row["id"] for row in rows if row["lane"] == "voice"]
    assert voice == ["voice-000", "voice-010", "voice-020"]
    best = client.get("/api/checkpoints/voice-020").json()
    assert (best["epoch"], best["best"], best["metrics"]) == (20, True, {"wer": 0.125})
    assert best["n"] == {"val_n": 3, "val_sentences": 2}
    url = "/api/files/workspace/data/voice_train/samples/020-0.wav"
    assert [sample["url"] for sample in best["samples"]] == [url]
    missing = client.get("/api/checkpoints/voice-999")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.slow
def test_checkpoints_name_their_models_and_sizes(repository: Path) -> None:
    client = ask(repository)
    rows = client.get("/api/checkpoints").json()["checkpoints"]
    assert {row["id"]: row["model"] for row in rows} == {
        "voice-000": "xtts_mini",
        "voice-010": "xtts_mini+voice_train@010",
        "voice-020": "xtts_mini+voice_train",
        "image-000000": "sd_mini",
        "image-000004": "sd_mini+image_train",
        "image-000006": "sd_mini+image_train@000006",
    }
    assert {row["model"] for row in rows} == {
        model["id"] for model in client.get("/v1/models").json()["data"]
    }
    untrained, kept, best = rows[:3]
    assert untrained["bytes"] is None
    assert kept["bytes"] == best["bytes"] > 4 * 2 * (512 + 7 * 320)


def test_samples_can_be_those_of_one_lane(client: Any) -> None:
    voice = client.get("/api/samples?lane=voice").json()["samples"]
    assert [row["checkpoint"] for row in voice] == ["voice-000", "voice-010", "voice-020"]
    assert voice[0] in client.get("/api/samples").json()["samples"]
    assert client.get("/api/samples?lane=x").json()["error"]["param"] == "lane"


def test_datasets_are_counted(client: Any) -> None:
    voice, images = client.get("/api/datasets").json()["datasets"]
    assert voice["splits"] == {"train": 5, "val": 2, "test": 1}
    assert voice["seconds"] == pytest.approx(10.8)
    assert (images["rows"], images["splits"]["val"]) == (6, 2)


def test_what_no_stage_has_made_is_said_in_one_line(made: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((made / "params.yaml").read_text())
    client = ask(tmp_path)
    assert client.get("/api/checkpoints").json() == {"checkpoints": []}
    assert client.get("/api/datasets").json() == {"datasets": []}
    answer = client.get("/api/clips")
    assert answer.status_code == 409
    line = "data/voice_clips/manifest.jsonl: no such file; run the stage that writes it"
    assert answer.json()["error"]["message"] == line


@pytest.mark.slow
def test_experiments_have_metrics_and_differing_params(repository: Path) -> None:
    found = ask(repository).get("/api/experiments").json()["experiments"]
    rows = [row for row in found if row["baseline"] is None]  # other tests may have run experiments
    assert [row["id"] == "workspace" for row in rows] == [True, False]
    assert all(row["metrics"] == {"voice_train.wer": 0.5} for row in rows)
    assert rows[0]["params"] == rows[1]["params"]
