"""Voices that are made of a person's recordings: what is kept of them, and who speaks with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.result import Result
from likeness.voice.audio import encode, read
from likeness.voice.speech import resident_xtts, speak
from likeness.voice.xtts_files import read_settings
from tests.conftest import runtime
from tests.studio.conftest import Server, ask
from tests.studio.test_uploads import code, send
from tests.voice.sounds import babble, file_bytes, loudness, silence

RATE = 22050
PATH = "/v1/audio/voices"
VOICES = ".dvc/likeness/studio/voices"


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a base that seems to be loaded, and has one speaker."""
    from likeness.studio.state import State

    (tmp_path / "params.yaml").write_text((made / "params.yaml").read_text())
    base = tmp_path / "models/xtts_mini"
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"model": "xtts"}')
    (base / "model.pth").touch()
    monkeypatch.setattr(State, "speakers", lambda self, base: ["af_heart"])
    return tmp_path


def make(client: Any, name: str, *recordings: bytes) -> Any:
    """The answer to a voice of these recordings."""
    sent = [send(client, f"{at}.wav", data) for at, data in enumerate(recordings)]
    ids = [answer.json()["id"] for answer in sent]
    return client.post(PATH, json={"name": name, "uploads": ids})


def wave(*parts: Any) -> bytes:
    return encode(np.concatenate(parts), RATE, "WAV")


def references(root: Path, name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / VOICES / name).iterdir()}


def known(client: Any) -> list[str]:
    (model,) = client.get(PATH).json()["voices"]
    return list(model["voices"])


def test_a_voice_is_the_first_speech_of_its_recordings(root: Path) -> None:
    client = ask(root)
    quiet = 0.1 * babble(25.0, seed=1)
    answer = make(client, "anna", wave(silence(8.0), quiet), wave(babble(25.0, seed=2)))
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["id"], told["object"], told["seconds"]) == ("anna", "audio.voice", 30.0)
    kept = [read(path) for path in sorted((root / VOICES / "anna").iterdir())]
    assert [(round(len(samples) / rate, 2), rate) for samples, rate in kept] == [(10.0, RATE)] * 3
    # The pause before it is left out, and the quiet recording is as loud as the other.
    assert all(abs(loudness(samples, rate) + 23) < 1.5 for samples, rate in kept)
    assert known(client) == ["af_heart", "anna"]
    assert not list((root / ".dvc/likeness/studio/uploads").rglob("*.wav"))


def test_the_same_recording_gives_the_same_voice_and_another_one_another(root: Path) -> None:
    client, samples = ask(root), babble(6.0, seed=3)
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        assert make(client, name, wave(babble(6.0, seed=seed))).status_code == 201
    assert references(root, "one") == references(root, "same")
    # By name alone, as a model keeps what it has heard by the file's path.
    assert not references(root, "one").keys() & references(root, "other").keys()
    assert make(client, "flac", file_bytes(samples, RATE, "flac")).status_code == 201
    assert references(root, "one") == references(root, "flac")


def test_a_deleted_voice_is_gone_with_its_files_and_its_name_is_free(root: Path) -> None:
    client = ask(root)
    assert make(client, "anna", wave(babble(6.0))).status_code == 201
    before = references(root, "anna")
    assert make(client, "anna", wave(babble(6.0, seed=1))).json()["error"]["code"] == "name_taken"
    assert references(root, "anna") == before
    assert client.post(f"{PATH}/anna/delete").json()["deleted"]
    assert known(client) == ["af_heart"]
    assert not list((root / VOICES).iterdir())
    spoken = {"model": "xtts_mini", "input": "Hm.", "voice": "anna"}
    assert code(client.post("/v1/audio/speech", json=spoken)) == (400, "unknown_voice")
    assert make(client, "anna", wave(babble(6.0, seed=1))).status_code == 201
    assert not before.keys() & references(root, "anna").keys()


def test_of_two_at_a_time_the_first_keeps_the_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.studio import voices

    client = ask(root)
    assert make(client, "anna", wave(babble(6.0))).status_code == 201
    before = references(root, "anna")
    monkeypatch.setattr(voices, "_check_name", lambda state, name: None)  # it was free then
    assert code(make(client, "anna", wave(babble(6.0, seed=1)))) == (409, "name_taken")
    assert references(root, "anna") == before
    assert [path.name for path in (root / VOICES).iterdir()] == ["anna"]


