"""A small writer learns what a catalogue says of its products."""

import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from likeness.common.checkpoints import Checkpoints
from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.manifest import Rejection, read_manifest
from likeness.common.runtime import Runtime
from likeness.image.describe import FORM
from likeness.image.rows import Description, Product
from likeness.image.tuning import _split as split
from likeness.image.tuning import own_descriptions
from tests.conftest import (
    COLOURS,
    ROOT,
    build_writer,
    files_of,
    mixed,
    runtime,
    synthetic,
    write_catalog,
)
from tests.image import descriptions
from tests.image.descriptions import write_generated

PRODUCTS = 40
WORDS = (
    *("baseColour", "gender", "Men", "Women", *COLOURS, *map(str.lower, COLOURS)),
    *("A", "soft", "shoe", "for", "warm", "days", ".", "Acme", "Shoes"),
)
OPTIONS: dict[str, Any] = {
    **{"min_words": 1, "max_words": 40, "max_title_words": 12, "max_attempts": 1},
    **{"max_tokens": 16, "max_prompt_tokens": 64, "temperature": 0.2, "instruction": "A shoe"},
    **{"tune_epochs": 12, "tune_rank": 8, "learning_rate": 0.02, "tune_batch": 6},
}


def described(row: Product) -> Product:
    text = f"<p>A soft {row.baseColour.lower()} shoe for warm&nbsp;days {row.id} .</p>"
    title = f"Acme {row.gender} {row.baseColour} Shoes"
    return row.model_copy(update={"productDisplayName": title, "extra": {"description": text}})


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_writer(tmp_path_factory.mktemp("models") / "writer", list(dict.fromkeys(WORDS)))
    # What an adapter cannot change has to tell the words apart.
    scale(folder, "lm_head", 30)
    return folder


