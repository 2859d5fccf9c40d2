"""What benchmarks name of the pipeline is there, as nothing runs them in between."""

import importlib.util
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from likeness.repository.dvc import flat
from tests.conftest import ROOT, absent, library_env

FIRST_CONTACT = ROOT / "benchmarks" / "gpu_first_contact"


@pytest.fixture(scope="module")
def first_contact() -> ModuleType:
    spec = importlib.util.spec_from_file_location("first_contact", FIRST_CONTACT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def test_the_params_of_the_first_contact_with_a_gpu_exist(first_contact: ModuleType) -> None:
    known = set(flat(yaml.safe_load((ROOT / "params.yaml").read_text())))
    for name in ("FEW", "SD15", "XTTS", "DRY"):
        wanted = set(getattr(first_contact, name))
        assert wanted
        assert wanted <= known, name


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    sorted(ROOT.glob("benchmarks/*.py")) + sorted(FIRST_CONTACT.glob("*.py")),
    ids=lambda path: path.stem,
)
def test_a_benchmark_s_imports_are_there(script: Path) -> None:
    if script.name == "counting.py":
        pytest.skip("a module, not a script")
    needed = {"studio_load": "locust", "studio_pages": "playwright"}.get(script.stem)
    if needed and find_spec(needed) is None:
        absent(f"{needed} is not here; `make studio` installs it")
    done = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, env=library_env()
    )
    assert done.returncode == 0, done.stderr
