"""Memory that voice_train takes on a GPU with a real base, counted without one, against full fine-tuning.

An XTTS is built from a base's config alone, on tensors that have shapes but no data (`counting.py`). A
step is of clips of 11.6 s with 100 tokens, the longest that are trained on. The peer is what Coqui's
GPTTrainer does: every weight of the GPT learns, in float32, with AdamW.

    python benchmarks/voice_memory.py [models/xtts_v2] [--batch 4] [--rank 16]

What hears the sentences of an evaluation comes on top: Whisper large-v3 has 3.1 GB of weights, small
0.5 GB.
"""

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from counting import Counter, without_data
from torch._subclasses.fake_tensor import FakeTensorMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from likeness.voice.codes import FRAMES  # noqa: E402
from likeness.voice.examples import Example  # noqa: E402
from likeness.voice.lora import inject_adapter  # noqa: E402
from likeness.voice.losses import Style, next_token_losses, style_latents  # noqa: E402

MINI = ROOT / "models" / "xtts_mini"
TOKENS, CODES, REFERENCE = 100, 250, 129  # of a row, and codes of what it is conditioned on (6 s)
TARGETS = ["c_attn", "c_proj", "c_fc"]


class Codes(list[int]):
    """What a loss reads of a row's codes, which have no data here."""

    def tolist(self) -> list[int]:
        return self


def build(folder: Path) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts(config)
    model.tokenizer = SimpleNamespace(tokenizer=None)
    model.init_models()
    model.gpt.start_text_token, model.gpt.stop_text_token = 1, 0
    for module in model.gpt.modules():  # with dropout, a CPU has no kernel like the GPU's
        if hasattr(module, "attn_dropout"):
            module.attn_dropout.p = 0.0
    return model.requires_grad_(False)


def step(model: Any, batch: int, half: bool) -> None:
    codes = Codes([1] * CODES)
    mel = torch.zeros(80, CODES * FRAMES)
    rows = [
        Example(str(at), Path(), [1] * TOKENS, codes, mel)  # type: ignore[arg-type]
        for at in range(batch)
    ]
    styles = [Style(torch.zeros(80, REFERENCE * FRAMES)) for _ in rows]
    learning = [one for one in model.parameters() if one.requires_grad]
    _adam = [torch.zeros_like(one) for one in learning for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        latents = style_latents(model.gpt, styles)
        text, code, _ = next_token_losses(model.gpt, rows, latents, [(0, 0)] * batch)
    (0.01 * text + code).backward()
    for one in learning:
        one.grad = None


def peak(model: Any, batch: int, half: bool) -> tuple[float, float]:
    """GiB with nothing done, and in a step."""
    without_data(model)
    counter = Counter(model)
    resident = counter.live
    with counter:
        step(model, batch, half)
    return round(resident / 2**30, 2), round(counter.peak / 2**30, 2)


def main(args: argparse.Namespace) -> None:
    whole, adapted = build(args.base), build(args.base)
    whole.gpt.requires_grad_(True)
    inject_adapter(
        adapted, rank=args.rank, alpha=2 * args.rank, dropout=0.05, targets=TARGETS, top_layers=0,
        decoder_targets=[],
    )  # fmt: skip
    adapted.gpt.train()
    with FakeTensorMode():
        ours = peak(adapted, args.batch, half=True)
        theirs = peak(whole, args.batch, half=False)
    print(f"{args.base.name}, rank {args.rank}, GiB")
    print(f"{'':<24} {'likeness':>9} {'GPTTrainer':>11} {'ratio':>6}")
    for what, mine, other in zip(("loaded", f"a step of {args.batch}"), ours, theirs, strict=True):
        print(f"{what:<24} {mine:>9.2f} {other:>11.2f} {mine / other:>6.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "base",
        type=Path,
        nargs="?",
        default=MINI,
        help="a base's folder; its config.json is enough",
    )
    parser.add_argument("--batch", type=int, default=4, help="clips of a step")
    parser.add_argument("--rank", type=int, default=16)
    main(parser.parse_args())
