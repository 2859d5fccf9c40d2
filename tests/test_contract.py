"""The house: one name everywhere, arrows one way, code as deps. Each rule is shown to be breakable.

A rule is a function that returns what breaks it, so a test can call it with the repository and
with a broken copy.
"""

import ast
import copy
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from likeness import report
from likeness.common.closure import import_closure
from likeness.repository.doctor import check_bundled
from likeness.repository.probes import promised
from likeness.stage import SCHEMA
from tests.conftest import ROOT, library_env, needs_studio

SRC = ROOT / "src" / "likeness"
NOT_STAGES = {"base", "inputs"}
TIMINGS = "timings"  # what differs in every run, so neither git nor DVC keeps it
SCHEMA_STAGES = sorted(set(SCHEMA) - NOT_STAGES)
TEMPLATES = {
    "report": {f"src/likeness/{name}" for name in ("report.html", "model_card.md", "voice_card.md")}
}
BESIDE = {
    "models/texts.py": "models/xtts_sentences.yaml"
}  # what a module of models/ reads beside itself
HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "matplotlib",
    "av",
    "soundfile",
    "faster_whisper",
    "TTS",
    "yt_dlp",
)

Pipeline = dict[str, Any]


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def filled(value: Any, params: Any) -> Any:
    """`value` with every `${dotted.key}` replaced, as DVC does."""
    if isinstance(value, dict):
        return {filled(key, params): filled(item, params) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, params) for item in value]
    while isinstance(value, str) and "${" in value:
        before, _, rest = value.partition("${")
        key, _, after = rest.partition("}")
        found = params
        for part in key.split("."):
            found = found[part]
        value = f"{before}{found}{after}"
    return value


@pytest.fixture(scope="module")
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    """The stages of dvc.yaml; with `--write` their lists of code are written first."""
    if request.config.getoption("--write"):
        write_code(ROOT / "dvc.yaml", {name: needed_code(name) for name in SCHEMA_STAGES})
    return filled(read_yaml(ROOT / "dvc.yaml"), read_yaml(ROOT / "params.yaml"))


def names(entries: Any) -> set[str]:
    """The paths of a list of deps, outs, metrics or plots."""
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries or []}


def outputs(stage: Pipeline) -> set[str]:
    return names(stage.get("outs")) | names(stage.get("metrics")) | names(stage.get("plots"))


def flags(stage: Pipeline) -> dict[str, str]:
    """The path flags of a stage's command."""
    words = shlex.split(stage["cmd"])
    return {
        word.removeprefix("--"): value for word, value in pairwise(words) if word.startswith("--")
    }


# --- one name everywhere --------------------------------------------------------------------------


def name_sets(pipeline: Pipeline, params: Any, schema: Any, scripts: Any) -> dict[str, set[str]]:
    metrics = {
        Path(path).stem for stage in pipeline["stages"].values() for path in names(stage["metrics"])
    }
    return {
        "dvc.yaml": set(pipeline["stages"]),
        "stages/": set(scripts),
        "params.yaml": set(params) - NOT_STAGES,
        "likeness.stage.SCHEMA": set(schema) - NOT_STAGES,
        "metrics/, and report": metrics | {"report"},
    }


def unequal(sets: dict[str, set[str]]) -> list[str]:
    everywhere = set.intersection(*sets.values())
    return [f"{where}: {name}" for where, found in sets.items() for name in found - everywhere]


def current_sets(pipeline: Pipeline) -> dict[str, set[str]]:
    for stage in pipeline["stages"].values():
        stage.setdefault("metrics", [])
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    return name_sets(pipeline, read_yaml(ROOT / "params.yaml"), SCHEMA, scripts)


def test_a_stage_has_one_name_everywhere(pipeline: Pipeline) -> None:
    sets = current_sets(pipeline)
    assert len(sets["dvc.yaml"]) >= 7
    assert unequal(sets) == []


@pytest.mark.parametrize(
    "where", ["dvc.yaml", "stages/", "params.yaml", "likeness.stage.SCHEMA", "metrics/, and report"]
)
def test_a_name_that_is_missing_somewhere_is_found(pipeline: Pipeline, where: str) -> None:
    sets = current_sets(pipeline)
    sets[where] = sets[where] - {"image_train"}
    assert len(unequal(sets)) == 4


