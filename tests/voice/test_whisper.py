"""Where Whisper runs, with one line where it cannot run there, and what is no Whisper's folder."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from likeness.common import cublas
from likeness.common.errors import LikenessError
from likeness.voice.whisper import callers, hearing_device, load_whisper
from likeness.voice.whisper_files import check_asr, check_model
from tests.conftest import library_env
from tests.voice.sounds import write

# --- the folder -------------------------------------------------------------------------------------


def model_bytes(kind: str = "WhisperSpec", bands: int = 80, tokens: int = 5) -> bytes:
    """A model in CTranslate2's format of two tensors and another name for one."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    def tensor(name: str, *shape: int) -> bytes:
        dims = struct.pack(f"<B{len(shape)}I", len(shape), *shape)
        return text(name) + dims + struct.pack("<BI", 1, 7) + b"weights"

    return (
        struct.pack("<I", 6)
        + text(kind)
        + struct.pack("<II", 3, 2)
        + tensor("decoder/embeddings/weight", tokens, 4)
        + tensor("encoder/conv1/weight", 4, bands, 3)
        + struct.pack("<I", 1)
        + text("decoder/projection/weight")
        + text("decoder/embeddings/weight")
    )


def fake_model(folder: Path, lang_ids: tuple[int, ...] = (), languages: str = "en pt") -> Path:
    """A folder with what is looked at before a model is loaded."""
    added = [{"content": f"<|{language}|>"} for language in languages.split()]
    write(folder / "config.json", json.dumps({"lang_ids": lang_ids}).encode())
    write(folder / "tokenizer.json", json.dumps({"added_tokens": added}).encode())
    write(folder / "vocabulary.json", json.dumps([*"abcde"]).encode())
    write(folder / "model.bin", model_bytes())
    return folder


