"""Predicted opinion scores: the package's own numbers, and one line when they cannot be had."""

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import read_json, write_json
from likeness.voice.mos import check_mos, predict_mos, predict_p835
from tests.voice.test_speaker import voiced

# Measured with dnsmos.run of speechmos 0.0.1.1 on `voiced(seconds, pitch)`, clipped to -1..1.
MEASURED = [
    ((4.3, 110), (2.16070, 2.22477, 1.64712)),  # repeated
    ((9.5, 140), (2.88872, 2.83236, 2.11520)),  # one look
    ((12.2, 210), (2.73113, 2.87471, 2.01171)),  # three looks
]


@pytest.mark.parametrize(("sound", "scores"), MEASURED)
def test_scores_are_those_of_the_package(dnsmos, sound, scores):
    wave = voiced(*sound).clip(-1, 1)
    assert predict_p835(wave, 16000, dnsmos) == pytest.approx(scores, abs=1e-3)


def test_a_clip_s_score_is_the_overall_one(dnsmos):
    (seconds, pitch), scores = MEASURED[1]
    wave = voiced(seconds, pitch).clip(-1, 1)
    assert predict_mos(wave, 16000, dnsmos) == pytest.approx(scores[2], abs=1e-3)


def test_noise_lowers_the_background_score(dnsmos):
    wave = voiced(4, 110)
    noisy = wave + 0.05 * np.random.default_rng(1).standard_normal(len(wave)).astype(np.float32)
    assert predict_p835(noisy, 16000, dnsmos).bak < predict_p835(wave, 16000, dnsmos).bak - 0.2


def test_an_empty_clip_is_one_line(dnsmos):
    with pytest.raises(LikenessError, match="the clip is empty"):
        predict_mos(np.zeros(0), 16000, dnsmos)


def complaint(folder):
    """What a check says, which is what loading says."""
    with pytest.raises(LikenessError) as caught:
        check_mos(folder)
    text = str(caught.value)
    assert text.startswith(str(folder))
    assert "inputs.mos" in text
    assert "\n" not in text
    return text


def test_a_folder_without_dnsmos_is_one_line(tmp_path):
    assert "no DNSMOS here" in complaint(tmp_path)
    write_json(tmp_path / "config.json", {"predictor": "other"})
    assert "no DNSMOS here" in complaint(tmp_path)
    write_json(tmp_path / "config.json", {"predictor": "dnsmos_p835", "network": "gone.onnx"})
    with pytest.raises(LikenessError, match="no DNSMOS here"):
        predict_mos(np.ones(16000), 16000, tmp_path)


def test_a_network_that_is_cut_off_or_hears_another_length_is_one_line(dnsmos, tmp_path):
    check_mos(dnsmos)
    config = read_json(dnsmos / "config.json")
    data = (dnsmos / config["network"]).read_bytes()
    write_json(tmp_path / "config.json", config)
    for part in (data[:-1], data[: len(data) // 2], b"version https://git-lfs", b""):
        (tmp_path / config["network"]).write_bytes(part)
        assert "not an ONNX network, or incomplete" in complaint(tmp_path)
    (tmp_path / config["network"]).write_bytes(data)
    write_json(tmp_path / "config.json", {**config, "seconds": 5})
    assert "takes 144160 samples, config.json says 80000" in complaint(tmp_path)
