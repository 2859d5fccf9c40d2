"""Where a stage runs, and its seeds."""

import subprocess
import sys
from pathlib import Path

import pytest

from likeness.common.errors import LikenessError
from likeness.common.runtime import Base, start
from tests.conftest import library_env, runtime


def output_of(script: str, cache: Path) -> str:
    """What a Python process prints that runs the script with a cache folder as its argument."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(cache)],
        capture_output=True,
        text=True,
        env=library_env(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_seeds_are_stable_and_distinct(tmp_path: Path) -> None:
    rt = runtime(tmp_path, seed=7)
    # A changed number here means that every image of every user changes.
    assert rt.seed_for("draw", "000001", 0) == 3694054361400158970
    seeds = {rt.seed_for("draw", name, at) for name in range(500) for at in range(4)}
    assert len(seeds) == 2000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert runtime(tmp_path, seed=8).seed_for("draw", 1) != rt.seed_for("draw", 1)
    assert rt.seed_for("a", "b") != rt.seed_for("ab")


def test_scratch_is_kept_by_stage_and_key(tmp_path: Path) -> None:
    rt = runtime(tmp_path)
    assert rt.scratch("train", "k").is_dir()
    assert rt.scratch("train", "k") == rt.scratch("train", "k") != rt.scratch("train", "other")


def base(**changes: object) -> Base:
    return Base.model_validate({"seed": 7, "device": "cpu", "threads": 1, "workers": 0, **changes})


def test_a_device_that_is_not_here_is_one_line(tmp_path: Path) -> None:
    import torch

    absent = [
        name
        for name, there in (
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
        )
        if not there
    ]
    assert absent, "no machine has both"
    with pytest.raises(LikenessError, match=rf"base\.device: {absent[0]} is not available.*cpu"):
        start(base(device=absent[0]), tmp_path)


@pytest.mark.slow
def test_start_seeds_every_generator(tmp_path: Path) -> None:
    # In a process of its own: it sets the whole process up.
    script = (
        "import sys, random; from pathlib import Path\n"
        "from likeness.common.runtime import Base, start\n"
        "for seed in (1, 1, 2):\n"
        "    base = Base(seed=seed, device='cpu', threads=1, workers=0)\n"
        "    rt = start(base, Path(sys.argv[1]))\n"
        "    import torch, numpy\n"
        "    print(rt.device, rt.workers > 0, torch.get_num_threads(),"
        " torch.are_deterministic_algorithms_enabled(), random.random(),"
        " numpy.random.rand(), torch.rand(1).item())\n"
    )
    printed = output_of(script, tmp_path)
    first, again, other = (line.split() for line in printed.splitlines())
    assert first == again
    assert first[:4] == ["cpu", "True", "1", "True"]
    assert all(a != b for a, b in zip(first[4:], other[4:], strict=True))


@pytest.mark.slow
def test_one_thread_chooses_the_kernels_of_the_vector_library(tmp_path: Path) -> None:
    """A first call by two threads at once can run a kernel of another accuracy."""
    script = """
import sys
from pathlib import Path
import torch
from likeness.common.runtime import Base, start
calls = []
def record(function):
    def recorded(values):
        calls.append((function.__name__, values.numel(), str(values.dtype)))
        return function(values)
    return recorded
for name in ("exp", "log", "sqrt", "sin", "tanh"):
    setattr(torch, name, record(getattr(torch, name)))
start(Base(seed=1, device="cpu", threads=2, workers=0), Path(sys.argv[1]))
print(sorted({name for name, _, _ in calls}), {size for _, size, _ in calls}, len(calls))
"""
    printed = output_of(script, tmp_path)
    assert printed == "['exp', 'log', 'sin', 'sqrt', 'tanh'] {1} 10\n"
