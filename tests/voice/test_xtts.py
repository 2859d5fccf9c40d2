"""A base is checked, loaded and left as it is, an adapter goes in and out, the voice is stock XTTS's."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.common.errors import LikenessError
from likeness.common.io import digest, read_json, write_json
from likeness.common.result import Rejected
from likeness.voice import xtts, xtts_files
from likeness.voice.audio import read
from likeness.voice.codes import RATE
from likeness.voice.lora import inject_adapter, plain_adapter
from likeness.voice.rows import choose_references
from likeness.voice.speech import check_text
from likeness.voice.xtts import (
    ADAPTER,
    FILES,
    SPEAKERS,
    apply_adapter,
    deltas,
    load_xtts,
    read_speakers,
    read_weights,
    say,
    voice_of,
)
from likeness.voice.xtts_files import check_speaks, check_xtts, read_adapter, read_settings
from models.xtts_measure import load_stock
from tests.conftest import bundled_model
from tests.voice.sounds import babble
from tests.voice.tiny_xtts import reading_phonemes, utterance, with_stop

GPT2 = ["c_attn", "c_proj", "c_fc"]


@pytest.fixture
def model(tiny_xtts: Path) -> Any:
    return load_xtts(tiny_xtts, "cpu")


def inject(
    model: Any, targets: list[str] = GPT2, top_layers: int = 0, decoder: Sequence[str] = ()
) -> dict[str, Any]:
    return inject_adapter(
        model, rank=2, alpha=6, dropout=0.0, targets=targets, top_layers=top_layers,
        decoder_targets=decoder,
    )  # fmt: skip


def decoded(model: Any) -> Any:
    """(samples,) that the decoder makes of some latents."""
    import torch

    latents = torch.linspace(-2, 2, 6 * 64).reshape(1, 6, 64)
    with torch.inference_mode():
        return model.hifigan_decoder(latents, g=torch.full((1, 512, 1), 0.04)).flatten()


def fill(parameters: dict[str, Any]) -> None:
    """Weights as training leaves them: `lora_B` starts at zero, where an adapter does nothing."""
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.normal_(std=0.1)


def half_unused(base: Path, folder: Path) -> Path:
    """A copy of a base whose decoder is half as wide, in the first channels of one as wide as before."""
    import torch
    from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder

    from models.xtts_nets import widen

    shutil.copytree(base, folder)
    state = read_weights(folder)
    part = "hifigan_decoder.waveform_decoder."
    wide = {name: own.float() for name, own in state.items() if name.startswith(part)}
    width = state["gpt.mel_head.weight"].shape[1]
    torch.manual_seed(3)
    small = HifiDecoder(decoder_input_dim=width, upsample_initial_channel_decoder=16)
    widen({f"hifigan_decoder.{name}": own for name, own in small.state_dict().items()}, wide)
    torch.save({"model": state | wide}, folder / "model.pth")
    return folder


def logits(model: Any) -> Any:
    """(1, 8, codes) from the network that speaks."""
    import torch

    gpt = model.gpt
    with torch.inference_mode():
        mel = torch.linspace(-3, 3, 80 * 90).reshape(1, 80, 90)
        latents = gpt.get_style_emb(mel).transpose(1, 2)
        prefix = gpt.compute_embeddings(latents, torch.tensor([[5, 6, 7]]))
        codes = torch.arange(7)[None] * 9
        return gpt.gpt_inference(torch.cat([prefix, codes], dim=1)).logits[:, -8:]


# --- loading --------------------------------------------------------------------------------------


def test_loading_gives_what_coqui_s_loader_gives(tiny_xtts: Path, model: Any) -> None:
    import torch

    expected = load_stock(tiny_xtts)
    assert torch.equal(logits(model), logits(expected))
    assert not any(module.training for module in (model.gpt, model.hifigan_decoder))
    assert not any(parameter.requires_grad for parameter in model.parameters())


def copy_of(base: Path, folder: Path) -> Path:
    return Path(shutil.copytree(base, folder / "copy"))


def test_a_trainer_s_checkpoint_loads(tiny_xtts: Path, tmp_path: Path, model: Any) -> None:
    """Coqui's trainer stores its DVAE and mels beside `xtts.`, and old versions what speaks twice."""
    import torch

    folder = copy_of(tiny_xtts, tmp_path)
    state = {f"xtts.{name}": tensor for name, tensor in read_weights(tiny_xtts).items()}
    more = ["xtts.gpt.gpt_inference.lm_head.0.weight", "xtts.gpt.gpt.wte.weight", "dvae.encoder.w"]
    torch.save({"model": state | {name: torch.zeros(1) for name in more}}, folder / "model.pth")
    before = digest(folder)
    assert torch.equal(logits(load_xtts(folder, "cpu")), logits(model))
    assert digest(folder) == before


