"""What is measured on each clip, through the item store: what is heard in it, and how it sounds."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from likeness.common.errors import LikenessError
from likeness.common.items import Stored, map_items
from likeness.common.manifest import Rejection
from likeness.common.runtime import Runtime
from likeness.voice.hear import WINDOWS, transcribe_windows
from likeness.voice.mos import rate_clips
from likeness.voice.wer import understood
from likeness.voice.whisper import RATE, callers, hearing_device
from likeness.voice.windows import resample_clips


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
        clips,
        map_items(
            partial(resample_clips, rate=RATE),
            clips,
            what="voice_hear",
            rt=rt,
            workers=rt.workers,
        ),
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


def rate_files(clips: Mapping[str, Path], *, mos: Path, rt: Runtime) -> dict[str, float]:
    """DNSMOS P.835's overall score, 1 to 5, of each mono clip by id."""
    function = partial(rate_clips, mos=mos)
    stored = _measured(
        clips, map_items(function, clips, what="voice_mos", rt=rt, batch=8, workers=rt.workers)
    )
    return {name: item.record["dnsmos"] for name, item in stored.items()}


def _measured(
    clips: Mapping[str, Path], outcome: tuple[dict[str, Stored], list[Rejection]]
) -> dict[str, Stored]:
    """The results. Every clip was made by this pipeline: one that cannot be measured is broken."""
    stored, failed = outcome
    if failed:
        raise LikenessError(f"{clips[failed[0].id]}: cannot be measured ({failed[0].value})")
    return stored
