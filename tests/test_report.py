"""One page that needs nothing else, and a model card."""

import base64
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from likeness.common.bases import describe
from likeness.common.errors import LikenessError
from likeness.common.io import read_json, write_json
from likeness.common.runtime import Runtime
from likeness.report import FIRST, VOICE_COLUMNS, Report, comparison, whether_it_pays, write_report
from likeness.repository.fetch import read_bases
from tests.conftest import ROOT, files_of, photo, section

STAGES = ("analyze", "prepare", "train", "generate", "evaluate", "failures")
INTERVALS = {
    "tuned_frechet": {"value": 12.3456, "low": 11.0, "high": 13.5, "n": 40},
    "base_frechet": {"value": 120.0, "low": 110.0, "high": 130.0, "n": 40},
    "autoencoder_frechet": {"value": 10.0, "low": 9.0, "high": 11.0, "n": 40},
    "floor_frechet": {"value": 8.0, "low": 7.0, "high": 9.0, "n": 40},
    "tuned_clip": {"value": 31.0, "low": 30.0, "high": 32.0, "n": 300},
    "real_clip": {"value": 33.0, "low": 32.0, "high": 34.0, "n": 90},
    "shuffled_clip": {"value": 22.0, "low": 21.0, "high": 23.0, "n": 90},
    "trained_on_real_accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 90},
    "trained_on_synthetic_accuracy": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 90},
}
VOICE_VERBS = ("synthesize", "evaluate")
VOICE = {
    "base_wer": {"value": 0.4, "low": 0.3, "high": 0.5, "n": 12},
    "tuned_wer": {"value": 0.2, "low": 0.1, "high": 0.3, "n": 12},
    "difference_wer": {"value": -0.2, "low": -0.3, "high": -0.1, "n": 12},
    "real_wer": {"value": 0.05, "low": 0.0, "high": 0.1, "n": 12},
    "other_similarity": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 12},
    "base_list_wer": {"value": None, "low": None, "high": None, "n": 0},
}
VOICE_TRAINING = {
    **{"base": "tiny_xtts", "base_id": "tiny_xtts", "base_license": "apache-2.0"},
    **{"rank": 8, "batch": 4, "accumulation": 2, "learning_rate": 0.001},
    **{"trainable_parameters": 1234, "trainable_share": 0.0214, "train_n": 70, "epochs": 12},
    **{
        "best_epoch": 9,
        "val_sentences": 6,
        "val_wer": 0.125,
        "val_wer_without_adapter": 0.5,
        "val_n": 8,
    },
    **{
        "val_similarity": 0.81,
        "val_similarity_without_adapter": 0.62,
        "val_loss": 2.5,
        "val_loss_without_adapter": 4.25,
        "decoder_n": 4,
        "targets": ["c_attn"],
        "decoder_targets": ["conv_pre"],
        "decoder_learning_rate": 0.004,
    },
}
HEARD = {"heard": "a red <hat>", "wer": 0.25, "similarity": 0.81, "dnsmos": 3.14}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "metrics").mkdir()
    for verb in STAGES:
        values: dict[str, Any] = {"n": 3, f"{verb}_figure": 0.25}
        if verb == "generate":
            values |= {"kept": 300, "drawn": 320, "rejected_share": 0.0625}
        if verb == "evaluate":
            values |= {"extractor": "efficientnet_lite0", "clip_model": "clip_mini"}
        (tmp_path / "metrics" / f"image_{verb}.json").write_text(json.dumps(values))
        (tmp_path / "plots" / f"image_{verb}").mkdir(parents=True)
        photo(1).save(tmp_path / "plots" / f"image_{verb}" / "one.png")
    for verb in VOICE_VERBS:
        values = {f"{verb}_figure": 0.5}
        if verb == "synthesize":
            values |= {"base_model": "tiny_xtts", "sentences_test": 12, "takes": 2}
        else:
            values |= {
                "asr": "some_asr",
                "normalizer": "whisper english",
                "speaker_encoder": "some_encoder",
                "mos": "some_mos",
            }
        (tmp_path / "metrics" / f"voice_{verb}.json").write_text(json.dumps(values))
        (tmp_path / "plots" / f"voice_{verb}").mkdir(parents=True)
        photo(3).save(tmp_path / "plots" / f"voice_{verb}" / "one.png")
    (tmp_path / "voice").mkdir()
    (tmp_path / "voice" / "training.json").write_text(json.dumps(VOICE_TRAINING))
    samples = tmp_path / "speech" / "samples"
    samples.mkdir(parents=True)
    clips = {voice: {"file": f"{voice}.mp3", **HEARD} for voice in ("real", "base", "tuned")}
    for voice in clips:
        (samples / f"{voice}.mp3").write_bytes(voice.encode())
    (samples / "samples.json").write_text(json.dumps([{"text": "A red hat.", "clips": clips}]))
    for name in FIRST:
        photo(2).save(tmp_path / "plots" / name)
    for name, text in (
        ("image_analyze/analysis.md", "# Found\n\n| a | b |\n| --- | --- |\n| x <y> | 1 |\n"),
        ("image_failures/failures.md", "# Failed\n\nRed, *blurred*.\n"),
        ("image_evaluate/intervals.json", json.dumps(INTERVALS)),
        ("voice_evaluate/intervals.json", json.dumps(VOICE)),
        ("voice_evaluate/worst.md", "# Worst clips\n\nNone.\n"),
        ("report/model_card.md", "# The last report's own card\n"),
    ):
        path = tmp_path / "reports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(folder: Path, adapter: Path, rt: Runtime, title: str = "Likeness") -> Path:
    write_report(
        section(Report, title=title),
        metrics_dir=folder / "metrics",
        plots_dir=folder / "plots",
        reports_dir=folder / "reports",
        adapter=adapter,
        voice_adapter=folder / "voice",
        speech=folder / "speech",
        out_dir=folder / "reports" / "report",
        rt=rt,
    )
    return folder / "reports" / "report"


