"""Folders as the real bases are published, with random weights.

Classes, widths, depths, file names, key names, dtypes and configs are the published ones, so that what
loads, trains and speaks with these does so with the real ones; what they draw and say is noise. Nothing
is downloaded: the values of the configs stand here, and vocabularies are made up in the published size.
"""

import itertools
import json
import string
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.common.io import write_json, write_text

if TYPE_CHECKING:
    import torch

LANGUAGES = [  # of XTTS-v2
    "en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko", "ja",
    "hi",
]  # fmt: skip
SPEAKERS = 58  # in XTTS-v2's file of them
CODES = 1024  # of XTTS-v2; the tokens that start and stop a sequence of them come after
# Logits by which networks that know nothing stop soon: XTTS after some ten codes, Whisper after a
# token or two. All others lie within about 2.
XTTS_STOP, WHISPER_STOP = 2.6, 3.0
ALIGNED = [[5, 3], [5, 9], [8, 0], [8, 4], [8, 7], [8, 8], [9, 0], [9, 7], [9, 9], [10, 5]]
MEAN, DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def publish(name: str, folder: Path) -> None:
    """Write the folder of a base of models/hub.yaml."""
    import torch

    torch.manual_seed(0)
    PUBLISHED[name](folder)


def save_weights(
    path: Path, state: "Mapping[str, torch.Tensor]", old: Mapping[str, str] | None = None
) -> None:
    """Write a network's weights as safetensors; `old` is what parts of its names were once."""
    from safetensors.torch import save_file

    renamed = {}
    for name, tensor in state.items():
        for new, before in (old or {}).items():
            name = name.replace(new, before)
        renamed[name] = tensor
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(renamed, path, metadata={"format": "pt"})


def merges_of(alphabet: Sequence[str], count: int) -> list[tuple[str, str]]:
    """Two parts each of `count` made-up tokens: letter and letter, then letter and pair, and so on."""
    found: list[tuple[str, str]] = []
    parts = list(alphabet)
    while len(found) < count:
        pairs = list(itertools.product(alphabet, parts))
        found += pairs
        parts = ["".join(pair) for pair in pairs]
    return found[:count]


# --- Stable Diffusion 1.5 and CLIP -----------------------------------------------------------------


