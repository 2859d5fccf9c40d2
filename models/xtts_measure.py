"""Measure an XTTS folder: word error rate and speaker similarity on unseen sentences."""

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
    """Load the model as any user of Coqui's package does."""
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
    """Speak each text in the folder's voice of that name, with its settings: samples (N,) at RATE."""
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
    """Word error rate (1 is 100 %) pooled over all sentences, as faster-whisper hears `waves` (N,).

    `rate` is in Hz. Texts and transcripts pass through Whisper's English normaliser."""
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
    """Compare the model on unseen sentences with the training voices' own readings of them.

    Args:
        cfg: the settings of the training.
        folder: the folder that the training saved.
        test: the unseen sentences, read by the training voices.
        asr: folder of a faster-whisper model.
        speaker: the folder models/speaker_encoder.
        rt: for the progress bar, the device and the seeds.

    Returns:
        Word error rates, for the voice that reads most (`wer`: with the decoder that the folder
        names, `wer_hifigan`: with Coqui's, `wer_voice`: of its own readings) and for the others.
        Mean cosines to the centroid of a voice's readings: of the model in this voice, of each
        reading to the centroid of the others, and of other voices' readings. `latents_apart`, and
        seconds of computing per second of speech.
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
    """Mean distance between two speakers' conditioning latents, relative to the latents' norm."""
    from likeness.voice.speech import own_speakers

    latents = [voice.latents for voice in own_speakers(folder).values()]
    pairs = itertools.permutations(latents, 2)
    return float(np.mean([float((one - other).norm() / one.norm()) for one, other in pairs]))


def centroid_similarity(mine: np.ndarray, other: np.ndarray, chosen: np.ndarray) -> float:
    """Mean cosine between each row of `mine` (N, D) and its centroid, the mean of rows of `other`.

    `chosen` (N, M) says which of the M rows of `other` form the centroid of each row."""
    centroids = chosen.astype(float) @ other
    products = (mine * centroids).sum(1)
    return float(
        np.mean(products / np.linalg.norm(mine, axis=1) / np.linalg.norm(centroids, axis=1))
    )
