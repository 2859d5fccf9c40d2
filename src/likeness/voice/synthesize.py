"""Held-out sentences, spoken by the base and by the tuned model under the same conditions."""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from likeness.common import figures
from likeness.common.errors import LikenessError
from likeness.common.io import write_json
from likeness.common.items import map_items
from likeness.common.manifest import (
    Rejection,
    check_rejected_share,
    read_manifest,
    write_manifest,
    write_rejected,
)
from likeness.common.params import Section
from likeness.common.runtime import Runtime
from likeness.voice.languages import Language, check_language
from likeness.voice.rows import Pair, Speech, Utterance, choose_references
from likeness.voice.sampling import TOGETHER
from likeness.voice.speech import own_speakers, speak
from likeness.voice.text import normalize, unknown_symbols
from likeness.voice.xtts import ADAPTER
from likeness.voice.xtts_files import (
    SETTINGS,
    check_speaks,
    check_xtts,
    read_adapter,
    read_settings,
)

LONGEST = 200  # characters; XTTS's tokenizer takes up to 203 of Portuguese and 250 of English
REASONS = ("empty", "unknown_symbols", "unknown_letters", "too_long", "endless", "silent", "error")


class VoiceSynthesize(Section):
    language: Language
    references: Annotated[int, Field(ge=1, le=20)]
    takes: Annotated[int, Field(ge=1, le=20)]
    others: Annotated[int, Field(ge=0)]
    temperature: Annotated[float, Field(gt=0, le=2)] | None
    top_k: Annotated[int, Field(ge=1)] | None
    top_p: Annotated[float, Field(gt=0, le=1)] | None
    repetition_penalty: Annotated[float, Field(ge=1)] | None
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]


def synthesize(
    cfg: VoiceSynthesize,
    *,
    dataset: Path,
    texts: Path,
    base: Path,
    adapter: Path,
    out_dir: Path,
    plots_dir: Path,
    timings: Path,
    rt: Runtime,
) -> dict[str, Any]:
    """Speak the test split's sentences, and those of a text list, `takes` times each.

    Base and tuned get the same references, which are train clips, and the same seeds. The base also
    says `others` of the test sentences in its own speakers' voices, as examples of a wrong voice.
    Writes to `out_dir`: `base/`, `tuned/` and `other/` (24 kHz WAV), `manifest.jsonl` (rows of
    `Speech`), `pairs.jsonl` (rows of `Pair`) and `rejected.jsonl`.

    Args:
        texts: a text file with one sentence per line; it may be empty.
        adapter: folder that voice_train wrote.

    Raises:
        LikenessError: the base is not an XTTS or does not speak the language, the adapter belongs to
            another base, there is no test sentence, or more than `max_rejected_share` of the
            sentences are set aside.
    """
    check_language(cfg.language)
    # Checked first: a broken base or adapter would fail once for each sentence.
    check_xtts(base)
    check_speaks(base, cfg.language, "voice_synthesize.language")
    read_adapter(adapter / ADAPTER, base)
    rows = read_manifest(dataset / "manifest.jsonl", Utterance)
    test = [row for row in rows if row.split == "test"]
    if not test:
        raise LikenessError(f"{dataset}: no row in the test split; run voice_dataset again")
    sentences = {row.id: (row.normalized, "test") for row in test}
    lines = read_list(texts)
    listed = {name: normalize(line.text, cfg.language) for name, line in lines.items()}
    rejected = [
        Rejection(id=name, reason="unknown_symbols", value=unknown)
        for name, text in listed.items()
        if (unknown := unknown_symbols(text))
    ]
    unspoken = {row.id for row in rejected}
    sentences |= {name: (text, "list") for name, text in listed.items() if name not in unspoken}
    settings = read_settings(base, {name: getattr(cfg, name) for name in SETTINGS})
    say = partial(speak, base=base, language=cfg.language, settings=settings, device=rt.device)
    own_voice = [dataset / row.file_name for row in choose_references(rows, cfg.references)]

    started = time.monotonic()
    spoken: list[Speech] = []

    def collect(voice: str, jobs: Mapping[str, dict[str, Any]], **more: Any) -> None:
        stored, failed = map_items(
            partial(say, **more), jobs, what="voice_speak", rt=rt, batch=TOGETHER
        )
        rejected.extend(row.model_copy(update={"id": f"{voice}/{row.id}"}) for row in failed)
        for name, item in stored.items():
            sentence, _, take = name.rpartition("-")
            text, source = sentences[sentence]
            row = Speech(
                id=f"{voice}/{name}",
                file_name=f"{voice}/{name}.wav",
                voice=voice,
                speaker=jobs[name]["speaker"],
                sentence=sentence,
                source=source,
                take=int(take),
                text=text,
                seed=jobs[name]["seed"],
                seconds=item.record["seconds"],
            )
            item.link("audio.wav", out_dir / row.file_name)
            spoken.append(row)

    jobs = {
        f"{name}-{take}": {"text": text, "seed": rt.seed_for("speak", name, take), "speaker": ""}
        for name, (text, _) in sentences.items()
        for take in range(cfg.takes)
    }
    speakers = list(own_speakers(base))
    others = {
        f"{row.id}-0": {**jobs[f"{row.id}-0"], "speaker": speakers[at % len(speakers)]}
        for at, row in enumerate(test[: cfg.others] if speakers else [])
    }
    # One model after the other: `speak` holds one at a time.
    collect("base", jobs, adapter=None, references=own_voice)
    collect("other", others, adapter=None, references=[])
    collect("tuned", jobs, adapter=adapter / ADAPTER, references=own_voice)
    seconds = time.monotonic() - started

    rejected = [_with_line(row, lines) for row in rejected]
    asked = 2 * len(jobs) + len(others) + len(unspoken)
    check_rejected_share("voice_synthesize", rejected, asked, cfg.max_rejected_share)
    pairs = make_pairs(spoken, {row.id: row.file_name for row in test}, rt)
    _draw(plots_dir, spoken)
    counts = write_rejected(out_dir, rejected, REASONS)
    write_manifest(out_dir / "pairs.jsonl", pairs)
    write_manifest(out_dir / "manifest.jsonl", spoken)
    lengths = {
        voice: sum(row.seconds for row in spoken if row.voice == voice)
        for voice in ("base", "tuned", "other")
    }
    heard = sum(lengths.values())
    write_json(
        timings, {"seconds_per_second": round(seconds / max(heard, 1e-9), 4), "n": round(heard, 1)}
    )
    return {
        "base_model": base.name,
        "sentences_test": len(test),
        "sentences_list": len(lines),
        "takes": cfg.takes,
        "pairs": len(pairs),
        **{f"{voice}_n": sum(row.voice == voice for row in spoken) for voice in lengths},
        **{f"{voice}_seconds": round(value, 2) for voice, value in lengths.items()},
        **settings,
        **counts,
    }


