"""Params as the pages show them, and as they send them back."""

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from likeness.common.params import check_params
from likeness.repository.dvc import compose
from likeness.stage import SCHEMA
from tests.conftest import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository as far as params go."""
    for name in ("params.yaml", "conf", ".dvc/config"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    return tmp_path


def wrong(root: Path, params: dict[str, Any]) -> str:
    from likeness.studio.forms import overrides
    from likeness.studio.problems import Problem

    with pytest.raises(Problem) as caught:
        overrides(root, params)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_param_is_listed_with_its_comment_and_range(client: Any) -> None:
    listed = {one["key"]: one for one in client.get("/api/params").json()["params"]}
    text = yaml.safe_load((ROOT / "params.yaml").read_text())
    known = {f"{section}.{name}" for section, values in text.items() for name in values}
    hidden = {"image_generate.shares", "image_generate.blend"}
    assert known - {*listed} == {"voice_download.cookies", *hidden}
    for key, one in listed.items():
        section, _, name = key.partition(".")
        assert one["value"] == text[section][name]
        assert one["committed"] == text[section][name]  # as this workspace is in no repository
    rank = listed["voice_train.rank"]
    assert (rank["type"], rank["minimum"], rank["maximum"]) == ("integer", 1, 256)
    assert rank["comment"] == "1-256: rank of the adapter"
    assert listed["base.device"]["choices"] == ["auto", "cpu", "cuda", "mps"]
    assert listed["voice_synthesize.top_k"]["nullable"]


def test_what_is_sent_is_what_a_run_composes(root: Path, client: Any) -> None:
    from likeness.studio.forms import overrides

    listed = client.get("/api/params").json()["params"]
    sent = {one["key"]: one["value"] for one in listed}
    assert compose(root, overrides(root, sent)) == yaml.safe_load(
        (root / "params.yaml").read_text()
    )
    odd = "a \"b\" {gender}, 'x' = [1: 2] é ~ $ ; ` #"
    sent = {"image_prepare.caption": odd, "image_prepare.caption_extras": [odd, "null", "1"]}
    sent |= {"voice_synthesize.top_k": 5, "image_train.text_encoder": True}
    composed = compose(root, overrides(root, sent))
    for key, value in sent.items():
        section, _, name = key.partition(".")
        assert composed[section][name] == value
    (root / "params.yaml").write_text(yaml.safe_dump(composed))
    check_params(root / "params.yaml", SCHEMA)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"voice_train.rnak": 8}, "voice_train.rnak: no such param"),
        ({"nothing.rank": 8}, "nothing.rank: no such param"),
        ({"voice_train": 8}, "voice_train: no such param"),
        ({"voice_train.rank": 0}, "voice_train.rank: Input should be greater than or equal to 1"),
        ({"voice_train.rank": "8"}, "voice_train.rank: Input should be a valid integer"),
        ({"voice_train.rank": None}, "voice_train.rank: Input should be a valid integer"),
        ({"voice_download.cookies": "/etc/passwd"}, "voice_download.cookies: no such param"),
        ({"image_prepare.caption": "${oc.env:HOME}"}, "without"),
        ({"image_prepare.caption": "a\nb"}, "without"),
        ({"image_prepare.caption": "a\\"}, "without"),
        ({"inputs.catalog": "../../etc"}, "no name of a folder"),
        ({"inputs.catalog": 'x"; touch y; "'}, "no name of a folder"),
        ({"inputs.catalog": ".hidden"}, "no name of a folder"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(root: Path, params: dict[str, Any], told: str) -> None:
    assert told in wrong(root, params)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fd00::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::1", False),
    ],
)
def test_only_public_addresses_are_downloaded_from(
    root: Path, monkeypatch: pytest.MonkeyPatch, address: str, allowed: bool
) -> None:
    from likeness.studio.forms import overrides

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 0))]
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [public, *found])
    params: dict[str, Any] = {"voice_download.urls": ["https://talks.example/one"]}
    if allowed:
        (override,) = overrides(root, params)
        assert override == 'voice_download.urls=["https://talks.example/one"]'
    else:
        assert "private address" in wrong(root, params)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://talks.example/a", "http:///a", "talks.example", "ytsearch:cats", "-v",
     "http://127.1/a", "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://localhost:80/"],
)  # fmt: skip
def test_other_urls_are_refused(root: Path, url: str) -> None:
    assert wrong(root, {"voice_download.urls": [url]}).startswith("voice_download.urls: ")
