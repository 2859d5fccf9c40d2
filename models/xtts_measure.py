"""What an XTTS folder can do: unseen sentences spoken by stock `Xtts`, and how well they are heard."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from settings import XttsMini
from spoken import INPUT_RATE, RATE, Corpus
from xtts_nets import CODEBOOK, CODES, HIDDEN, LANGUAGE, build_dvae

from likeness.common.runtime import Runtime

if TYPE_CHECKING:
    import torch

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
    cfg: XttsMini, model: Any, texts: Sequence[str], voices: Sequence[str], rt: Runtime
) -> tuple[list[np.ndarray], list["torch.Tensor"]]:
    """Each text in the voice of that name, by the folder's own settings: samples at RATE, and codes."""
    import torch

    waves, codes = [], []
    generate = model.gpt.generate

    def record(**options: Any) -> "torch.Tensor":
        codes.append(generate(**options))
        return codes[-1]

    model.gpt.generate = record  # `inference` does not give the codes
    pairs = zip(texts, voices, strict=True)
    for number, (text, voice) in enumerate(rt.progress(pairs, "speak", total=len(texts))):
        torch.manual_seed(rt.seed_for("speak", number))
        latents, embedding = model.speaker_manager.speakers[voice].values()
        settings = cfg.inference.model_dump()
        waves.append(model.inference(text, LANGUAGE, latents, embedding, **settings)["wav"])
    model.gpt.generate = generate
    return waves, [own[0][own[0] < CODES] for own in codes]


def griffin_lim(folder: Path, codes: Sequence["torch.Tensor"]) -> list[np.ndarray]:
    """The codes as the DVAE alone decodes them, samples at INPUT_RATE.

    What this says, the decoder had to say: it tells the language model's faults from the decoder's.
    """
    import torch
    from torchaudio.functional import melscale_fbanks
    from torchaudio.transforms import GriffinLim

    dvae = build_dvae(HIDDEN, CODEBOOK)
    dvae.load_state_dict(torch.load(folder / "dvae.pth", weights_only=True))
    mel_stats = torch.load(folder / "mel_stats.pth", weights_only=True)
    bands = melscale_fbanks(513, 0.0, 8000.0, 80, INPUT_RATE, norm="slaney")
    inverse = torch.linalg.pinv(bands.T)
    invert = GriffinLim(1024, hop_length=256, power=2, rand_init=False)
    waves = []
    with torch.inference_mode():
        for own in codes:
            mel = dvae.eval().decode(own[None])[0][0] * mel_stats[:, None]
            waves.append(invert((inverse @ mel.exp()).clamp(min=1e-8)).numpy())
    return waves


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
        Word error rates, also of the same codes without the decoder; mean cosines to the centroid
        of a voice's own readings: of what is spoken in this voice, of the readings (each against
        the others), and of other voices' readings.
    """
    from likeness.voice.speaker import embed

    names = [cfg.speech.voices[voice].name for voice in test.voices]
    started = time.monotonic()
    made, codes = speak(cfg, load_xtts(folder), test.texts, names, rt)
    seconds = time.monotonic() - started
    real = [wave.astype(np.float32) / 32768 for wave in test.waves]
    spoken, read = (
        np.stack([embed(wave, RATE, speaker) for wave in waves]) for waves in (made, real)
    )
    same = test.voices[:, None] == test.voices
    return {
        "test_n": len(test.texts),
        "asr": asr.name,
        "wer": round(word_error_rate(test.texts, made, RATE, asr, rt), 4),
        "wer_griffin_lim": round(
            word_error_rate(test.texts, griffin_lim(folder, codes), INPUT_RATE, asr, rt), 4
        ),
        "wer_voices": round(word_error_rate(test.texts, real, RATE, asr, rt), 4),
        "similarity": round(centroid_similarity(spoken, read, same), 4),
        "similarity_voices": round(
            centroid_similarity(read, read, same & ~np.eye(len(read), dtype=bool)), 4
        ),
        "similarity_others": round(centroid_similarity(read, read, ~same), 4),
        "seconds_per_second": round(seconds / (sum(map(len, made)) / RATE), 2),
    }


def centroid_similarity(mine: np.ndarray, other: np.ndarray, chosen: np.ndarray) -> float:
    """Mean cosine of each row of `mine` to the mean of the rows of `other` that are its `chosen`."""
    centroids = chosen.astype(float) @ other
    products = (mine * centroids).sum(1)
    return float(
        np.mean(products / np.linalg.norm(mine, axis=1) / np.linalg.norm(centroids, axis=1))
    )