class Line(NamedTuple):
    """A text of a list, and the number of its line, from 1."""

    number: int
    text: str


def read_list(path: Path) -> dict[str, Line]:
    """The texts of a file, one per line, by an id that does not depend on the line's position.

    A line of more than `LONGEST` characters is split where sentences end, as XTTS reads no more at once.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise LikenessError(
            f"{path}: cannot be read as text ({error}); inputs.sentences names a file under data/raw/ "
            "with one sentence per line"
        ) from error
    found: dict[str, Line] = {}
    for number, line in enumerate(lines, start=1):
        for text in _split(" ".join(line.split())):
            name = f"list-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
            found.setdefault(name, Line(number, text))
    return found


def _split(line: str) -> list[str]:
    """A line as it is, or its sentences, joined again as far as `LONGEST` allows."""
    if len(line) <= LONGEST:
        return [line] if line else []
    parts = [""]
    for sentence in re.split(r"(?<=[.!?…]) ", line):
        joined = f"{parts[-1]} {sentence}".strip()
        if len(joined) <= LONGEST:
            parts[-1] = joined
        else:
            parts.append(sentence)
    return [part for part in parts if part]


def _with_line(row: Rejection, lines: Mapping[str, Line]) -> Rejection:
    """The rejection of a listed text with its line, so that a user finds it."""
    name = row.id.partition("/")[2].rpartition("-")[0] or row.id
    line = lines.get(name)
    if line is None:
        return row
    return row.model_copy(
        update={"value": {"line": line.number, "text": line.text, "found": row.value}}
    )


def make_pairs(spoken: Sequence[Speech], real: Mapping[str, str], rt: Runtime) -> list[Pair]:
    """The sentences that base and tuned both said; `real` maps a sentence to its recording's path."""
    voices: dict[str, dict[str, Speech]] = {"base": {}, "tuned": {}, "other": {}}
    for row in spoken:
        voices[row.voice][f"{row.sentence}-{row.take}"] = row
    return [
        Pair(
            id=name,
            text=row.text,
            base=row.file_name,
            tuned=voices["tuned"][name].file_name,
            real=real.get(row.sentence, ""),
            first=("base", "tuned")[rt.seed_for("first", name) % 2],
        )
        for name, row in voices["base"].items()
        if name in voices["tuned"]
    ]


def _draw(plots_dir: Path, spoken: Sequence[Speech]) -> None:
    with figures.figure(plots_dir / "durations.png", size=(7, 3.5)) as axis:
        for voice, colour in (("base", figures.QUIET), ("tuned", figures.ACCENT)):
            rows = [row for row in spoken if row.voice == voice]
            axis.scatter(
                [len(row.text) for row in rows],
                [row.seconds for row in rows],
                s=14,
                color=colour,
                label=voice,
            )
        axis.set(xlabel="characters", ylabel="seconds", title="Length of what was spoken")
        axis.legend(frameon=False)