def test_a_pickled_config_is_one_line_and_the_file_stays(tiny_xtts: Path, tmp_path: Path) -> None:
    """Coqui's loader would rewrite the file in place."""
    import torch
    from TTS.tts.configs.xtts_config import XttsConfig

    folder = copy_of(tiny_xtts, tmp_path)
    state = {"model": read_weights(tiny_xtts), "config": XttsConfig()}
    torch.save(state, folder / "model.pth")
    before = digest(folder / "model.pth")
    with pytest.raises(LikenessError, match=r"model\.pth: holds more than weights.*likeness fetch"):
        load_xtts(folder, "cpu")
    assert digest(folder / "model.pth") == before


def test_a_language_that_it_does_not_speak_is_named(tiny_xtts: Path) -> None:
    check_speaks(tiny_xtts, "en", "voice_train.language")
    with pytest.raises(LikenessError, match=r"voice_train\.language: pt: this base speaks en"):
        check_speaks(tiny_xtts, "pt", "voice_train.language")


def test_speakers_are_read_by_xtts_v2_s_name_and_by_coqui_s(
    tiny_xtts: Path, tmp_path: Path
) -> None:
    import torch

    stored = torch.load(tiny_xtts / SPEAKERS, weights_only=True)
    assert list(stored["ann"]) == ["gpt_cond_latent", "speaker_embedding"]
    other = {"gpt_conditioning_latents": stored["ann"]["gpt_cond_latent"], **stored["ann"]}
    del other["gpt_cond_latent"]
    torch.save({"ann": other}, tmp_path / SPEAKERS)
    mine, theirs = read_speakers(tiny_xtts)["ann"], read_speakers(tmp_path)["ann"]
    assert torch.equal(mine.latents, theirs.latents)
    assert torch.equal(mine.embedding, theirs.embedding)


def test_a_folder_without_speakers_has_none(tmp_path: Path) -> None:
    assert read_speakers(tmp_path) == {}


# --- phonemes -------------------------------------------------------------------------------------


@pytest.fixture
def reader(tiny_xtts: Path, tmp_path: Path) -> Any:
    """A base to which texts are given as phonemes."""
    return load_xtts(reading_phonemes(tiny_xtts, tmp_path / "reader"), "cpu")


def test_a_base_of_phonemes_gets_phonemes(reader: Any, model: Any) -> None:
    vocabulary = reader.tokenizer.tokenizer
    ids = reader.tokenizer.encode("the red hat, of the coat.", lang="en")
    expected = "[en]ðə ɹˈɛd hˈæt, ʌvðə kˈoʊt.".replace(" ", "[SPACE]")
    assert ids == vocabulary.encode(expected).ids
    assert vocabulary.token_to_id("[UNK]") not in ids
    assert ids[0] == vocabulary.token_to_id("[en]")
    assert ids != model.tokenizer.encode("the red hat, of the coat.", lang="en")


def test_any_other_base_gets_letters_as_coqui_has_them(tiny_xtts: Path, model: Any) -> None:
    text = "the red hat costs $5, of the coat."
    expected = load_stock(tiny_xtts).tokenizer.encode(text, lang="en")
    assert model.tokenizer.encode(text, lang="en") == expected


def test_coqui_s_inference_reads_the_phonemes(
    reader: Any, tiny_xtts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[int]] = []
    generate = reader.gpt.generate

    def record(**options: Any) -> Any:
        given.append(options["text_inputs"][0].tolist())
        return generate(**options)

    monkeypatch.setattr(reader.gpt, "generate", record)
    spoken(reader, tiny_xtts, "A red hat.")
    assert given == [reader.tokenizer.encode("a red hat.", lang="en")]


def test_letters_without_a_token_are_found_for_letters_and_phonemes(
    reader: Any, model: Any
) -> None:
    for one in (reader, model):
        check_text(one, "The red hat — it's new.", "en")
        with pytest.raises(Rejected) as caught:
            check_text(one, "A hat, их, Ωmega", "en")
        assert (caught.value.reason, caught.value.value) == ("unknown_letters", "ωих")
    check_text(reader, "A café.", "en")  # as English has it
    with pytest.raises(Rejected, match="unknown_letters"):
        check_text(model, "A café.", "en")


