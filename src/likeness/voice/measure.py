"""What is measured on each clip, through the item store: what is heard in it, and how it sounds."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from likeness.common.errors import LikenessError
from likeness.common.items import Stored, map_items
from likeness.common.manifest import Rejection
from likeness.common.runtime import Runtime
from likeness.voice.mos import rate_clips
from likeness.voice.wer import Hearing
from likeness.voice.whisper import (
    CLIPS,
    callers,
    hearing_device,
    transcribe_clips,
    understood,
)


def hear_files(
    clips: Mapping[str, Path], cfg: Hearing, *, asr: Path, rt: Runtime
) -> dict[str, str]:
    """The text that a Whisper understands of each mono clip of up to 30 seconds, by id.

    It is empty where nothing is understood.
    """
    device = hearing_device(rt.device)
    listen = partial(
        transcribe_clips,
        asr=asr,
        device=device,
        compute_type=cfg.compute_type,
        beam_size=cfg.beam_size,
    )
    outcome = map_items(
        listen,
        {name: {"audio": path, "language": cfg.language} for name, path in clips.items()},
        what="voice_transcribe",
        rt=rt,
        batch=CLIPS * callers(device, rt.workers),
    )
    return {name: understood(item.record) for name, item in _measured(clips, outcome).items()}


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
