"""What is measured is what was added: noise, clipping, silence, loops, another voice."""

import io

import numpy as np
import pytest

from likeness.voice.levels import frame_levels, speech_level
from likeness.voice.quality import (
    bandwidth_hz,
    clipped_share,
    silence_ratio,
    snr_db,
    spread,
)
from likeness.voice.repetition import compression_ratio, repeated_share
from likeness.voice.speaker import centroid
from tests.voice.spoken import RATE, speak

SCRIPT = "One two three four, __ five six seven eight nine. ___ Ten eleven twelve thirteen."


def voice(seed: int = 0) -> np.ndarray:
    """Spoken at a level that changes from word to word, as people do."""
    spoken = speak(SCRIPT, seed=seed, pitch=100 + 20 * seed)
    rng = np.random.default_rng(seed)
    samples = spoken.samples.astype(np.float64)
    for word in spoken.words:
        samples[round(word.start * RATE) : round(word.end * RATE)] *= rng.uniform(0.4, 1.2)
    return samples


def noisy(samples: np.ndarray, snr: float) -> np.ndarray:
    level = speech_level(frame_levels(samples, RATE)) - snr
    rng = np.random.default_rng(1)
    return samples + 10 ** (level / 20) * rng.standard_normal(len(samples))


# --- noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("snr", [5, 10, 15, 20])
def test_snr_is_that_of_the_noise_that_was_added(snr: float) -> None:
    for seed in range(4):
        assert snr_db(noisy(voice(seed), snr), RATE) == pytest.approx(snr, abs=1.5)


def test_clean_speech_is_apart_from_noisy_speech_at_any_level() -> None:
    for seed in range(4):
        assert snr_db(voice(seed), RATE) > 25
        assert snr_db(0.05 * noisy(voice(seed), 12), RATE) < 14


def test_noise_in_one_part_counts() -> None:
    samples = voice()
    half = len(samples) // 2
    partly = np.concatenate([samples, noisy(samples, 10)[:half], samples])
    assert snr_db(samples, RATE) > 25
    assert snr_db(partly, RATE) < 16


def test_silence_has_no_signal() -> None:
    assert snr_db(np.zeros(RATE), RATE) < 0


# --- silence --------------------------------------------------------------------------------------


def test_silence_is_a_share_of_the_clip() -> None:
    samples = voice()
    level = speech_level(frame_levels(samples, RATE))
    before = silence_ratio(samples, RATE, level)
    padded = np.concatenate([samples, np.zeros(len(samples))])
    assert silence_ratio(padded, RATE, level) == pytest.approx((1 + before) / 2, abs=0.02)


def test_speech_far_below_its_recording_is_silence() -> None:
    samples = voice()
    level = speech_level(frame_levels(samples, RATE))
    assert silence_ratio(samples, RATE, level) < 0.3
    assert silence_ratio(0.01 * samples, RATE, level) > 0.95


# --- clipping -------------------------------------------------------------------------------------


def clipped(samples: np.ndarray, db: float) -> np.ndarray:
    top = np.abs(samples).max() * 10 ** (-db / 20)
    return samples.clip(-top, top)


@pytest.mark.parametrize("db", [6, 12])
@pytest.mark.parametrize("after", ["nothing", "gain", "resampling", "mp3"])
def test_clipping_is_seen_whatever_was_done_after_it(db: float, after: str) -> None:
    import soundfile
    import soxr

    samples = clipped(voice(), db)
    if after == "gain":
        samples = 0.3 * samples
    if after == "resampling":
        samples = soxr.resample(clipped(soxr.resample(voice(), RATE, 44100), db), 44100, RATE)
    if after == "mp3":
        buffer = io.BytesIO()
        soundfile.write(buffer, samples / np.abs(samples).max() * 0.9, RATE, format="MP3")
        buffer.seek(0)
        samples, _ = soundfile.read(buffer)
    assert clipped_share(samples, RATE) > 2 * clipped_share(voice(), RATE)
    assert clipped_share(samples, RATE) > 0.025


def test_clipping_in_one_part_counts() -> None:
    partly = np.concatenate([voice(1), clipped(voice(), 12), voice(2)])
    assert clipped_share(partly, RATE) > 0.05


def test_more_clipping_is_a_larger_share() -> None:
    shares = [clipped_share(clipped(voice(), db), RATE) for db in (0, 3, 6, 12, 20)]
    assert shares == sorted(shares)
    assert clipped_share(np.zeros(100), RATE) == 0


# --- bandwidth ------------------------------------------------------------------------------------


def hissing(rate: int) -> np.ndarray:
    """A buzz with a hiss of 0.1 s every second, as of an s."""
    rng = np.random.default_rng(0)
    time = np.arange(4 * rate) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    return 0.1 * buzz + 0.05 * rng.standard_normal(len(time)) * (time % 1 < 0.1)


@pytest.mark.parametrize(("through", "heard"), [(8000, 4000), (16000, 8000), (22050, 11025)])
def test_bandwidth_is_what_a_recording_went_through(through: int, heard: int) -> None:
    import soxr

    samples = soxr.resample(hissing(through), through, 22050)
    assert bandwidth_hz(samples, 22050) == pytest.approx(heard, rel=0.1)
    assert bandwidth_hz(1e-3 * samples, 22050) == bandwidth_hz(samples, 22050)


# --- repetition -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("eu não... eu não... eu não... eu não", 1.0),
        ("no no no no", 1.0),
        ("It is a shirt, it is a shirt, it is a shirt of cotton.", 12 / 14),
        ("This red shirt is made of cotton and has long sleeves.", 0.0),
        ("size six, size seven, and a size eight", 0.0),
        ("very very good", 0.0),
        ("one", 0.0),
        ("", 0.0),
    ],
)
def test_repeated_phrases_are_counted(text: str, share: float) -> None:
    assert repeated_share(text) == pytest.approx(share)


def test_a_loop_compresses_well() -> None:
    assert compression_ratio("eu não " * 30) > 2.4
    assert compression_ratio("This red shirt is made of cotton and has long sleeves.") < 1.5


# --- speakers -------------------------------------------------------------------------------------


def around(centre: np.ndarray, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = centre + 0.05 * rng.standard_normal((count, len(centre)))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_centre_is_the_majority_s() -> None:
    one, other = np.eye(16)[0], np.eye(16)[1]
    vectors = np.concatenate([around(one, 12, 0), around(other, 6, 1)])
    found = centroid(vectors)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert found @ one > 0.98
    assert (1 - vectors[:12] @ found).max() < 0.1
    assert (1 - vectors[12:] @ found).min() > 0.7
    assert centroid(vectors[:1]) == pytest.approx(vectors[0])


def test_the_spread_is_the_largest_distance() -> None:
    vectors = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    assert spread(vectors) == pytest.approx(1)
    assert spread(vectors[:2]) == pytest.approx(0.2)
    assert spread(vectors[:1]) == pytest.approx(0)