# --- checking -------------------------------------------------------------------------------------


def refused(folder: Path, match: str) -> None:
    with pytest.raises(LikenessError, match=match) as error:
        check_xtts(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tiny_xtts: Path, tmp_path: Path, name: str) -> None:
    folder = copy_of(tiny_xtts, tmp_path)
    (folder / name).unlink()
    refused(folder, f"not an XTTS \\({name} missing\\); inputs.tts names a folder")


@pytest.mark.parametrize("name", [*(name for name in FILES if name.endswith(".pth")), SPEAKERS])
def test_a_file_that_is_cut_short_is_named(tiny_xtts: Path, tmp_path: Path, name: str) -> None:
    folder = copy_of(tiny_xtts, tmp_path)
    path = folder / name
    path.write_bytes(path.read_bytes()[:-100])
    refused(folder, f"{name}: not an archive of PyTorch's .*; run its stage")


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("model", "vits", "config.json: model: vits: must be xtts"),
        ("languages", [], "config.json: languages: must list at least one"),
        ("text", "letters", "config.json: text: letters: must be phonemes, or absent"),
        ("model_args.gpt_use_perceiver_resampler", False, "an XTTS of version 1"),
        (
            "model_args.gpt_n_model_channels",
            32,
            r"model.pth: gpt.text_embedding.weight is \[\d+, 64\], where .* asks for \[\d+, 32\]",
        ),
        ("model_args.gpt_layers", 3, r"model.pth: gpt.gpt.h.2.mlp.c_fc.weight is missing"),
        ("model_args.gpt_num_audio_tokens", 1026, r"gpt.mel_embedding.weight is \[2050, 64\]"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(
    tiny_xtts: Path, tmp_path: Path, key: str, value: object, match: str
) -> None:
    folder = copy_of(tiny_xtts, tmp_path)
    config = read_json(folder / "config.json")
    part, _, name = key.rpartition(".")
    (config[part] if part else config)[name] = value
    write_json(folder / "config.json", config)
    refused(folder, match)


def test_a_base_that_reads_phonemes_speaks_english_alone(tiny_xtts: Path, tmp_path: Path) -> None:
    folder = reading_phonemes(tiny_xtts, tmp_path / "reader")
    check_xtts(folder)
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"languages": ["en", "es"]})
    refused(folder, "config.json: languages: must be en alone for a base that reads phonemes")


@pytest.mark.parametrize(
    ("file", "key"),
    [("config.json", "model_args"), ("config.json", "model"), ("vocab.json", "model")],
)
def test_a_file_of_something_else_is_one_line(
    tiny_xtts: Path, tmp_path: Path, file: str, key: str
) -> None:
    folder = copy_of(tiny_xtts, tmp_path)
    write_json(folder / file, {k: v for k, v in read_json(folder / file).items() if k != key})
    refused(folder, f"config.json or vocab.json is not that of an XTTS \\(KeyError\\('{key}'\\)\\)")


def test_another_tokenizer_is_one_line(tiny_xtts: Path, tmp_path: Path) -> None:
    folder = copy_of(tiny_xtts, tmp_path)
    vocab = read_json(folder / "vocab.json")
    tokens = len(vocab["model"]["vocab"])
    vocab["model"]["vocab"]["zebra"] = tokens
    write_json(folder / "vocab.json", vocab)
    refused(
        folder, rf"text_embedding.weight is \[{tokens}, 64\], where .* for \[{tokens + 1}, 64\]"
    )


@pytest.mark.parametrize("name", ["encoder.0.0.weight", "decoder.6.bias", "codebook.embed"])
def test_a_dvae_without_a_part_is_one_line(tiny_xtts: Path, tmp_path: Path, name: str) -> None:
    import torch

    folder = copy_of(tiny_xtts, tmp_path)
    state = torch.load(folder / "dvae.pth", weights_only=True)
    assert not any("discrete_loss" in key for key in state), "as published"
    torch.save({key: one for key, one in state.items() if key != name}, folder / "dvae.pth")
    refused(folder, f"dvae.pth: {name} is missing")


def test_a_dvae_with_what_only_a_training_keeps_is_taken(tiny_xtts: Path, tmp_path: Path) -> None:
    import torch

    folder = copy_of(tiny_xtts, tmp_path)
    state = torch.load(folder / "dvae.pth", weights_only=True)
    more = {"discrete_loss.accumulator": torch.zeros(100, 2048)}
    torch.save(state | more, folder / "dvae.pth")
    check_xtts(folder)


