"""Measure an XTTS folder on fixed sentences: word errors, likeness to its references, predicted MOS."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from likeness.common.estimates import Estimate, mean
from likeness.common.runtime import Runtime
from likeness.voice.phonemes import phonemes
from likeness.voice.wer import WordErrors, pooled_rate, word_errors
from models.settings import XttsMini
from models.spoken import LEVEL, RATE, read_one
from models.texts import measured
from models.xtts_nets import LANGUAGE

ASR_RATE = 16000  # Hz, of Whisper
ROUNDS = 1000  # bootstrap resamples
Array = np.ndarray


def load_stock(folder: Path) -> Any:
    """Load the model as any user of Coqui's package does."""
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    return model


def measure(
    cfg: XttsMini, folder: Path, teachers: Path, asr: Path, speaker: Path, mos: Path, rt: Runtime
) -> dict[str, Any]:
    """Compare the model with its teachers, who read the same sentences in the same voices.

    Each sentence has one of Kokoro's voices, in turn, and the model speaks in its own speaker of that
    name. Coqui's classes speak too, given the phonemes as text.

    Args:
        cfg: the settings of the training.
        folder: the folder that the training saved.
        teachers: the folder of `fetch_teachers`.
        asr: folder of a faster-whisper model.
        speaker: folder of a speaker encoder.
        mos: folder of DNSMOS.
        rt: for the progress bars, the device and the seeds.

    Returns:
        For each kind of sentence `wer_KIND`, `wer_KIND_stock` and `wer_KIND_teachers`; `dnsmos` and
        `dnsmos_teachers`; `similarity`, the cosine to a reading of the same voice, and
        `similarity_others`, to one of another; each with its interval and n. And seconds of computing
        per second of speech.
    """
    from likeness.voice import xtts
    from likeness.voice.mos import predict_mos
    from likeness.voice.speaker_encoder import embed
    from likeness.voice.speech import own_speakers
    from likeness.voice.xtts_files import read_settings

    speakers, settings = own_speakers(folder), read_settings(folder)
    model, stock = xtts.load_xtts(folder, rt.device), load_stock(folder)
    jobs = [(kind, text) for kind, texts in measured().items() for text in texts]
    voices = [cfg.speech.voices[number % len(cfg.speech.voices)] for number in range(len(jobs))]

    def speak(speaker_model: Any, say_as: Callable[[str], str]) -> list[Array]:
        return [
            xtts.say(
                speaker_model, say_as(text), language=LANGUAGE, voice=speakers[voice],
                seed=rt.seed_for("speak", number), settings=settings,
            )
            for number, ((_, text), voice) in enumerate(
                rt.progress(zip(jobs, voices, strict=True), "speak", total=len(jobs))
            )
        ]  # fmt: skip

    started = time.monotonic()
    made = speak(model, str)
    seconds = time.monotonic() - started
    sides = {
        "": made,
        "_stock": speak(stock, phonemes),
        "_teachers": [
            read_one(text, voice, teachers)[1] / 32768
            for (_, text), voice in zip(jobs, voices, strict=True)
        ],
    }
    quality: dict[str, Any] = {"asr": asr.name, "voices": len(cfg.speech.voices)}
    for side, waves in sides.items():
        errors = hear([text for _, text in jobs], waves, asr, rt)
        for kind in measured():
            own = [one for one, (name, _) in zip(errors, jobs, strict=True) if name == kind]
            quality |= figure(f"wer_{kind}{side}", pooled_rate(own, ROUNDS, rt.seed))
    for side in ("", "_teachers"):
        scores = np.array([predict_mos(at_level(wave), RATE, mos) for wave in sides[side]])
        quality |= figure(f"dnsmos{side}", mean(scores, ROUNDS, rt.seed))
    mine, read = (
        np.stack([embed(at_level(wave), RATE, speaker) for wave in sides[side]])
        for side in ("", "_teachers")
    )
    names = np.array(voices)
    own = (names[:, None] == names) & ~np.eye(len(names), dtype=bool)  # not the same sentence
    for name, chosen in (("similarity", own), ("similarity_others", names[:, None] != names)):
        cosines = ((mine @ read.T) * chosen).sum(axis=1) / chosen.sum(axis=1)
        quality |= figure(name, mean(cosines, ROUNDS, rt.seed))
    quality["seconds_per_second"] = round(seconds / (sum(map(len, made)) / RATE), 2)
    return quality


def figure(name: str, found: Estimate) -> dict[str, Any]:
    """An estimate as keys of `quality.json`: NAME, NAME_low, NAME_high and NAME_n."""
    parts = asdict(found.rounded())
    return {name: parts.pop("value")} | {f"{name}_{key}": value for key, value in parts.items()}


def at_level(wave: Array) -> Array:
    """The wave (N,) at the training speech's loudness."""
    return np.asarray(wave * (LEVEL / max(float(np.sqrt(np.mean(wave**2))), 1e-6)), np.float32)


def hear(texts: Sequence[str], waves: Iterable[Array], asr: Path, rt: Runtime) -> list[WordErrors]:
    """The word errors of each wave (N,) at RATE, as faster-whisper hears it."""
    import soxr
    from faster_whisper import WhisperModel

    model = WhisperModel(str(asr), device="cpu", compute_type="int8", cpu_threads=rt.workers)
    errors = []
    for text, wave in rt.progress(list(zip(texts, waves, strict=True)), "listen"):
        samples = soxr.resample(np.asarray(wave, np.float32), RATE, ASR_RATE)
        segments, _ = model.transcribe(samples, language=LANGUAGE, beam_size=5)
        errors.append(word_errors(text, " ".join(one.text for one in segments), "english"))
    return errors