def test_a_figure_s_columns_stand_in_one_row() -> None:
    rows = dict(comparison(INTERVALS))
    assert rows["frechet"] == {
        "tuned": "12.3 (11 to 13.5; n 40)",
        "base": "120 (110 to 130; n 40)",
        "autoencoder": "10 (9 to 11; n 40)",
        "real": "8 (7 to 9; n 40)",
    }
    assert set(rows["shuffled clip"]) == {"real"}, "its images are real"
    assert set(rows["trained on real accuracy"]) == {"real"}
    assert set(rows["trained on synthetic accuracy"]) == {"tuned"}


def test_each_cell_says_its_own_n() -> None:
    # The tuned set has 300 images and the real one 90: one number cannot stand for both.
    cells = dict(comparison(INTERVALS))["clip"]
    assert set(cells) == {"tuned", "real"}
    assert "n 300" in cells["tuned"]
    assert "n 90" in cells["real"]


def test_it_is_said_whether_adapters_of_values_pay() -> None:
    def less(low: float, high: float) -> dict[str, float]:
        return {"value": (low + high) / 2, "low": low, "high": high, "n": 20}

    chance, lower = less(-1, 1), less(-2, -1)
    assert whether_it_pays({}) == ""
    found = {"own_clip_Men": lower, "difference_clip_Men": chance}
    assert "every difference includes 0" in whether_it_pays(found)
    empty = {"value": None, "low": None, "high": None, "n": 0}
    found |= {"difference_kernel": lower, "difference_clip": lower, "difference_kid_Boys": empty}
    assert whether_it_pays(found) == (
        "The interval of the difference excludes 0 for kernel (better), clip (worse)."
    )


