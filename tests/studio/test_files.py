"""Files of the stages, in the workspace and at a commit, and no others."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.studio.conftest import ask

pytestmark = pytest.mark.slow  # the repository takes seconds to build

SAMPLE = "data/voice_train/samples/020-0.wav"
SECRETS = ("params.yaml", ".dvc/config", ".git/config", "dvc.lock", "etc/passwd", "data/secret.txt")


@pytest.fixture(scope="module")
def commit(repository: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("path", [SAMPLE, "metrics/voice_train.json"])
def test_a_file_is_the_same_in_the_workspace_and_at_a_commit(
    repository: Path, commit: str, path: str
) -> None:
    client = ask(repository)
    for rev in ("workspace", commit, commit[:9]):
        answer = client.get(f"/api/files/{rev}/{path}")
        assert (answer.status_code, answer.content) == (200, (repository / path).read_bytes())


def test_the_cache_is_read_as_dvc_reads_it(repository: Path, commit: str) -> None:
    from dvc.api import DVCFileSystem

    system, client = DVCFileSystem(str(repository), rev=commit), ask(repository)
    for folder in ("data/voice_train", "data/voice_clips"):
        for path in system.find(f"/{folder}"):
            assert client.get(f"/api/files/{commit}{path}").content == system.read_bytes(path)


def test_a_commit_s_file_is_as_it_was(repository: Path, commit: str) -> None:
    file, client = repository / SAMPLE, ask(repository)
    before = file.read_bytes()
    file.unlink()  # it may be a link into the cache
    file.write_bytes(b"new")
    try:
        assert client.get(f"/api/files/workspace/{SAMPLE}").content == b"new"
        assert client.get(f"/api/files/{commit}/{SAMPLE}").content == before
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize(
    ("asked", "part", "told"),
    [
        ("bytes=0-9", slice(0, 10), "bytes 0-9/300"),
        ("bytes=290-", slice(290, 300), "bytes 290-299/300"),
        ("bytes=-7", slice(293, 300), "bytes 293-299/300"),
        ("bytes=0-9999", slice(0, 300), None),
        ("bytes=0-1,5-6", slice(0, 300), None),
        ("lines=1-2", slice(0, 300), None),
    ],
)
def test_a_range_of_bytes(repository: Path, asked: str, part: slice, told: str | None) -> None:
    answer = ask(repository).get(f"/api/files/workspace/{SAMPLE}", headers={"Range": asked})
    assert answer.status_code == (200 if told is None else 206)
    assert answer.content == (repository / SAMPLE).read_bytes()[part]
    assert answer.headers.get("content-range") == told
    assert answer.headers["content-type"] == "audio/wav"


@pytest.mark.parametrize("asked", ["bytes=300-", "bytes=9-3", "bytes=-0"])
def test_a_range_that_is_not_there(repository: Path, asked: str) -> None:
    answer = ask(repository).get(f"/api/files/workspace/{SAMPLE}", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */300"


def test_what_a_browser_could_run_is_saved(repository: Path) -> None:
    page = repository / "data/voice_train/page.html"
    page.write_text("<script>alert(1)</script>")
    answer = ask(repository).get("/api/files/workspace/data/voice_train/page.html")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    page.unlink()


def escapes(count: int) -> Iterator[tuple[str, str]]:
    """Revisions and paths that lead out of what the stages wrote, written in many ways."""
    rng = random.Random(18)
    ups = (
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..\\",
        "..%5c",
        "%252e%252e%252f",
        ".//../",
        "..;/",
    )
    starts = (
        "data/voice_train/",
        "data/",
        "",
        "/",
        "//",
        "data/voice_train/samples/",
        "./",
        "plots/../",
    )
    revisions = (
        "workspace",
        "HEAD",
        "..",
        "--help",
        "main",
        "0" * 40,
        "workspace%2f..",
        "%00",
        "-1",
    )
    for _ in range(count):
        target = rng.choice(SECRETS)
        if rng.random() < 0.3:
            target = quote(target, safe="") if rng.random() < 0.5 else f"{target}%00.wav"
        ups_in_a_row = "".join(rng.choice(ups) for _ in range(rng.randint(1, 8)))
        rev = "workspace" if rng.random() < 0.7 else rng.choice(revisions)
        yield rev, rng.choice(starts) + ups_in_a_row + target


def test_a_thousand_escapes_find_nothing(repository: Path, commit: str) -> None:
    client = ask(repository)
    (repository / "data/secret.txt").write_text("secret")
    plain = [
        (rev, path) for rev in ("workspace", commit) for path in (*SECRETS, "data/voice_train")
    ]
    for rev, path in [*plain, *escapes(1000)]:
        answer = client.get(f"/api/files/{rev}/{path}")
        assert answer.status_code in (400, 404), (rev, path)
        assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("target", ["params.yaml", "data/secret.txt", "/etc/passwd", ".git"])
def test_a_link_out_of_an_output_is_not_followed(repository: Path, target: str) -> None:
    link = repository / "data/voice_train/link.txt"
    link.symlink_to(repository / target)  # an absolute target stands alone
    try:
        for path in ("link.txt", "link.txt/config"):
            answer = ask(repository).get(f"/api/files/workspace/data/voice_train/{path}")
            assert answer.status_code == 404
    finally:
        link.unlink()


def test_links_in_a_circle_are_absent(repository: Path) -> None:
    link = repository / "data/voice_train/circle"
    link.symlink_to(link)
    answer = ask(repository).get("/api/files/workspace/data/voice_train/circle")
    assert answer.status_code == 404
    link.unlink()


def test_a_file_that_is_not_in_the_cache_is_not_fetched(
    repository: Path, commit: str, tmp_path: Path
) -> None:
    """It is absent, even if a remote had it."""
    from likeness.repository.dvc import cached_file

    assert cached_file(repository, "0" * 32) is None
    assert cached_file(repository, f"{'0' * 32}.dir", "a") is None
    answer: Any = ask(repository).get(f"/api/files/{commit}/data/voice_clips/none.flac")
    assert answer.status_code == 404