def wrong_files(stage: str, entry: Pipeline, root: Path) -> list[str]:
    """Files and folders that the stage's name asks for and that are not there."""
    if stage == "report":
        wanted = ["src/likeness/report.py", "tests/test_report.py"]
        paths: set[str] = set()
    else:
        lane, _, verb = stage.partition("_")
        wanted = [f"src/likeness/{lane}/{verb}.py", f"tests/{lane}/test_{verb}.py"]
        paths = {f"data/{stage}", f"metrics/{stage}.json", f"plots/{stage}"}
    missing = [path for path in wanted if not (root / path).is_file()]
    return missing + sorted(paths - outputs(entry))


def test_modules_tests_and_outputs_carry_the_stage_s_name(pipeline: Pipeline) -> None:
    for stage, entry in pipeline["stages"].items():
        assert wrong_files(stage, entry, ROOT) == [], stage


def test_a_stage_without_its_files_is_found(pipeline: Pipeline, tmp_path: Path) -> None:
    entry = pipeline["stages"]["image_train"]
    assert len(wrong_files("image_train", entry, tmp_path)) == 2
    assert len(wrong_files("image_training", entry, ROOT)) == 5


# --- path flags -----------------------------------------------------------------------------------


def is_code(path: str) -> bool:
    return path.startswith(("src/", "stages/")) or path.endswith(".py") or path in BESIDE.values()


def covers(folder: str, path: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def loose_paths(stage: Pipeline) -> list[str]:
    """Flags that DVC does not know of, and paths that DVC knows of but the command does not name."""
    known = names(stage["deps"]) | outputs(stage)
    passed = {path for path in flags(stage).values() if not covers(TIMINGS, path)}
    unknown = [path for path in passed if not any(covers(path, other) for other in known)]
    data = {path for path in names(stage["deps"]) | outputs(stage) if not is_code(path)}
    unused = [path for path in data if not any(covers(other, path) for other in passed)]
    return sorted(unknown + unused)


def test_every_path_of_a_command_is_known_to_dvc_and_the_other_way(pipeline: Pipeline) -> None:
    for name, stage in pipeline["stages"].items():
        assert len(flags(stage)) >= 3, name
        assert loose_paths(stage) == [], name


def forget(key: str, path: str) -> Callable[[Pipeline], None]:
    def change(stage: Pipeline) -> None:
        stage[key] = [entry for entry in stage[key] if path not in names([entry])]

    return change


def rename(old: str, new: str) -> Callable[[Pipeline], None]:
    def change(stage: Pipeline) -> None:
        stage["cmd"] = stage["cmd"].replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (forget("deps", "data/image_prepare"), ["data/image_prepare"]),
        (forget("outs", "data/image_train"), ["data/image_train"]),
        (forget("metrics", "metrics/image_train.json"), ["metrics/image_train.json"]),
        (rename("plots/image_train", "plots/other"), ["plots/image_train", "plots/other"]),
        (rename("timings/image_train", "results"), ["results"]),
    ],
)
def test_a_loose_path_is_found(
    pipeline: Pipeline, change: Callable[[Pipeline], None], found: list[str]
) -> None:
    stage = copy.deepcopy(pipeline["stages"]["image_train"])
    change(stage)
    assert loose_paths(stage) == found


def wrongly_in_git(stage: Pipeline) -> list[str]:
    """Paths that a stage writes, that git does not ignore, and that are not the same in every run.

    DVC would also add them to a .gitignore. What is the same in every run is an output that is kept
    in git, with `cache: false`.
    """
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    in_git = {
        path
        for entry in entries
        if isinstance(entry, dict)
        for path, how in entry.items()
        if how.get("cache") is False
    }
    written = outputs(stage) - in_git
    written |= {path for path in flags(stage).values() if covers(TIMINGS, path)}
    tracked = subprocess.run(
        ["git", "ls-files", "--", *written], cwd=ROOT, capture_output=True, text=True
    )
    ignored = subprocess.run(
        ["git", "check-ignore", "--", *written], cwd=ROOT, capture_output=True, text=True
    )
    return sorted({*(written - set(ignored.stdout.splitlines())), *tracked.stdout.splitlines()})


def test_a_reproduction_leaves_nothing_for_git_to_list(pipeline: Pipeline) -> None:
    for name, stage in pipeline["stages"].items():
        assert wrongly_in_git(stage) == [], name


