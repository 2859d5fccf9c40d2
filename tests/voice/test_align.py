"""Two readings of a text are brought to one time."""

import numpy as np

from likeness.voice.align import Level, align, features, level, stretched

RNG = np.random.default_rng(3)


def mel(frames: int, seed: int = 0) -> np.ndarray:
    """(80, T) with slow changes, as speech has."""
    rng = np.random.default_rng(seed)
    knots = rng.normal(size=(80, frames // 5 + 2))
    at = np.arange(frames) / 5
    return np.stack([np.interp(at, np.arange(knots.shape[1]), row) for row in knots])


def warped(count: int) -> np.ndarray:
    """Places in `count` frames: slow first, fast later, at most 1.6 frames a step."""
    share = np.linspace(0, 1, count)
    return (count - 1) * (0.4 * share + 0.6 * share**2)


def test_a_reading_finds_its_own_moments_again_at_another_speed_and_in_another_spectrum() -> None:
    clip = mel(120)
    places = warped(120)
    balance = np.linspace(0.5, 2.0, 80)[:, None], np.linspace(-1, 1, 80)[:, None]
    said = balance[0] * stretched(clip, places) + balance[1]
    distance, found, near = align(
        features(said, level(said)), features(clip, level(stretched(clip, places)))
    )
    assert np.abs(found - places).mean() < 1.0
    assert np.all(np.diff(found) >= 0)
    assert found[0] < 1
    assert found[-1] > 118
    assert len(near) == 120
    other = mel(120, seed=1)
    assert distance < 0.5 * align(features(said, level(said)), features(other, level(other)))[0]


def test_a_voice_that_never_changes_has_finite_features() -> None:
    flat = np.zeros((80, 10), np.float32)
    assert np.isfinite(features(flat, level(flat))).all()


def test_features_are_in_deviations_of_the_voice() -> None:
    clip = mel(30)
    voice = level(clip)
    louder = Level(3 * voice.mean + 2, 3 * voice.std)
    assert np.allclose(features(clip, voice), features(3 * clip + 2, louder))
    assert features(clip, voice).shape == (30, 40)


def test_between_two_frames_lies_their_mean() -> None:
    clip = RNG.normal(size=(80, 4))
    found = stretched(clip, np.array([0.0, 0.5, 3.0]))
    assert np.allclose(found, np.stack([clip[:, 0], clip[:, :2].mean(axis=1), clip[:, 3]], axis=1))


def test_distances_are_largest_where_one_reading_says_something_else() -> None:
    clip = mel(100)
    said = clip.copy()
    said[:, 40:60] = mel(20, seed=5)
    voice = level(clip)
    _, _, near = align(features(said, voice), features(clip, voice))
    assert near[40:60].mean() > 3 * np.concatenate([near[:35], near[65:]]).mean()
