"""What a Whisper hears in windows of speech: their language, and their words."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from likeness.common.result import Result
from likeness.voice.audio import read
from likeness.voice.whisper import load_whisper

WINDOWS = 4  # for each thread in a call, so that a slow one holds up no other


def detect_languages(
    payloads: Sequence[Sequence[Path]], *, asr: Path, device: str, compute_type: str
) -> list[Result]:
    """The language with the highest mean probability over a recording's windows."""
    model = load_whisper(asr, device, compute_type, workers=1)
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


def transcribe_windows(
    payloads: Sequence[dict[str, Any]],
    *,
    asr: Path,
    device: str,
    compute_type: str,
    beam_size: int,
) -> list[Result]:
    """Words and Whisper's scores of each window; times are the window's.

    Windows are decoded side by side by threads that share the model, not as one batch: there CTranslate2
    gives a window other last digits, and sometimes another comma, with other company. Temperature is 0
    and stays there, as what is decoded by chance differs from run to run. Windows that loop or are
    not speech carry their scores, by which voice_clips rejects them.
    """
    threads = -(-len(payloads) // WINDOWS)
    model = load_whisper(asr, device, compute_type, threads)
    # A batch that was filled up holds its last window several times.
    distinct = list(dict.fromkeys((one["audio"], one["language"]) for one in payloads))
    with ThreadPoolExecutor(threads) as pool:
        records = pool.map(lambda one: _record(model, *one, beam_size), distinct)
        found = dict(zip(distinct, records, strict=True))
    return [Result(found[one["audio"], one["language"]]) for one in payloads]


def _record(model: Any, audio: Path, language: str, beam_size: int) -> dict[str, Any]:
    from faster_whisper import BatchedInferencePipeline

    samples, rate = read(audio)
    # Of faster-whisper's two decoders the one that takes a window as it is: the other looks on its own
    # for pieces in it, and decodes what is left after the last word once more.
    segments, _ = BatchedInferencePipeline(model).transcribe(
        samples,
        language=language,
        beam_size=beam_size,
        temperature=0.0,
        word_timestamps=True,
        clip_timestamps=[{"start": 0.0, "end": len(samples) / rate}],
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
