"""Recordings open whatever their form, and what is broken is told apart."""

from pathlib import Path

import numpy as np
import pytest

from likeness.common.result import Rejected
from likeness.voice.decode import Decoding, Source, examine
from tests.conftest import encoded, square
from tests.voice.sounds import file_bytes, film_bytes, strongest, tone, write

Array = np.ndarray

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


def heard(path: Path, rate: int) -> tuple[Source, Array]:
    """What is found in a recording, and its samples."""
    found = examine(path, rate)
    return found, np.concatenate(list(Decoding(path, rate, found.channel)))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_opens(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / f"a.{form}", file_bytes(tone(3.0, 44100), 44100, form))
    found, samples = heard(path, 22050)
    container, codec, rate = FORMS[form]
    assert (found.container, found.codec) == (container, codec)
    assert (found.source_rate, found.source_channels) == (rate, 1)
    assert samples.dtype == np.float32
    assert len(samples) / 22050 == found.seconds == pytest.approx(3.0, abs=0.1)
    assert strongest(samples, 22050) == pytest.approx(440, abs=1)
    assert np.abs(samples[5000:-5000]).max() == pytest.approx(0.3, abs=0.03)


def test_channels_are_averaged(tmp_path: Path) -> None:
    import soundfile

    left, right = tone(1.0, 8000, 440), tone(1.0, 8000, 1000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 8000)
    found, samples = heard(tmp_path / "a.wav", 8000)
    assert (found.source_channels, found.channel) == (2, None)
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-3)


def test_decoding_gives_the_same_samples_each_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", file_bytes(tone(2.0, 44100), 44100, "mp3", channels=2))
    np.testing.assert_array_equal(heard(path, 22050)[1], heard(path, 22050)[1])


def reason(path: Path) -> str:
    with pytest.raises(Rejected) as caught:
        examine(path, 22050)
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
    assert examine(write(tmp_path / "a.m4a", data), 8000).seconds > 4.9
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
    assert examine(write(tmp_path / "a.wav", bytes(data)), 8000).seconds == 2.0


def test_a_wav_s_notes_are_not_taken_for_its_header(tmp_path: Path) -> None:
    data = file_bytes(tone(2.0, 8000), 8000, "wav")
    notes = b"our data in a note."
    chunk = b"LIST" + len(notes).to_bytes(4, "little") + notes + b"\0"  # padded to even
    at = data.index(b"data")
    found = examine(write(tmp_path / "a.wav", data[:at] + chunk + data[at:]), 8000)
    assert found.seconds == 2.0


# --- whole, whatever the header or the end say ----------------------------------------------------

APE = b"APETAGEX" + bytes([0xD0, 7, 0, 0, 60, 0, 0, 0, 1]) + bytes(15)
LYRICS = b"LYRICSBEGIN" + b"IND0000200" + b"la la " * 500 + b"003021LYRICS200"
ENDS = {
    "apev2": b"\x08\0\0\0\0\0\0\0REPLAYGAIN_TRACK_GAIN\0-3.21 dB" + APE,
    "apev2 with a header": APE + b"\x04\0\0\0\0\0\0\0Year\0" + b"1999" + APE,
    "lyrics3": LYRICS,
    "lyrics3 and id3v1": LYRICS + b"TAG" + b"x" * 125,
    "id3v1": b"TAG" + b"x" * 125,
    "few zeros": bytes(300),
    "many zeros": bytes(50000),
}