def test_mel_stats_of_other_bands_are_one_line(tiny_xtts: Path, tmp_path: Path) -> None:
    import torch

    folder = copy_of(tiny_xtts, tmp_path)
    torch.save(torch.ones(100), folder / "mel_stats.pth")
    refused(folder, r"mel_stats.pth: mel_stats is \[100\], where .* asks for \[80\]")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"gpt_cond_latent": None}, "ann: no gpt_cond_latent or no speaker_embedding"),
        ({"speaker_embedding": None}, "ann: no gpt_cond_latent or no speaker_embedding"),
        ({"gpt_cond_latent": 128}, r"ann is \[1, 32, 128\], where .* asks for \[1, 32, 64\]"),
    ],
)
def test_speakers_that_cannot_be_spoken_in_are_one_line(
    tiny_xtts: Path, tmp_path: Path, change: dict[str, int | None], match: str
) -> None:
    import torch

    folder = copy_of(tiny_xtts, tmp_path)
    stored = torch.load(folder / SPEAKERS, weights_only=True)
    for name, width in change.items():
        del stored["ann"][name]
        if width:
            stored["ann"][name] = torch.zeros(1, 32, width)
    torch.save(stored, folder / SPEAKERS)
    refused(folder, f"{SPEAKERS}: {match}.*; run its stage")


def test_the_check_reads_no_weights(tiny_xtts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, str]] = []
    original = xtts.read_archive

    def record(path: Path, device: str = "cpu") -> Any:
        read.append((path.name, device))
        return original(path, device)

    for module in (xtts, xtts_files):
        monkeypatch.setattr(module, "read_archive", record)
    check_xtts(tiny_xtts)
    files = ["model.pth", "dvae.pth", "mel_stats.pth", SPEAKERS]
    assert sorted(read) == sorted((name, "meta") for name in files)


@pytest.mark.slow
def test_the_bundled_base_is_whole(tmp_path: Path) -> None:
    check_xtts(bundled_model("xtts_mini", tmp_path / "xtts_mini"))


# --- adapters -------------------------------------------------------------------------------------


def test_a_new_adapter_changes_nothing_and_a_trained_one_what_speaks(model: Any) -> None:
    import torch

    before = logits(model)
    parameters = inject(model)
    assert torch.equal(logits(model), before)
    fill(parameters)
    assert (logits(model) - before).abs().max() > 0.01
    # The paths that Coqui reaches into are still there, and what speaks is what is trained.
    assert model.gpt.gpt_inference.transformer is model.gpt.gpt
    assert model.gpt.gpt.wte is model.gpt.mel_embedding
    assert len(parameters) == 2 * 2 * 4  # A and B, two blocks of four layers
    assert all(".lora_" in name for name in parameters)


@pytest.mark.parametrize("targets", [["c_attn"], ["c_proj"], ["c_fc"], [*GPT2, "to_q", "to_kv"]])
def test_added_to_the_weights_it_does_the_same(
    tiny_xtts: Path, model: Any, targets: list[str]
) -> None:
    """Conv1D stores its weights as (in, out); the square ones would hide a wrong transpose."""
    import torch

    parameters = inject(model, targets)
    fill(parameters)
    adapter = plain_adapter(parameters, 6 / 2, tiny_xtts)
    assert not any(".default" in name for name in adapter)
    other = load_xtts(tiny_xtts, "cpu")
    plain = logits(other)
    apply_adapter(other, adapter)
    assert torch.allclose(logits(other), logits(model), atol=1e-4)
    assert not torch.allclose(logits(other), plain, atol=1e-2)


@pytest.mark.parametrize("targets", [["conv_pre", "cond_layer"], ["convs2.0"], ["conv_post"]])
def test_in_the_decoder_too_even_where_weights_are_normalized(
    tiny_xtts: Path, model: Any, targets: list[str]
) -> None:
    import torch

    before = decoded(model)
    parameters = inject(model, [], decoder=targets)
    assert torch.equal(decoded(model), before)
    fill(parameters)
    adapter = plain_adapter(parameters, 6 / 2, tiny_xtts)
    other = load_xtts(tiny_xtts, "cpu")
    apply_adapter(other, adapter)
    made = decoded(model)
    change = (made - before).abs().max()  # quiet, as its weights are random
    assert change > 1e-4
    assert (decoded(other) - made).abs().max() < 0.01 * change


