"""What is measured on each clip, through the item store: what is heard in it, and how it sounds."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from likeness.common.errors import LikenessError
from likeness.common.items import Stored, map_items
from likeness.common.manifest import Rejection
from likeness.common.result import Result
from likeness.common.runtime import Runtime
from likeness.voice.audio import encode, read, resample
from likeness.voice.mos import predict_mos
from likeness.voice.transcribe import WINDOWS, transcribe_windows
from likeness.voice.wer import understood
from likeness.voice.whisper import RATE, callers, hearing_device


def hear_files(
    clips: Mapping[str, Path],
    *,
    asr: Path,
    language: str,
    compute_type: str,
    beam_size: int,
    rt: Runtime,
) -> dict[str, str]:
    """The text that a Whisper understands of each mono clip of up to 30 seconds, by id.

    It is empty where nothing is understood.
    """
    stored = _measured(
        clips, map_items(to_asr, clips, what="voice_hear", rt=rt, workers=rt.workers)
    )
    device = hearing_device(rt.device)
    listen = partial(
        transcribe_windows,
        asr=asr,
        device=device,
        compute_type=compute_type,
        beam_size=beam_size,
    )
    jobs = {
        name: {"audio": item.folder / "audio.flac", "language": language}
        for name, item in stored.items()
    }
    heard = _measured(
        clips,
        map_items(
            listen,
            jobs,
            what="voice_transcribe",
            rt=rt,
            batch=WINDOWS * callers(device, rt.workers),
        ),
    )
    return {
        name: understood(
            " ".join(word[0] for word in item.record["words"]), item.record["compression_ratio"]
        )
        for name, item in heard.items()
    }


def to_asr(paths: Sequence[Path]) -> list[Result]:
    """`audio.flac` of each clip at the rate that Whisper hears."""
    return [
        Result({}, {"audio.flac": encode(resample(*read(path), RATE), RATE, "FLAC")})
        for path in paths
    ]


def rate_files(clips: Mapping[str, Path], *, mos: Path, rt: Runtime) -> dict[str, float]:
    """DNSMOS P.835's overall score, 1 to 5, of each mono clip by id."""
    function = partial(rate_clips, mos=mos)
    stored = _measured(
        clips, map_items(function, clips, what="voice_mos", rt=rt, batch=8, workers=rt.workers)
    )
    return {name: item.record["dnsmos"] for name, item in stored.items()}


def rate_clips(paths: Sequence[Path], *, mos: Path) -> list[Result]:
    """The overall score of each clip."""
    return [Result({"dnsmos": round(predict_mos(*read(path), mos), 4)}) for path in paths]


def _measured(
    clips: Mapping[str, Path], outcome: tuple[dict[str, Stored], list[Rejection]]
) -> dict[str, Stored]:
    """The results. Every clip was made by this pipeline: one that cannot be measured is broken."""
    stored, failed = outcome
    if failed:
        raise LikenessError(f"{clips[failed[0].id]}: cannot be measured ({failed[0].value})")
    return stored
