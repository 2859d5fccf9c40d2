"""Rows become tokens, codes and mels as Coqui's trainer makes them, and bad rows do not disappear."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.runtime import Runtime
from likeness.voice import clip_codes
from likeness.voice.audio import encode, read
from likeness.voice.clip_codes import encode_clips
from likeness.voice.codes import CODE, FRAMES, RATE, build_dvae
from likeness.voice.examples import (
    REASONS,
    Example,
    encode_rows,
    make_batches,
)
from likeness.voice.rows import Utterance
from likeness.voice.xtts import load_xtts
from tests.voice.sounds import babble, write
from tests.voice.tiny_xtts import CODES, reading_phonemes, utterance


@pytest.fixture(scope="module")
def model(tiny_xtts: Path) -> Any:
    return load_xtts(tiny_xtts, "cpu")


def encoded(
    rows: list[Utterance], dataset: Path, base: Path, model: Any, rt: Runtime, **changes: Any
) -> tuple[dict[str, Example], list[Any]]:
    options = {"language": "en", "max_seconds": 11.6, "max_text_tokens": 200, **changes}
    return encode_rows(rows, dataset=dataset, base=base, model=model, rt=rt, **options)


# --- codes and mels -------------------------------------------------------------------------------


def test_a_clip_has_whole_codes_and_its_mel_four_frames_a_code(
    tiny_xtts: Path, tiny_voice: Path, model: Any, rt: Runtime
) -> None:
    rows = [utterance(at) for at in range(3)]
    found, rejected = encoded(rows, tiny_voice, tiny_xtts, model, rt)
    assert rejected == []
    for row in rows:
        example = found[row.id]
        samples = len(read(tiny_voice / row.file_name)[0])
        assert len(example.codes) == -(-samples // CODE)
        assert example.mel.shape == (80, FRAMES * len(example.codes))
        assert example.tokens == model.tokenizer.encode(row.normalized.lower(), "en")
        assert example.length == len(example.tokens) + len(example.codes)


def test_codes_are_those_of_coqui_s_trainer(tiny_xtts: Path, tmp_path: Path) -> None:
    """By `TorchMelSpectrogram` with the mel file, as GPTTrainer makes it, and its DVAE."""
    import torch
    from TTS.tts.layers.tortoise.arch_utils import TorchMelSpectrogram

    wave = babble(2.0)[: 40 * CODE]
    path = write(tmp_path / "a.wav", encode(wave, RATE, "WAV"))
    (result,) = encode_clips([path], base=tiny_xtts, device="cpu")
    dvae = build_dvae(CODES)
    dvae.load_state_dict(torch.load(tiny_xtts / "dvae.pth", weights_only=True))
    transform = TorchMelSpectrogram(mel_norm_file=str(tiny_xtts / "mel_stats.pth"))
    heard = torch.from_numpy(read(path)[0])[None]
    expected = dvae.eval().get_codebook_indices(transform(heard))[0].numpy()
    found = np.frombuffer(result.files["codes.i16"], np.int16)
    assert len(found) == 40
    # The one frame more that Coqui has reaches back over a few codes.
    assert np.array_equal(found[:30], expected[:30])


def test_another_rate_is_resampled(tiny_xtts: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", encode(babble(1.0, 16000), 16000, "WAV"))
    (result,) = encode_clips([path], base=tiny_xtts, device="cpu")
    assert result.record == {"seconds": 1.0}
    assert len(result.files["codes.i16"]) == 2 * -(-RATE // CODE)


def test_a_known_clip_is_not_encoded_again(
    tiny_xtts: Path, tiny_voice: Path, model: Any, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [utterance(at) for at in range(2)]
    first, _ = encoded(rows, tiny_voice, tiny_xtts, model, rt)
    calls: list[Path] = []
    original = clip_codes._encode

    def record(path: Path, *rest: Any) -> Any:
        calls.append(path)
        return original(path, *rest)

    monkeypatch.setattr(clip_codes, "_encode", record)
    again, _ = encoded([*rows, utterance(2)], tiny_voice, tiny_xtts, model, rt, max_text_tokens=99)
    assert [path.name for path in calls] == ["u2.wav"]
    assert again["u0"].codes.tolist() == first["u0"].codes.tolist()


def test_a_base_of_phonemes_learns_from_phonemes(
    tiny_xtts: Path, tiny_voice: Path, rt: Runtime, tmp_path: Path
) -> None:
    base = reading_phonemes(tiny_xtts, tmp_path / "reader")
    model = load_xtts(base, "cpu")
    rows = [utterance(0), utterance(1, normalized="A hat for Ωmega.")]
    found, rejected = encoded(rows, tiny_voice, base, model, rt)
    text = "[en]ðə[SPACE]ɹˈɛd[SPACE]hˈæt[SPACE]ɪz[SPACE]wˈɔːɹm."
    assert found["u0"].tokens == model.tokenizer.tokenizer.encode(text).ids
    assert [(row.id, row.reason) for row in rejected] == [("u1", "unknown_letters")]


# --- bad rows -------------------------------------------------------------------------------------


def test_bad_rows_are_set_aside_with_their_reasons(
    tiny_xtts: Path, model: Any, rt: Runtime, tmp_path: Path
) -> None:
    sounds = {
        "good": babble(1.0),
        "silent": np.zeros(RATE),
        "too_short": babble(0.4),
        "too_long": babble(3.5),  # more codes than this base can say
        "no_text": babble(1.0),
        "text_too_long": babble(1.0),
        "unknown_letters": babble(1.0),
    }
    for name, samples in sounds.items():
        write(tmp_path / f"{name}.wav", encode(np.asarray(samples), RATE, "WAV"))
    write(tmp_path / "unreadable.wav", b"RIFF, but no more")
    texts = {
        "no_text": " …! ",
        "text_too_long": "a red hat " * 30,
        "unknown_letters": "A hat for Ωmega.",
    }
    names = [*sounds, "unreadable", "absent"]
    rows = [
        utterance(0, id=name, file_name=f"{name}.wav", normalized=texts.get(name, "A red hat."))
        for name in names
    ]
    found, rejected = encoded(rows, tmp_path, tiny_xtts, model, rt, max_text_tokens=40)
    assert list(found) == ["good"]
    reasons = {row.id: row.reason for row in rejected}
    assert reasons.pop("absent") == "unreadable"
    assert reasons == {name: name for name in names if name not in ("good", "absent")}
    assert set(reasons.values()) | {"error"} == set(REASONS)
    limits = {row.id: row.threshold for row in rejected}
    assert limits["text_too_long"] == 40
    assert limits["too_short"] == 0.5
    assert limits["too_long"] == pytest.approx(model.gpt.max_gen_mel_tokens * CODE / RATE)


def test_a_base_without_codes_is_one_line(tiny_xtts: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_xtts / "config.json").read_bytes())
    (tmp_path / "dvae.pth").write_text("no weights")
    path = write(tmp_path / "a.wav", encode(babble(1.0), RATE, "WAV"))
    with pytest.raises(LikenessError, match=r"dvae\.pth: not an archive of PyTorch's"):
        encode_clips([path], base=tmp_path, device="cpu")


# --- batches --------------------------------------------------------------------------------------


def test_every_row_comes_once_and_rows_of_a_batch_are_about_as_long() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 300, 203).tolist()

    def padding(batches: list[list[int]]) -> int:
        return sum(len(own) * max(lengths[at] for at in own) for own in batches) - sum(lengths)

    batches = make_batches(lengths, 8, rng)
    assert sorted(row for batch in batches for row in batch) == list(range(203))
    assert max(map(len, batches)) == 8
    drawn = rng.permutation(203).tolist()
    plain = [drawn[at : at + 8] for at in range(0, 203, 8)]
    assert padding(batches) < 0.3 * padding(plain)


def test_batches_are_in_no_order_and_repeat_by_seed() -> None:
    lengths = list(range(64))
    one, again, other = (
        make_batches(lengths, 4, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert one == again != other
    starts = [batch[0] for batch in one]
    assert starts != sorted(starts)
    assert {frozenset(batch) for batch in one} != {frozenset(batch) for batch in other}