def test_an_output_that_git_would_list_is_found(pipeline: Pipeline) -> None:
    stage = copy.deepcopy(pipeline["stages"]["image_train"])
    stage["outs"] += ["src/likeness/stage.py", "results"]
    assert wrongly_in_git(stage) == ["results", "src/likeness/stage.py"]


def test_a_shell_takes_names_of_inputs_as_they_are() -> None:
    name = "Jane's  voice (2) & co; #1 *é*"
    inputs = dict.fromkeys(read_yaml(ROOT / "params.yaml")["inputs"], name)
    SCHEMA["inputs"].model_validate(inputs)
    for stage in filled(read_yaml(ROOT / "dvc.yaml"), {"inputs": inputs})["stages"].values():
        command = stage["cmd"].replace("python -m", "printf '%s\\n'", 1)
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[2::2] == list(flags(stage).values())


@pytest.mark.parametrize("name", ['a "b"', "a$b", "a`b`", "a\\"])
def test_a_name_that_no_quotes_hold_is_refused(name: str) -> None:
    inputs = read_yaml(ROOT / "params.yaml")["inputs"]
    with pytest.raises(ValueError, match="a name without"):
        SCHEMA["inputs"].model_validate(inputs | {"catalog": name})


def test_a_command_has_just_the_flags_that_its_script_parses(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, stage in pipeline["stages"].items():
        assert stage["cmd"].split()[:3] == ["python", "-m", f"stages.{name}"]
        with pytest.raises(SystemExit):
            import_module(f"stages.{name}").main(["--help"])
        shown = re.findall(r"^  --(\S+) PATH$", capsys.readouterr().out, re.M)
        assert set(flags(stage)) == set(shown), name


def test_a_stage_s_script_is_short() -> None:
    for path in (ROOT / "stages").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 12, f"{path}: work belongs to src"


# --- code is a dep --------------------------------------------------------------------------------


def relative(paths: Any) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in paths}


def needed_code(stage: str) -> set[str]:
    """What the stage's work is made of. `likeness.stage` knows every stage, so it is no one's dep."""
    lane, _, verb = stage.partition("_")
    module = SRC / "report.py" if stage == "report" else SRC / lane / f"{verb}.py"
    script = {f"stages/{stage}.py"}
    return relative(import_closure(module)) | script | TEMPLATES.get(stage, set())


def with_code(text: str, stage: str, code: Sequence[str]) -> str:
    """The text of a dvc.yaml in which the stage's deps that are code are these, before the others."""
    lines = text.splitlines(keepends=True)
    start = lines.index(f"  {stage}:\n")
    begin = next(at for at in range(start, len(lines)) if lines[at] == "    deps:\n") + 1
    end = begin
    while end < len(lines) and lines[end].startswith("      - "):
        end += 1
    others = [
        line for line in lines[begin:end] if not is_code(line.removeprefix("      - ").strip())
    ]
    wanted = [f"      - {path}\n" for path in code]
    return "".join([*lines[:begin], *wanted, *others, *lines[end:]])


def write_code(path: Path, needed: Mapping[str, set[str]]) -> None:
    """Write the lists of code of all stages, as `pytest tests/test_contract.py --write` asks."""
    text = path.read_text()
    for stage, code in needed.items():
        own = [name for name in code if "src/" not in name]
        text = with_code(text, stage, sorted(own) + sorted(code - set(own)))
    path.write_text(text)


def code_differences(stage: str, entry: Pipeline) -> list[str]:
    listed = {path for path in names(entry["deps"]) if is_code(path)}
    needed = needed_code(stage)
    return [f"missing {path}" for path in sorted(needed - listed)] + [
        f"superfluous {path}" for path in sorted(listed - needed)
    ]


def test_a_stage_s_code_is_its_dep(pipeline: Pipeline) -> None:
    for stage, entry in pipeline["stages"].items():
        assert code_differences(stage, entry) == [], stage


@pytest.mark.parametrize(
    "path",
    ["src/likeness/image/diffusion.py", "src/likeness/common/io.py", "stages/image_train.py"],
)
def test_a_forgotten_module_is_found(pipeline: Pipeline, path: str) -> None:
    entry = copy.deepcopy(pipeline["stages"]["image_train"])
    forget("deps", path)(entry)
    assert code_differences("image_train", entry) == [f"missing {path}"]


