"""What the tests of the models share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likeness.common.params import load_params
from likeness.voice.codes import build_dvae
from likeness.voice.phonemes import phonemes
from models.settings import ROOT, SCHEMA, SdMini, XttsMini
from models.spoken import CODE, RATE, Corpus, arrange
from models.xtts_nets import CODES, build_decoder, build_tokenizer, build_xtts
from tests.conftest import absent
from tests.models.tiny import noisy

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture(autouse=True)
def _muon_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's Muon computes in bfloat16, which takes ten times as long on a CPU without its units."""
    monkeypatch.setattr("torch.Tensor.bfloat16", torch.Tensor.float)


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Path:
    """The folder of a base model that the test names with `indirect`."""
    folder = MODELS / request.param
    if not (folder / "README.md").is_file():
        absent(f"models/{request.param} is not here; `make repro` fetches it")
    return folder


# --- sd_mini --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cfg() -> SdMini:
    return load_params(ROOT / "models" / "params.yaml", SCHEMA, SdMini)


# --- xtts_mini ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def real_mini() -> XttsMini:
    """The params of xtts_mini as they are trained with."""
    return load_params(ROOT / "models" / "params.yaml", SCHEMA, XttsMini)


@pytest.fixture(scope="session")
def mini(real_mini: XttsMini) -> XttsMini:
    """The params of xtts_mini, at sizes that train in seconds and save every step."""
    sections = {
        "speech": {"voices": real_mini.speech.voices[:2], "blends": 1},
        "dvae": {"hidden": 16, "codebook": 8, "window": 16, "batch": 8},
        "speakers": {"filters": [8, 8, 8, 16], "batch": 8, "seconds": 0.6},
        "gpt": {"layers": 1, "width": 64, "heads": 4, "batch": 4, "reference_seconds": [0.5, 0.8]},
        "decoder": {"width": 32, "window": 6, "batch": 2},
    }
    changed = {
        name: getattr(real_mini, name).model_copy(update=update)
        for name, update in sections.items()
    }
    return real_mini.model_copy(update={**changed, "save_seconds": 0})


@pytest.fixture(scope="session")
def corpus(mini: XttsMini) -> Corpus:
    """Twelve short utterances of two voices: hums with harmonics, higher for the second voice."""
    rng = np.random.default_rng(0)
    pairs = []
    for at in range(12):
        seconds = np.arange(round(rng.uniform(0.5, 0.9) * RATE)) / RATE
        tones = [np.sin(2 * np.pi * (120 + 90 * (at % 2)) * k * seconds) / k for k in range(1, 20)]
        hum = np.sum(tones, axis=0) * (1 + np.sin(20 * seconds)) + rng.normal(size=len(seconds)) / 9
        pairs.append(arrange((2000 * hum).astype(np.int16)))
    inputs, waves = zip(*pairs, strict=True)
    things = ["jacket", "shirt", "scarf", "belt", "watch", "blouse"]
    texts = [phonemes(f"A {colour} {thing}.") for colour in ("red", "green") for thing in things]
    ends = [
        np.linspace(0, len(wave) / RATE, len(text) + 1)[1:]
        for text, wave in zip(texts, waves, strict=True)
    ]
    voices = list(mini.speech.voices)
    return Corpus(texts, np.arange(12) % 2, voices, ends, list(inputs), list(waves))


@pytest.fixture(scope="session")
def codes(corpus: Corpus) -> list[torch.Tensor]:
    """Random codes, as many as each utterance has."""
    rng = torch.Generator().manual_seed(0)
    return [torch.randint(CODES, (len(x) // CODE,), generator=rng) for x in corpus.inputs]


@pytest.fixture(scope="session")
def tokenizer(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build_tokenizer(corpus.texts, tmp_path_factory.mktemp("tokenizer") / "vocab.json")


@pytest.fixture(scope="module")
def gpt(mini: XttsMini, tokenizer: Any) -> Any:
    return build_xtts(mini, tokenizer).gpt.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def decoder(mini: XttsMini) -> Any:
    torch.manual_seed(0)
    return noisy(build_decoder(mini))


@pytest.fixture(scope="module")
def dvae(mini: XttsMini) -> Any:
    torch.manual_seed(0)
    return build_dvae(CODES, mini.dvae.hidden, mini.dvae.codebook).eval().requires_grad_(False)
