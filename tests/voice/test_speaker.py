"""Speaker vectors: Resemblyzer's own numbers, another kind of encoder, and one line when it cannot be."""

import shutil

import numpy as np
import pytest
import soundfile

from likeness.common.errors import LikenessError
from likeness.common.io import read_json, write_json
from likeness.voice.speaker import (
    centroid_similarities,
    check_encoder,
    embed_files,
)
from likeness.voice.speaker_encoder import embed, embed_windows, window_starts
from tests.conftest import ROOT, absent, runtime

ENCODER = ROOT / "models" / "speaker_encoder"
# Measured with VoiceEncoder.embed_utterance of Resemblyzer 0.1.4 after its normalize_volume, on
# `voiced(seconds, pitch) * gain`: where its five largest values are, and the values.
MEASURED = [
    ((4.3, 110, 1.0), [218, 78, 243, 36, 213], [0.27427, 0.24990, 0.24391, 0.23833, 0.21047]),
    ((2.9, 210, 0.05), [246, 244, 0, 58, 206], [0.37605, 0.25535, 0.20690, 0.20386, 0.19951]),
    ((0.9, 150, 1.0), [243, 62, 187, 246, 51], [0.25147, 0.24135, 0.24115, 0.23633, 0.21754]),
    ((2.7, 150, 1.0), [187, 246, 243, 51, 78], [0.27582, 0.26816, 0.24897, 0.24229, 0.19634]),
]