def test_a_superfluous_module_is_found(pipeline: Pipeline) -> None:
    entry = copy.deepcopy(pipeline["stages"]["image_train"])
    entry["deps"].append("src/likeness/image/failures.py")
    assert code_differences("image_train", entry) == ["superfluous src/likeness/image/failures.py"]


def test_the_lists_of_code_are_written_and_nothing_else() -> None:
    text = (
        "stages:\n  a:\n    deps:\n      - stages/a.py\n      - src/old.py\n      - data/x\n"
        "    outs:\n      - data/a\n  b:\n    deps:\n      - src/b.py\n"
    )
    wanted = text.replace("src/old.py", "src/new.py")
    assert with_code(text, "a", ["stages/a.py", "src/new.py"]) == wanted
    assert with_code(wanted, "b", ["src/b.py"]) == wanted


def test_templates_are_the_files_that_the_report_loads() -> None:
    loaded = {f"src/likeness/{name}" for name in report.TEMPLATES}
    beside = {
        path.relative_to(ROOT).as_posix()
        for path in SRC.iterdir()
        if path.is_file() and path.suffix != ".py"
    }
    assert loaded == beside == TEMPLATES["report"]


MODELS = ROOT / "models"
needs_models = pytest.mark.skipif(
    not (MODELS / "dvc.yaml").is_file(), reason="models/dvc.yaml is not here"
)


def model_code(script: Path) -> set[str]:
    """The modules of models/ and of the library that a module of models/ is made of."""
    seen: set[Path] = set()
    todo = [script]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += import_closure(current)
            todo += [
                MODELS / f"{name.removeprefix('models.')}.py"
                for name in imported(ast.parse(current.read_text()))
                if name.startswith("models.")
                and (MODELS / f"{name.removeprefix('models.')}.py").is_file()
            ]
    code = relative(seen)
    return code | {beside for module, beside in BESIDE.items() if module in code}


def script_of(entry: Pipeline) -> Path:
    """The module that a stage of models/dvc.yaml runs by `python -m models.NAME`."""
    module = shlex.split(entry["cmd"])[2]
    return MODELS / f"{module.removeprefix('models.')}.py"


def model_differences(entry: Pipeline) -> list[str]:
    listed = {path for path in names(entry["deps"]) if is_code(path)}
    needed = model_code(script_of(entry))
    return [f"missing {path}" for path in sorted(needed - listed)] + [
        f"superfluous {path}" for path in sorted(listed - needed)
    ]


@needs_models
def test_a_model_s_code_is_its_dep(request: pytest.FixtureRequest) -> None:
    """With `--write` the lists are written first."""
    path = MODELS / "dvc.yaml"
    if request.config.getoption("--write"):
        stages = read_yaml(path)["stages"]
        write_code(path, {name: model_code(script_of(entry)) for name, entry in stages.items()})
    for name, entry in read_yaml(MODELS / "dvc.yaml")["stages"].items():
        assert model_differences(entry) == [], name


@needs_models
def test_a_model_s_forgotten_module_is_found() -> None:
    entry = read_yaml(MODELS / "dvc.yaml")["stages"]["sd_mini"]
    for path in ("models/fitting.py", "models/render.py", "src/likeness/image/pixels.py"):
        broken = copy.deepcopy(entry)
        forget("deps", path)(broken)
        assert model_differences(broken) == [f"missing {path}"]


@needs_models
def test_paths_of_a_model_s_command_are_known_to_dvc() -> None:
    for name, stage in read_yaml(MODELS / "dvc.yaml")["stages"].items():
        data = {path for path in names(stage["deps"]) if not is_code(path)}
        assert stage["cmd"].split()[:3] == ["python", "-m", f"models.{name}"]
        assert stage["wdir"] == ".."
        assert set(flags(stage).values()) == data | outputs(stage), name


# --- arrows point one way -------------------------------------------------------------------------


