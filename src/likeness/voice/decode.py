"""Recordings as they come, in any format that FFmpeg reads, opened as mono samples at one rate."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av.container import InputContainer

Array = np.ndarray

# A file that begins with one of these and does not open lost its end (MP4 keeps its index there).
SIGNATURES = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3", b"\x1aE\xdf\xa3")
# Containers that declare how long they are; of others the duration is a guess by bit rate.
DECLARING = ("flac", "wav", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "aiff", "w64", "caf")
MISSING = 0.25  # seconds that may be missing: codecs delay, pad and round
HEAD = 1 << 20  # bytes in which headers are looked for; a cover picture can stand before them


class UnreadableAudio(ValueError):
    """A file that gives no recording, and what was found.

    The reason is `empty_file`, `not_audio` or `truncated`.
    """

    def __init__(self, reason: str, value: object) -> None:
        super().__init__(f"{reason}: {value}")
        self.reason, self.value = reason, value


@dataclass(frozen=True)
class Decoded:
    """A recording as mono samples.

    Attributes:
        samples: (N,) float32; 1 is full scale, and lossy codecs may go over it.
        container, codec: FFmpeg's names of the original's.
        source_rate, source_channels: of the original.
    """

    samples: Array
    container: str
    codec: str
    source_rate: int
    source_channels: int


def decode(path: Path, rate: int) -> Decoded:
    """The first audio stream of any file that FFmpeg reads, its channels averaged, at `rate` Hz.

    What is decoded is checked against the length that the file declares, as decoders pass over a
    missing end in silence. Formats that declare none (raw G.722, MP3 without a header) can only be
    found truncated where the end breaks a frame.

    Raises:
        UnreadableAudio: the file is empty, holds no audio, or ends early.
    """
    import av

    size = path.stat().st_size
    if not size:
        raise UnreadableAudio("empty_file", "0 bytes")
    with path.open("rb") as file:
        head = file.read(HEAD)
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except (av.FFmpegError, ValueError) as error:
        reason = "truncated" if _signed(head) else "not_audio"
        raise UnreadableAudio(reason, f"{size} bytes that do not open") from error
    with container:
        if not container.streams.audio:
            kinds = sorted({stream.type for stream in container.streams})
            raise UnreadableAudio("not_audio", f"{container.format.name}: {', '.join(kinds)}")
        try:
            return _decode(container, head, rate)
        except av.FFmpegError as error:
            raise UnreadableAudio("truncated", str(error.strerror)) from error


def _decode(container: "InputContainer", head: bytes, rate: int) -> Decoded:
    import av
    import soxr

    stream = container.streams.audio[0]
    declared = _declared_seconds(container, head)
    planar = av.AudioResampler(format="fltp")
    pieces: list[Array] = []
    resampler: soxr.ResampleStream | None = None
    source_rate, channels, read = 0, 0, 0
    broken_end = False
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:  # a frame in the middle may be damaged; the last is a cut
            broken_end = True
            continue
        if packet.size:  # an empty one at the end only asks for what the decoder kept back
            broken_end = False
        for frame in frames:
            frame.pts = None  # a stream's own times may jump; its samples follow each other
            for part in planar.resample(frame):
                if resampler is None:
                    # Not the stream's: HE-AAC doubles its rate when the first frame is decoded.
                    source_rate, channels = part.sample_rate, part.layout.nb_channels
                    resampler = soxr.ResampleStream(source_rate, rate, 1, dtype="float32")
                mono = part.to_ndarray().mean(axis=0, dtype=np.float32)
                read += len(mono)
                pieces.append(resampler.resample_chunk(mono))
    if resampler is None:
        reason = "truncated" if _signed(head) else "not_audio"
        raise UnreadableAudio(reason, f"{container.format.name} without a frame that decodes")
    seconds = read / source_rate
    if declared is not None and seconds < declared - MISSING:
        raise UnreadableAudio("truncated", f"{seconds:.2f} of {declared:.2f} seconds")
    if broken_end:
        raise UnreadableAudio("truncated", f"{seconds:.2f} seconds, then a broken frame")
    pieces.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    return Decoded(
        samples=np.concatenate(pieces),
        container=container.format.name,
        codec=stream.codec_context.name,
        source_rate=source_rate,
        source_channels=channels,
    )


def _signed(head: bytes) -> bool:
    return head.startswith(SIGNATURES) or head[4:8] == b"ftyp"


def _declared_seconds(container: "InputContainer", head: bytes) -> float | None:
    """The length that the file's header gives for its audio, or None where it gives none."""
    form, stream = container.format.name, container.streams.audio[0]
    if form == "wav":
        return _wav_seconds(head)
    if form == "mp3" and not any(tag in head for tag in (b"Xing", b"Info", b"VBRI")):
        return None
    if form != "mp3" and form not in DECLARING:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1_000_000
    return None


def _wav_seconds(head: bytes) -> float | None:
    """From the sizes that a WAV declares; FFmpeg puts the file's own in their place."""
    sizes: dict[bytes, int] = {}
    at, bytes_per_second = 12, 0
    while at + 8 <= len(head) and b"data" not in sizes:
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"fmt ":
            bytes_per_second = int.from_bytes(head[at + 16 : at + 20], "little")
        sizes[name] = size
        at += 8 + size + size % 2
    size = sizes.get(b"data", 0)
    # What is written to a pipe has no size yet: 0, or about the largest of 31 or 32 bits.
    streamed = not size or size > 0xFFFF0000 or 0x7FFF0000 < size < 0x80000000
    return None if streamed or not bytes_per_second else size / bytes_per_second
