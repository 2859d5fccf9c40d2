"""DNSMOS P.835: predicted opinion scores of a clip (Reddy et al. 2022)."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from likeness.common.errors import LikenessError
from likeness.common.io import read_json
from likeness.common.result import Result
from likeness.voice.audio import read, resample

Array = np.ndarray

OTHER = "set inputs.mos to a folder that the stage dnsmos of models/dvc.yaml made, or run it"


class Mos(NamedTuple):
    """Mean opinion scores, 1 to 5."""

    sig: float
    bak: float
    ovrl: float


def rate_clips(paths: Sequence[Path], *, mos: Path) -> list[Result]:
    """The overall score of each clip."""
    return [Result({"dnsmos": round(predict_mos(*read(path), mos), 4)}) for path in paths]


def predict_mos(samples: Array, rate: int, folder: Path) -> float:
    """The overall score (OVRL) of one mono clip; see `predict_p835`."""
    return predict_p835(samples, rate, folder).ovrl


def predict_p835(samples: Array, rate: int, folder: Path) -> Mos:
    """The scores of one mono clip: speech (SIG), background (BAK) and overall (OVRL).

    Args:
        samples: (N,) in -1..1; values beyond are clipped.
        rate: of the samples, Hz.
        folder: `models/dnsmos`.

    Raises:
        LikenessError: the clip is empty, or the folder holds no DNSMOS.
    """
    session, config = _load(folder)
    if not len(samples):
        raise LikenessError("DNSMOS: the clip is empty; it needs samples")
    wave = resample(samples, rate, config["rate"]).clip(-1, 1)
    length = int(config["seconds"] * config["rate"])
    while len(wave) < length:
        wave = np.tile(wave, 2)
    scores = [_scores(session, config, one) for one in _excerpts(wave, config)]
    return Mos(*np.mean(scores, axis=0).tolist())


def _excerpts(wave: Array, config: dict[str, Any]) -> list[Array]:
    """The excerpts that the network rates, one starting each second, as the package speechmos cuts them.

    It counts whole seconds, so the last excerpt may be missing, and drops one that rounding leaves a
    sample short. Both move a score by less than 0.01, but keep it comparable with published ones.
    """
    rate, seconds = config["rate"], config["seconds"]
    count = int(len(wave) // rate - seconds) + 1
    excerpts = [wave[at * rate : int((at + seconds) * rate)] for at in range(count)]
    return [one for one in excerpts if len(one) >= int(seconds * rate)]


def _scores(session: Any, config: dict[str, Any], wave: Array) -> list[float]:
    raw = session.run(None, {session.get_inputs()[0].name: wave[None]})[0][0]
    return [
        float(np.polyval(config["polynomials"][name], value))
        for name, value in zip(Mos._fields, raw, strict=True)
    ]


def check_mos(folder: Path) -> None:
    """Raise `LikenessError` unless a folder holds a DNSMOS, which at 1 MB is loaded to find out."""
    _load(folder)


@cache
def _load(folder: Path) -> tuple[Any, dict[str, Any]]:
    import onnxruntime

    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    network = folder / config.get("network", "")
    if config.get("predictor") != "dnsmos_p835" or not network.is_file():
        raise LikenessError(f"{folder}: no DNSMOS here; {OTHER}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # clips are measured in several processes
    try:
        session = onnxruntime.InferenceSession(
            str(network), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no common base class
        raise LikenessError(f"{network}: not an ONNX network, or incomplete; {OTHER}") from error
    wanted, found = round(config["seconds"] * config["rate"]), session.get_inputs()[0].shape[-1]
    if found != wanted:
        raise LikenessError(f"{network}: takes {found} samples, config.json says {wanted}; {OTHER}")
    return session, config