def imported(tree: ast.AST) -> Iterator[str]:
    """The dotted name of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            if not node.level:
                yield from (f"{module}.{alias.name}" for alias in node.names)


def wrong_imports(path: str, text: str) -> list[str]:
    """Imports that a file of src/likeness may not have, by its path under it."""
    part = path.split("/")[0] if "/" in path else ""
    found = []
    for name in imported(ast.parse(text)):
        words = name.split(".")
        if name.startswith("."):
            found.append(name)
        elif words[0] in ("stages", "models", "tests") or (
            words[0] == "likeness" and len(words) > 1
        ):
            target = words[1] if len(words) > 1 else ""
            allowed = {"common"} if part in ("common", "") else {"common", part}
            if part == "studio":
                allowed |= {"voice", "image", "repository"}
            if path == "stage.py":
                allowed = {"common", "voice", "image", "report", "repository"}
            if path == "cli.py":
                allowed = {"common", "repository"}
            if part == "studio":
                allowed = {"common", "voice", "image", "repository", "stage", "studio"}
            if words[0] != "likeness" or target not in allowed:
                found.append(name)
    return sorted(set(found))


def test_imports_point_one_way() -> None:
    paths = sorted(SRC.rglob("*.py"))
    assert len(paths) > 20
    for path in paths:
        name = path.relative_to(SRC).as_posix()
        assert wrong_imports(name, path.read_text()) == [], name


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        (
            "common/io.py",
            "from likeness.image import rows",
            ["likeness.image", "likeness.image.rows"],
        ),
        ("image/a.py", "def f():\n    import likeness.voice.clips", ["likeness.voice.clips"]),
        (
            "image/a.py",
            "from likeness.stage import stage",
            ["likeness.stage", "likeness.stage.stage"],
        ),
        ("report.py", "import likeness.image.rows", ["likeness.image.rows"]),
        (
            "repository/a.py",
            "from likeness.studio import jobs",
            ["likeness.studio", "likeness.studio.jobs"],
        ),
        ("studio/a.py", "import likeness.voice.speech, likeness.repository.runs", []),
        ("image/a.py", "from . import rows", ["."]),
        ("image/a.py", "import stages.report", ["stages.report"]),
        ("image/a.py", "from models.render import Item", ["models.render", "models.render.Item"]),
        ("image/a.py", "from likeness.image.rows import Product\nimport likeness.common.io", []),
        (
            "studio/a.py",
            "import likeness.voice.speech, likeness.image.diffusion, likeness.stage",
            [],
        ),
        ("studio/a.py", "import likeness.report", ["likeness.report"]),
        ("repository/a.py", "import likeness.studio.app", ["likeness.studio.app"]),
    ],
)
def test_a_wrong_import_is_found(path: str, text: str, found: list[str]) -> None:
    assert wrong_imports(path, text) == found


def reaches_dvc(path: str, text: str) -> bool:
    """Whether a file of src/likeness uses DVC's own modules, which one file alone may."""
    own = path == "repository/dvc.py"
    return not own and any(name.split(".")[0] == "dvc" for name in imported(ast.parse(text)))


def test_there_is_one_door_to_dvc() -> None:
    for path in sorted(SRC.rglob("*.py")):
        name = path.relative_to(SRC).as_posix()
        assert not reaches_dvc(name, path.read_text()), name


def test_another_door_to_dvc_is_found() -> None:
    assert reaches_dvc("repository/gate.py", "def f():\n    from dvc.repo import Repo")
    assert reaches_dvc("common/runtime.py", "import dvc.config")
    assert not reaches_dvc("repository/dvc.py", "from dvc.repo import Repo")
    assert not reaches_dvc("repository/gate.py", "from likeness.repository.dvc import flat")
    assert not reaches_dvc("common/tracking.py", "from dvclive import Live")


AMBIENT = {
    "sys.argv",
    "os.environ",
    "os.environb",
    "os.getenv",
    "os.putenv",
    "os.getcwd",
    "os.chdir",
    "Path.cwd",
    "Path.home",
}
# What a shell starts reads its arguments and folder; what starts other commands gives them their
# environment.
ALLOWED = {
    "stage.py": {"sys.argv", "os.environ"},
    "common/cli.py": {"sys.argv"},
    "cli.py": {"Path.cwd"},
    "repository/": {"os.environ"},
    "studio/crashes.py": {"os.environ"},
}


def ambient(path: str, text: str) -> list[str]:
    """Uses of the command line, the environment and the working directory."""
    tree = ast.parse(text)
    found = {
        name for node in ast.walk(tree) if isinstance(node, ast.Attribute)
        if (name := ast.unparse(node)) in AMBIENT
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "sys"):
            found |= {
                name for alias in node.names if (name := f"{node.module}.{alias.name}") in AMBIENT
            }
    return sorted(found - ALLOWED.get(path, ALLOWED.get(f"{path.split('/')[0]}/", set())))


