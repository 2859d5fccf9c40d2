"""Decodes recordings in any format that FFmpeg reads to mono samples at one sample rate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.common.result import Rejected
from likeness.voice.loudness import LoudnessMeter

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

Array = np.ndarray

# A file that begins with one of these but does not open was cut short: MP4 has its index at the end.
SIGNATURES = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3", b"\x1aE\xdf\xa3")
MATROSKA = "matroska,webm"
# Containers that declare the length of a track; for others FFmpeg estimates it from the bit rate.
DECLARING = ("flac", "mov,mp4,m4a,3gp,3g2,mj2", "aiff", "w64", "caf")
# Containers whose packets have time stamps; for others FFmpeg adds up the packets' durations.
TIMED = ("mov,mp4,m4a,3gp,3g2,mj2", MATROSKA, "ogg", "mpegts", "asf")
MISSING = 0.25  # seconds that may be missing without an error: codecs delay, pad and round
LONGEST_PAUSE = 3600.0  # seconds; a larger jump of the time stamps means that a clock was set
CANCELLED = 0.05  # least share of the loudest channel's power that the average must keep
HEAD = 1 << 20  # bytes searched for headers, which may follow a cover picture


@dataclass(frozen=True)
class Source:
    """The properties of a recording, measured in one pass over it.

    Attributes:
        container, codec: FFmpeg's names for those of the original file.
        source_rate, source_channels: of the original's first frame; the rate is in Hz.
        other_tracks: the audio tracks that are not used: number, codec, language and title.
        channel: the one channel used if averaging cancels the loudest channel; otherwise None.
        seconds: length of the decoded audio.
        loudness: integrated, in LUFS (ITU-R BS.1770-4); -inf for silence and for less than 0.4 s.
        peak: the largest absolute sample.
    """

    container: str
    codec: str
    source_rate: int
    source_channels: int
    other_tracks: list[str]
    channel: int | None
    seconds: float
    loudness: float
    peak: float


def examine(path: Path, rate: int, channel: int | None = None) -> Source:
    """Decode a recording and measure it, without keeping its samples.

    The decoded length is compared with the length that the file declares, because decoders do not
    report a missing end. For formats that declare no length (raw G.722, MP3 without a header) a
    truncation is only found if it breaks a frame.

    Raises:
        Rejected: `empty_file`, `not_audio`, `truncated`, or `not_finite` samples.
    """
    decoding = Decoding(path, rate, channel)
    meter, count, peak = LoudnessMeter(rate), 0, 0.0
    for samples in decoding:
        meter.add(samples)
        count += len(samples)
        peak = max(peak, float(np.abs(samples).max(initial=0)))
    loudest = int(np.argmax(decoding.powers))
    if channel is None and decoding.power < CANCELLED * decoding.powers[loudest]:
        # Channels of opposite phase, or speech in one channel of many.
        return examine(path, rate, loudest)
    return Source(
        container=decoding.container,
        codec=decoding.codec,
        source_rate=decoding.source_rate,
        source_channels=decoding.source_channels,
        other_tracks=decoding.other_tracks,
        channel=channel,
        seconds=count / rate,
        loudness=meter.integrated(),
        peak=peak,
    )


class Decoding:
    """The samples of any file that FFmpeg reads, block by block: (N,) float32, mono, at `rate` Hz.

    The default audio track is used; its channels are averaged, or only `channel` is used. 1 is full
    scale, which lossy codecs may exceed. Time without packets, for example while a caller was muted,
    becomes silence, so that later samples keep their time. Attributes are final after iteration.

    Attributes:
        powers, power: sums of squares, of each channel and of their average.
    """

    container = codec = ""
    source_rate = source_channels = 0
    power = 0.0

    def __init__(self, path: Path, rate: int, channel: int | None = None) -> None:
        self.path, self.rate, self.channel = path, rate, channel
        self.powers = np.zeros(1)
        self.other_tracks: list[str] = []

    def __iter__(self) -> Iterator[Array]:
        import av

        size = self.path.stat().st_size
        if not size:
            raise Rejected("empty_file", "0 bytes")
        with self.path.open("rb") as file:
            head = file.read(HEAD)
        try:
            container = av.open(str(self.path), metadata_errors="ignore")
        except (av.FFmpegError, ValueError) as error:
            reason = "truncated" if _signed(head) else "not_audio"
            raise Rejected(reason, f"{size} bytes that do not open") from error
        with container:
            streams = [one for one in container.streams.audio if one.codec_context]
            if not streams:
                kinds = sorted({stream.type for stream in container.streams})
                raise Rejected("not_audio", f"{container.format.name}: {', '.join(kinds)}")
            default = [one for one in streams if one.disposition & av.stream.Disposition.default]
            stream = [*default, *streams][0]
            self.other_tracks = [_named(one) for one in streams if one is not stream]
            self.container, self.codec = container.format.name, stream.codec_context.name
            try:
                yield from self._samples(container, stream, head, size)
            except av.FFmpegError as error:
                raise Rejected("truncated", str(error.strerror)) from error

    def _samples(
        self, container: "InputContainer", stream: "AudioStream", head: bytes, size: int
    ) -> Iterator[Array]:
        import av
        import soxr

        form: Any = None
        planar: Any = None  # av's converter to planar float32
        resampler: Any = None  # soxr's
        waiting: list[Array] = []  # (C, N) each, all of one format, about a second in all
        read = 0.0  # seconds decoded
        end: float | None = None  # seconds, end of the last frame by its time stamp
        broken, first_byte = False, b""
        last = 0.0  # seconds, end of the last packet of any track
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream is not stream:
                continue
            try:
                frames: Sequence[Any] = packet.decode()
            except av.InvalidDataError:
                # A damaged frame is skipped. As the last packet it means a truncated file, unless it
                # is a tag or padding, which begin with another byte than frames do.
                broken = bytes(packet)[:1] == first_byte
                continue
            if packet.size:  # an empty packet at the end only flushes the decoder
                broken, first_byte = False, bytes(packet)[:1]
            for frame in frames:
                found = (frame.sample_rate, frame.layout.name, frame.format.name)
                if found != form:
                    # Joined files may change rate or channels in the middle. The rate is the frame's:
                    # for HE-AAC, the stream's doubles once the first frame is decoded.
                    if resampler is not None:
                        yield resampler.resample_chunk(self._mono(waiting, read), last=True)
                    form, planar, waiting = found, av.AudioResampler(format="fltp"), []
                    resampler = soxr.ResampleStream(
                        frame.sample_rate, self.rate, 1, dtype="float32"
                    )
                rate, channels = frame.sample_rate, len(frame.layout.channels)
                self.source_rate = self.source_rate or rate
                self.source_channels = self.source_channels or channels
                time = frame.time if self.container in TIMED else None
                pause = 0.0 if time is None or end is None else time - end
                for left in np.arange(pause, 0, -1) if MISSING < pause < LONGEST_PAUSE else ():
                    waiting.append(np.zeros((channels, round(min(left, 1) * rate)), np.float32))
                    read += min(left, 1)
                    yield resampler.resample_chunk(self._mono(waiting, read))
                    waiting = []
                length = frame.samples / rate
                end, read = None if time is None else time + length, read + length
                frame.pts = None  # the converter expects consecutive time stamps
                waiting += [part.to_ndarray() for part in planar.resample(frame)]
                if sum(part.shape[1] for part in waiting) >= rate:
                    yield resampler.resample_chunk(self._mono(waiting, read))
                    waiting = []
        if resampler is None:
            reason = "truncated" if _signed(head) else "not_audio"
            raise Rejected(reason, f"{self.container} without a frame that decodes")
        yield resampler.resample_chunk(self._mono(waiting, read), last=True)
        declared = _declared_seconds(container, stream, head, size, read, self.source_rate)
        if self.container == MATROSKA:
            reached = max(read, last)
        elif end is not None and stream.start_time is not None and stream.time_base is not None:
            reached = max(read, end - float(stream.start_time * stream.time_base))
        else:
            reached = read
        if declared is not None and reached < declared - MISSING:
            raise Rejected("truncated", f"{reached:.2f} of {declared:.2f} seconds")
        if declared is None and broken:
            raise Rejected("truncated", f"{read:.2f} seconds, then a broken frame")

    def _mono(self, parts: Sequence[Array], read: float) -> Array:
        """Mono samples (N,) of parts (C, N) that end at `read` seconds."""
        if not parts:
            return np.empty(0, np.float32)
        channels = np.concatenate(parts, axis=1)
        if not np.isfinite(channels).all():
            value = channels[~np.isfinite(channels)][0]
            raise Rejected("not_finite", f"a sample is {value} before {read:.2f} seconds")
        if len(self.powers) < len(channels):
            self.powers = np.pad(self.powers, (0, len(channels) - len(self.powers)))
        mono: Array = channels.mean(axis=0, dtype=np.float32)
        self.powers[: len(channels)] += np.square(channels, dtype=np.float64).sum(axis=1)
        self.power += float(np.square(mono, dtype=np.float64).sum())
        if self.channel is None:
            return mono
        chosen: Array = channels[min(self.channel, len(channels) - 1)]
        return chosen


def _named(stream: "AudioStream") -> str:
    """A readable description of a track: `1: aac, por, Commentary`."""
    tags = [stream.metadata.get(tag, "") for tag in ("language", "title")]
    return f"{stream.index}: {', '.join([stream.codec_context.name, *filter(None, tags)])}"


def _signed(head: bytes) -> bool:
    return head.startswith(SIGNATURES) or head[4:8] == b"ftyp"


def _declared_seconds(
    container: "InputContainer",
    stream: "AudioStream",
    head: bytes,
    size: int,
    read: float,
    rate: int,
) -> float | None:
    """The length in seconds that the file's header declares for its audio, or None.

    `size` is in bytes, `read` is the decoded length in seconds, `rate` is the source's in Hz.
    """
    form = container.format.name
    if form == "wav":
        return _wav_seconds(head, size, read)
    if form == "mp3":
        frames = _mp3_frames(head)
        return None if frames is None else frames * (1152 if rate >= 32000 else 576) / rate
    if form == MATROSKA:  # the end of the longest track, which FFmpeg reports for all
        return None if container.duration is None else container.duration / 1_000_000
    if form not in DECLARING or stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _wav_seconds(head: bytes, size: int, read: float) -> float | None:
    """From the share of declared bytes that are present: the header's byte rate is often wrong."""
    at, length, large = 12, 0, 0
    while at + 8 <= len(head):
        name, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"data":
            break
        if name == b"ds64":  # RF64 keeps sizes over 32 bits here
            large = int.from_bytes(head[at + 16 : at + 24], "little")
        at += 8 + length + length % 2
    else:
        return None
    if length == 0xFFFFFFFF and large:
        length = large
    # Programs that write to a pipe do not know the size: they put 0, or nearly 2**31 or 2**32.
    elif not length or length > 0xFFFF0000 or 0x7FFF0000 < length < 0x80000000:
        return None
    return read * max(1.0, length / max(1, size - at - 8))


def _mp3_frames(head: bytes) -> int | None:
    """The number of frames by the Xing, LAME or Fraunhofer header, which is inside the first frame.

    FFmpeg's own duration may be an estimate from the bit rate, and is not marked as one.
    """
    start = 0
    if head.startswith(b"ID3"):  # its size is stored in 7 bits per byte
        start = 10 + sum((byte & 0x7F) << 7 * (3 - at) for at, byte in enumerate(head[6:10]))
    first = head[start : start + 2048]
    for name, place, always in ((b"Xing", 8, False), (b"Info", 8, False), (b"VBRI", 14, True)):
        at = first.find(name)
        if at >= 0 and (always or first[at + 7] & 1):
            return int.from_bytes(first[at + place : at + place + 4], "big")
    return None