def complaint(folder: Path) -> str:
    with pytest.raises(LikenessError) as caught:
        check_asr(folder)
    assert str(caught.value).startswith(f"{folder}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("missing", ["model.bin", "tokenizer.json", "config.json"])
def test_a_folder_that_is_no_model_is_one_line(tmp_path: Path, missing: str) -> None:
    folder = fake_model(tmp_path / "asr")
    check_asr(folder)
    (folder / missing).unlink()
    assert f"not a faster-whisper model ({missing} missing); inputs.asr" in complaint(folder)


def test_a_vocabulary_is_json_or_text(tmp_path: Path) -> None:
    folder = fake_model(tmp_path / "asr")
    (folder / "vocabulary.json").unlink()
    assert "vocabulary.json or vocabulary.txt missing" in complaint(folder)
    write(folder / "vocabulary.txt", b"a\nb\nc\nd\ne\n")
    check_asr(folder)


def test_a_model_that_is_cut_off_anywhere_is_one_line(tmp_path: Path) -> None:
    folder = fake_model(tmp_path / "asr")
    for end in range(len(model_bytes())):
        write(folder / "model.bin", model_bytes()[:end])
        assert "model.bin is not a Whisper of CTranslate2, or is incomplete" in complaint(folder)


@pytest.mark.parametrize(
    "data", [model_bytes(kind="TransformerSpec"), b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_another_kind_of_model_is_one_line(tmp_path: Path, data: bytes) -> None:
    folder = fake_model(tmp_path / "asr")
    write(folder / "model.bin", data)
    assert "model.bin is not a Whisper" in complaint(folder)


def test_files_of_two_models_are_one_line(tmp_path: Path) -> None:
    folder = fake_model(tmp_path / "asr")
    write(folder / "model.bin", model_bytes(bands=128, tokens=6))
    assert "has 128 mel bands and 6 tokens, the files beside it say 80 and 5" in (complaint(folder))
    write(folder / "preprocessor_config.json", b'{"feature_size": 128}')
    assert "128 and 5" in complaint(folder)
    write(folder / "vocabulary.json", json.dumps([*"abcdef"]).encode())
    check_asr(folder)


def test_a_real_model_is_whole_and_a_part_of_it_is_not(whisper: Path, tmp_path: Path) -> None:
    check_asr(whisper)
    for path in whisper.iterdir():
        (tmp_path / path.name).symlink_to(path)
    check_asr(tmp_path)
    data = (whisper / "model.bin").read_bytes()
    (tmp_path / "model.bin").unlink()
    for end in (len(data) // 2, len(data) - 1):
        write(tmp_path / "model.bin", data[:end])
        assert "incomplete" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("lang_ids", "language", "says"),
    [
        ((), "pt", "voice_evaluate.language: pt: .*asr knows English only"),
        ((1, 2), "xx", "voice_evaluate.language: xx: .*asr knows no such language"),
    ],
)
def test_a_language_that_the_model_lacks_is_one_line(
    tmp_path: Path, lang_ids: tuple[int, ...], language: str, says: str
) -> None:
    with pytest.raises(LikenessError, match=says) as caught:
        check_model(fake_model(tmp_path / "asr", lang_ids), language, "voice_evaluate.language")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("lang_ids", "language"), [((), "en"), ((), "auto"), ((1, 2), "pt")])
def test_a_language_that_the_model_has_is_fine(
    tmp_path: Path, lang_ids: tuple[int, ...], language: str
) -> None:
    check_model(fake_model(tmp_path / "asr", lang_ids), language, "voice_evaluate.language")


# --- the device -------------------------------------------------------------------------------------


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose GPU CTranslate2 sees."""
    hearing_device.cache_clear()
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    yield
    hearing_device.cache_clear()


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_whisper_runs_on_the_cpu_where_the_rest_does_not_run_on_cuda(
    device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hearing_device(device) == "cpu"
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("gpus")
def test_whisper_runs_on_a_gpu_that_it_can_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cublas, "library", lambda: None)  # this process, which is open already
    assert hearing_device("cuda") == "cuda"
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("gpus")
def test_a_gpu_without_the_library_is_one_line_and_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cublas, "library", lambda: "libnothing.so.12")
    assert [hearing_device("cuda") for _ in range(3)] == ["cpu"] * 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Whisper runs on the CPU: libnothing.so.12: cannot open")
    assert "`pip install -r requirements.lock`" in line


@pytest.mark.usefixtures("gpus")
def test_a_gpu_that_ctranslate2_does_not_see_is_one_line_and_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 0)
    assert hearing_device("cuda") == "cpu"
    assert capsys.readouterr().err == (
        "Whisper runs on the CPU: CTranslate2 sees no GPU; update NVIDIA's driver\n"
    )


def test_without_the_package_the_system_s_library_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cublas, "PACKAGE", "likeness-no-such-package")
    assert cublas.library() == cublas.LIBRARY


@pytest.mark.slow
def test_the_library_is_found_by_its_name_beside_torch_s(tmp_path: Path) -> None:
    """CTranslate2 opens it by this name. It opens without a GPU, so this is seen on any machine."""
    if cublas.PACKAGE not in {one.name for one in metadata.distributions()}:
        pytest.skip(f"{cublas.PACKAGE} is not installed: a torch for CPUs does without")
    script = (
        "import ctypes, ctranslate2, torch\n"
        "from likeness.common.cublas import LIBRARY, gpu_problem\n"
        "ctranslate2.get_cuda_device_count = lambda: 1\n"
        "print(repr(gpu_problem()))\n"
        "ctypes.CDLL(LIBRARY).cublasCreate_v2\n"
        "print(torch.ones(2, 2).mm(torch.ones(2, 2)).sum().item())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=library_env()
    )
    assert (done.stdout, done.returncode) == ("''\n8.0\n", 0), done.stderr


def test_a_gpu_has_one_caller() -> None:
    assert [callers(*one) for one in (("cpu", 4), ("cpu", 0), ("cuda", 4))] == [4, 1, 1]


def test_the_model_is_loaded_where_and_for_whom_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr("faster_whisper.WhisperModel", lambda _, **options: made.append(options))
    load_whisper(tmp_path, "cuda", "default", 1)
    load_whisper(tmp_path, "cpu", "int8", 3)
    assert made == [
        {
            "device": device,
            "compute_type": compute_type,
            "cpu_threads": 1,
            "num_workers": threads,
            "local_files_only": True,
        }
        for device, compute_type, threads in (("cuda", "default", 1), ("cpu", "int8", 3))
    ]
