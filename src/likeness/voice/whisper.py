"""The lane's speech recogniser: Whisper on CTranslate2, the device it runs on, and its transcripts.

Transcripts, the choice of the best epoch and the measured error rates all come from
`transcribe_clips`, so that they differ in nothing but their clips.
"""

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from likeness.common.cublas import gpu_problem
from likeness.common.result import Result
from likeness.voice.audio import encode, read, resample

RATE = 16000  # Hz, its input
CLIPS = 4  # per thread in a call, so that one slow clip does not keep the other threads waiting
LOOP = 2.4  # a text with a higher compression ratio is a loop; Whisper's own limit


@cache
def hearing_device(device: str) -> str:
    """Where Whisper runs if the rest runs on `device`: cuda or cpu. Prints why if not the GPU."""
    problem = gpu_problem() if device == "cuda" else ""
    if problem:
        tqdm.write(f"Whisper runs on the CPU: {problem}", file=sys.stderr)
    return "cuda" if device == "cuda" and not problem else "cpu"


def callers(device: str, workers: int) -> int:
    """Threads that call a model at a time: one on a GPU, where each would allocate a workspace."""
    return 1 if device == "cuda" else max(1, workers)


@cache
def load_whisper(asr: Path, device: str, compute_type: str, threads: int) -> Any:
    """The model in a folder that has passed `check_asr`.

    Args:
        device: as `hearing_device` says.
        threads: how many call it at a time; each of them computes on one core.
    """
    from faster_whisper import WhisperModel

    return WhisperModel(
        str(asr),
        device=device,
        compute_type=compute_type,
        cpu_threads=1,
        num_workers=threads,
        local_files_only=True,
    )


def detect_languages(
    payloads: Sequence[Sequence[Path]], *, asr: Path, device: str, compute_type: str
) -> list[Result]:
    """The language with the highest mean probability over a recording's windows."""
    model = load_whisper(asr, device, compute_type, 1)
    results: list[Result] = []
    for paths in payloads:
        if not model.model.is_multilingual:
            results.append(Result({"language": "en", "probability": 1.0}))
            continue
        total: dict[str, float] = {}
        for path in paths:
            _, _, probabilities = model.detect_language(read(path)[0])
            for language, probability in probabilities:
                total[language] = total.get(language, 0.0) + probability / len(paths)
        best = max(total, key=lambda language: total[language])
        results.append(Result({"language": best, "probability": round(total[best], 4)}))
    return results


def transcribe_clips(
    payloads: Sequence[dict[str, Any]],
    *,
    asr: Path,
    device: str,
    compute_type: str,
    beam_size: int,
) -> list[Result]:
    """The words of each payload's `audio`, a mono file of up to 30 seconds, in its `language`.

    A record holds `words`, as `whole_words` gives them, and Whisper's scores. Clips are decoded in
    parallel by threads that share the model, and not as one batch, in which a clip's last digits, and
    sometimes a comma, depend on the other clips. The temperature stays at 0, as sampling differs from
    run to run. Clips that loop or hold no speech are returned too; voice_clips rejects them by their
    scores.

    Args:
        asr: folder that has passed `check_asr`.
        device: as `hearing_device` says.
        beam_size: hypotheses kept while decoding.
    """
    threads = -(-len(payloads) // CLIPS)
    model = load_whisper(asr, device, compute_type, threads)
    # A padded batch repeats its last clip.
    distinct = list(dict.fromkeys((one["audio"], one["language"]) for one in payloads))
    with ThreadPoolExecutor(threads) as pool:
        records = pool.map(lambda one: _hear(model, one[0], one[1], beam_size), distinct)
        found = dict(zip(distinct, records, strict=True))
    return [Result(found[one["audio"], one["language"]]) for one in payloads]


def _hear(model: Any, audio: Path, language: str, beam_size: int) -> dict[str, Any]:
    from faster_whisper import BatchedInferencePipeline

    # In 16 bits, like the windows of recordings, so that the same audio gives the same transcript.
    samples, _ = read(encode(resample(*read(audio), RATE), RATE, "WAV"))
    # This one of faster-whisper's two decoders takes a clip as it is: the other one splits it by
    # itself, and decodes the rest after the last word once more.
    segments, _ = BatchedInferencePipeline(model).transcribe(
        samples,
        language=language,
        beam_size=beam_size,
        temperature=0.0,
        word_timestamps=True,
        clip_timestamps=[{"start": 0.0, "end": len(samples) / RATE}],
        batch_size=1,
    )
    (segment,) = segments
    return {
        "words": whole_words(segment.words),
        "avg_logprob": round(segment.avg_logprob, 4),
        "no_speech_prob": round(segment.no_speech_prob, 4),
        "compression_ratio": round(segment.compression_ratio, 3),
    }


def whole_words(words: Sequence[Any]) -> list[list[Any]]:
    """Text, start, end and probability of faster-whisper's words, with split words joined.

    It splits "pre-paid" into " pre" and "-paid", and "1,000" likewise; a word really begins where there
    is a leading space. In languages without spaces nothing is joined, as words begin with a letter.
    """
    whole: list[list[Any]] = []
    for word in words:
        text = word.word.strip()
        if whole and text and not word.word.startswith(" ") and not text[0].isalnum():
            before = whole[-1]
            sure = (before[3] + float(word.probability)) / 2
            whole[-1] = [before[0] + text, before[1], word.end, sure]
        elif text:
            whole.append([text, word.start, word.end, float(word.probability)])
    return whole


def understood(record: Mapping[str, Any]) -> str:
    """The text of a record of `transcribe_clips`; empty if the recogniser fell into a loop.

    For speech that it does not understand, Whisper may repeat the same words until its window is full.
    One such clip would have hundreds of errors and dominate the rate of all. Whisper itself discards the
    text and samples another (Radford et al. 2022, arXiv 2212.04356, 4.5); as sampling differs from run to
    run, here all of the clip's words count as missing.
    """
    if record["compression_ratio"] > LOOP:
        return ""
    return " ".join(word[0] for word in record["words"])
