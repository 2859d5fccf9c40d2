"""What becomes of a few sentences that a model says: what is heard in them, and whose voice it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.voice.audio import SILENT, resample
from likeness.voice.speaker_encoder import embed
from likeness.voice.wer import Normalizer, understood, word_errors
from likeness.voice.whisper import RATE, hearing_device, load_whisper

Array = np.ndarray


@dataclass(frozen=True)
class Judge:
    """Whom to ask.

    Attributes:
        asr: folder of a faster-whisper model; `language` is what it is told.
        speaker: folder of a speaker encoder; `centroid` (D,) is the unit vector of the voice that
            is wanted.
    """

    asr: Path
    language: str
    normalizer: Normalizer
    speaker: Path
    centroid: Array
    device: str

    def listen(
        self, waves: Sequence[Array], rate: int, texts: Sequence[str]
    ) -> tuple[float, float]:
        """Word error rate over all waves, and their mean cosine to the voice.

        Nothing is heard in a silent or broken wave, and nobody speaks in it: cosine 0.
        """
        errors, words, cosines = 0, 0, []
        for wave, text in zip(waves, texts, strict=True):
            audible = bool(np.isfinite(wave).all()) and np.abs(wave).max(initial=0.0) > SILENT
            heard = hear(wave, rate, self.asr, self.language, self.device) if audible else ""
            found = word_errors(text, heard, self.normalizer)
            errors, words = errors + found.errors, words + found.words
            cosines.append(
                float(embed(wave, rate, self.speaker, self.device) @ self.centroid)
                if audible
                else 0.0
            )
        return errors / max(words, 1), float(np.mean(cosines))


def hear(wave: Array, rate: int, asr: Path, language: str, device: str) -> str:
    """The text that a Whisper understands of (N,) samples of up to 30 seconds."""
    segments, _ = load_whisper(asr, hearing_device(device)).transcribe(
        resample(wave, rate, RATE), language=language, temperature=0.0
    )
    heard = (understood(segment.text.strip(), segment.compression_ratio) for segment in segments)
    return " ".join(text for text in heard if text)
