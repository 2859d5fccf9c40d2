"""Recordings open whatever their form, and what is broken is told apart."""

from pathlib import Path

import numpy as np
import pytest

from likeness.voice.audio import encode, read, resample
from likeness.voice.decode import UnreadableAudio, decode
from likeness.voice.vad import integrated_loudness
from tests.conftest import encoded, square
from tests.voice.sounds import file_bytes, silence, tone, write

FORMS = {
    "wav": ("wav", "pcm_s16le", 44100),
    "flac": ("flac", "flac", 44100),
    "mp3": ("mp3", "mp3float", 44100),
    "m4a": ("mov,mp4,m4a,3gp,3g2,mj2", "aac", 44100),
    "aac": ("aac", "aac", 44100),
    "webm": ("matroska,webm", "opus", 48000),
    "ogg": ("ogg", "opus", 48000),
    "g722": ("g722", "g722", 16000),
}


def strongest(samples: np.ndarray, rate: int) -> float:
    """Frequency in Hz of the largest peak of the spectrum."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_opens(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / f"a.{form}", file_bytes(tone(3.0, 44100), 44100, form))
    found = decode(path, 22050)
    container, codec, rate = FORMS[form]
    assert (found.container, found.codec) == (container, codec)
    assert (found.source_rate, found.source_channels) == (rate, 1)
    assert found.samples.dtype == np.float32
    assert len(found.samples) / 22050 == pytest.approx(3.0, abs=0.1)
    assert strongest(found.samples, 22050) == pytest.approx(440, abs=1)
    assert np.abs(found.samples[5000:-5000]).max() == pytest.approx(0.3, abs=0.03)


def test_channels_are_averaged(tmp_path: Path) -> None:
    import soundfile

    left, right = tone(1.0, 8000, 440), tone(1.0, 8000, 1000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 8000)
    found = decode(tmp_path / "a.wav", 8000)
    assert found.source_channels == 2
    np.testing.assert_allclose(found.samples, (left + right) / 2, atol=1e-3)


def test_decoding_gives_the_same_samples_each_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", file_bytes(tone(2.0, 44100), 44100, "mp3", channels=2))
    np.testing.assert_array_equal(decode(path, 22050).samples, decode(path, 22050).samples)


def reason(path: Path) -> str:
    with pytest.raises(UnreadableAudio) as caught:
        decode(path, 22050)
    assert str(caught.value).startswith(caught.value.reason)
    return caught.value.reason


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "m4a", "webm", "aac"])
def test_a_file_that_ends_early_is_truncated(tmp_path: Path, form: str, share: float) -> None:
    rng = np.random.default_rng(0)
    noise = tone(8.0, 44100) + 0.05 * rng.standard_normal(8 * 44100).astype(np.float32)
    data = file_bytes(noise, 44100, form)
    assert reason(write(tmp_path / f"a.{form}", data[: int(share * len(data))])) == "truncated"


def test_an_mp4_with_its_index_in_front_is_truncated_too(tmp_path: Path) -> None:
    data = file_bytes(tone(5.0, 44100), 44100, "m4a", movflags="faststart")
    assert decode(write(tmp_path / "a.m4a", data), 8000).samples.size > 0
    assert reason(write(tmp_path / "b.m4a", data[: len(data) // 2])) == "truncated"


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.flac", "notes.txt"])
def test_a_text_is_not_audio_whatever_its_name(tmp_path: Path, name: str) -> None:
    assert reason(write(tmp_path / name, b"Notes of the session, take two.\n" * 30)) == "not_audio"


def test_what_holds_no_sound_is_not_audio(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    assert reason(write(tmp_path / "a.wav", encoded(square(), "PNG"))) == "not_audio"
    assert reason(write(tmp_path / "b.wav", rng.bytes(20000))) == "not_audio"
    assert reason(write(tmp_path / "c.json", b'{"a": 1}\n')) == "not_audio"


def test_an_empty_file_is_called_so(tmp_path: Path) -> None:
    assert reason(write(tmp_path / "a.wav", b"")) == "empty_file"


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_written_to_a_pipe_is_whole(tmp_path: Path, size: int) -> None:
    data = bytearray(file_bytes(tone(2.0, 8000), 8000, "wav"))
    at = data.index(b"data") + 4
    data[at : at + 4] = size.to_bytes(4, "little")
    found = decode(write(tmp_path / "a.wav", bytes(data)), 8000)
    assert len(found.samples) == 16000


def test_a_wav_s_notes_are_not_taken_for_its_header(tmp_path: Path) -> None:
    data = file_bytes(tone(2.0, 8000), 8000, "wav")
    notes = b"our data in a note."
    chunk = b"LIST" + len(notes).to_bytes(4, "little") + notes + b"\0"  # padded to even
    at = data.index(b"data")
    found = decode(write(tmp_path / "a.wav", data[:at] + chunk + data[at:]), 8000)
    assert len(found.samples) == 16000


def test_loudness_is_the_standard_s() -> None:
    # BS.1770: a full-scale sine of 997 Hz in one channel reads -3.01.
    assert integrated_loudness(tone(5.0, 48000, 997, 1.0), 48000) == pytest.approx(-3.01, abs=0.05)
    quiet = integrated_loudness(tone(5.0, 22050, 997, 0.1), 22050)
    assert quiet == pytest.approx(-23.01, abs=0.1)


def test_silence_and_the_very_short_have_no_loudness() -> None:
    assert integrated_loudness(np.zeros(22050, np.float32), 22050) == -np.inf
    assert integrated_loudness(tone(0.3), 22050) == -np.inf


@pytest.mark.parametrize("form", ["FLAC", "WAV"])
def test_what_is_written_is_read_back(form: str) -> None:
    samples = tone(1.0) + silence(1.0)
    data = encode(samples, 22050, form)  # type: ignore[arg-type]
    assert data == encode(samples, 22050, form)  # type: ignore[arg-type]
    back, rate = read(data)
    assert rate == 22050
    np.testing.assert_allclose(back, samples, atol=0.6 / 32768)
    assert encode(back, rate, form) == data  # type: ignore[arg-type]


def test_samples_over_full_scale_are_cut_not_wrapped() -> None:
    back, _ = read(encode(np.array([1.5, -1.5, 0.0], np.float32), 8000, "WAV"))
    np.testing.assert_allclose(back, [32767 / 32768, -1.0, 0.0])


def test_a_part_is_read_by_its_seconds(tmp_path: Path) -> None:
    samples = tone(3.0)
    path = write(tmp_path / "a.flac", encode(samples, 22050, "FLAC"))
    part, _ = read(path, 1.0, 2.5)
    np.testing.assert_allclose(part, samples[22050 : round(2.5 * 22050)], atol=1e-4)
    assert len(read(path, 2.5, 9.0)[0]) == round(0.5 * 22050)


def test_resampling_keeps_pitch_and_length() -> None:
    found = resample(tone(2.0, 22050), 22050, 16000)
    assert len(found) == 32000
    assert strongest(found, 16000) == pytest.approx(440, abs=1)
