"""Sounds for tests, made here: speech-like babble that Silero takes for a voice, tones, files."""

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from scipy.signal import lfilter

Array = np.ndarray

# First three formants of five vowels in Hz (Peterson and Barney 1952, men).
VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)


def babble(seconds: float, rate: int = 22050, seed: int = 0) -> Array:
    """(N,) float32: a voice of about 120 Hz that goes from vowel to vowel, five a second."""
    rng = np.random.default_rng(seed)
    pieces: list[Array] = []
    while sum(map(len, pieces)) < seconds * rate:
        n = int(rate * rng.uniform(0.14, 0.26))
        pitch = 120 * 2 ** rng.uniform(-0.3, 0.3) * np.linspace(1, rng.uniform(0.85, 1.15), n)
        phase = np.cumsum(pitch / rate)
        source = np.diff(np.floor(phase), prepend=0.0) - pitch / rate
        source += 0.02 * rng.standard_normal(n)
        for formant in VOWELS[rng.integers(len(VOWELS))]:
            radius = np.exp(-np.pi * 80 / rate)
            source = lfilter(
                [1 - radius],
                [1, -2 * radius * np.cos(2 * np.pi * formant / rate), radius**2],
                source,
            )
        shape = np.sin(np.pi * np.linspace(0, 1, n)) ** 0.5
        hiss = rng.standard_normal(n // 4) * np.hanning(n // 4)
        vowel = source / np.abs(source).max() * shape
        pieces += [vowel, 0.1 * hiss] if rng.random() < 0.5 else [vowel]
    voice = np.concatenate(pieces)[: int(seconds * rate)]
    return (0.3 * voice / np.abs(voice).max()).astype(np.float32)


def tone(seconds: float, rate: int = 22050, frequency: float = 440.0, level: float = 0.3) -> Array:
    """(N,) float32 sine of `level` at its peaks."""
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def silence(seconds: float, rate: int = 22050) -> Array:
    """A quiet room: noise at -80 dB."""
    rng = np.random.default_rng(0)
    return (1e-4 * rng.standard_normal(round(seconds * rate))).astype(np.float32)


def strongest(samples: Array, rate: int) -> float:
    """Frequency in Hz of the largest peak of the spectrum."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def loudness(samples: Array, rate: int) -> float:
    """Integrated loudness in LUFS."""
    from likeness.voice.loudness import LoudnessMeter

    meter = LoudnessMeter(rate)
    meter.add(samples)
    return meter.integrated()


CODECS = {
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "webm": ("webm", "libopus"),
    "ogg": ("ogg", "libopus"),
    "aac": ("adts", "aac"),
    "g722": ("g722", "g722"),
    "adpcm": ("wav", "adpcm_ima_wav"),
}


def file_bytes(samples: Array, rate: int, form: str, channels: int = 1, **options: str) -> bytes:
    """A file of mono samples; `form` is `wav`, `flac` or a key of `CODECS`."""
    import av
    import soundfile

    wide = np.repeat(samples[:, None], channels, axis=1)
    buffer = io.BytesIO()
    if form in ("wav", "flac"):
        soundfile.write(buffer, wide, rate, format=form, subtype="PCM_16")
        return buffer.getvalue()
    container_name, codec = CODECS[form]
    layout = "stereo" if channels == 2 else "mono"
    coded_rate = {"libopus": 48000, "g722": 16000}.get(codec, rate)
    with NamedTemporaryFile() as file:  # not a buffer: faststart reads what was written
        with av.open(file.name, "w", format=container_name, options=options) as container:
            stream = container.add_stream(codec, rate=coded_rate, layout=layout)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(wide.reshape(1, -1)), format="flt", layout=layout
            )
            frame.sample_rate = rate
            context = stream.codec_context
            context.open(strict=False)
            fitting = av.AudioResampler(
                format=context.format, layout=layout, rate=coded_rate, frame_size=context.frame_size
            )
            for part in [*fitting.resample(frame), *fitting.resample(None)]:
                part.pts = None
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        return Path(file.name).read_bytes()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def film_bytes(
    tracks: Sequence[Array], rate: int, form: str, pause: float = 0, default: int = 0
) -> bytes:
    """A file of several audio tracks; the second half of each comes `pause` seconds late.

    `form` is a key of `CODECS`, or `mka`; `default` is the track that is marked so.
    """
    import av

    container_name, codec = {"mka": ("matroska", "aac"), **CODECS}[form]
    with NamedTemporaryFile() as file:
        with av.open(file.name, "w", format=container_name) as container:
            streams = [container.add_stream(codec, rate=rate, layout="mono") for _ in tracks]
            for at, stream in enumerate(streams):
                stream.disposition = av.stream.Disposition.default if at == default else 0
                stream.metadata["title"] = f"track {at}"
            for stream, samples in zip(streams, tracks, strict=True):
                stream.codec_context.open(strict=False)
                size = stream.codec_context.frame_size
                half = len(samples) // 2 // size * size
                for at in range(0, len(samples) - size + 1, size):
                    frame = av.AudioFrame.from_ndarray(
                        samples[None, at : at + size].astype(np.float32), "fltp", "mono"
                    )
                    frame.sample_rate = rate
                    if codec == "libopus":
                        frame = av.AudioResampler("flt", "mono").resample(frame)[0]
                    frame.time_base = Fraction(1, rate)
                    frame.pts = at + (round(pause * rate) if at >= half else 0)
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
        return Path(file.name).read_bytes()
