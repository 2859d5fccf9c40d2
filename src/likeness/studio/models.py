"""The models that speak and draw, by name: each base under models/, and with each adapter made for it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from likeness.common.evaluations import KEPT
from likeness.common.io import read_json
from likeness.common.params import check_params
from likeness.image.adapters import OWN
from likeness.image.diffusion import ADAPTER as IMAGE_ADAPTER
from likeness.image.generate import ImageGenerate
from likeness.stage import SCHEMA, Inputs
from likeness.studio.manifests import rows_of
from likeness.studio.problems import Problem
from likeness.studio.worker import VOICES, Keywords, Kind
from likeness.voice.rows import Utterance, choose_references
from likeness.voice.synthesize import VoiceSynthesize
from likeness.voice.text import normalize, unknown_symbols
from likeness.voice.xtts import ADAPTER as VOICE_ADAPTER
from likeness.voice.xtts_files import SETTINGS, read_settings

OWN_VOICE = "voice"  # the one of the dataset; a base's own speakers have other names
DATASET, VOICE_TRAIN, IMAGE_TRAIN = "data/voice_dataset", "data/voice_train", "data/image_train"
# The folder of each training, its adapter there, and patterns of the others: those of further
# evaluations, by their number, and those of an attribute's values, by the value.
TRAININGS: dict[Kind, tuple[str, str, tuple[str, ...]]] = {
    "speech": (VOICE_TRAIN, VOICE_ADAPTER, (f"{KEPT}/*.safetensors",)),
    "images": (
        IMAGE_TRAIN,
        IMAGE_ADAPTER,
        (f"{KEPT}/*/{IMAGE_ADAPTER}", f"{OWN}/*/{IMAGE_ADAPTER}"),
    ),
}


class Model(NamedTuple):
    """A base, and the file of a trained adapter or None."""

    base: Path
    adapter: Path | None


class Models:
    """What there is to speak and draw with in a repository, and the params that it is done by.

    Bases are found once, as the worker reads their speakers when it starts. Adapters come and go with
    each training, so they are looked for each time.
    """

    def __init__(self, root: Path) -> None:
        params = root / "params.yaml"
        self._root = root
        sections = check_params(params, SCHEMA)
        self._voice = cast(VoiceSynthesize, sections["voice_synthesize"])
        self._image = cast(ImageGenerate, sections["image_generate"])
        inputs = cast(Inputs, sections["inputs"])
        folders = sorted(path for path in (root / "models").glob("*") if path.is_dir())
        self.bases: dict[Kind, list[Path]] = {
            "speech": [path for path in folders if _is_xtts(path)],
            "images": [path for path in folders if (path / "model_index.json").is_file()],
        }
        self._asked = {"speech": inputs.tts, "images": inputs.diffusion}

    def all(self, kind: Kind) -> dict[str, Model]:
        """Each base, then with the adapter that its training chose, then with the others it wrote."""
        training, chosen, others = TRAININGS[kind]
        folder = self._root / training
        trained = ""
        if (folder / chosen).is_file() and (folder / "training.json").is_file():
            trained = read_json(folder / "training.json").get("base", "")
        found: dict[str, Model] = {}
        for base in self.bases[kind]:
            found[base.name] = Model(base, None)
            if base.name == trained:
                tuned = f"{base.name}+{folder.name}"
                found[tuned] = Model(base, folder / chosen)
                for path in (one for pattern in others for one in sorted(folder.glob(pattern))):
                    name = path.relative_to(folder).parts[1].removesuffix(".safetensors")
                    found[f"{tuned}@{name}"] = Model(base, path)
        return found

    def first(self, kind: Kind) -> Model | None:
        """What to load first: the base that params.yaml names, tuned if it was; None without a base."""
        models, asked = self.all(kind), self._asked[kind]
        tuned = f"{asked}+{Path(TRAININGS[kind][0]).name}"
        return models.get(tuned) or models.get(asked) or next(iter(models.values()), None)

    def find(self, kind: Kind, name: str) -> Model:
        """Raises `Problem` if there is no such model."""
        models = self.all(kind)
        if name not in models:
            there = f"GET /v1/models lists {', '.join(models)}"
            line = there if models else f"no base for {kind} under models/; make repro fetches one"
            raise Problem(404, "model_not_found", f"{name}: no such model; {line}", param="model")
        return models[name]

    def voices(self, speakers: Sequence[str]) -> list[str]:
        """The voice of the dataset if there is one, a base's own speakers, and those made here."""
        there = (self._root / DATASET / "manifest.jsonl").is_file()
        return [*dict.fromkeys([*([OWN_VOICE] if there else []), *speakers, *self.made_voices()])]

    def made_voices(self) -> list[str]:
        """The names of the voices that were made in the studio."""
        folder = self._root / VOICES
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(name for name in names if not name.startswith("."))

    def speech(
        self, model: Model, text: str, voice: str, speakers: Sequence[str]
    ) -> tuple[Keywords, str]:
        """The keywords of `speak`, and the text as it is spoken. Raises `Problem`."""
        references = [] if voice in speakers else self._references(voice)
        if voice not in speakers and not references:
            raise Problem(
                400,
                "unknown_voice",
                f"{voice}: no voice of {model.base.name}; GET /v1/audio/voices lists its voices",
                param="voice",
            )
        spoken = normalize(text, self._voice.language)
        if unknown := unknown_symbols(spoken):
            raise set_aside("unknown_symbols", unknown, None, "input")
        given = {name: getattr(self._voice, name) for name in SETTINGS}
        keywords = {
            **model._asdict(),
            "references": references,
            "language": self._voice.language,
            "settings": read_settings(model.base, given),
        }
        return keywords, spoken

    def _references(self, voice: str) -> list[Path]:
        """The clips of a voice; empty if there is no such voice, or none any more."""
        if voice in self.made_voices():
            return sorted((self._root / VOICES / voice).glob("*"))
        folder = self._root / DATASET
        if voice != OWN_VOICE or not (folder / "manifest.jsonl").is_file():
            return []
        rows = rows_of(folder / "manifest.jsonl", Utterance)
        return [folder / row.file_name for row in choose_references(rows, self._voice.references)]

    def image(self, model: Model, changes: Mapping[str, Any]) -> Keywords:
        """The keywords of `draw_with`: those of params.yaml with what a request changes."""
        own = {
            name: getattr(self._image, name)
            for name in ("sampler", "steps", "guidance", "negative_prompt")
        }
        given = {name: value for name, value in changes.items() if value is not None}
        return {**model._asdict(), "resolution": side_of(model.base), **own, **given}


def set_aside(reason: str, value: Any, limit: Any, param: str) -> Problem:
    """The answer to what a model cannot say, as a stage would count it in `rejected.jsonl`."""
    bound = "" if limit is None else f", the limit is {limit}"
    line = f"{reason}: found {value!r}{bound}; change the {param}"
    return Problem(400, reason, line, param=param, value=value, limit=limit)


def side_of(base: Path) -> int:
    """Pixels of each side of the images that a base was trained on."""
    latents = read_json(base / "unet" / "config.json")["sample_size"]
    blocks = read_json(base / "vae" / "config.json")["block_out_channels"]
    return int(latents * 2 ** (len(blocks) - 1))


def _is_xtts(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        return bool(config["model"] == "xtts") and (folder / "model.pth").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False