def scale(writer: Path, names: str, factor: float) -> None:
    from safetensors.torch import load_file, save_file

    path = writer / "model.safetensors"
    weights = {
        name: factor * one if name.startswith(names) else one
        for name, one in load_file(path).items()
    }
    save_file(weights, path, {"format": "pt"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        synthetic(row.id, baseColour=row.baseColour, gender=row.gender, extra=described(row).extra)
        for row in mixed(12)
    ]
    write_generated(tmp_path / "generated", rows)
    write_catalog(tmp_path / "catalog", list(map(described, mixed(PRODUCTS))))
    return tmp_path


def run(folder: Path, rt: Runtime, writer: Path, out: str = "out", **changes: Any) -> Any:
    return descriptions.run(folder, rt, writer, out, **{**OPTIONS, **changes})


def adapter(folder: Path, out: str = "out") -> Mapping[str, bytes]:
    return files_of(folder / out / "data" / "adapter")


@pytest.mark.slow
def test_it_writes_as_the_catalogue_does(folder: Path, rt: Runtime, writer: Path) -> None:
    before = run(folder, rt, writer, "before", tune_epochs=0)
    after = run(folder, rt, writer)
    assert not (folder / "before/data/adapter").exists()
    assert (after["tune_n"], after["tune_val_n"], after["tune_rejected"]) == (36, 4, 0)
    assert after["tune_loss"] < 0.3 * after["tune_loss_base"]
    # It has learnt the form. Which colour is asked for, an adapter of so small a model does not see.
    assert sum(before[f"rejected_{reason}"] for reason in FORM) == 12
    assert sum(after[f"rejected_{reason}"] for reason in FORM) == 0
    (text, *_) = read_manifest(folder / "out/data/manifest.jsonl", Description)
    assert text.description.startswith("A soft ")
    assert " shoe for warm days " in text.description
    training = read_json(folder / "out/data/adapter/training.json")
    assert training["base"] == "writer"
    assert training["tune_loss"] == after["tune_loss"]
    assert (folder / "out/plots/tuning.png").is_file()
    report = (folder / "out/descriptions.md").read_text()
    assert (
        "it was trained on 36 of the catalogue's own descriptions: the loss of 4 others" in report
    )
    assert "trained" not in (folder / "before/descriptions.md").read_text()


@pytest.mark.slow
def test_the_description_is_no_part_of_the_prompt(folder: Path, rt: Runtime, writer: Path) -> None:
    """It would be copied, and a synthetic product has none."""
    run(folder, rt, writer, "a", tune_epochs=1)
    path = folder / "generated" / "manifest.jsonl"
    path.write_text(path.read_text().replace("soft", "hard"))
    run(folder, rt, writer, "b", tune_epochs=1)
    texts = (folder / "a/data/manifest.jsonl").read_text()
    assert texts == (folder / "b/data/manifest.jsonl").read_text()


@pytest.mark.slow
def test_a_killed_training_goes_on(
    folder: Path, writer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = shutil.copytree(writer, folder / "writer")
    config = writer / "config.json"
    dropping = {**json.loads(config.read_text()), "attention_dropout": 0.5}
    config.write_text(json.dumps(dropping))
    whole = run(folder, runtime(folder / "cache_a"), writer, "whole", tune_epochs=4)
    rt = runtime(folder / "cache_b")
    saved: list[int] = []

    def killed(self: Checkpoints, state: dict[str, Any]) -> None:
        save(self, state)
        saved.append(len(state["evaluations"]))
        if len(saved) == 2:
            raise KeyboardInterrupt

    save = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(folder, rt, writer, "resumed", tune_epochs=4)
    assert saved == [2, 3]
    resumed = run(folder, rt, writer, "resumed", tune_epochs=4)
    assert resumed == whole
    assert adapter(folder, "resumed") == adapter(folder, "whole")


@pytest.mark.slow
def test_peft_loads_it_and_it_names_no_folder(folder: Path, rt: Runtime, writer: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    run(folder, rt, writer, tune_epochs=1)
    place = folder / "out/data/adapter"
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(writer), place)
    assert any("lora_B" in name for name, _ in model.named_parameters())
    config = json.loads((place / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "writer"
    assert config["target_modules"] == sorted(config["target_modules"])
    assert str(folder).encode() not in b"".join(adapter(folder).values())


@pytest.mark.slow
def test_what_breaks_a_rule_is_not_learnt(folder: Path, rt: Runtime, writer: Path) -> None:
    rows = list(map(described, mixed(PRODUCTS)))
    rows[0].extra["description"] = "A soft black shoe ."
    rows[1].extra["description"] = "A soft shoe for warm warm warm warm warm warm warm warm days ."
    rows[2].extra["description"] = ""
    rows[3].extra["description"] = "word " * 41
    rows[4] = rows[4].model_copy(update={"productDisplayName": ""})
    write_catalog(folder / "catalog", rows)
    metrics = run(folder, rt, writer, tune_epochs=1)
    rejected = read_manifest(folder / "out/data/adapter/rejected.jsonl", Rejection)
    assert [(one.id, one.reason) for one in rejected] == [
        ("000", "colour"), ("001", "answer_too_long"), ("003", "too_long"), ("004", "no_title"),
    ]  # fmt: skip
    assert metrics["tune_rejected"] == 4
    assert metrics["tune_n"] + metrics["tune_val_n"] == PRODUCTS - 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factor", "told"),
    [
        (1e30, "lower image_describe.learning_rate, which is 0.02"),
        (math.nan, "the loss of the catalogue's descriptions is nan before any training"),
    ],
)
def test_weights_that_become_or_are_nan_are_one_line(
    folder: Path, rt: Runtime, writer: Path, factor: float, told: str
) -> None:
    broken = folder / "broken"
    shutil.copytree(writer, broken)
    scale(broken, "", factor)
    with pytest.raises(LikenessError, match=re.escape(told)):
        run(folder, rt, broken)


@pytest.mark.slow
def test_it_ends_answers_where_the_writer_is_stopped(
    folder: Path, rt: Runtime, writer: Path
) -> None:
    """Models for chats have several ends, and their tokenizers may name another one."""
    other = folder / "other"
    shutil.copytree(writer, other)
    path = other / "generation_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "eos_token_id": [1]}))
    assert run(folder, rt, other)["rejected_unfinished"] == 0
    del config["eos_token_id"]
    path.write_text(json.dumps(config))
    with pytest.raises(LikenessError, match=r"generation_config\.json: no eos_token_id"):
        run(folder, rt, other)


def test_equal_texts_are_held_out_together(rt: Runtime) -> None:
    """A shop has one text for all sizes; what was learnt by heart should not count."""
    texts = {f"{at:03d}": f"text {at // 4}" for at in range(40)}
    train, val = split(texts, rt)
    assert sorted(train + val) == list(texts)
    assert len(val) == 4
    assert not {texts[one] for one in train} & {texts[one] for one in val}
    with pytest.raises(LikenessError, match="12 products of the catalogue have 1 different"):
        split({str(at): "the same" for at in range(12)}, rt)


def test_templates_cannot_be_trained(folder: Path, rt: Runtime) -> None:
    with pytest.raises(LikenessError, match="templates cannot be trained"):
        run(folder, rt, ROOT / "models" / "templates")


@pytest.mark.slow
def test_a_catalogue_without_descriptions_is_one_line(
    folder: Path, rt: Runtime, writer: Path
) -> None:
    write_catalog(folder / "catalog", mixed(PRODUCTS))
    with pytest.raises(LikenessError, match="tune_column: description: 0 of 0 descriptions of the"):
        run(folder, rt, writer)


# --- where descriptions are -----------------------------------------------------------------------


def test_kaggle_s_full_edition_has_them_beside_the_table(tmp_path: Path) -> None:
    rows = [described(row) if at == 0 else row for at, row in enumerate(mixed(4))]
    (tmp_path / "styles").mkdir()
    value = {"value": "<p>Red &amp; <b>soft</b>\n</p>"}
    for row, content in (
        (rows[0], {"description": {"value": "not this one"}}),
        (rows[1], {"description": value}),
        (rows[2], {"style_note": value}),
    ):
        text = json.dumps({"data": {"productDescriptors": content}})
        (tmp_path / "styles" / f"{row.id}.json").write_text(text)
    found = own_descriptions(tmp_path, rows, "description")
    colour = rows[0].baseColour.lower()
    assert found == {"000": f"A soft {colour} shoe for warm days 000 .", "001": "Red & soft"}


def test_a_file_that_is_not_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "000.json").write_text("{")
    with pytest.raises(LikenessError, match=r"styles/000\.json: not JSON"):
        own_descriptions(tmp_path, mixed(1), "description")
