"""The source and the licence of a base model, read from its folder."""

from pathlib import Path

import yaml

from likeness.common.io import read_json


def describe(folder: Path) -> dict[str, str]:
    """Name, id and licence of a base; adapters trained on it carry them along.

    A base that `likeness fetch` brought names its repository in `source.json`; a bundled one has its
    licence in the front matter of its README. A folder with neither was made by the user.
    """
    found = {"base": folder.name, "base_id": folder.name, "base_license": "unknown"}
    source, card = folder / "source.json", folder / "README.md"
    if source.is_file():
        values = read_json(source)
        return found | {"base_id": values["repository"], "base_license": values["license"]}
    if card.is_file():
        found["base_license"] = _front_matter(card.read_text(encoding="utf-8")).get(
            "license", "unknown"
        )
    return found


def _front_matter(card: str) -> dict[str, str]:
    """The YAML between the first two lines of `---`; empty if the text has none."""
    opening, _, rest = card.partition("\n")
    header, end, _ = rest.partition("\n---")
    values = yaml.safe_load(header) if opening.strip() == "---" and end else None
    return values if isinstance(values, dict) else {}
