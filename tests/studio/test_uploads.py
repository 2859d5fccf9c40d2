"""Files that people send: what becomes an input, and what is refused."""

import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.voice.audio import encode
from tests.studio.conftest import ask

AUDIO = encode(0.1 * np.sin(np.arange(48000) / 20), 24000, "WAV")
TABLE = b"id,gender\n1,Men\n"


def archive(files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of its own, in which `dvc add` is only told."""
    from likeness.studio import uploads

    (tmp_path / "params.yaml").write_text((made / "params.yaml").read_text())
    monkeypatch.setattr(uploads, "run_dvc", lambda root, *words: " ".join(words))
    return tmp_path


def send(client: Any, name: str, data: bytes) -> Any:
    return client.post("/api/uploads", params={"file": name}, content=data)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def left(root: Path) -> list[Path]:
    return [path for path in (root / ".dvc").rglob("*") if path.is_file()]


def test_recordings_become_a_folder(root: Path) -> None:
    client = ask(root)
    sent = [send(client, name, AUDIO).json() for name in ("a b.wav", "../../a b.wav", "c;$(x).wav")]
    assert [one["file"] for one in sent] == ["a b.wav", "a b.wav", "c__(x).wav"]
    assert sent[0]["seconds"] == 2.0
    body = {"name": "mine", "uploads": [one["id"] for one in sent]}
    made = client.post("/api/inputs", json=body).json()
    assert (made["param"], made["files"]) == ("inputs.recordings", 3)
    assert made["command"] == "dvc add data/raw/mine"
    names = sorted(path.name for path in (root / "data/raw/mine").iterdir())
    assert names == ["a b-2.wav", "a b.wav", "c__(x).wav"]
    assert left(root) == []
    assert code(client.post("/api/inputs", json=body)) == (409, "name_taken")
    assert code(client.post("/api/inputs", json={**body, "name": "other"})) == (404, "not_found")


def test_of_two_requests_for_a_name_the_quicker_one_has_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.studio import uploads

    def slow(files: Any, folder: Path) -> None:
        (root / "data/raw/mine").mkdir(parents=True)
        (root / "data/raw/mine/other.wav").touch()

    monkeypatch.setattr(uploads, "_gather", slow)
    client = ask(root)
    body = {"name": "mine", "uploads": [send(client, "a.wav", AUDIO).json()["id"]]}
    assert code(client.post("/api/inputs", json=body)) == (409, "name_taken")
    assert [path.name for path in (root / "data/raw/mine").iterdir()] == ["other.wav"]


def test_a_catalogue_is_unpacked_without_the_rest(root: Path) -> None:
    client = ask(root)
    files = {
        "shop/styles.csv": TABLE, "shop/images/1.jpg": b"photo", "shop/images/.x/2.jpg": b"no",
        "shop/run.sh": b"no", "shop/../../images/3.jpg": b"no", "/images/4.jpg": b"no",
        "shop/images/../5.jpg": b"no", "shop/images/6.svg": b"no",
    }  # fmt: skip
    sent = send(client, "shop.zip", archive(files)).json()
    assert sent["photos"] == 1
    made = client.post("/api/inputs", json={"name": "shop", "uploads": [sent["id"]]}).json()
    assert (made["param"], made["files"]) == ("inputs.catalog", 2)
    found = {path.relative_to(root / "data/raw/shop").as_posix(): path.read_bytes()
             for path in (root / "data/raw/shop").rglob("*") if path.is_file()}  # fmt: skip
    assert found == {"styles.csv": TABLE, "images/1.jpg": b"photo"}
    assert not [path for path in root.rglob("*.jpg") if "shop" not in path.parts]


def test_a_link_in_an_archive_is_a_file_of_its_text(root: Path) -> None:
    link = zipfile.ZipInfo("images/1.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as file:
        file.writestr("styles.csv", TABLE)
        file.writestr(link, "/etc/passwd")
    client = ask(root)
    sent = send(client, "a.zip", buffer.getvalue()).json()
    client.post("/api/inputs", json={"name": "shop", "uploads": [sent["id"]]})
    image = root / "data/raw/shop/images/1.jpg"
    assert not image.is_symlink()
    assert image.read_bytes() == b"/etc/passwd"


def test_what_is_no_input_is_refused_and_not_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.studio import uploads

    client = ask(root)
    for name, data, told in (
        ("a.wav", b"no audio", "not_audio"), ("a.mp3", b"", "not_audio"),
        ("a.wav", AUDIO[:20], "not_audio"),
        ("..", AUDIO, "wrong_name"), ("a.zip", archive({"images/1.jpg": b""}), "no_catalogue"),
        ("a.zip", archive({"styles.csv": TABLE, "b/styles.csv": TABLE}), "no_catalogue"),
        ("a.zip", archive({"styles.csv": TABLE, "1.jpg": b"elsewhere"}), "no_photos"),
    ):  # fmt: skip
        assert code(send(client, name, data)) == (400, told), name
    bomb = archive({"styles.csv": TABLE, "images/1.jpg": bytes(1 << 24)})
    assert len(bomb) < 1 << 16
    monkeypatch.setattr(uploads, "MOST_UNPACKED", 1 << 20)
    assert code(send(client, "bomb.zip", bomb)) == (400, "too_large")
    monkeypatch.setattr(uploads, "FREE", 1 << 60)
    assert code(send(client, "a.wav", AUDIO)) == (507, "disk_full")
    assert left(root) == []


def test_an_archive_that_understates_its_sizes_gives_no_more_than_it_states(root: Path) -> None:
    data = archive({"styles.csv": TABLE, "images/1.jpg": b"0" * 5000})
    forged = data.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    client = ask(root)
    sent = send(client, "a.zip", forged).json()
    answer = client.post("/api/inputs", json={"name": "shop", "uploads": [sent["id"]]})
    assert code(answer) == (400, "not_a_zip")
    assert not (root / "data/raw/shop").exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", "a" * 65, "a b", "-x", ".dvc"])
def test_a_folder_has_a_plain_name(root: Path, name: str) -> None:
    client = ask(root)
    sent = send(client, "a.wav", AUDIO).json()
    answer = client.post("/api/inputs", json={"name": name, "uploads": [sent["id"]]})
    assert code(answer) == (400, "wrong_name")


@pytest.mark.parametrize("identity", ["", "..", "../jobs", "0" * 32, "new-0"])
def test_an_upload_is_known_by_its_id_alone(root: Path, identity: str) -> None:
    answer = ask(root).post("/api/inputs", json={"name": "mine", "uploads": [identity]})
    assert code(answer) == (404, "not_found")
