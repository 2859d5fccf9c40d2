"""The one ear of the lane: Whisper by CTranslate2, where it runs, and what it hears in a clip.

Transcripts, the choice of the best epoch and the measured error rates all come from
`transcribe_clips`: they differ in their clips, and in nothing else.
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

RATE = 16000  # Hz, what it hears
CLIPS = 4  # for each thread in a call, so that a slow one holds up no other
LOOP = 2.4  # a text that zlib makes smaller by more is a loop; Whisper's own limit


@cache
def hearing_device(device: str) -> str:
    """Where Whisper runs if the rest runs on `device`: cuda or cpu. Says why if it is not the GPU."""
    problem = gpu_problem() if device == "cuda" else ""
    if problem:
        tqdm.write(f"Whisper runs on the CPU: {problem}", file=sys.stderr)
    return "cuda" if device == "cuda" and not problem else "cpu"


def callers(device: str, workers: int) -> int:
    """Threads that call a model at a time: one on a GPU, where each has a workspace of its own."""
    return 1 if device == "cuda" else max(1, workers)


@cache
def load_whisper(asr: Path, device: str, compute_type: str, threads: int) -> Any:
    """The model in a folder that `check_asr` has found whole.

    Args:
        device: as `hearing_device` says.
        threads: that call it at a time, each of which computes by itself.
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

    A record holds `words`, as `whole_words` gives them, and Whisper's scores. Clips are decoded side by
    side by threads that share the model, not as one batch: there CTranslate2 gives a clip other last
    digits, and sometimes another comma, with other company. Temperature is 0 and stays there, as what is
    decoded by chance differs from run to run. Clips that loop or are not speech carry their scores, by
    which voice_clips rejects them.

    Args:
        asr: folder that `check_asr` has found whole.
        device: as `hearing_device` says.
        beam_size: hypotheses kept while decoding.
    """
    threads = -(-len(payloads) // CLIPS)
    model = load_whisper(asr, device, compute_type, threads)
    # A batch that was filled up holds its last clip several times.
    distinct = list(dict.fromkeys((one["audio"], one["language"]) for one in payloads))
    with ThreadPoolExecutor(threads) as pool:
        records = pool.map(lambda one: _hear(model, one[0], one[1], beam_size), distinct)
        found = dict(zip(distinct, records, strict=True))
    return [Result(found[one["audio"], one["language"]]) for one in payloads]


def _hear(model: Any, audio: Path, language: str, beam_size: int) -> dict[str, Any]:
    from faster_whisper import BatchedInferencePipeline

    # In 16 bits, as recordings are cut: what is said a second time is heard as it was the first time.
    samples, _ = read(encode(resample(*read(audio), RATE), RATE, "WAV"))
    # Of faster-whisper's two decoders the one that takes a clip as it is: the other looks on its own
    # for pieces in it, and decodes what is left after the last word once more.
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
    """Text, start, end and probability of faster-whisper's words, what it splits put together.

    It makes two words of "pre-paid", " pre" and "-paid", and of "1,000"; a space before tells where a
    word really begins. Languages without spaces keep their words, as those begin with a letter.
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
    """The text of what `transcribe_clips` gives: nothing, where the recogniser fell into a loop.

    From speech that it does not understand, Whisper may write the same words until its window is full:
    one clip would have hundreds of errors, and decide the rate of all. Whisper itself throws such a text
    away and draws another (Radford et al. 2022, arXiv 2212.04356, 4.5); what is drawn differs from run to
    run, so here none of the clip's words is understood, and none is made up.
    """
    if record["compression_ratio"] > LOOP:
        return ""
    return " ".join(word[0] for word in record["words"])