@pytest.mark.parametrize("header", ["1", "0"])
@pytest.mark.parametrize("end", ENDS)
def test_what_stands_after_an_mp3_s_last_frame_is_no_cut(
    tmp_path: Path, end: str, header: str
) -> None:
    data = file_bytes(tone(3.0, 44100), 44100, "mp3", write_xing=header)
    found = examine(write(tmp_path / "a.mp3", data + ENDS[end]), 22050)
    assert found.seconds == pytest.approx(3.0, abs=0.1)
    if header == "1":
        assert reason(write(tmp_path / "b.mp3", data[: len(data) // 2] + ENDS[end])) == "truncated"


def test_a_word_of_a_title_is_not_taken_for_an_mp3_s_header(tmp_path: Path) -> None:
    data = file_bytes(tone(3.0, 44100), 44100, "mp3", write_xing="0", id3v2_version="0")
    text = b"\x03Info and Xing\xff\xff\xff\xff\xff\xff\xff\xff"
    frame = b"TIT2" + len(text).to_bytes(4, "big") + b"\0\0" + text
    tag = b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame
    assert examine(write(tmp_path / "a.mp3", tag + data), 22050).seconds > 2.9


@pytest.mark.parametrize("byte_rate", [1, 44100, 10**9])
def test_a_wrong_byte_rate_in_a_wav_changes_nothing(tmp_path: Path, byte_rate: int) -> None:
    data = bytearray(file_bytes(tone(3.0, 8000), 8000, "wav"))
    at = data.index(b"fmt ") + 16
    data[at : at + 4] = byte_rate.to_bytes(4, "little")
    assert examine(write(tmp_path / "a.wav", bytes(data)), 8000).seconds == 3.0
    assert reason(write(tmp_path / "b.wav", bytes(data[:-9000]))) == "truncated"


def test_adpcm_is_whole_or_truncated_by_its_bytes(tmp_path: Path) -> None:
    data = file_bytes(tone(20.0, 44100), 44100, "adpcm")
    found = examine(write(tmp_path / "a.wav", data), 22050)
    assert (found.codec, round(found.seconds)) == ("adpcm_ima_wav", 20)
    assert reason(write(tmp_path / "b.wav", data[: len(data) * 9 // 10])) == "truncated"


def test_a_large_wav_s_size_stands_elsewhere(tmp_path: Path) -> None:
    data = file_bytes(tone(3.0, 8000), 8000, "wav")
    at = data.index(b"data") + 4
    size = len(data) - at - 4
    chunk = b"ds64" + (28).to_bytes(4, "little") + bytes(8) + size.to_bytes(8, "little") + bytes(12)
    large = b"RF64" + b"\xff" * 4 + b"WAVE" + chunk + data[12:at] + b"\xff" * 4 + data[at + 4 :]
    assert examine(write(tmp_path / "a.wav", large), 8000).seconds == 3.0
    assert reason(write(tmp_path / "b.wav", large[:-9000])) == "truncated"


# --- time, tracks and channels --------------------------------------------------------------------


@pytest.mark.parametrize("form", ["webm", "mka", "m4a"])
def test_missing_packets_are_silence_and_no_cut(tmp_path: Path, form: str) -> None:
    data = film_bytes([tone(6.0, 48000)], 48000, form, pause=4.0)
    found, samples = heard(write(tmp_path / f"a.{form}", data), 8000)
    assert found.seconds == pytest.approx(10.0, abs=0.1)
    assert np.abs(samples[round(3.2 * 8000) : round(6.8 * 8000)]).max() < 0.001
    for start in (0.5, 7.5):
        part = samples[round(start * 8000) : round((start + 2) * 8000)]
        assert np.abs(part).max() == pytest.approx(0.3, abs=0.05)
    assert reason(write(tmp_path / f"b.{form}", data[: len(data) * 7 // 10])) == "truncated"


def test_a_clock_that_was_set_is_no_pause(tmp_path: Path) -> None:
    data = film_bytes([tone(4.0, 48000)], 48000, "mka", pause=90000.0)
    assert examine(write(tmp_path / "a.mka", data), 8000).seconds == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("rates", [(44100, 48000), (48000, 44100), (22050, 44100, 16000)])
def test_joined_files_keep_their_pitch_and_length(tmp_path: Path, rates: tuple[int, ...]) -> None:
    parts = [
        file_bytes(tone(3.0, rate), rate, "mp3", channels=1 + at % 2)
        for at, rate in enumerate(rates)
    ]
    found, samples = heard(write(tmp_path / "a.mp3", b"".join(parts)), 22050)
    assert found.seconds == pytest.approx(3.0 * len(rates), abs=0.1 * len(rates))
    for at in range(len(rates)):
        middle = samples[round((at * 3 + 1) * 22050) : round((at * 3 + 2) * 22050)]
        assert strongest(middle, 22050) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("default", [0, 1, 2])
def test_the_default_track_is_taken_and_the_others_are_named(tmp_path: Path, default: int) -> None:
    tracks = [tone(3.0, 48000, 300.0 * (1 + at)) for at in range(3)]
    data = film_bytes(tracks, 48000, "mka", default=default)
    found, samples = heard(write(tmp_path / "a.mka", data), 22050)
    assert strongest(samples, 22050) == pytest.approx(300 * (1 + default), abs=2)
    others = [f"{at}: aac, track {at}" for at in range(3) if at != default]
    assert found.other_tracks == others


@pytest.mark.parametrize("form", ["mka", "m4a"])
@pytest.mark.parametrize("seconds", [(2.0, 6.0), (6.0, 2.0)])
def test_tracks_of_several_lengths_are_whole(
    tmp_path: Path, form: str, seconds: tuple[float, ...]
) -> None:
    data = film_bytes([tone(one, 48000) for one in seconds], 48000, form)
    found = examine(write(tmp_path / f"a.{form}", data), 22050)
    assert found.seconds == pytest.approx(seconds[0], abs=0.1)
    assert reason(write(tmp_path / f"b.{form}", data[: len(data) // 4])) == "truncated"


@pytest.mark.parametrize(
    ("mix", "channel"),
    [
        ([1.0, -1.0], 0),
        ([0.9, -1.0], 1),
        ([0.0, 0.0, 1.0, 0.0, 0.0, 0.0], 2),
        ([1.0, 0.0], None),
        ([1.0, 0.5], None),
        ([0.0, 0.0], None),
    ],
)
def test_channels_that_cancel_each_other_are_heard(
    tmp_path: Path, mix: list[float], channel: int | None
) -> None:
    import soundfile

    voice = tone(2.0, 8000)
    soundfile.write(tmp_path / "a.wav", np.stack([share * voice for share in mix], 1), 8000)
    found, samples = heard(tmp_path / "a.wav", 8000)
    assert found.channel == channel
    expected = voice * (np.mean(mix) if channel is None else mix[channel])
    np.testing.assert_allclose(samples, expected, atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_called_so(tmp_path: Path, value: float) -> None:
    import soundfile

    samples = tone(2.0, 8000)
    samples[9000] = value
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(Rejected, match=f"not_finite.*a sample is {value} before [12]"):
        examine(tmp_path / "a.wav", 8000)


def test_nothing_is_held_of_a_long_recording(tmp_path: Path) -> None:
    import tracemalloc

    import soundfile

    soundfile.write(tmp_path / "a.wav", np.tile(tone(60.0, 8000), 4), 8000)
    tracemalloc.start()
    found = examine(tmp_path / "a.wav", 22050)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.seconds == 240.0
    assert peak < 8e6  # as float32 it is 21e6