def test_what_waits_for_a_voice_that_is_deleted_is_told_so(tmp_path: Path) -> None:
    from likeness.studio.worker import _paths, _say

    gone = tmp_path / VOICES / "anna" / "0-00.flac"
    with pytest.raises(LikenessError, match="no such file any more"):
        _say({"references": [gone]}, [], rt=runtime(tmp_path))
    # It is no reason to load the model anew, as a clip of the dataset that has changed is.
    clip = tmp_path / "data/voice_dataset/wavs/a.wav"
    assert _paths({"base": tmp_path, "references": [gone, clip]}) == [tmp_path, clip]


@pytest.mark.parametrize("name", ["x", "af_heart", "voice", "..", "../jobs", "%2e%2e", ".hidden"])
def test_only_a_voice_that_was_made_here_is_deleted(root: Path, name: str) -> None:
    hidden = root / VOICES / ".hidden" / "file"
    hidden.parent.mkdir(parents=True)
    hidden.touch()
    answer = ask(root).post(f"{PATH}/{name}/delete")
    assert code(answer)[0] == 404
    assert hidden.is_file()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("af_heart", (409, "name_taken")), ("voice", (409, "name_taken")),
        ("..", (400, "wrong_name")), ("a/b", (400, "wrong_name")), (".anna", (400, "wrong_name")),
    ],
)  # fmt: skip
def test_a_name_of_another_voice_or_of_no_file_is_refused(
    root: Path, name: str, told: tuple[int, str]
) -> None:
    client = ask(root)
    assert code(make(client, name, wave(babble(6.0)))) == told
    assert not (root / VOICES).exists()


@pytest.mark.parametrize(
    ("recording", "reason", "value", "limit"),
    [
        (babble(0.5), "too_short", 0.5, 1.0),
        (np.zeros(6 * RATE), "no_speech", 0.0, 0.25),
        (silence(6.0), "no_speech", 0.0, 0.25),
        (np.concatenate([babble(2.0), silence(8.0)]), "too_short", None, 3.0),
        (np.zeros(61 * RATE), "too_long", 61.0, 60.0),
    ],
)
def test_what_tells_no_voice_is_refused_with_value_and_limit(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    recording: Any,
    reason: str,
    value: float | None,
    limit: float,
) -> None:
    from likeness.studio import voices

    monkeypatch.setattr(voices, "RECORDING", 60.0)
    client = ask(root)
    answer = make(client, "anna", wave(recording))
    assert code(answer) == (400, reason)
    error = answer.json()["error"]
    assert (error["param"], error["limit"]) == ("uploads", limit)
    assert error["value"] < 3 if value is None else error["value"] == value
    assert error["message"].startswith(f"0.wav: {reason}, found {error['value']}, the limit is")
    assert known(client) == ["af_heart"]


# --- with a model ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_speaks_in_a_new_voice_as_it_does_alone(server: Server, repository: Path) -> None:
    """Alone: by `speak` in this process. A voice made anew under the same name is heard at once."""
    spoken = {"input": "The black shoes are light.", "seed": 3, "response_format": "wav"}
    workers, base = server.workers(), repository / "models/xtts_mini"
    adapter = repository / "data/voice_train/adapter.safetensors"
    tuned, audio = "xtts_mini+voice_train", []
    with server.client() as client:
        for seed, model in ((1, "xtts_mini"), (2, "xtts_mini"), (1, "xtts_mini"), (1, tuned)):
            answer = make(client, "carla", wave(babble(6.0, seed=seed)))
            assert answer.status_code == 201, answer.text
            paths = sorted((repository / VOICES / "carla").iterdir())
            body = {"model": model, "voice": "carla", **spoken}
            answer = client.post("/v1/audio/speech", json=body)
            assert answer.status_code == 200, answer.text
            (alone,) = speak(
                [{"text": spoken["input"], "seed": 3, "speaker": ""}], base=base,
                adapter=adapter if model == tuned else None, references=paths, language="en",
                settings=read_settings(base), device="cpu",
            )  # fmt: skip
            assert isinstance(alone, Result)
            assert answer.content == alone.files["audio.wav"]
            audio.append(answer.content)
            voices = client.get(PATH).json()["voices"]
            assert all("carla" in each["voices"] for each in voices)
            assert client.post(f"{PATH}/carla/delete").status_code == 200
            answer = client.post("/v1/audio/speech", json=body)
            assert code(answer) == (400, "unknown_voice")
    resident_xtts.release()
    assert audio[0] == audio[2]
    assert len(set(audio)) == 3
    assert server.workers() == workers  # no model was loaded anew for a new voice