def test_an_unused_channel_of_the_decoder_stays_silent(model: Any) -> None:
    """Its weights are zero, which have no direction."""
    import torch

    name = "hifigan_decoder.waveform_decoder.resblocks.0.convs2.0"
    layer = model.get_submodule(name)
    with torch.no_grad():
        layer.parametrizations.weight.original0[3:] = 0
    before = layer.weight.detach().clone()
    size = before.shape
    adapter = {
        f"{name}.lora_A.weight": torch.ones(1, *size[1:]),
        f"{name}.lora_B.weight": torch.eye(size[0], 1)[:, :, None],
    }
    apply_adapter(model, adapter)
    assert torch.allclose(layer.weight[0], before[0] + 1, atol=1e-5)
    assert torch.allclose(layer.weight[1:], before[1:], atol=1e-6)
    assert not layer.weight[3:].any()


def test_a_delta_is_scale_times_b_times_a(tiny_xtts: Path) -> None:
    import torch

    first, second = torch.randn(2, 3), torch.randn(5, 2)
    layer = "gpt.gpt.h.0.x"
    weights = {f"{layer}.lora_A.default.weight": first, f"{layer}.lora_B.default.weight": second}
    found = dict(deltas(plain_adapter(weights, 3.0, tiny_xtts)))
    assert list(found) == [f"{layer}.weight"]
    assert torch.allclose(found[f"{layer}.weight"], 3.0 * (second @ first).T)
    linear = {name.replace(layer, "other.x"): tensor for name, tensor in weights.items()}
    assert torch.allclose(
        dict(deltas(plain_adapter(linear, 1.0, tiny_xtts)))["other.x.weight"], second @ first
    )


def test_channels_of_the_decoder_without_use_are_left_out(tiny_xtts: Path, tmp_path: Path) -> None:
    """It says the same as with them, and an adapter of it fits the base."""
    from safetensors.torch import save_file

    base = half_unused(tiny_xtts, tmp_path / "half")
    wide, narrow = load_xtts(base, "cpu", whole=True), load_xtts(base, "cpu")
    sizes = [len(one.hifigan_decoder.waveform_decoder.conv_pre.weight) for one in (wide, narrow)]
    assert sizes == [32, 16]
    change = decoded(wide).abs().max()
    assert (decoded(narrow) - decoded(wide)).abs().max() < 1e-4 * change
    parameters = inject(narrow, [], decoder=["conv_pre", "convs2.0", "cond_layer"])
    fill(parameters)
    save_file(plain_adapter(parameters, 6 / 2, base), tmp_path / ADAPTER)
    for whole in (True, False):
        tuned = load_xtts(base, "cpu", adapter=tmp_path / ADAPTER, whole=whole)
        made = decoded(narrow)
        moved = (made - decoded(wide)).abs().max()
        assert moved > 0.01 * change
        assert (decoded(tuned) - made).abs().max() < 0.01 * moved


def test_only_upper_layers_are_adapted_when_asked_for(model: Any) -> None:
    names = inject(model, top_layers=1)
    assert len(names) == 2 * 4
    assert all(name.startswith("gpt.gpt.h.1.") for name in names)


def test_more_upper_layers_than_there_are_is_all(model: Any) -> None:
    assert len(inject(model, top_layers=99)) == 2 * 2 * 4


def test_a_target_that_no_layer_has_is_one_line(model: Any) -> None:
    with pytest.raises(LikenessError, match=r"voice_train\.targets: no layer .* named q_proj"):
        inject(model, ["c_attn", "q_proj"])
    with pytest.raises(LikenessError, match="named to_q"):
        inject(model, ["c_attn", "to_q"], top_layers=1)  # it is in no block
    with pytest.raises(LikenessError, match=r"voice_train\.decoder_targets: .* named post$"):
        inject(model, decoder=["post"])


@pytest.mark.parametrize("target", ["convs1.1", "ups.0"])
def test_a_layer_that_peft_would_adapt_wrongly_is_one_line(model: Any, target: str) -> None:
    with pytest.raises(LikenessError, match=rf"decoder_targets: {target} is a dilated or transp"):
        inject(model, decoder=[target])


