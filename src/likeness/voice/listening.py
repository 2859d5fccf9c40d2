"""How intelligible a model's sentences are, and how close they are to the wanted voice.

The measuring functions are those of voice_evaluate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.common.runtime import Runtime
from likeness.voice.audio import SILENT, read
from likeness.voice.measure import hear_files
from likeness.voice.speaker import embed_files
from likeness.voice.wer import Hearing, word_errors

Array = np.ndarray


@dataclass(frozen=True)
class Listener:
    """The models that measure clips, and the voice that the clips are compared with.

    Attributes:
        cfg: how sentences are heard; `asr` is the folder of a Whisper.
        speaker: folder of a speaker encoder; `centroid` (D,) is the unit vector of the wanted
            voice.
    """

    cfg: Hearing
    asr: Path
    speaker: Path
    centroid: Array
    rt: Runtime

    def listen(self, clips: Sequence[Path], texts: Sequence[str]) -> tuple[float, float, list[str]]:
        """Word error rate over all clips, their mean cosine to the voice, and what each was heard as.

        For a silent clip all words count as missing, and the cosine is 0.
        """
        audible = {
            path.name: path for path in clips if np.abs(read(path)[0]).max(initial=0.0) > SILENT
        }
        heard = hear_files(audible, self.cfg, asr=self.asr, rt=self.rt)
        transcripts = [heard.get(path.name, "") for path in clips]
        found = [
            word_errors(text, transcript, self.cfg.normalizer)
            for text, transcript in zip(texts, transcripts, strict=True)
        ]
        cosines = 0.0
        if audible:
            vectors = embed_files(audible, encoder=self.speaker, rt=self.rt)
            cosines = float((vectors @ self.centroid).sum())
        errors, words = sum(one.errors for one in found), sum(one.words for one in found)
        return errors / max(words, 1), cosines / len(clips), transcripts
