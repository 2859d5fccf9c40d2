"""Small inputs for all tests: drawn photos, catalogues, datasets, and random models of real classes."""

import csv
import gc
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import pytest
import yaml
from PIL import Image

from likeness.common import figures
from likeness.common.bases import describe
from likeness.common.evaluations import KEPT
from likeness.common.io import link, write_jsonl
from likeness.common.manifest import write_manifest
from likeness.common.params import Section, check_params
from likeness.common.precision import Precision
from likeness.common.runtime import Runtime
from likeness.image.diffusion import ADAPTER, load_pipeline
from likeness.image.rows import COLUMNS, EvaluatedImage, PreparedImage, Product, SyntheticImage
from likeness.stage import SCHEMA

# Inputs are so small that threads cost more than they give. No test may look for a model hub, or
# have DVC report its use.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

ROOT = Path(__file__).resolve().parents[1]
VISION_FEATURES = ROOT / "models" / "vision_features"
SIDE = 32  # pixels of the images that the tiny models work on
COLOURS = {"Red": (190, 40, 40), "Blue": (40, 60, 190), "Black": (35, 35, 35)}

# What takes seconds to import, and the marks of tests that may do so.
SLOW_IMPORTS = {"TTS", "diffusers"}
NOT_FAST = ("slow", "real_bases", "network")
# Tests are slow that ask for one of these: what `make repro` fetches or makes, which a fresh clone has to
# wait for, what takes seconds to set up, and models that Coqui or diffusers load.
SLOW = {
    "dnsmos",
    "encoder",
    "narration",
    "sample",
    "vision_features",
    "whisper",
    "catalogue",
    "measured",
    "trained",
    "mini",
    "tiny_adapter",
    "tiny_base",
    "tiny_controlnet",
    "tiny_sdxl",
    "tiny_xtts",
    "xtts_folder",
}

S = TypeVar("S", bound=Section)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write", action="store_true", help="write the lists of code in dvc.yaml (test_contract)"
    )
    parser.addoption("--kills", type=int, default=2, help="how often test_kill kills (default 2)")
    parser.addoption(
        "--parallel",
        type=int,
        default=12,
        help="requests at a time in test_server (12; 200 at most)",
    )
    parser.addoption("--whole", action="store_true", help="run both lanes by the studio's pages")
    parser.addoption("--moments", type=int, default=7, help="the seed of its moments (default 7)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, the kill tests before all: at the end, no core waits long for another."""
    for item in items:
        if SLOW & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.name != "test_kill.py"))


def absent(what: str) -> NoReturn:
    """Skip a test for what is not on this machine; with `ABSENT=fail`, as CI has it, the test fails."""
    if os.environ.get("ABSENT") == "fail":
        pytest.fail(what)
    pytest.skip(what)


def binary(name: str, package: str) -> str:
    """The path of a program, or a skip that names its Debian package."""
    path = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if path is None:
        absent(f"{name} is not here: apt-get install {package}")
    return path


def needs_studio() -> None:
    """Skip a test where the packages of requirements-studio.txt are missing."""
    for name in (
        "fastapi",
        "uvicorn",
        "prometheus_client",
        "sentry_sdk",
        "openai",
        "playwright",
        "axe_playwright_python",
    ):
        if find_spec(name) is None:
            absent(f"{name} is not here; `make studio` installs it")


def library_env() -> dict[str, str]:
    """The environment of a Python process that imports this checkout's library."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


@pytest.fixture(autouse=True)
def _light(request: pytest.FixtureRequest) -> Iterator[None]:
    """`make test-fast` spends no time on libraries that take seconds to import."""
    before = SLOW_IMPORTS & sys.modules.keys()
    yield
    if not any(request.node.get_closest_marker(mark) for mark in NOT_FAST):
        new = (SLOW_IMPORTS & sys.modules.keys()) - before
        assert not new, f"this test loads {', '.join(new)}: mark it slow"


@pytest.fixture(scope="module", autouse=True)
def _libraries_stay() -> None:
    """Releasing a model collects garbage; that need not walk the libraries that are loaded by now."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are drawn on, but only tests marked `plots` turn them into pixels, which takes longest."""
    draw = figures.figure

    @contextmanager
    def unseen(*args: Any, **options: Any) -> Iterator[Any]:
        with draw(*args, **options) as axes:
            yield axes
            canvas, pixel = np.ravel(axes)[0].figure, Image.new("L", (1, 1))
            canvas.savefig = lambda path, **_: pixel.save(path, "PNG")

    if request.node.get_closest_marker("plots") is None:
        monkeypatch.setattr(figures, "figure", unseen)


@pytest.fixture
def rt(tmp_path: Path) -> Runtime:
    """A runtime on the CPU with an empty store."""
    return runtime(tmp_path / "cache")


