"""A base says where it is from, however it came."""

from pathlib import Path

import pytest

from likeness.common.bases import describe
from likeness.common.io import write_json


def test_a_fetched_base_has_the_id_and_licence_of_its_hub(tmp_path: Path) -> None:
    source = {"repository": "some/model", "revision": "0" * 40, "license": "openrail"}
    write_json(tmp_path / "source.json", source)
    # What the hub's own card says does not count: it may be another version's.
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A card\n")
    assert describe(tmp_path) == {
        "base": tmp_path.name,
        "base_id": "some/model",
        "base_license": "openrail",
    }


def test_a_bundled_base_has_the_licence_of_its_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "---\nlicense: apache-2.0\ntags: [a]\n---\n# sd_mini\n---\n"
    )
    assert describe(tmp_path) == {
        "base": tmp_path.name,
        "base_id": tmp_path.name,
        "base_license": "apache-2.0",
    }


@pytest.mark.parametrize(
    "card", [None, "# No front matter\n", "---\ntags: [a]\n---\n", "---\nopen"]
)
def test_a_user_s_own_base_has_no_known_licence(tmp_path: Path, card: str | None) -> None:
    if card:
        (tmp_path / "README.md").write_text(card)
    assert describe(tmp_path)["base_license"] == "unknown"
