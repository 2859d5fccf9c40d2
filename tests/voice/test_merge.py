"""The base with the learnt voice inside: what the pipeline speaks with, as stock Coqui loads it."""

import argparse
import shutil
import zipfile
from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import digest
from likeness.voice.merge import main, merge
from likeness.voice.speech import speak
from likeness.voice.xtts import (
    FILES,
    SPEAKERS,
    load_xtts,
    read_speakers,
    read_weights,
)
from likeness.voice.xtts_files import NORMALIZED, read_settings
from models.xtts_measure import load_stock
from tests.conftest import files_of
from tests.voice.tiny_xtts import build_voice_folder

pytestmark = pytest.mark.slow  # the base and its merged copy take seconds to make

Folders = tuple[Path, Path, Path]


@pytest.fixture(scope="module")
def folders(tiny_xtts: Path, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A base, what a training left, and both in one."""
    root = tmp_path_factory.mktemp("merge")
    base, trained = tiny_xtts, build_voice_folder(tiny_xtts, root / "trained")
    before = digest(base), digest(trained)
    merge(base, trained, root / "merged")
    assert (digest(base), digest(trained)) == before
    return base, trained, root / "merged"


def said(base: Path, adapter: Path | None, clip: Path) -> list[bytes]:
    found = speak(
        [{"text": "The red hat is warm.", "seed": seed, "speaker": ""} for seed in (1, 2)],
        base=base, adapter=adapter, references=[clip], language="en",
        settings=read_settings(base), device="cpu",
    )  # fmt: skip
    return [one.files["audio.wav"] for one in found]  # type: ignore[union-attr]


def test_it_says_the_same_bytes_as_the_base_with_the_adapter(
    folders: Folders, tiny_voice: Path
) -> None:
    base, trained, merged = folders
    clip = tiny_voice / "wavs" / "u0.wav"
    tuned = said(base, trained / "adapter.safetensors", clip)
    assert tuned == said(merged, None, clip)
    assert not set(tuned) & set(said(base, None, clip))


def test_its_weights_are_those_of_the_base_with_the_adapter(folders: Folders) -> None:
    import torch

    base, trained, merged = folders
    expected = load_xtts(base, "cpu", adapter=trained / "adapter.safetensors").state_dict()
    found = load_xtts(merged, "cpu").state_dict()
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    before, after = read_weights(base), read_weights(merged)
    changed = {name for name in before if before[name].dtype != after[name].dtype}
    layers = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    normalized = f"resblocks.0.convs2.0{NORMALIZED.removesuffix('1')}"
    decoder = ("conv_pre.weight", f"{normalized}0", f"{normalized}1")
    assert changed == {
        *(f"gpt.gpt.h.{at}.{layer}.weight" for at in (0, 1) for layer in layers),
        *(f"hifigan_decoder.waveform_decoder.{name}" for name in decoder),
    }
    assert all(torch.equal(before[name], after[name]) for name in before.keys() - changed)


def test_its_files_are_a_base_s_and_the_same_bytes_each_time(
    folders: Folders, tmp_path: Path
) -> None:
    base, trained, merged = folders
    assert set(files_of(merged)) == {*FILES, SPEAKERS}
    assert digest(merged / "dvae.pth") == digest(base / "dvae.pth")
    kinds = [
        {info.compress_type for info in zipfile.ZipFile(folder / "model.pth").infolist()}
        for folder in (base, merged)
    ]
    assert kinds[0] == kinds[1]
    merge(base, trained, tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(merged)


def test_stock_coqui_loads_it_and_leaves_it_as_it_is(folders: Folders) -> None:
    import torch

    _, _, merged = folders
    before = digest(merged)
    model = load_stock(merged)
    assert digest(merged) == before, "it would rewrite a pickled config"
    assert model.speaker_manager.speaker_names == ["ann", "tuned"]
    voice = read_speakers(merged)["tuned"]
    latents, embedding = model.speaker_manager.speakers["tuned"].values()  # as Coqui takes them
    assert torch.equal(latents, voice.latents)
    assert torch.equal(embedding, voice.embedding)


def test_old_names_of_speakers_are_written_as_xtts_v2_has_them(
    folders: Folders, tmp_path: Path
) -> None:
    import torch

    base, trained, merged = folders
    shutil.copytree(base, tmp_path / "old")
    stored = torch.load(base / SPEAKERS, weights_only=True)["ann"]
    old = {"gpt_conditioning_latents": stored.pop("gpt_cond_latent"), **stored}
    torch.save({"ann": old}, tmp_path / "old" / SPEAKERS)
    merge(tmp_path / "old", trained, tmp_path / "merged")
    assert files_of(tmp_path / "merged") == files_of(merged)


# --- the command ----------------------------------------------------------------------------------


def test_the_command_takes_the_base_that_was_trained_on(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, trained, merged = folders
    shutil.copytree(base, tmp_path / "models" / base.name)
    shutil.copytree(trained, tmp_path / "data" / "voice_train")
    out = tmp_path / "to" / "voice"
    arguments = argparse.Namespace(out=out)
    assert main(arguments, tmp_path) == 0
    assert files_of(out) == files_of(merged)
    assert f"{out}: a checkpoint for Coqui's Xtts" in capsys.readouterr().out
    with pytest.raises(LikenessError, match="voice: already exists; name a new folder"):
        main(arguments, tmp_path)


def refused(root: Path, match: str) -> None:
    with pytest.raises(LikenessError, match=match):
        main(argparse.Namespace(out=root / "out"), root)
    assert not (root / "out").exists()


def test_what_is_missing_is_one_line(folders: Folders, tmp_path: Path) -> None:
    base, trained, _ = folders
    refused(tmp_path, r"voice_train/training\.json: no such file; run the stage that writes it")
    shutil.copytree(trained, tmp_path / "data" / "voice_train")
    refused(tmp_path, rf"models/{base.name}: not an XTTS \(")
    shutil.copytree(base, tmp_path / "models" / base.name)
    (tmp_path / "data" / "voice_train" / "adapter.safetensors").unlink()
    refused(tmp_path, r"adapter\.safetensors: not an adapter")
