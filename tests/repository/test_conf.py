"""What `dvc exp run` composes: params.yaml by default, and sound params for every choice of options."""

import itertools
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from likeness.common.errors import LikenessError
from likeness.common.params import check_params
from likeness.repository.dvc import flat
from likeness.repository.fetch import PINS
from likeness.repository.space import read_space
from likeness.stage import SCHEMA
from models.render import HEIGHT, WIDTH

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
DEFAULTS: dict[str, str] = {
    group: option
    for each in yaml.safe_load((CONF / "config.yaml").read_text())["defaults"]
    if isinstance(each, dict)
    for group, option in each.items()
}
OPTIONS = {
    group: {path.stem: path for path in sorted((CONF / group).glob("*.yaml"))} for group in DEFAULTS
}


def composed(path: Path, overrides: list[str], conf: Path = CONF) -> dict[str, Any]:
    compose_and_dump(path, str(conf), None, "config", str(ROOT), overrides)
    values: dict[str, Any] = yaml.safe_load(path.read_text())
    return values


def values_of(path: Path) -> dict[str, Any]:
    return flat(yaml.safe_load(path.read_text()))


def test_the_default_is_params_yaml(tmp_path: Path) -> None:
    written = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert composed(tmp_path / "params.yaml", []) == written


def test_a_value_that_only_params_yaml_has_is_found(tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    option = tmp_path / "conf" / "scale" / "sample.yaml"
    option.write_text(option.read_text().replace("epochs: 24", "epochs: 25"))
    written = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert composed(tmp_path / "params.yaml", [], tmp_path / "conf") != written


@pytest.mark.slow
@pytest.mark.parametrize("options", itertools.product(*OPTIONS.values()), ids=",".join)
def test_every_combination_is_sound(options: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    overrides = [f"{group}={option}" for group, option in zip(OPTIONS, options, strict=True)]
    values = flat(composed(path, overrides))
    check_params(path, SCHEMA)
    for group, option in zip(OPTIONS, options, strict=True):
        wanted = values_of(OPTIONS[group][option])
        assert {key: values[key] for key in wanted} == wanted  # no other group's option breaks it


def test_a_wrong_value_of_an_option_is_found(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    composed(path, ["image=sd15", "image_train.batch=many"])
    with pytest.raises(LikenessError, match=r"image_train\.batch"):
        check_params(path, SCHEMA)


def test_the_sample_s_photos_are_large_enough_for_the_readme_s_command(tmp_path: Path) -> None:
    values = composed(tmp_path / "params.yaml", ["image=sd15"])
    assert values["inputs"]["catalog"] == "sample_catalog"
    assert min(WIDTH, HEIGHT) >= values["image_prepare"]["min_side"]


def test_groups_have_no_key_in_common() -> None:
    """So that their order does not matter, and none breaks another."""
    keys = {
        group: {key for path in options.values() for key in values_of(path)}
        for group, options in OPTIONS.items()
    }
    for one, other in itertools.combinations(keys, 2):
        assert not keys[one] & keys[other]
    common = values_of(CONF / "config.yaml")
    assert not set(common) & set().union(*keys.values())


@pytest.mark.parametrize("group", DEFAULTS)
def test_options_of_a_group_set_the_same_keys(group: str) -> None:
    """So that a choice leaves nothing of the default behind."""
    default = set(values_of(OPTIONS[group][DEFAULTS[group]]))
    for path in OPTIONS[group].values():
        assert set(values_of(path)) == default, path


@pytest.mark.parametrize(("group", "section"), [("image", "image_train"), ("voice", "voice_train")])
def test_a_step_is_as_many_items_for_every_base(group: str, section: str) -> None:
    """scale counts in steps, so they have to be of one size."""
    sizes = set()
    for path in OPTIONS[group].values():
        values = values_of(path)
        sizes.add(values[f"{section}.batch"] * values[f"{section}.accumulation"])
    assert len(sizes) == 1


def test_bases_are_those_that_models_makes_or_brings() -> None:
    made = yaml.safe_load((ROOT / "models" / "dvc.yaml").read_text())["stages"]
    made |= yaml.safe_load((ROOT / PINS).read_text())
    made |= {path.parent.name: path for path in (ROOT / "models").glob("*/templates.yaml")}
    for options in OPTIONS.values():
        for path in options.values():
            bases = {v for k, v in values_of(path).items() if k.startswith("inputs.")}
            assert bases <= set(made), path


def test_options_are_written_in_their_package() -> None:
    for options in OPTIONS.values():
        for path in options.values():
            assert path.read_text().startswith("# @package _global_\n"), path


SEARCHES = {"image": 27, "voice": 18, "xtts_v2": 15}  # combinations


def test_every_search_is_known() -> None:
    assert set(SEARCHES) == {path.stem for path in (CONF / "search").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("lane", SEARCHES)
def test_every_combination_of_a_search_is_sound(lane: str, tmp_path: Path) -> None:
    runs = read_space(ROOT, lane, []).grid()
    assert len(runs) == SEARCHES[lane]
    for run in runs:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(run.params))
        check_params(tmp_path / "params.yaml", SCHEMA)


@pytest.mark.slow
def test_the_search_on_xtts_v2_is_about_its_rate() -> None:
    runs = read_space(ROOT, "xtts_v2", []).grid()
    assert {run.params["inputs"]["tts"] for run in runs} == {"xtts_v2"}
    tried = sorted({run.params["voice_train"]["learning_rate"] for run in runs})
    chosen = values_of(OPTIONS["voice"]["xtts_v2"])["voice_train.learning_rate"]
    assert tried[0] < chosen < tried[-1]
    assert chosen in tried


@pytest.mark.parametrize("lane", SEARCHES)
def test_searches_are_of_params_that_exist(lane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    known = set(values_of(ROOT / "params.yaml")) | set(OPTIONS)
    space = read_space(ROOT, lane, [])
    assert space.target in stages
    assert set(space.choices) <= known
    for metric in space.metrics:
        stage, _, key = metric.partition(".")
        assert stage in stages
        if not re.search("fid|kid", key):  # InceptionV3 only
            assert key in (ROOT / "metrics" / f"{stage}.json").read_text()
