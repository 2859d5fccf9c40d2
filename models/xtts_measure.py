"""What an XTTS folder can do: unseen sentences spoken by stock `Xtts`, and how well they are heard."""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.runtime import Runtime
from models.settings import XttsMini
from models.spoken import RATE, Corpus
from models.xtts_nets import LANGUAGE

ASR_RATE = 16000  # Hz, of Whisper and of the speaker encoder


def load_xtts(folder: Path) -> Any:
    """The model as any user of Coqui's package loads it."""
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    return model


def speak(
    model: Any, folder: Path, texts: Sequence[str], voices: Sequence[str], rt: Runtime
) -> list[np.ndarray]:
    """Samples at RATE of each text in the folder's voice of that name, by the folder's settings."""
    from likeness.voice.speech import own_speakers
    from likeness.voice.xtts import say
    from likeness.voice.xtts_files import read_settings

    own, settings = own_speakers(folder), read_settings(folder)
    pairs = zip(texts, voices, strict=True)
    return [
        say(
            model,
            text,
            language=LANGUAGE,
            voice=own[voice],
            seed=rt.seed_for("speak", number),
            settings=settings,
        )
        for number, (text, voice) in enumerate(rt.progress(pairs, "speak", total=len(texts)))
    ]


def word_error_rate(
    texts: Sequence[str], waves: Sequence[np.ndarray], rate: int, asr: Path, rt: Runtime
) -> float:
    """Pooled over the sentences, by faster-whisper and Whisper's English normaliser."""
    import jiwer
    import soxr
    from faster_whisper import WhisperModel
    from whisper_normalizer.english import EnglishTextNormalizer

    model = WhisperModel(str(asr), device="cpu", compute_type="int8", cpu_threads=rt.workers)
    normalize = EnglishTextNormalizer()
    heard = []
    for wave in rt.progress(waves, "listen", total=len(waves)):
        samples = soxr.resample(wave.astype(np.float32), rate, ASR_RATE)
        segments, _ = model.transcribe(samples, language=LANGUAGE, beam_size=5)
        heard.append(" ".join(segment.text for segment in segments))
    return jiwer.wer([normalize(t) for t in texts], [normalize(t) for t in heard])


def measure(
    cfg: XttsMini, folder: Path, test: Corpus, asr: Path, speaker: Path, rt: Runtime
) -> dict[str, Any]:
    """Unseen sentences in the training voices, and the voices' own readings of the same sentences.

    Args:
        cfg: of the training.
        folder: what it saved.
        test: the sentences, read by the voices.
        asr: a faster-whisper model.
        speaker: models/speaker_encoder.
        rt: for progress.

    Returns:
        Word error rates: of the voice that reads most by the decoder that the folder names and by
        the stock one, of its own readings, and of the other voices by the named decoder. Mean
        cosines to the centroid of a voice's own readings: of what is spoken in this voice, of the
        readings (each against the others), and of other voices' readings. How far the voices'
        conditioning latents are apart.
    """
    from likeness.voice import xtts
    from likeness.voice.speaker_encoder import embed

    names = [cfg.speech.voices[voice].name for voice in test.voices]
    started = time.monotonic()
    made = speak(xtts.load_xtts(folder, rt.device), folder, test.texts, names, rt)
    seconds = time.monotonic() - started
    main = np.flatnonzero(test.voices == np.bincount(test.voices).argmax())
    others = np.setdiff1d(np.arange(len(test.texts)), main)
    texts = [test.texts[at] for at in main]
    stock = speak(load_xtts(folder), folder, texts, [names[at] for at in main], rt)
    real = [wave.astype(np.float32) / 32768 for wave in test.waves]
    spoken, read = (
        np.stack([embed(wave, RATE, speaker) for wave in waves]) for waves in (made, real)
    )
    same = test.voices[:, None] == test.voices

    def wer(rows: np.ndarray, waves: Sequence[np.ndarray]) -> float:
        return round(word_error_rate([test.texts[at] for at in rows], waves, RATE, asr, rt), 4)

    return {
        "asr": asr.name,
        "voice": names[main[0]],
        "test_n": len(main),
        "wer": wer(main, [made[at] for at in main]),
        "wer_hifigan": wer(main, stock),
        "wer_voice": wer(main, [real[at] for at in main]),
        "others_n": len(others),
        "wer_others": wer(others, [made[at] for at in others]),
        "wer_other_voices": wer(others, [real[at] for at in others]),
        "similarity": round(centroid_similarity(spoken, read, same), 4),
        "similarity_voices": round(
            centroid_similarity(read, read, same & ~np.eye(len(read), dtype=bool)), 4
        ),
        "similarity_others": round(centroid_similarity(read, read, ~same), 4),
        "latents_apart": round(latents_apart(folder), 4),
        "seconds_per_second": round(seconds / (sum(map(len, made)) / RATE), 2),
    }


def latents_apart(folder: Path) -> float:
    """Mean distance of the speakers' conditioning latents to each other, in units of their norm."""
    from likeness.voice.speech import own_speakers

    latents = [voice.latents for voice in own_speakers(folder).values()]
    pairs = itertools.permutations(latents, 2)
    return float(np.mean([float((one - other).norm() / one.norm()) for one, other in pairs]))


def centroid_similarity(mine: np.ndarray, other: np.ndarray, chosen: np.ndarray) -> float:
    """Mean cosine of each row of `mine` to the mean of the rows of `other` that are its `chosen`."""
    centroids = chosen.astype(float) @ other
    products = (mine * centroids).sum(1)
    return float(
        np.mean(products / np.linalg.norm(mine, axis=1) / np.linalg.norm(centroids, axis=1))
    )
