"""The voice lane as `-S voice=xtts_v2` runs it, on the first sentences of the sample narration."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from likeness.common.io import digest, read_json, read_jsonl, write_bytes, write_jsonl, write_text
from likeness.common.manifest import read_manifest, write_manifest
from likeness.voice.audio import encode, read
from likeness.voice.rows import Region, Speech, Transcript
from likeness.voice.words import Word
from tests.conftest import ROOT
from tests.real_bases.checkout import Checkout, Lane, not_finite, stand_ins
from tests.real_bases.sizes import unlike_published

pytestmark = pytest.mark.real_bases

BASES = ("xtts_v2", "whisper_small", "wavlm_sv")
MEMORY = 10.0  # GiB that a stage may take, most of it for the activations of one training row
RECORDING, SENTENCES = "01_collection.flac", 12
OPTIONS = (
    "base.device=cpu",
    "voice=xtts_v2",
    "inputs.asr=whisper_small",  # as conf/voice/xtts_v2.yaml says where memory is short
    "inputs.speaker=wavlm_sv",
    "inputs.recordings=few_recordings",
    "inputs.sentences=few_sentences.txt",
    # These limits are distances of the bundled encoder.
    "voice_clips.max_speaker_distance=2",
    "voice_clips.max_speaker_spread=2",
    "voice_dataset.train_share=0.4",
    "voice_dataset.val_share=0.2",
    "voice_dataset.block_seconds=1",
    # As many rows to a step as conf has, but one by one: each takes 3 GiB in single precision.
    "voice_train.batch=1",
    "voice_train.accumulation=8",
    "voice_train.epochs=1",
    "voice_train.warmup_steps=0",
    "voice_train.evaluate_every=1",
    "voice_train.sentences=1",
    "voice_train.references=2",
    "voice_synthesize.references=2",
    "voice_synthesize.others=1",
    "voice_evaluate.rounds=10",
)
STAGES = (
    "voice_segment",
    "voice_transcribe",
    "voice_clips",
    "voice_dataset",
    "voice_train",
    "voice_synthesize",
    "voice_evaluate",
)


@pytest.fixture(scope="module")
def lane(checkout: Checkout) -> Iterator[Lane]:
    write_few(checkout.folder / "data" / "raw")
    with stand_ins(checkout, BASES) as sizes:
        yield Lane(checkout, sizes, STAGES, OPTIONS, {"voice_transcribe": as_read})


def write_few(raw: Path) -> None:
    """The first sentences of a recording of the sample with their script, and a text list."""
    sample = ROOT / "data" / "raw" / "sample_voice"
    script = [row for row in read_jsonl(sample / "script.jsonl") if row["file"] == RECORDING]
    script = script[:SENTENCES]
    samples, rate = read(sample / RECORDING)
    end = round((script[-1]["end"] + 0.3) * rate)
    write_bytes(raw / "few_recordings" / RECORDING, encode(samples[:end], rate, "FLAC"))
    write_jsonl(raw / "few_recordings" / "script.jsonl", script)
    write_text(raw / "few_sentences.txt", "It is new.\n")


def as_read(folder: Path) -> None:
    """Put what was read into the transcripts, as a recogniser with random weights hears next to nothing
    and voice_clips would keep none of it."""
    script = read_jsonl(folder / "data" / "raw" / "few_recordings" / "script.jsonl")
    words = [word for row in script for word in row["words"]]
    regions = {
        row.id: row for row in read_manifest(folder / "data/voice_segment/regions.jsonl", Region)
    }
    path = folder / "data" / "voice_transcribe" / "words.jsonl"
    rows = []
    for row in read_manifest(path, Transcript):
        start, end = regions[row.id].start, regions[row.id].end
        inside = [
            Word(word=word, start=max(first, start), end=min(last, end), probability=1.0)
            for word, first, last in words
            if start < (first + last) / 2 < end
        ]
        heard = {"words": inside, "text": " ".join(word.word for word in inside)}
        sure = {"avg_logprob": -0.1, "no_speech_prob": 0.0, "compression_ratio": 1.0}
        rows.append(row.model_copy(update={**heard, **sure}))
    write_manifest(path, rows)


@pytest.mark.parametrize("name", BASES)
def test_the_files_are_as_large_as_the_published_ones(lane: Lane, name: str) -> None:
    assert unlike_published(name, lane.sizes[name], lane.checkout.folder / "models" / name) == []


def test_the_vocabularies_have_the_published_number_of_tokens(lane: Lane) -> None:
    from tokenizers import Tokenizer

    models = lane.checkout.folder / "models"
    for path, tokens in (("xtts_v2/vocab.json", 6681), ("whisper_small/tokenizer.json", 51865)):
        assert Tokenizer.from_file(str(models / path)).get_vocab_size() == tokens


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs(lane: Lane, stage: str) -> None:
    lane.reach(stage)
    assert not_finite(lane.checkout.metrics(stage)) == []
    assert lane.checkout.measured[stage].memory < MEMORY


def test_everything_is_said_by_base_tuned_and_another_voice(lane: Lane) -> None:
    data = lane.reach("voice_synthesize") / "data" / "voice_synthesize"
    rows = read_manifest(data / "manifest.jsonl", Speech)
    said = {
        voice: [row for row in rows if row.voice == voice] for voice in ("base", "tuned", "other")
    }
    assert len(said["base"]) == len(said["tuned"]) > len(said["other"]) == 1
    assert said["other"][0].speaker.startswith("Speaker ")
    assert all(soundfile.info(data / row.file_name).samplerate == 24000 for row in rows)


def test_the_adapter_says_which_base_it_is_for(lane: Lane) -> None:
    training = read_json(lane.reach("voice_train") / "data" / "voice_train" / "training.json")
    assert training["base_id"] == "coqui/XTTS-v2"
    assert training["base_license"] == "coqui-public-model-license"


def test_nothing_is_left_at_random_in_the_speaker_encoder(lane: Lane) -> None:
    from transformers import WavLMForXVector

    folder = lane.checkout.folder / "models" / "wavlm_sv"
    _, report = WavLMForXVector.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["mismatched_keys"]


def test_stock_coqui_speaks_in_the_learnt_voice(lane: Lane) -> None:
    """The merged checkpoint is loaded by Coqui's own code, which leaves its files as they are."""
    import numpy as np
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    folder = lane.reach("voice_train")
    command = "from likeness.cli import entry; entry()"
    lane.checkout.call("likeness merge", ("-c", command, "merge", "merged"))
    merged = folder / "merged"
    before = digest(merged)
    config = XttsConfig()
    config.load_json(str(merged / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=str(merged))
    assert digest(merged) == before
    assert len(model.speaker_manager.speakers) == 59  # of the base, and one more
    for speaker in ("tuned", "Speaker 01"):
        wave = model.synthesize("It is new.", speaker=speaker, language="en")["wav"]
        assert np.isfinite(wave).all()
        assert np.abs(wave).max() > 0


def test_the_report_shows_both_lanes(lane: Lane) -> None:
    folder = lane.reach("voice_evaluate")
    if not (folder / "data" / "image_evaluate").is_dir():
        pytest.skip("test_image.py has not run before")
    lane.checkout.run("report", OPTIONS)
    report = folder / "reports" / "report"
    assert {path.name for path in report.iterdir()} >= {
        "index.html",
        "model_card.md",
        "voice_card.md",
    }
    assert "creativeml-openrail-m" in (report / "model_card.md").read_text()
    assert "coqui-public-model-license" in (report / "voice_card.md").read_text()