def voiced(seconds, pitch, rate=16000):
    """A buzz whose pitch sways, in syllables, with a little noise."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time))) / rate
    wave = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, None)
    noise = 0.003 * rng.standard_normal(len(time))
    return (0.2 * wave * syllables + noise).astype(np.float32)


@pytest.fixture
def encoder():
    if not ENCODER.is_dir():
        absent("models/speaker_encoder is not here; `make repro` makes it")
    return ENCODER


@pytest.mark.parametrize(("sound", "places", "values"), MEASURED)
def test_vectors_are_those_of_resemblyzer(encoder, sound, places, values):
    seconds, pitch, gain = sound
    vector = embed(voiced(seconds, pitch) * gain, 16000, encoder)
    assert np.argsort(-vector)[:5].tolist() == places
    assert vector[places] == pytest.approx(values, abs=1e-4)


def test_vectors_are_unit_and_know_a_voice(encoder):
    low, again, high = (
        embed(voiced(seconds, pitch), 16000, encoder)
        for seconds, pitch in ((3, 110), (5, 115), (3, 230))
    )
    assert np.linalg.norm(low) == pytest.approx(1, abs=1e-5)
    assert low @ again > low @ high + 0.1


def test_another_rate_gives_nearly_the_same_vector(encoder):
    wave = voiced(3, 110)
    import soxr

    other = embed(soxr.resample(wave, 16000, 22050), 22050, encoder)
    assert embed(wave, 16000, encoder) @ other > 0.98


def test_files_give_what_their_samples_give(encoder, rt, tmp_path):
    clips = {}
    for name, pitch in (("low", 110), ("high", 210)):
        clips[name] = tmp_path / f"{name}.wav"
        soundfile.write(clips[name], voiced(2, pitch), 16000, subtype="FLOAT")
    vectors = embed_files(clips, encoder=encoder, rt=rt)
    assert vectors.shape == (2, 256)
    for row, path in zip(vectors, clips.values(), strict=True):
        assert (
            row.tolist() == embed(soundfile.read(path, dtype="float32")[0], 16000, encoder).tolist()
        )
    alone = embed_files({"high": clips["high"]}, encoder=encoder, rt=rt)
    assert alone[0].tolist() == vectors[1].tolist()


def test_an_unreadable_file_is_one_line(encoder, rt, tmp_path):
    path = tmp_path / "text.wav"
    path.write_text("no sound")
    with pytest.raises(LikenessError, match=r"text\.wav: no speaker vector") as error:
        embed_files({"text": path}, encoder=encoder, rt=rt)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(16000)])
def test_silence_has_no_speaker(encoder, samples):
    with pytest.raises(LikenessError, match="the clip is silent"):
        embed_windows(samples, 16000, encoder)


@pytest.mark.parametrize(
    ("count", "starts"),
    [
        (100, [0]),
        (1600, [0]),
        (1600 + 369, [0]),
        (1600 + 370, [0, 770]),
        (1600 + 770 + 370, [0, 770, 1540]),
    ],
)
def test_the_last_window_is_mostly_speech(count, starts):
    assert window_starts(count, 1600, 770) == starts


def complaint(folder):
    """What a check says, which is what embedding files says."""
    with pytest.raises(LikenessError) as caught:
        check_encoder(folder)
    with pytest.raises(LikenessError) as embedded:
        embed_files({}, encoder=folder, rt=runtime(folder / "cache"))
    text = str(caught.value)
    assert str(embedded.value) == text
    assert text.startswith(str(folder))
    assert "\n" not in text
    return text


def test_the_encoders_of_the_repository_are_whole(encoder):
    check_encoder(encoder)


@pytest.mark.parametrize("config", [None, {"encoder": "other"}, {"architectures": ["GPT2Model"]}])
def test_a_folder_without_an_encoder_is_one_line(tmp_path, config):
    if config:
        write_json(tmp_path / "config.json", config)
    assert "not a speaker encoder" in complaint(tmp_path)


@pytest.fixture
def copied(tiny_speaker, tmp_path):
    """A whole GE2E encoder to break."""
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_speaker, folder)
    check_encoder(folder)
    return folder


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mels": 80}, "filters is [201, 16], where config.json asks for [201, 80]"),
        ({"size": 16}, "lstm.weight_ih_l0 is [32, 16], where config.json asks for [64, 16]"),
        ({"layers": 2}, "lstm.weight_ih_l1 is missing, where config.json asks for [32, 8]"),
    ],
)
def test_weights_of_other_sizes_than_the_config_names_are_one_line(copied, changes, says):
    write_json(copied / "config.json", {**read_json(copied / "config.json"), **changes})
    assert says in complaint(copied)


def test_weights_that_are_cut_off_are_one_line(copied):
    data = (copied / "w.safetensors").read_bytes()
    (copied / "w.safetensors").write_bytes(data[:-1])
    assert f"w.safetensors: {len(data) - 1} bytes of {len(data)}" in complaint(copied)
    (copied / "w.safetensors").unlink()
    assert "w.safetensors: no such file" in complaint(copied)


@pytest.fixture
def wavlm(tmp_path):
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

    config = WavLMConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8, 8),
        conv_stride=(5, 8, 8),
        conv_kernel=(10, 8, 8),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        tdnn_dim=(8, 8, 8),
        tdnn_kernel=(3, 3, 1),
        tdnn_dilation=(1, 1, 1),
        xvector_output_dim=12,
    )
    folder = tmp_path / "wavlm"
    WavLMForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    return folder


def test_wavlm_is_another_kind(wavlm):
    check_encoder(wavlm)
    windows = embed_windows(voiced(6, 110), 16000, wavlm)
    assert windows.shape == (3, 12)
    assert np.linalg.norm(windows, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        (
            "config.json",
            {"hidden_size": 32},
            "[8, 16], where config.json asks for [8, 32]",
        ),
        ("config.json", {"xvector_output_dim": 6}, "config.json asks for [6, 16]"),
        ("preprocessor_config.json", {"sampling_rate": 8000}, "for speech at 8000 Hz, not 16000"),
    ],
)
def test_a_wavlm_of_other_sizes_is_one_line(wavlm, file, changes, says):
    write_json(wavlm / file, {**read_json(wavlm / file), **changes})
    assert says in complaint(wavlm)


def test_a_wavlm_of_pickled_weights_is_checked_too(wavlm):
    import torch
    from safetensors.torch import load_file

    weights = load_file(wavlm / "model.safetensors")
    (wavlm / "model.safetensors").unlink()
    assert "no weights (*.safetensors, *pytorch_model*.bin) here" in complaint(wavlm)
    torch.save(weights, wavlm / "pytorch_model.bin")
    check_encoder(wavlm)
    data = (wavlm / "pytorch_model.bin").read_bytes()
    (wavlm / "pytorch_model.bin").write_bytes(data[: len(data) // 2])
    assert "not an archive of PyTorch's" in complaint(wavlm)


def test_a_real_clip_is_not_its_own_reference() -> None:
    real = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = centroid_similarities(real, [0, 1, 2], real)
    assert found == pytest.approx([np.sqrt(0.5), np.sqrt(0.5), 0])
    # A clip of the third sentence, and one of a sentence that nobody read.
    other = centroid_similarities(np.array([[1.0, 0.0], [1.0, 0.0]]), [2, None], real)
    assert other == pytest.approx([1, 2 / np.sqrt(5)])