def test_src_reads_no_command_line_environment_or_working_directory() -> None:
    for path in sorted(SRC.rglob("*.py")):
        name = path.relative_to(SRC).as_posix()
        assert ambient(name, path.read_text()) == [], name


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("image/a.py", "import sys\nx = sys.argv[1:]", ["sys.argv"]),
        ("common/cli.py", "import sys\nx = sys.argv[1:]", []),
        ("common/cli.py", "import os\nx = os.environ['HOME']", ["os.environ"]),
        ("stage.py", "from pathlib import Path\nroot = Path.cwd()", ["Path.cwd"]),
        ("repository/a.py", "import os\nx = os.environ", []),
        ("repository/a.py", "import os\nx = os.getcwd()", ["os.getcwd"]),
        ("image/a.py", "from os import getenv", ["os.getenv"]),
        ("image/a.py", "text = 'sys.argv'  # os.environ", []),
    ],
)
def test_ambient_input_is_found(path: str, text: str, found: list[str]) -> None:
    assert ambient(path, text) == found


def test_every_package_file_holds_only_a_docstring() -> None:
    paths = sorted(SRC.rglob("__init__.py"))
    assert len(paths) >= 3
    for path in paths:
        assert only_docstring(path.read_text()), path


def only_docstring(text: str) -> bool:
    body = ast.parse(text).body
    return len(body) == 1 and ast.get_docstring(ast.parse(text)) is not None


@pytest.mark.parametrize(
    ("text", "fine"), [('"""A."""\n', True), ("", False), ('"""A."""\nimport os\n', False)]
)
def test_a_package_file_with_code_is_found(text: str, fine: bool) -> None:
    assert only_docstring(text) == fine


# --- an item's key holds what its result depends on -----------------------------------------------

# What draws, judges, reads params or keeps items changes no result of an item function.
BESIDE_ITEMS = {
    f"src/likeness/common/{name}.py"
    for name in ("figures", "estimates", "manifest", "params", "runtime", "items")
}
LINES_BEHIND_A_KEY = 700


@cache
def makes_results(text: str) -> bool:
    """Whether a module holds item functions: it says what one item's result is."""
    return "likeness.common.result" in set(imported(ast.parse(text)))


def crowded(path: Path, package: Path) -> list[str]:
    """What stands behind the keys of a module's item functions and may not."""
    closure = import_closure(path, package)
    files = {file.relative_to(package.parents[1]).as_posix(): file for file in closure}
    lines = sum(len(file.read_text().splitlines()) for file in files.values())
    found = sorted(BESIDE_ITEMS & set(files))
    return found + ([f"{lines} lines"] if lines > LINES_BEHIND_A_KEY else [])


def item_modules() -> list[Path]:
    store = SRC / "common" / "items.py"
    paths = [path for path in sorted(SRC.rglob("*.py")) if path != store]
    return [path for path in paths if makes_results(path.read_text())]


def test_item_functions_have_rooms_of_their_own() -> None:
    paths = item_modules()
    assert len(paths) >= 8
    for path in paths:
        assert crowded(path, SRC) == [], path.relative_to(SRC)


def test_a_crowded_room_is_found(tmp_path: Path) -> None:
    package = tmp_path / "src" / "likeness"
    (package / "common").mkdir(parents=True)
    for name in ("result", "items", "figures"):
        (package / "common" / f"{name}.py").write_text("")
    room = package / "room.py"
    room.write_text("from likeness.common.result import Result\n")
    assert crowded(room, package) == []
    room = package / "full.py"
    room.write_text(
        "from likeness.common.result import Result\n" + "import likeness.common.figures\n" * 700
    )
    assert crowded(room, package) == ["src/likeness/common/figures.py", "701 lines"]


# --- imports are light ----------------------------------------------------------------------------


def heavy_after(code: str) -> list[str]:
    """Which heavy packages a Python process has loaded after running some code."""
    script = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env=library_env()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_every_module_loads_nothing_heavy() -> None:
    needs_studio()
    modules = [
        ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__")
        for folder in (SRC, ROOT / "stages", MODELS)
        for path in sorted(folder.rglob("*.py"))
        if path != SRC / "studio" / "preload.py"  # which is there to load what is heavy
    ]
    assert len(modules) > 30
    assert heavy_after("\n".join(f"import {name}" for name in modules)) == []


