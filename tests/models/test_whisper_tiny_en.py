"""Whisper tiny.en: the names and tokens of its conversion, and real speech understood."""

import gzip
import re
import subprocess

import pytest

from likeness.common.io import read_json
from likeness.common.params import check_params
from models.settings import ROOT, SCHEMA
from models.whisper_tiny_en import SYMBOLS, _rename, specials

PACKAGES = ("asterisk-core-sounds-en-g722", "asterisk-core-sounds-en")
PROMPTS = 24  # of six words and more
LIMIT = 0.06


@pytest.mark.parametrize(
    ("openai", "transformers"),
    [
        ("encoder.blocks.0.attn.query.weight", "encoder.layers.0.self_attn.q_proj.weight"),
        ("decoder.blocks.3.cross_attn.out.bias", "decoder.layers.3.encoder_attn.out_proj.bias"),
        ("decoder.blocks.3.cross_attn_ln.bias", "decoder.layers.3.encoder_attn_layer_norm.bias"),
        ("encoder.blocks.1.attn_ln.weight", "encoder.layers.1.self_attn_layer_norm.weight"),
        ("encoder.blocks.1.mlp_ln.weight", "encoder.layers.1.final_layer_norm.weight"),
        ("encoder.blocks.1.mlp.2.weight", "encoder.layers.1.fc2.weight"),
        ("encoder.ln_post.weight", "encoder.layer_norm.weight"),
        ("decoder.ln.weight", "decoder.layer_norm.weight"),
        ("decoder.positional_embedding", "decoder.embed_positions.weight"),
        ("decoder.token_embedding.weight", "decoder.embed_tokens.weight"),
    ],
)
def test_names_are_those_of_transformers(openai, transformers):
    assert _rename(openai) == transformers


def test_special_tokens_are_those_of_the_english_models():
    tokens = specials()
    assert len(tokens) == len(set(tokens)) == 51864 - 50256
    at = {token: 50256 + number for number, token in enumerate(tokens)}
    assert at["<|startoftranscript|>"] == 50257
    assert at["<|notimestamps|>"] == 50362
    assert at["<|30.00|>"] == 51863


@pytest.mark.parametrize(
    "model", [pytest.param("whisper_tiny_en", marks=pytest.mark.slow)], indirect=True
)
def test_the_folder_has_all_that_faster_whisper_reads(model):
    import tokenizers

    assert {path.name for path in model.iterdir()} == {
        "README.md",
        "config.json",
        "model.bin",
        "source.json",
        "tokenizer.json",
        "vocabulary.json",
    }
    assert len(read_json(model / "vocabulary.json")) == 51864
    tokenizer = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 51864
    assert tokenizer.token_to_id("<|nospeech|>") == 50361
    text = "It's $49.95, isn't it? (Don't ask.)"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text
    never = {
        tokenizer.id_to_token(number) for number in read_json(model / "config.json")["suppress_ids"]
    }
    assert {"<|startoftranscript|>", "(", "Ġ(", '"'} <= never
    assert not never & {",", ".", "?", "!", "-", "'"}
    assert len(SYMBOLS) == len(set(SYMBOLS))


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """Real prompts by one speaker and their texts, by name, out of Debian's packages."""
    folder = tmp_path_factory.mktemp("prompts")
    try:
        subprocess.run(
            ["apt-get", "download", *PACKAGES], cwd=folder, check=True, capture_output=True
        )
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"apt-get cannot download {PACKAGES[0]} ({error})")
    texts = {}
    with gzip.open(next(folder.rglob("core-sounds-en.txt.gz")), "rt") as file:
        for line in file:
            name, _, text = line.strip().partition(": ")
            if len(text.split()) >= 6 and not re.search(r"[\[\]]", text):
                texts[name] = text
    sounds = next(folder.rglob("vm-intro.g722")).parent
    return {
        name: (sounds / f"{name}.g722", texts[name])
        for name in sorted(texts)
        if (sounds / f"{name}.g722").is_file()
    }


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [pytest.param("whisper_tiny_en", marks=pytest.mark.slow)], indirect=True
)
def test_real_prompts_are_understood(model, prompts):
    import jiwer
    from faster_whisper import WhisperModel, decode_audio
    from whisper_normalizer.english import EnglishTextNormalizer

    normalize = EnglishTextNormalizer()
    whisper = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=1)
    said, heard = [], []
    for path, text in list(prompts.values())[:PROMPTS]:
        segments, _ = whisper.transcribe(decode_audio(str(path)), language="en", beam_size=5)
        said.append(normalize(text))
        heard.append(normalize(" ".join(segment.text for segment in segments)))
    assert len(said) == PROMPTS
    assert jiwer.wer(said, heard) <= LIMIT


def test_params_name_openai_s_own_file():
    params = check_params(ROOT / "models" / "params.yaml", SCHEMA)
    # OpenAI's address of the file holds its hash; this is the one of tiny.en.
    assert params["whisper_tiny_en"].weights.sha256.startswith("d3dd57d32accea0b295c96e26691aa14")
