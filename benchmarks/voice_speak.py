"""Seconds of work for a second of speech: `speak` on one and on eight sentences at a time, against Coqui.

The peer is `Xtts.inference` of Coqui's own loader, one sentence after another. All say the sentences
that the base is measured on (models/xtts_sentences.yaml), in its own speakers' voices, with the same
seeds and settings, in one process and on as many threads as `base.threads` says, in turns.

    python benchmarks/voice_speak.py [--sentences 16] [--rounds 3]

Needs the base that `inputs.tts` names: run `make repro` first.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from likeness.common.params import check_params  # noqa: E402
from likeness.common.result import Result  # noqa: E402
from likeness.common.runtime import start  # noqa: E402
from likeness.repository.dvc import open_cache_folder  # noqa: E402
from likeness.stage import SCHEMA  # noqa: E402
from likeness.voice.audio import encode  # noqa: E402
from likeness.voice.sampling import TOGETHER  # noqa: E402
from likeness.voice.speech import own_speakers, speak  # noqa: E402
from likeness.voice.xtts import say  # noqa: E402
from likeness.voice.xtts_files import read_settings  # noqa: E402
from models.texts import measured  # noqa: E402
from models.xtts_measure import load_stock  # noqa: E402


def main(sentences: int, rounds: int) -> None:
    params = check_params(ROOT / "params.yaml", SCHEMA)
    base, language = ROOT / "models" / params["inputs"].tts, params["voice_synthesize"].language
    rt = start(params["base"], open_cache_folder(ROOT))
    settings, voices = read_settings(base), own_speakers(base)
    texts = [text for of_a_kind in zip(*measured().values(), strict=False) for text in of_a_kind]
    asked = [
        {"text": text, "seed": at, "speaker": list(voices)[at % len(voices)]}
        for at, text in enumerate(texts[:sentences])
    ]
    stock = load_stock(base).to(rt.device)

    def by_coqui() -> list[bytes]:
        rate = stock.config.audio.output_sample_rate
        said = []
        for one in asked:
            wave = say(
                stock, one["text"], language=language, voice=voices[one["speaker"]],
                seed=one["seed"], settings=settings,
            )  # fmt: skip
            said.append(encode(wave, rate, "WAV"))
        return said

    def by_lane(together: int) -> list[bytes]:
        found: list[Any] = []
        for at in range(0, len(asked), together):
            found += speak(
                asked[at : at + together], base=base, adapter=None, references=[],
                language=language, settings=settings, device=rt.device,
            )  # fmt: skip
        return [one.files["audio.wav"] if isinstance(one, Result) else b"" for one in found]

    runs: dict[str, Callable[[], list[bytes]]] = {
        "Coqui": by_coqui,
        "one at a time": lambda: by_lane(1),
        f"{TOGETHER} at a time": lambda: by_lane(TOGETHER),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    said = {name: run() for name, run in runs.items()}  # the first round loads and warms up
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begun)
    seconds = sum(len(one) for one in said["Coqui"]) / 2 / stock.config.audio.output_sample_rate
    alone, batched = list(said.values())[1:]
    print(f"{len(asked)} sentences, {seconds:.0f} s of speech, {base.name}, {rt.device}")
    for name, found in times.items():
        took = median(found)
        print(
            f"{name:>15}: {took / seconds:.3f} s for a second of speech; "
            f"{median(times['Coqui']) / took:.2f} times as fast as Coqui"
        )
    same = sum(one == other for one, other in zip(alone, batched, strict=True))
    print(f"{same} of {len(asked)} have the same bytes alone and with others")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sentences", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    main(args.sentences, args.rounds)