def test_the_page_has_a_table_of_values_where_they_have_adapters(
    folder: Path, tiny_adapter: Path, tmp_path: Path, rt: Runtime
) -> None:
    title = "an adapter of its own for each gender"
    assert title not in (run(folder, tiny_adapter, rt) / "index.html").read_text()
    own = {"train_n": 31, "val_n": 9, "shared_loss": 0.21, "own_loss": 0.19, "best_step": 12}
    rows = [
        {"value": "Men", "folder": "per/Men", **own},
        {"value": "Girls", "folder": None, "train_n": 20, "val_n": 4},
    ]
    adapter = tmp_path / "adapter"
    training = json.loads((tiny_adapter / "training.json").read_text())
    adapter.mkdir()
    (adapter / "training.json").write_text(json.dumps({**training, "per": "gender", "own": rows}))
    path = folder / "reports" / "image_evaluate" / "intervals.json"
    pair = {"value": -0.5, "low": -0.75, "high": -0.25, "n": 13}
    path.write_text(json.dumps({**INTERVALS, "difference_kernel_Men": pair}))
    page = (run(folder, adapter, rt) / "index.html").read_text()
    assert title in page
    assert "excludes 0 for kernel Men (better)" in page
    assert "-0.5 (-0.75 to -0.25; n 13)" in page
    assert "<td>0.21</td><td>0.19</td><td>12</td>" in page
    assert "too few photos" in page


class References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


def test_the_page_needs_nothing_else(folder: Path, tiny_adapter: Path, rt: Runtime) -> None:
    page = (run(folder, tiny_adapter, rt) / "index.html").read_text()
    parser = References()
    parser.feed(page)
    kinds = Counter(value.partition(",")[0] for value in parser.found)
    pictures = len(STAGES) + len(VOICE_VERBS) + 2 * len(FIRST)
    assert kinds == {"data:image/png;base64": pictures, "data:audio/mpeg;base64": 3}
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "@import" not in page
    assert "url(" not in page
    assert not {"script", "link", "iframe"} & set(parser.tags)
    assert str(folder) not in page


def test_the_page_holds_every_stage_s_figures_tables_and_texts(
    folder: Path, tiny_adapter: Path, rt: Runtime
) -> None:
    page = (run(folder, tiny_adapter, rt) / "index.html").read_text()
    for verb in STAGES:
        assert f"<summary>image_{verb}</summary>" in page
        assert f"{verb}_figure" in page
    assert "<h1>Found</h1>" in page
    assert "<em>blurred</em>" in page
    assert "12.3 (11 to 13.5; n 40)" in page
    assert "The last report" not in page
    assert "dvc exp run" in page


def test_real_base_and_tuned_are_heard_side_by_side(
    folder: Path, tiny_adapter: Path, rt: Runtime
) -> None:
    page = (run(folder, tiny_adapter, rt) / "index.html").read_text()
    parser = References()
    parser.feed(page)
    sounds = [value.partition(",")[2] for value in parser.found if "audio" in value]
    assert [base64.b64decode(data) for data in sounds] == [b"real", b"base", b"tuned"]
    assert parser.tags.count("audio") == 3
    assert page.count("a red &lt;hat&gt;") == 3, "what is heard is text"
    assert "<td>A red hat.</td>" in page
    assert "WER 25 %, similarity 0.81" in page
    assert "<b>tiny_xtts</b>" in page
    assert "some_asr" in page


def test_voice_figures_have_their_difference_and_their_floor() -> None:
    rows = dict(comparison(VOICE, VOICE_COLUMNS))
    assert rows["wer"] == {
        "base": "0.4 (0.3 to 0.5; n 12)",
        "tuned": "0.2 (0.1 to 0.3; n 12)",
        "difference": "-0.2 (-0.3 to -0.1; n 12)",
        "real": "0.05 (0 to 0.1; n 12)",
    }
    assert rows["other similarity"] == {"base": "0.5 (0.4 to 0.6; n 12)"}
    assert rows["list wer"] == {"base": "–"}


def test_a_title_is_text(folder: Path, tiny_adapter: Path, rt: Runtime) -> None:
    page = (run(folder, tiny_adapter, rt, "Shoes <b>& more") / "index.html").read_text()
    assert "<title>Shoes &lt;b&gt;&amp; more</title>" in page