def sd15(folder: Path) -> None:
    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.6.0",
            "feature_extractor": ["transformers", "CLIPImageProcessor"],
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    unet.save_config(folder / "unet")
    save_weights(folder / "unet" / "diffusion_pytorch_model.safetensors", unet.state_dict())
    del unet
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        sample_size=512,
    )
    vae.save_config(folder / "vae")
    # As diffusers named a VAE's attention before its attention classes became one.
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    save_weights(folder / "vae" / "diffusion_pytorch_model.safetensors", vae.state_dict(), old)
    PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
    ).save_config(folder / "scheduler")
    config = CLIPTextConfig(**text_tower(), architectures=["CLIPTextModel"])
    config.save_pretrained(folder / "text_encoder")
    encoder = CLIPTextModel(config)
    state = {f"text_model.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_weights(folder / "text_encoder" / "model.safetensors", state)
    clip_tokenizer(folder / "tokenizer")
    # Not loaded, but among what is fetched.
    write_json(folder / "safety_checker" / "config.json", {"model_type": "clip"})
    write_json(folder / "feature_extractor" / "preprocessor_config.json", image_processor())


def sdxl_configs(folder: Path) -> None:
    """The configs of SDXL's base alone: its networks would take minutes and 7 GB."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig

    write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionXLPipeline",
            "force_zeros_for_empty_prompt": True,
            "scheduler": ["diffusers", "EulerDiscreteScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    with torch.device("meta"):
        UNet2DConditionModel(
            sample_size=128,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(320, 640, 1280),
            transformer_layers_per_block=(1, 2, 10),
            cross_attention_dim=2048,
            attention_head_dim=(5, 10, 20),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        ).save_config(folder / "unet")
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            sample_size=1024,
            scaling_factor=0.13025,
        ).save_config(folder / "vae")
    CLIPTextConfig(**text_tower()).save_pretrained(folder / "text_encoder")
    second = {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_attention_heads": 20,
        "num_hidden_layers": 32,
        "projection_dim": 1280,
        "hidden_act": "gelu",
    }
    CLIPTextConfig(**{**text_tower(), **second}).save_pretrained(folder / "text_encoder_2")


def clip_vit_l14(folder: Path) -> None:
    import torch
    from transformers import CLIPConfig, CLIPModel

    vision = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
        "image_size": 224,
        "projection_dim": 768,
    }
    config = CLIPConfig(
        text_config=text_tower(),
        vision_config=vision,
        projection_dim=768,
        architectures=["CLIPModel"],
    )
    config.save_pretrained(folder)
    state = CLIPModel(config).state_dict()
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state["vision_model.embeddings.position_ids"] = torch.arange(257)[None]
    save_weights(folder / "model.safetensors", state)
    clip_tokenizer(folder).save(str(folder / "tokenizer.json"))
    write_json(folder / "preprocessor_config.json", image_processor())


def text_tower() -> dict[str, Any]:
    """ViT-L/14's, which is Stable Diffusion's text encoder too."""
    return {
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "projection_dim": 768,
        "hidden_act": "quick_gelu",
        # As published, though the tokenizer's own are 49406, 49407 and 49407.
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }


def image_processor() -> dict[str, Any]:
    return {
        "crop_size": 224,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": MEAN,
        "image_std": DEVIATION,
        "resample": 3,
        "size": 224,
    }


def clip_tokenizer(folder: Path) -> Any:
    """49,408 tokens: bytes, bytes that end a word, 48,894 made-up pairs of them, two special ones.

    Returns what transformers makes of its files, for a repository that has that in one file too.
    """
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    single = [*alphabet, *(f"{letter}</w>" for letter in alphabet)]
    merges = merges_of(alphabet, 48894)
    tokens = [*single, *map("".join, merges), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "vocab.json", json.dumps({token: at for at, token in enumerate(tokens)}))
    lines = ["#version: 0.2", *map(" ".join, merges)]
    write_text(folder / "merges.txt", "\n".join(lines) + "\n")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    write_json(folder / "special_tokens_map.json", special)
    write_json(
        folder / "tokenizer_config.json",
        {
            **special,
            "add_prefix_space": False,
            "do_lower_case": True,
            "errors": "replace",
            "model_max_length": 77,
            "tokenizer_class": "CLIPTokenizer",
        },
    )
    return CLIPTokenizer.from_pretrained(folder).backend_tokenizer


# --- what judges images ----------------------------------------------------------------------------


def inception_v3(folder: Path) -> None:
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Network(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: Any, **__: Any) -> None:
            """Keeps the weights that it was made with."""

    path = folder / "weights-inception-2015-12-05-6726825d.pth"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({}, path)
    network = Network("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            # By PyTorch's own start, features would fade from layer to layer until none is left.
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(network.state_dict(), path)


def dinov2(folder: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(image_size=518, patch_size=14, architectures=["Dinov2Model"])
    config.save_pretrained(folder)
    old = {
        "attention.q_proj": "attention.attention.query",
        "attention.k_proj": "attention.attention.key",
        "attention.v_proj": "attention.attention.value",
        "attention.o_proj": "attention.output.dense",
    }
    save_weights(folder / "model.safetensors", Dinov2Model(config).state_dict(), old)
    write_json(
        folder / "preprocessor_config.json",
        {
            "crop_size": {"height": 224, "width": 224},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.485, 0.456, 0.406],
            "image_processor_type": "BitImageProcessor",
            "image_std": [0.229, 0.224, 0.225],
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"shortest_edge": 256},
        },
    )


# --- XTTS-v2 -----------------------------------------------------------------------------------------


def xtts_v2(folder: Path) -> None:
    import torch
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts, _legacy_safe_globals

    xtts_vocabulary(folder / "vocab.json")
    args = XttsArgs(
        gpt_number_text_tokens=6681,
        gpt_num_audio_tokens=CODES + 2,
        gpt_start_audio_token=CODES,
        gpt_stop_audio_token=CODES + 1,
        gpt_use_perceiver_resampler=True,
    )
    config = XttsConfig(
        model_args=args,
        languages=LANGUAGES,
        temperature=0.75,
        length_penalty=1.0,
        repetition_penalty=5.0,
        top_k=50,
        top_p=0.85,
        num_gpt_outputs=1,
        gpt_cond_len=30,
        gpt_cond_chunk_len=4,
        max_ref_len=30,
        sound_norm_refs=False,
    )
    config.save_json(folder / "config.json")
    model = Xtts(config)
    model.tokenizer = VoiceBpeTokenizer(str(folder / "vocab.json"))
    model.init_models()
    with torch.no_grad():
        model.gpt.mel_head.bias.zero_()
        model.gpt.mel_head.bias[CODES + 1] = XTTS_STOP
    with _legacy_safe_globals():  # the config's classes under the module that they have left
        torch.save({"config": config, "model": model.state_dict()}, folder / "model.pth")
    torch.save(published_dvae(), folder / "dvae.pth")
    torch.save(torch.ones(80), folder / "mel_stats.pth")
    speakers = {
        f"Speaker {at + 1:02d}": {
            "gpt_cond_latent": torch.randn(1, 32, 1024),
            "speaker_embedding": torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1),
        }
        for at in range(SPEAKERS)
    }
    torch.save(speakers, folder / "speakers_xtts.pth")


def published_dvae() -> "dict[str, torch.Tensor]":
    """The weights of Coqui's DVAE, without those of the loss that only its own training needs."""
    from TTS.tts.layers.xtts.dvae import DiscreteVAE

    dvae = DiscreteVAE(
        channels=80, positional_dims=1, num_tokens=CODES, codebook_dim=512, hidden_dim=512,
        num_resnet_blocks=3, kernel_size=3, num_layers=2, use_transposed_convs=False,
    )  # fmt: skip
    state = dvae.state_dict().items()
    return {name: tensor for name, tensor in state if not name.startswith("discrete_loss.")}


def xtts_vocabulary(path: Path) -> None:
    """6,681 tokens: the special ones, a language's each, punctuation, letters and made-up pairs."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{code}]" for code in LANGUAGES)]
    single = [*",.!?'-:;", *string.digits, *string.ascii_lowercase]
    count = 6681 - len(special) - len(single)
    merges = merges_of(string.ascii_lowercase, count)
    tokens = [*special, *single, *map("".join, merges)]
    vocabulary = {token: at for at, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


# --- what judges speech ----------------------------------------------------------------------------


def whisper_small(folder: Path) -> None:
    """As Systran converted it: half precision, and a token a line in vocabulary.txt."""
    import torch
    from ctranslate2.converters import TransformersConverter
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    from models.whisper_tiny_en import suppressed

    tokenizer = whisper_tokenizer()
    end = tokenizer.eos_token_id
    config = WhisperConfig(
        vocab_size=51865,
        d_model=768,
        encoder_layers=12,
        encoder_attention_heads=12,
        encoder_ffn_dim=3072,
        decoder_layers=12,
        decoder_attention_heads=12,
        decoder_ffn_dim=3072,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=end + 1,
    )
    model = WhisperForConditionalGeneration(config)
    decoder = model.model.decoder
    with torch.no_grad():
        # The first channel is made a constant, from which only the token that ends a text takes.
        decoder.layer_norm.weight[0], decoder.layer_norm.bias[0] = 0, 1
        decoder.embed_tokens.weight[:, 0] = 0
        decoder.embed_tokens.weight[end, 0] = WHISPER_STOP
    with tempfile.TemporaryDirectory() as name:
        model.save_pretrained(name)
        tokenizer.save_pretrained(name)
        converter = TransformersConverter(name, copy_files=["tokenizer.json"])
        converter.convert(str(folder), quantization="float16", force=True)
    vocabulary = folder / "vocabulary.json"
    write_text(folder / "vocabulary.txt", "\n".join(json.loads(vocabulary.read_text())) + "\n")
    vocabulary.unlink()
    write_json(
        folder / "config.json",
        {
            "alignment_heads": ALIGNED,  # heads that follow the audio
            "lang_ids": list(range(end + 2, end + 101)),
            "suppress_ids": suppressed(tokenizer),
            "suppress_ids_begin": [tokenizer.encode(" ")[0], end],
        },
    )  # fmt: skip


def whisper_tokenizer() -> Any:
    """Whisper's many-language tokenizer with 50,001 made-up pairs, and its own special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from models.whisper_tiny_en import specials

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = merges_of(alphabet, 50257 - len(alphabet))
    tokens = [*alphabet, *map("".join, merges)]
    model = models.BPE({token: at for at, token in enumerate(tokens)}, merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(specials())
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=end, eos_token=end, unk_token=end
    )


def wavlm_sv(folder: Path) -> None:
    from transformers import WavLMConfig, WavLMForXVector

    # The other values are the defaults of its class, which are this model's.
    config = WavLMConfig(
        use_weighted_layer_sum=True,
        num_labels=1211,  # the speakers of VoxCeleb1 that it was trained on
        architectures=["WavLMForXVector"],
    )
    config.save_pretrained(folder)
    part = "parametrizations.weight.original"
    old = {f"{part}0": "weight_g", f"{part}1": "weight_v"}
    save_weights(folder / "model.safetensors", WavLMForXVector(config).state_dict(), old)
    write_json(
        folder / "preprocessor_config.json",
        {
            "do_normalize": False,
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "feature_size": 1,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": True,
            "sampling_rate": 16000,
        },
    )


def controlnet_canny_sd15(folder: Path) -> None:
    """What it adds is small but not nothing, as of a trained one: no layer has zeros alone."""
    import torch
    from diffusers import ControlNetModel

    network = ControlNetModel(cross_attention_dim=768)
    network.save_config(folder)
    for name, parameter in network.named_parameters():
        if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond_embedding")):
            parameter.data = 0.01 * torch.randn_like(parameter)
    half = {name: tensor.half() for name, tensor in network.state_dict().items()}
    save_weights(folder / "diffusion_pytorch_model.fp16.safetensors", half)


PUBLISHED: dict[str, Callable[[Path], None]] = {
    "sd15": sd15,
    "controlnet_canny_sd15": controlnet_canny_sd15,
    "clip_vit_l14": clip_vit_l14,
    "inception_v3": inception_v3,
    "dinov2": dinov2,
    "xtts_v2": xtts_v2,
    "whisper_small": whisper_small,
    "wavlm_sv": wavlm_sv,
}
