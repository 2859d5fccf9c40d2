"""What the tests of the models share."""

from pathlib import Path

import pytest

from tests.conftest import absent

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Path:
    """The folder of a base model that the test names with `indirect`."""
    folder = MODELS / request.param
    if not (folder / "README.md").is_file():
        absent(f"models/{request.param} is not here; `make repro` fetches it")
    return folder