def runtime(cache: Path, seed: int = 7, workers: int = 0, half: Precision = "no") -> Runtime:
    return Runtime(seed=seed, device="cpu", workers=workers, cache=cache, half=half)


def section(cls: type[S], **changes: Any) -> S:
    """A section of the repository's params.yaml with some values changed, checked again."""
    values = next(value for value in _sections() if type(value) is cls).model_dump()
    return cls.model_validate({**values, **changes})


@cache
def _sections() -> list[Section]:
    return list(check_params(ROOT / "params.yaml", SCHEMA).values())


# --- photos ---------------------------------------------------------------------------------------


def photo(seed: int, colour: str = "Red", size: tuple[int, int] = (48, 64)) -> Image.Image:
    """A mosaic in shades of one colour on white: another seed is another photo by any measure."""
    rng = np.random.default_rng(seed)
    tiles = rng.uniform(0.3, 1.3, (6, 5, 1)) * np.array(COLOURS[colour])
    item = Image.fromarray(np.clip(tiles, 0, 220).astype(np.uint8))
    width, height = size
    page = Image.new("RGB", size, "white")
    page.paste(
        item.resize((width * 3 // 4, height * 3 // 4), Image.Resampling.NEAREST),
        (width // 8, height // 8),
    )
    return page


def saved_photos(folder: Path, count: int) -> dict[str, Path]:
    """`count` photos in `folder` by id: p0, p1, …"""
    paths = {f"p{at}": folder / f"{at}.png" for at in range(count)}
    for at, path in enumerate(paths.values()):
        photo(at).save(path)
    return paths


def square(
    side: int = 32,
    box: tuple[int, int, int, int] = (8, 8, 24, 24),
    colour: tuple[int, int, int] = (200, 30, 30),
    paper: tuple[int, int, int] = (255, 255, 255),
) -> Image.Image:
    """One rectangle (left, top, right, bottom) on a plain background."""
    page = Image.new("RGB", (side, side), paper)
    page.paste(colour, box)
    return page


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


# --- rows -----------------------------------------------------------------------------------------


def product(identity: str, **changes: Any) -> Product:
    """A red casual shoe for men, unless changed."""
    values: dict[str, Any] = {
        "id": identity,
        "gender": "Men",
        "masterCategory": "Footwear",
        "subCategory": "Shoes",
        "articleType": "Casual Shoes",
        "baseColour": "Red",
        "season": "Summer",
        "year": "2012",
        "usage": "Casual",
        "productDisplayName": "Acme Men Red Shoes",
        "extra": {},
        **changes,
    }
    return Product(**values)


def prepared(identity: str, split: str = "train", **changes: Any) -> PreparedImage:
    source = product(identity, **changes)
    return PreparedImage(
        **source.model_dump(),
        file_name=f"{split}/{identity}.png",
        caption=f"A photo of {source.baseColour} {source.articleType}, {source.gender}",
        split=split,
        group=identity,
        crop=[0, 0, 48, 64],
    )


def synthetic(identity: str, **changes: Any) -> SyntheticImage:
    source = prepared(identity, **changes)
    return SyntheticImage(
        **source.model_dump(include={*COLUMNS, "extra"}),
        file_name=f"images/{identity}.png",
        prompt=source.caption,
        seed=1,
        attempt=0,
        clean_background=1.0,
        cut_off=0.0,
        coverage=0.5,
        train_distance=1.0,
    )


def evaluated(identity: str, **changes: Any) -> EvaluatedImage:
    values: dict[str, Any] = {
        "id": identity,
        "set": "tuned",
        "prompt": "A photo of Red Casual Shoes, Men",
        "clip": 30.0,
        "realism": 1.0,
        "train_distance": 1.0,
        "colour": "Red",
        "colour_asked": "Red",
        "clean_background": 1.0,
        "cut_off": 0.0,
        "aspect": 1.0,
        "sharpness": 10.0,
        **changes,
    }
    return EvaluatedImage(**values)


# --- folders --------------------------------------------------------------------------------------


def mixed(count: int) -> list[Product]:
    """Products of all colours and two genders, in turns."""
    names = list(COLOURS)
    return [
        product(
            f"{at:03d}",
            baseColour=names[at % len(names)],
            gender=("Men", "Women")[at // len(names) % 2],
        )
        for at in range(count)
    ]


def write_catalog(
    folder: Path, products: Sequence[Product], files: Mapping[str, bytes] | None = None
) -> Path:
    """`styles.csv` with a photo for each product; `files` gives the bytes of some by id."""
    given = files or {}
    (folder / "images").mkdir(parents=True, exist_ok=True)
    extra = sorted({key for row in products for key in row.extra})
    with (folder / "styles.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*COLUMNS, *extra])
        for row in products:
            values = row.attributes()
            table.writerow([values.get(name, "") for name in (*COLUMNS, *extra)])
    for at, row in enumerate(products):
        data = given.get(row.id)
        if data is None:
            data = encoded(photo(at, row.baseColour), quality=95)
        (folder / "images" / f"{row.id}.jpg").write_bytes(data)
    return folder


def write_dataset(folder: Path, train: int, val: int, test: int, side: int = SIDE) -> Path:
    """A dataset as image_prepare writes it, of drawn photos."""
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    rows: list[PreparedImage] = []
    for at, (source, split) in enumerate(zip(mixed(len(splits)), splits, strict=True)):
        row = prepared(source.id, split, baseColour=source.baseColour, gender=source.gender)
        path = folder / row.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(at, row.baseColour, (side, side)).save(path)
        rows.append(row)
    for split in ("train", "val", "test"):
        write_jsonl(
            folder / split / "metadata.jsonl",
            (
                {"file_name": Path(row.file_name).name, "text": row.caption}
                for row in rows
                if row.split == split
            ),
        )
    write_manifest(folder / "rejected.jsonl", [])
    write_manifest(folder / "manifest.jsonl", rows)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file under a folder by relative name, to compare two folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- models: the classes of the real ones, a few thousand random weights ---------------------------


def build_tokenizer(folder: Path) -> Any:
    """A CLIP tokenizer of single letters."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = [*letters, *(f"{letter}</w>" for letter in letters), "re", "red</w>"]
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: at for at, token in enumerate(vocab)}))
    (folder / "merges.txt").write_text("#version: 0.2\nr e\nre d</w>\n")
    return CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=77
    )


def build_base(folder: Path, width: int = 16, seed: int = 0) -> Path:
    """A Stable Diffusion of the real classes for images of `SIDE`, with random weights."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel

    tokenizer = build_tokenizer(folder / "tokenizer")
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(width, 2 * width),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
        norm_num_groups=4,
    )
    vae = build_vae()
    text_encoder = build_text_encoder(CLIPTextModel, tokenizer, 16)
    scheduler = DDIMScheduler(**NOISE, clip_sample=False, set_alpha_to_one=False)
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def build_sdxl(folder: Path) -> Path:
    """A Stable Diffusion XL of the real classes for images of `SIDE`, with random weights.

    As in the published one there is no attention at the largest size, and the files are in half
    precision but for the autoencoder's.
    """
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    tokenizers = [build_tokenizer(folder / name) for name in ("tokenizer", "tokenizer_2")]
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=16 + 24,
        attention_head_dim=8,
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 20,
    )
    vae = build_vae()
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=build_text_encoder(CLIPTextModel, tokenizers[0], 16),
        text_encoder_2=build_text_encoder(
            CLIPTextModelWithProjection, tokenizers[1], 24, projection_dim=20
        ),
        tokenizer=tokenizers[0],
        tokenizer_2=tokenizers[1],
        unet=unet,
        scheduler=EulerDiscreteScheduler(**NOISE),
        add_watermarker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder, variant="fp16")
    (folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    vae.float().save_pretrained(folder / "vae")
    return folder


NOISE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def build_vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
        scaling_factor=1.0,
    )


def build_text_encoder(kind: Any, tokenizer: Any, width: int, **options: Any) -> Any:
    from transformers import CLIPTextConfig

    return kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **options,
        )
    )


