"""What the tests of the models share: a small WordNet, and what kills or watches a training."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from likeness.common.runtime import Runtime
from models.settings import XttsMini

T = TypeVar("T")
FILES = ("data.noun", "data.verb", "data.adj", "data.adv")


def write_wordnet(folder: Path, sentences: Sequence[str]) -> Path:
    """A WordNet whose four files have the sentences as examples, in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, name in enumerate(FILES):
        lines = [
            f'{number:08d} 03 n 01 word 0 000 | a meaning; "{sentence}"  \n'
            for number, sentence in enumerate(sentences[part::4])
        ]
        (folder / name).write_text("  1 This is the licence.  \n" + "".join(lines), "latin-1")
    return folder


def plain_sentences() -> list[str]:
    """3000 sentences, none of whose words but "the" and "a" is one of the narration's grammar."""
    who = ("fox", "judge", "poet", "wolf", "duke", "nurse", "thief", "pilot", "monk", "clerk")
    how = ("old", "wise", "sad", "rude", "tall", "brave")
    does = (
        "sees",
        "hides",
        "paints",
        "hears",
        "steals",
        "buries",
        "draws",
        "burns",
        "fears",
        "greets",
    )
    what = ("bridge", "lamp", "novel", "river", "throne")
    return [f"the {b} {a} {c} a {d}" for a in who for b in how for c in does for d in what]


def steps(cfg: XttsMini, section: str, count: int, **more: Any) -> XttsMini:
    """The params with another number of steps in a section, and what else is to change there."""
    changed = getattr(cfg, section).model_copy(update={"steps": count, **more})
    return cfg.model_copy(update={section: changed})


def noisy(network: Any) -> Any:
    """The network, frozen, with values at random where every channel and statistic matters."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2, generator=generator)
        elif tensor.dim() == 1 and tensor.is_floating_point():
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    return network.eval().requires_grad_(False)


class Killed(Exception):
    pass


@dataclass(frozen=True)
class Dying(Runtime):
    """A runtime in which the training that `kill` names is killed in its fourth step."""

    kill: str = ""

    def progress(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        for at, item in enumerate(items):
            if what == self.kill and at == 3:
                raise Killed
            yield item


@dataclass(frozen=True)
class Watching(Runtime):
    """A runtime that keeps the loss of each step of trainings of at most 100 steps, by their names.

    What they log is the mean over all steps so far.
    """

    losses: dict[str, list[float]] = field(default_factory=dict)

    def log(self, message: str) -> None:
        if found := re.fullmatch(r"(.+): step \d+ of \d+, loss (.+)", message):
            own = self.losses.setdefault(found[1], [])
            own.append(float(found[2]) * (len(own) + 1) - sum(own))


def same_weights(one: Any, other: Any) -> bool:
    """Whether two networks of the same class are equal to the last bit."""
    theirs = other.state_dict()
    return all(torch.equal(mine, theirs[name]) for name, mine in one.state_dict().items())


class Interrupted:
    """`function`, until it is called for the `last` time."""

    def __init__(self, function: Callable[..., Any], last: int) -> None:
        self.function, self.left = function, last

    def __call__(self, *args: Any) -> Any:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return self.function(*args)
