"""Transcripts and opinion scores of clips, computed once and kept in the item store."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from likeness.common.items import map_all
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

# This pipeline made every clip, so one that cannot be measured is a fault and not set aside.
BROKEN = "cannot be measured"


def hear_files(
    clips: Mapping[str, Path], cfg: Hearing, *, asr: Path, rt: Runtime
) -> dict[str, str]:
    """Whisper's transcript of each mono clip of up to 30 seconds, by id.

    It is empty where Whisper understands nothing.
    """
    device = hearing_device(rt.device)
    listen = partial(
        transcribe_clips,
        asr=asr,
        device=device,
        compute_type=cfg.compute_type,
        beam_size=cfg.beam_size,
    )
    heard = map_all(
        listen,
        {name: {"audio": path, "language": cfg.language} for name, path in clips.items()},
        problem=BROKEN,
        what="voice_transcribe",
        rt=rt,
        batch=CLIPS * callers(device, rt.workers),
    )
    return {name: understood(item.record) for name, item in heard.items()}


def rate_files(clips: Mapping[str, Path], *, mos: Path, rt: Runtime) -> dict[str, float]:
    """DNSMOS P.835's overall score, 1 to 5, of each mono clip by id."""
    stored = map_all(
        partial(rate_clips, mos=mos),
        clips,
        problem=BROKEN,
        what="voice_mos",
        rt=rt,
        batch=8,
        workers=rt.workers,
    )
    return {name: item.record["dnsmos"] for name, item in stored.items()}