def build_clip(folder: Path) -> Path:
    """A CLIP of the real classes with random weights."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    tokenizer = build_tokenizer(folder)
    tower = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 8,
    }
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(0)
    model = CLIPModel(
        CLIPConfig(
            text_config={
                **tower,
                **ids,
                "vocab_size": len(tokenizer),
                "max_position_embeddings": 77,
            },
            vision_config={**tower, "image_size": SIDE, "patch_size": 8},
            projection_dim=8,
        )
    )
    model.save_pretrained(folder)
    images = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def build_extractor(folder: Path) -> Path:
    """An EfficientNet-Lite0 with random weights, for images of `SIDE`."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    network = EfficientNet.from_name("efficientnet-lite0").train()
    # Normalized by photos once, as a trained one is: else its features fade layer by layer.
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    side = 2 * SIDE
    photos = np.stack([np.asarray(photo(at, "Red", (side, side))) for at in range(900, 916)])
    with torch.no_grad():
        network.extract_features(torch.from_numpy(photos).permute(0, 3, 1, 2) / 127.5 - 1)
    save_file(network.state_dict(), folder / "w.safetensors")
    config = {
        "extractor": "efficientnet_lite0",
        "weights": "w.safetensors",
        "size": 2 * SIDE,
        "crop": 1.0,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def build_writer(folder: Path, words: Sequence[str], seed: int = 0) -> Path:
    """A Mistral of the real class with random weights, which babbles these words and line breaks."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

    vocab = {word: at for at, word in enumerate(["<unk>", "<s>", "</s>", "\n", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    split = Regex(r"\n|\w+|[^\w\s]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(split, behavior="removed", invert=True)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template="{{ bos_token }} [INST] {{ messages[0]['content'] }} [/INST]",
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    MistralForCausalLM(
        MistralConfig(
            vocab_size=len(vocab),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=512,
            bos_token_id=1,
            eos_token_id=2,
        )
    ).save_pretrained(folder)
    return folder


def build_adapter(base: Path, folder: Path, rank: int = 2, seed: int = 1) -> Path:
    """A random LoRA on a base's UNet as image_train writes it: weights, training.json, samples.

    Beside the best step 4 it has the adapter of step 6, which does half as much.
    """
    import torch
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    unet = load_pipeline(base, "cpu").unet
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=["to_q", "to_v", "conv1"]))
    torch.manual_seed(seed)
    weights = {key: 0.3 * torch.randn_like(t) for key, t in get_peft_model_state_dict(unet).items()}
    half = {key: t / 2 if "lora_B" in key else t for key, t in weights.items()}
    for part, one in ((folder, weights), (folder / KEPT / "000006", half)):
        StableDiffusionPipeline.save_lora_weights(part, one, weight_name=ADAPTER)
    training = {
        **describe(base),
        "rank": rank,
        "batch": 2,
        "accumulation": 1,
        "learning_rate": 0.001,
        "val_loss": 0.05,
        "val_loss_base": 0.2,
        "val_n": 2,
        "train_n": 8,
        "best_step": 4,
        "steps": 6,
        "trainable_parameters": 1234,
        "trainable_share": 0.01,
        "per": "",
        "own": [],
        "evaluations": [
            {"step": step, "name": f"{step:06d}", "kept": step > 0, "figures": {"loss": loss}}
            for step, loss in ((0, 0.2), (4, 0.05), (6, 0.1))
        ],
    }
    (folder / "training.json").write_text(json.dumps(training))
    (folder / "samples").mkdir()
    for step in (0, 4, 6):
        photo(step).save(folder / "samples" / f"{step:06d}.png")
    return folder


def build_controlnet(base: Path, folder: Path, seed: int = 2, **changes: Any) -> Path:
    """A random ControlNet for a base of these tests; a trained one's last layers are no zeros, either.

    `changes` are of the base's UNet, which it then does not fit.
    """
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel

    config = {**UNet2DConditionModel.load_config(base / "unet"), **changes}
    torch.manual_seed(seed)
    network = ControlNetModel.from_unet(
        UNet2DConditionModel.from_config(config), conditioning_embedding_out_channels=(8, 16, 16)
    )
    for name, parameter in network.named_parameters():
        if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond_embedding")):
            parameter.data = 0.3 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    return folder


def _session(build: Callable[[Path], Path], name: str) -> Any:
    @pytest.fixture(scope="session", name=name)
    def make(tmp_path_factory: pytest.TempPathFactory) -> Path:
        built = build(tmp_path_factory.mktemp(name) / name)
        gc.freeze()  # and the libraries that building it has loaded
        return built

    return make


tiny_base = _session(build_base, "tiny_base")
tiny_sdxl = _session(build_sdxl, "tiny_sdxl")
tiny_clip = _session(build_clip, "tiny_clip")
tiny_extractor = _session(build_extractor, "tiny_extractor")
tiny_dataset = _session(lambda folder: write_dataset(folder, 8, 2, 2), "tiny_dataset")


@pytest.fixture(scope="session")
def tiny_controlnet(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_controlnet(tiny_base, tmp_path_factory.mktemp("controlnet") / "controlnet")


@pytest.fixture(scope="session")
def tiny_adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_adapter(tiny_base, tmp_path_factory.mktemp("adapter") / "image_train")


def bundled_model(name: str, folder: Path) -> Path:
    """A mini base as models/dvc.lock has it, out of the bundled remote; nothing may write into it."""
    store = ROOT / "bundled" / "files" / "md5"

    def stored(md5: str) -> Path:
        return store / md5[:2] / md5[2:]

    lock = yaml.safe_load((ROOT / "models" / "dvc.lock").read_text())
    (out,) = lock["stages"][name]["outs"]
    for entry in json.loads(stored(out["md5"]).read_text()):
        link(stored(entry["md5"]), folder / entry["relpath"])
    return folder


@pytest.fixture
def vision_features() -> Path:
    """The real extractor; a stage of models/dvc.yaml makes it."""
    if not (VISION_FEATURES / "model.safetensors").is_file():
        absent("models/vision_features is not here: run `dvc repro models/dvc.yaml`")
    return VISION_FEATURES
