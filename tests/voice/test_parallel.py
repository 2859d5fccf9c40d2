"""What the base says beside the clips, how it is aligned, and the loss of what is decoded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from likeness.voice.examples import Example
from likeness.voice.parallel import (
    BANDS,
    HOP,
    Parallel,
    align,
    decoded_loss,
    log_mels,
    say_beside,
)
from likeness.voice.xtts import Voice, load_xtts, read_speakers
from tests.voice.sounds import babble
from tests.voice.tiny_xtts import with_stop

RATE = 24000
SETTINGS = {"temperature": 0.8, "top_k": 50, "top_p": 0.9, "repetition_penalty": 2.0}


# --- alignment ------------------------------------------------------------------------------------


def speech(seconds: float = 2.0) -> np.ndarray:
    """The log-mel (BANDS, F) of sounds like speech."""
    waves = torch.from_numpy(babble(seconds, RATE, seed=3)).float()[None]
    return np.asarray(log_mels(RATE, "cpu")(waves)[0])


def test_the_same_is_aligned_frame_by_frame() -> None:
    mel = speech()
    assert (align(mel, mel) == np.arange(mel.shape[1])).all()


def test_a_slower_text_is_found_by_its_sounds() -> None:
    mel = speech()
    slow = np.repeat(mel, 2, axis=1)
    assert np.abs(align(slow, mel) - np.arange(slow.shape[1]) / 2).max() <= 1
    assert np.abs(align(mel, slow) - np.arange(mel.shape[1]) * 2).max() <= 2


def test_another_colour_of_voice_changes_no_alignment() -> None:
    mel = speech()
    tilted = mel + np.linspace(-2, 2, BANDS)[:, None]
    assert (align(tilted, mel) == np.arange(mel.shape[1])).all()


def test_time_never_runs_backwards() -> None:
    mel = speech(3.0)
    found = align(mel[:, 40:], mel[:, ::2])
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() < mel[:, ::2].shape[1]


# --- what the base says ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tiny_xtts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_stop(tiny_xtts, tmp_path_factory.mktemp("tiny") / "base", stop=3.0)


@pytest.fixture(scope="module")
def voice(tiny_xtts: Path) -> Voice:
    return next(iter(read_speakers(tiny_xtts).values()))


def clips(folder: Path) -> list[Example]:
    found = []
    for at, name in enumerate("abcde"):
        path = folder / f"{name}.wav"
        soundfile.write(path, babble(1.0 + 0.3 * at, RATE, seed=at), RATE)
        codes, mel = torch.zeros(9, dtype=torch.long), torch.zeros(80, 36)
        found.append(Example(name, path, [5, 9, 7 + at], codes, mel))
    return found


def said(model: Any, examples: list[Example], voice: Voice) -> dict[str, Parallel]:
    def quiet(rows: Any, title: str, count: int) -> Any:
        return rows

    seeds = [ord(example.id) for example in examples]
    return say_beside(model, examples, seeds, voice=voice, settings=SETTINGS, progress=quiet)


@pytest.mark.slow
def test_each_text_is_said_as_it_is_alone(base: Path, voice: Voice, tmp_path: Path) -> None:
    model, examples = load_xtts(base, "cpu"), clips(tmp_path)
    together = said(model, examples, voice)
    assert together.keys() == set("abcde")
    for example in examples:
        (alone,) = said(model, [example], voice).values()
        assert torch.equal(alone.latents, together[example.id].latents)
        assert torch.equal(alone.mel, together[example.id].mel)


@pytest.mark.slow
def test_there_is_a_frame_of_the_clip_for_each_that_is_decoded(
    base: Path, voice: Voice, tmp_path: Path
) -> None:
    model, examples = load_xtts(base, "cpu"), clips(tmp_path)
    for name, row in said(model, examples, voice).items():
        with torch.inference_mode():
            wave = model.hifigan_decoder(row.latents[None], g=voice.embedding).reshape(1, -1)
        assert row.mel.shape == (BANDS, 1 + wave.shape[1] // HOP)
        own = log_mels(RATE, "cpu")(
            torch.from_numpy(soundfile.read(tmp_path / f"{name}.wav")[0]).float()[None]
        )[0]
        nearest = torch.cdist(row.mel.T, own.T).min(dim=1).values
        assert float(nearest.max()) < 0.05, "each is a frame of the clip"


@pytest.mark.slow
def test_a_text_without_end_is_left_out(tiny_xtts: Path, voice: Voice, tmp_path: Path) -> None:
    endless = with_stop(tiny_xtts, tmp_path / "base", stop=-30.0)
    assert said(load_xtts(endless, "cpu"), clips(tmp_path), voice) == {}


# --- the loss -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def heard(tiny_xtts: Path, voice: Voice) -> tuple[Any, Parallel]:
    """A model, and a clip that sounds as the decoder makes its latents sound."""
    model = load_xtts(tiny_xtts, "cpu")
    states = torch.randn(20, 64, generator=torch.Generator().manual_seed(0)).cumsum(0)
    with torch.inference_mode():
        wave = model.hifigan_decoder(states[None], g=voice.embedding).reshape(1, -1)
        return model, Parallel(states, loud(wave)[0].clone())


def loud(waves: Any) -> Any:
    """Log-mels at a common level, as random weights make quiet sounds."""
    return log_mels(RATE, "cpu")(0.1 * waves / waves.std())


def decoded(
    heard: tuple[Any, Parallel], voice: Voice, row: Parallel, windows: int, longest: int
) -> float:
    rng = np.random.default_rng(0)
    found = decoded_loss(
        heard[0], [row], embedding=voice.embedding, mels=loud, windows=windows,
        longest=longest, rng=rng,
    )  # fmt: skip
    return float(found)


def test_a_clip_that_sounds_as_decoded_has_no_loss(
    heard: tuple[Any, Parallel], voice: Voice
) -> None:
    assert decoded(heard, voice, heard[1], 1, 20) == pytest.approx(0.0, abs=1e-3)


def test_parts_are_compared_with_the_frames_that_they_stand_for(
    heard: tuple[Any, Parallel], voice: Voice
) -> None:
    """Near the ends of a part the decoder does not hear what comes before and after."""
    own = heard[1]
    shifted = Parallel(own.latents, own.mel.roll(12, dims=1))
    assert decoded(heard, voice, own, 9, 12) < 0.8 * decoded(heard, voice, shifted, 9, 12)


def test_parts_are_as_long_as_the_shortest_row_at_most(
    heard: tuple[Any, Parallel], voice: Voice
) -> None:
    short = Parallel(heard[1].latents[:6], heard[1].mel[:, :26])
    assert np.isfinite(decoded(heard, voice, short, 3, 16))