def test_the_model_card_has_a_header_and_the_figures(
    folder: Path, tiny_adapter: Path, rt: Runtime
) -> None:
    card = (run(folder, tiny_adapter, rt) / "model_card.md").read_text()
    _, header, body = card.split("---\n", 2)
    values = yaml.safe_load(header)
    assert values["base_model"] == "tiny_base"
    assert values["library_name"] == "diffusers"
    assert "lora" in values["tags"]
    assert "rank 2" in body
    values = ("120 (110 to 130; n 40)", "12.3 (11 to 13.5; n 40)", "10 (9 to 11; n 40)")
    cells = ("frechet", *values, "8 (7 to 9; n 40)")
    assert f"| {' | '.join(cells)} |" in body
    assert "&" not in body, "a card is no HTML"


def test_the_voice_has_a_card_of_its_own(folder: Path, tiny_adapter: Path, rt: Runtime) -> None:
    card = (run(folder, tiny_adapter, rt) / "voice_card.md").read_text()
    _, header, body = card.split("---\n", 2)
    assert yaml.safe_load(header)["base_model"] == "tiny_xtts"
    assert "rank 8 (1234 weights, 2.1 % of" in body
    assert "batch 8, in the GPT at learning rate 0.001, in the decoder at" in body
    assert "| wer | 0.4 (0.3 to 0.5; n 12) | 0.2 (0.1 to 0.3; n 12) |" in body
    assert "&" not in body, "a card is no HTML"


def header_of(card: Path) -> dict[str, str]:
    values: dict[str, str] = yaml.safe_load(card.read_text().split("---\n", 2)[1])
    return values


def test_cards_carry_the_licence_of_a_bundled_base(
    folder: Path, tiny_adapter: Path, rt: Runtime
) -> None:
    out = run(folder, tiny_adapter, rt)
    assert header_of(out / "voice_card.md")["license"] == "apache-2.0"
    assert header_of(out / "model_card.md")["license"] == "unknown"  # tiny_base has no card
    assert "commercially" not in (out / "voice_card.md").read_text()


def test_cards_carry_the_id_and_licence_of_a_fetched_base(
    folder: Path, tiny_adapter: Path, rt: Runtime, tmp_path: Path
) -> None:
    bases = read_bases(ROOT)
    adapter = tmp_path / "adapter"
    for name, out in (("sd15", adapter), ("xtts_v2", folder / "voice")):
        write_json(tmp_path / name / "source.json", bases[name].source)
        source = tiny_adapter if name == "sd15" else out
        training = read_json(source / "training.json") | describe(tmp_path / name)
        write_json(out / "training.json", training)
    out = run(folder, adapter, rt)
    image = header_of(out / "model_card.md")
    assert image["base_model"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert image["license"] == "creativeml-openrail-m"
    voice = header_of(out / "voice_card.md")
    assert voice["base_model"] == "coqui/XTTS-v2"
    # The hub has no id for it, and refuses a card whose `license` is not one of its own.
    assert (voice["license"], voice["license_name"]) == ("other", "coqui-public-model-license")
    text = " ".join((out / "voice_card.md").read_text().split())
    assert "neither the voice nor what it speaks may be used commercially." in text


def test_the_report_is_a_function_of_its_input(
    folder: Path, tiny_adapter: Path, rt: Runtime
) -> None:
    first = files_of(run(folder, tiny_adapter, rt))
    assert set(first) == {"index.html", "model_card.md", "voice_card.md"}
    assert files_of(run(folder, tiny_adapter, rt)) == first


@pytest.mark.parametrize(
    "name",
    [
        "metrics/image_evaluate.json",
        "reports/image_evaluate/intervals.json",
        "metrics/voice_evaluate.json",
        "reports/voice_evaluate/intervals.json",
        "speech/samples/samples.json",
    ],
)
def test_a_missing_input_is_one_line(
    folder: Path, tiny_adapter: Path, rt: Runtime, name: str
) -> None:
    (folder / name).unlink()
    with pytest.raises(LikenessError, match=f"{name}: no such file"):
        run(folder, tiny_adapter, rt)