def test_a_heavy_import_is_found() -> None:
    assert heavy_after("import matplotlib") == ["matplotlib"]


# --- params.yaml explains itself ------------------------------------------------------------------


def unexplained(text: str) -> list[str]:
    """Keys without a comment on their line or on the line above."""
    lines = text.splitlines()
    found: list[str] = []

    def visit(node: Any, path: str) -> None:
        for key, value in node.value:
            name = f"{path}{key.value}"
            line = key.start_mark.line
            above = lines[line - 1].strip() if line else ""
            if isinstance(value, yaml.MappingNode) and value.value:
                visit(value, f"{name}.")
            elif " #" not in lines[line] and not above.startswith("#"):
                found.append(name)

    visit(yaml.compose(text), "")
    return found


def test_every_param_has_a_comment() -> None:
    assert unexplained((ROOT / "params.yaml").read_text()) == []


def test_a_param_without_a_comment_is_found() -> None:
    text = "a:\n  b: 1 # pixels\n  # why\n  c: 2\n  d: 3\n  e: {}\n"
    assert unexplained(text) == ["a.d", "a.e"]


# --- what is imported is pinned -------------------------------------------------------------------


def unpinned(files: dict[str, str], requirements: str) -> list[str]:
    """Third-party packages that some file imports and no line of requirements names."""
    listed = {
        re.split(r"[=<>\[ ]", line)[0].lower().replace("_", "-")
        for line in requirements.splitlines()
        if line and not line.startswith("#")
    }
    own = {"likeness", "stages", "models", "tests"} | {Path(name).stem for name in files}
    providers = packages_distributions()
    found: set[str] = set()
    for text in files.values():
        for name in imported(ast.parse(text)):
            top = name.split(".")[0]
            if top and top not in own and top not in sys.stdlib_module_names:
                dists = {dist.lower().replace("_", "-") for dist in providers.get(top, [top])}
                if not dists & listed:
                    found.add(top)
    return sorted(found)


def test_every_imported_package_is_a_direct_requirement() -> None:
    paths = [path for folder in (SRC, ROOT / "stages", MODELS) for path in folder.rglob("*.py")]
    files = {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}
    pinned = (ROOT / "requirements.txt").read_text()
    studio = pinned + (ROOT / "requirements-studio.txt").read_text()
    lanes = {name: text for name, text in files.items() if "/studio/" not in name}
    assert unpinned(lanes, pinned) == []
    assert unpinned(files, studio) == []


def test_an_unpinned_package_is_found() -> None:
    files = {
        "a.py": "import yaml\nfrom PIL import Image\nimport os, b\n",
        "b.py": "import numpy as np",
    }
    assert unpinned(files, "pyyaml==6\n# pillow\nnumpy\n") == ["PIL"]
    assert unpinned(files, "PyYAML>=6\npillow\nnumpy\n") == []


def test_dvc_sees_what_a_user_adds_to_the_raw_data() -> None:
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        assert not repo.scm.is_ignored("data/raw/")
        assert repo.scm.is_ignored("data/image_prepare/")


# --- what a clone brings with it ------------------------------------------------------------------


@pytest.mark.parametrize("folder", [ROOT, MODELS], ids=["dvc.yaml", "models/dvc.yaml"])
def test_what_the_lock_promises_of_bundled_is_there(folder: Path) -> None:
    found = check_bundled(ROOT / "bundled", promised(folder / "dvc.yaml", "bundled"))
    assert found.level == "ok", found


def in_every_clone(pipeline: Pipeline) -> list[str]:
    """Stages whose outputs are all in git: a fresh clone has them, so `dvc repro` would not run them."""
    return [
        name
        for name, stage in pipeline["stages"].items()
        if all(
            isinstance(out, dict) and all(how.get("cache") is False for how in out.values())
            for kind in ("outs", "metrics", "plots")
            for out in stage.get(kind, [])
        )
    ]


def test_a_clone_has_every_stage_to_run(pipeline: Pipeline) -> None:
    assert in_every_clone(pipeline) == []


def test_a_stage_that_a_clone_would_skip_is_found() -> None:
    table = {"metrics/a.json": {"cache": False}}
    stages = {"a": {"metrics": [table]}, "b": {"outs": ["data/b"], "metrics": [table]}}
    assert in_every_clone({"stages": stages}) == ["a"]