@pytest.mark.parametrize(
    ("layer", "width"), [("gpt.gpt.h.9.mlp.c_fc", 64), ("gpt.gpt.h.0.mlp.c_fc", 32)]
)
def test_an_adapter_of_another_base_is_one_line(
    tiny_xtts: Path, tmp_path: Path, layer: str, width: int
) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / ADAPTER
    wrong = {"lora_A": torch.zeros(1, width), "lora_B": torch.zeros(4 * width, 1)}
    save_file({f"{layer}.{name}.weight": one for name, one in wrong.items()}, path)
    with pytest.raises(
        LikenessError, match=rf"{ADAPTER}: {layer}\.weight does not fit .*tiny_xtts"
    ):
        read_adapter(path, tiny_xtts)


def test_what_is_no_adapter_is_one_line(tiny_xtts: Path, tmp_path: Path) -> None:
    for data in (b"", b"weights"):
        (tmp_path / ADAPTER).write_bytes(data)
        with pytest.raises(LikenessError, match=r"adapter\.safetensors: not an adapter"):
            read_adapter(tmp_path / ADAPTER, tiny_xtts)
    with pytest.raises(LikenessError, match=r"adapter\.safetensors: not an adapter"):
        read_adapter(tmp_path / "none" / ADAPTER, tiny_xtts)


# --- speaking -------------------------------------------------------------------------------------


def test_the_voice_is_what_stock_xtts_takes(
    model: Any, tiny_voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def load_audio(path: Path, rate: int) -> Any:
        assert rate == RATE
        return torch.from_numpy(read(path)[0])[None]

    # Stock XTTS opens files with torchaudio, which needs FFmpeg's libraries.
    monkeypatch.setattr("TTS.tts.models.xtts.load_audio", load_audio)
    config = model.config
    paths = [tiny_voice / "wavs" / f"u{at}.wav" for at in (0, 1, 2)]
    latents, embedding = model.get_conditioning_latents(
        paths,
        max_ref_length=config.max_ref_len,
        gpt_cond_len=config.gpt_cond_len,
        gpt_cond_chunk_len=config.gpt_cond_chunk_len,
        sound_norm_refs=config.sound_norm_refs,
    )
    voice = voice_of(model, [read(path)[0] for path in paths])
    assert torch.equal(voice.latents, latents)
    assert torch.equal(voice.embedding, embedding)


OWN = {"temperature": 0.75, "top_k": 50, "top_p": 0.85, "repetition_penalty": 5}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A base's folder; the penalty is a whole number, as XTTS-v2's config may hold it."""
    write_json(tmp_path / "config.json", {**OWN, "length_penalty": 1.0})
    return tmp_path


def test_settings_are_the_base_s_unless_given(config: Path) -> None:
    found = read_settings(config)
    assert found == OWN
    assert read_settings(config, {"temperature": 0.2, "top_k": None}) == {**OWN, "temperature": 0.2}
    assert isinstance(found["repetition_penalty"], float), "transformers refuses 5"
    assert isinstance(found["top_k"], int)


def test_a_config_without_a_setting_is_one_line(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"temperature": 0.75})
    with pytest.raises(LikenessError, match=r"config\.json: no top_k; add it"):
        read_settings(tmp_path)


def test_the_settings_are_used_and_not_the_signature_s(
    model: Any, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    generate = model.gpt.generate

    def record(**options: Any) -> Any:
        given.update(options)
        return generate(**options)

    monkeypatch.setattr(model.gpt, "generate", record)
    spoken(model, config, "A hat.")
    assert {name: given[name] for name in OWN} == OWN


def spoken(model: Any, base: Path, text: str, seed: int = 0) -> np.ndarray:
    voice, settings = voice_of(model, [babble(2)]), read_settings(base)
    return say(model, text, language="en", voice=voice, seed=seed, settings=settings)


def test_a_seed_says_the_same_again(model: Any, tiny_xtts: Path) -> None:
    one, again, other = (
        spoken(model, tiny_xtts, "The red hat is warm.", seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_speech_does_not_go_on_for_ever(tiny_xtts: Path, tmp_path: Path) -> None:
    base = with_stop(tiny_xtts, tmp_path / "endless", stop=-100)
    endless = load_xtts(base, "cpu")
    wave = spoken(endless, base, "A hat.")
    assert len(wave) / endless.config.audio.output_sample_rate < 3
    assert np.isfinite(wave).all()


def test_references_are_the_longest_recorded_train_clips() -> None:
    rows = [utterance(at) for at in range(8)]
    rows.append(utterance(0, id="copy", seconds=9.0, augmented_from="u0"))
    assert [row.id for row in choose_references(rows, 2)] == ["u4", "u3"]
