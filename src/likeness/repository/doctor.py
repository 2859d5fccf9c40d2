"""Check whether this machine is ready for the pipeline. Exits with 1 if something is missing.

Each check prints a line, with what to do about a problem. A warning is about what slows a run down, or
what only some commands need. Nothing is changed.
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from likeness.common.cublas import gpu_problem
from likeness.common.errors import shortened
from likeness.repository import probes
from likeness.repository.dvc import dvc_cache, read_config
from likeness.repository.probes import Machine, Version

PYTHONS = ((3, 11), (3, 12), (3, 13))
GIB = 2**30
DISK, DISK_FOR_MORE = 2 * GIB, 10 * GIB  # for one run; for several runs, or a real base
CUDA_PACKAGES = ("nvidia-", "cuda-", "triton")  # which a torch for CPUs does not need
# The JavaScript runtimes that voice_download enables, with the least versions that yt-dlp accepts.
RUNTIMES: dict[str, Version] = {"deno": (2, 3), "node": (22,)}


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, what was found, and what to do about a problem."""

    check: str
    level: Literal["ok", "warning", "error"]
    text: str

    def __str__(self) -> str:
        return f"{self.level:<8} {self.check:<10} {self.text}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def main(args: argparse.Namespace, root: Path) -> int:
    findings = []
    for check in CHECKS:
        try:
            found = check(root)
        except ImportError as error:  # a missing package is a finding, too
            found = [Finding("packages", "error", f"{error}; `make repro` makes the environment")]
        for finding in found:
            print(finding, flush=True)
        findings += found
    levels = [finding.level for finding in findings]
    print(f"{levels.count('error')} errors, {levels.count('warning')} warnings")
    return int("error" in levels)


# --- the environment ------------------------------------------------------------------------------


def check_python(version: Version) -> Finding:
    text = _dotted(version)
    if version[:2] in PYTHONS:
        return Finding("python", "ok", text)
    known = ", ".join(map(_dotted, PYTHONS))
    advice = f"delete .venv and `make repro PYTHON=python{_dotted(PYTHONS[0])}`"
    return Finding("python", "error", f"{text}, none of {known}; {advice}")


def check_packages(locked: Mapping[str, str], installed: Mapping[str, str]) -> Finding:
    """Versions by normal name. A local version (2.14.1+cpu) counts as its public one."""
    if installed.get("torch", "").endswith("+cpu"):
        locked = {name: v for name, v in locked.items() if not name.startswith(CUDA_PACKAGES)}
    missing = [name for name in locked if name not in installed]
    others = [
        f"{name} {installed[name]} (locked: {version})"
        for name, version in locked.items()
        if name in installed and installed[name].partition("+")[0] != version
    ]
    advice = "delete .venv and `make repro`, or `pip install -r requirements.lock`"
    if missing:
        text = f"{len(missing)} of {len(locked)} missing: {shortened(missing)}"
        return Finding("packages", "error", f"{text}; {advice}")
    if others:
        text = f"{len(others)} of {len(locked)} are not as locked: {shortened(others)}"
        return Finding("packages", "warning", f"{text}; figures may differ: {advice}")
    return Finding("packages", "ok", f"all {len(locked)} as in requirements.lock")


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _environment(root: Path) -> list[Finding]:
    locked = probes.locked_versions(root / "requirements.lock")
    return [
        check_python(tuple(sys.version_info[:3])),
        check_packages(locked, probes.installed_versions()),
    ]


# --- the machine ----------------------------------------------------------------------------------


def device_of(asked: str, machine: Machine) -> str:
    """What `base.device` of params.yaml means here."""
    return machine.devices[0] if asked == "auto" else asked


def check_device(asked: str, machine: Machine) -> Finding:
    """Args: asked: `base.device` of params.yaml."""
    device = device_of(asked, machine)
    sizes = ", ".join(f"{size / GIB:.0f} GiB" for size in machine.gpu_memory)
    if device not in machine.devices:
        there = ", ".join(machine.devices)
        text = f"base.device is {asked}, and torch sees {there}; set it to auto"
        return Finding("device", "error", text)
    if device == "cpu" and machine.driver:
        text = "cpu: torch cannot use NVIDIA's driver, which is here; update it"
        return Finding("device", "warning", text)
    return Finding("device", "ok", f"cuda, {sizes}" if device == "cuda" else device)


@dataclass(frozen=True)
class MemoryNeed:
    """Memory that a training takes.

    Attributes:
        least: bytes that every training takes.
        times: multiple of its bases' bytes that it takes besides.
        pixel: bytes for each pixel of an image that is decoded, which image_train does for its samples.
    """

    kind: str
    device: str
    least: float
    times: float
    pixel: float = 0.0

    def wanted(self, stage: str, bases: int, pixels: int) -> float:
        decoded = self.pixel * pixels if bases and stage == "image_train" else 0.0
        return self.least + self.times * bases + decoded


# Peaks on a CPU: 3.6 GiB with the bundled bases, 8.0 GB in voice_train with XTTS-v2 (2.1 GB of files),
# 12.6 GB in image_train with Stable Diffusion 1.5 (4.3 GB).
RAM = MemoryNeed("RAM", "a CPU", 3.6 * GIB, 2.0)
# In bf16, by benchmarks/image_memory.py, and half a GiB of CUDA's own besides: 4.2 GiB with Stable
# Diffusion 1.5 at 512 pixels (4.0 of files), 10.0 with XL at 1,024 (6.6); 3.0 of them decode an image.
GPU = MemoryNeed("GPU memory", "a GPU", 1.0 * GIB, 1.0, 3.0 * GIB / 1024**2)
# The bases that a training holds in memory together, by their keys in `inputs`.
HELD = {"image_train": ("diffusion",), "voice_train": ("tts", "asr", "speaker")}


def check_memory(
    size: int, need: MemoryNeed, bases: Mapping[str, Mapping[str, int]], pixels: int
) -> Finding:
    """Args:
    size: bytes of the machine.
    bases: by stage the bases that its training holds at once, with their bytes; 0 is not here yet.
    pixels: of an image.
    """
    wanted = {
        stage: need.wanted(stage, sum(held.values()), pixels) for stage, held in bases.items()
    }
    stage = max(wanted, key=lambda name: wanted[name])
    absent = [name for held in bases.values() for name, one in held.items() if not one]
    text = f"{size / GIB:.0f} GiB of {need.kind}"
    if absent:
        text += f"; not counted, as not in models/ yet: {shortened(absent)}"
    if size < wanted[stage]:
        held = shortened(list(bases[stage]))
        text += f"; {stage} on {need.device} wants {wanted[stage] / GIB:.1f} with {held}"
        advice = f"lower {stage}.batch and raise {stage}.accumulation as much, or use smaller bases"
        return Finding("memory", "warning", f"{text}: {advice}")
    return Finding("memory", "ok", text)


def check_recogniser(problem: str) -> Finding:
    """Args: problem: why CTranslate2 cannot use the GPU that is here, empty if it can."""
    if problem:
        return Finding("recogniser", "warning", f"Whisper runs on the CPU: {problem}")
    return Finding("recogniser", "ok", "Whisper runs on the GPU")


def _machine(root: Path) -> list[Finding]:
    import yaml

    params = yaml.safe_load((root / "params.yaml").read_text())
    asked, inputs, machine = params["base"]["device"], params["inputs"], probes.machine()
    bases = {
        stage: {inputs[key]: probes.folder_size(root / "models" / inputs[key]) for key in keys}
        for stage, keys in HELD.items()
    }
    pixels = params["image_prepare"]["resolution"] ** 2
    found = [check_device(asked, machine), check_memory(probes.memory(), RAM, bases, pixels)]
    if device_of(asked, machine) == "cuda" and machine.gpu_memory:
        found += [
            check_memory(min(machine.gpu_memory), GPU, bases, pixels),
            check_recogniser(gpu_problem()),
        ]
    return found


# --- what voice_download calls --------------------------------------------------------------------


def check_ffmpeg(path: str | None) -> Finding:
    if path:
        return Finding("ffmpeg", "ok", path)
    need = "only voice_download of live streams, or of a format that joins two, needs it"
    return Finding("ffmpeg", "warning", f"no such program; install it ({need})")


def check_javascript(versions: Mapping[str, Version], scripts: bool) -> Finding:
    """Args: versions: of the runtimes that are here. scripts: whether yt-dlp-ejs is installed."""
    need = "only voice_download of sites such as YouTube needs it"
    fit = [name for name, least in RUNTIMES.items() if versions.get(name, ()) >= least]
    if not fit:
        old = [f"{name} {_dotted(found)} is too old" for name, found in versions.items()]
        wanted = " or ".join(f"{name} {_dotted(least)}" for name, least in RUNTIMES.items())
        text = f"{', '.join(old) or 'no runtime'}; install {wanted}, or newer ({need})"
        return Finding("javascript", "warning", text)
    if not scripts:
        text = f"no yt-dlp-ejs; `pip install -r requirements.lock` ({need})"
        return Finding("javascript", "warning", text)
    return Finding("javascript", "ok", f"{fit[0]} {_dotted(versions[fit[0]])}")


def _downloads(root: Path) -> list[Finding]:
    versions = {name: version for name in RUNTIMES if (version := probes.program_version(name))}
    scripts = "yt-dlp-ejs" in probes.installed_versions()
    return [check_ffmpeg(shutil.which("ffmpeg")), check_javascript(versions, scripts)]


# --- the repository -------------------------------------------------------------------------------


def check_disk(free: int, link: str) -> Finding:
    """Args: free: bytes where the cache is. link: how it gives files out, empty if unknown."""
    text = f"{free / GIB:.0f} GiB free for the cache" + (
        f", which gives out by {link}" if link else ""
    )
    if free >= DISK_FOR_MORE:
        return Finding("disk", "ok", text)
    advice = "`make prune`, `dvc gc` as docs/remotes.md says"
    if link == "copy":
        advice += (
            ", or `dvc config --local cache.type reflink,hardlink,copy`: copies lie there twice"
        )
    return Finding("disk", "error" if free < DISK else "warning", f"{text}; {advice}")


def _disk(root: Path) -> list[Finding]:
    folder = dvc_cache(root)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return [check_disk(shutil.disk_usage(there).free, probes.cache_link(root))]


def check_remotes(default: str | None, problems: Mapping[str, str]) -> list[Finding]:
    """Args: problems: by a remote's name why it does not answer, empty where it does."""
    advice = (
        "check url, network and rights; the first `dvc push` makes a place that is not there yet"
    )
    found = [
        Finding("remote", "warning", f"{name}: {problem}; {advice}")
        if problem
        else Finding("remote", "ok", f"{name} answers")
        for name, problem in problems.items()
    ]
    if default not in problems:
        text = f"{default} is the default one, and has no url" if default else "no default one"
        goal = "`dvc push` needs it: `dvc remote add -d NAME URL`, see docs/remotes.md"
        found.append(Finding("remote", "warning", f"{text}; {goal}"))
    return found


def _remotes(root: Path) -> list[Finding]:
    config = read_config(root)
    problems = {name: probes.ask_remote(root, name) for name in config.get("remote", {})}
    return check_remotes(config.get("core", {}).get("remote"), problems)


def check_git(name: str, email: str, changed: Sequence[str]) -> list[Finding]:
    """Args: name, email: empty where not set. changed: paths that `git status` lists."""
    identity = Finding("git", "ok", f"commits as {name} <{email}>")
    if not (name and email):
        missing = " and ".join(
            key for key, value in (("user.name", name), ("user.email", email)) if not value
        )
        advice = f"`git config --global {missing.split()[0]} ...`: `dvc exp run` commits as you"
        identity = Finding("git", "warning", f"{missing} not set; {advice}")
    state = Finding("git", "ok", "nothing uncommitted")
    if changed:
        advice = "commit them: every experiment takes them along"
        state = Finding(
            "git", "warning", f"{len(changed)} uncommitted: {shortened(changed)}; {advice}"
        )
    return [identity, state]


def check_temporary(root: Path, shallow: bool) -> list[Finding]:
    """What DVC's experiments in temporary folders cannot do; in the workspace all of them work."""
    found = []
    what = "`dvc exp run` with --temp or --queue"
    if shallow:
        advice = "`git fetch --unshallow`, or run them without"
        text = f"a shallow clone, in which {what} loses its experiment in silence; {advice}"
        found.append(Finding("git", "warning", text))
    if not str(root).isascii():
        advice = "run them without, or by `likeness search`"
        text = f"{what} fails, as {root} has letters that are not ASCII; {advice}"
        found.append(Finding("path", "warning", text))
    return found


def _git(root: Path) -> list[Finding]:
    if not probes.ask_git(root, "rev-parse", "--git-dir"):
        advice = "install git and clone the repository with it: experiments are commits"
        return [Finding("git", "error", f"{root} is in no git repository; {advice}")]
    name, email = (
        probes.ask_git(root, "config", f"user.{key}").strip() for key in ("name", "email")
    )
    status = probes.ask_git(root, "status", "--porcelain")
    shallow = probes.ask_git(root, "rev-parse", "--is-shallow-repository").strip() == "true"
    changed = [line[3:] for line in status.splitlines()]
    return [*check_git(name, email, changed), *check_temporary(root, shallow)]


def check_bundled(folder: Path, promised: Iterable[str]) -> Finding:
    """Args: folder: a remote. promised: MD5s of what must lie there; a `.dir` lists others."""
    problems, todo = [], list(dict.fromkeys(promised))
    for md5 in todo:  # it grows by what lists name
        path = folder / "files/md5" / md5[:2] / md5[2:]
        data = path.read_bytes() if path.is_file() else None
        if data is None or hashlib.md5(data).hexdigest() != md5.removesuffix(".dir"):
            problems.append(f"{md5} {'missing' if data is None else 'damaged'}")
        elif md5.endswith(".dir"):
            todo += sorted({one["md5"] for one in json.loads(data)} - set(todo))
    if not todo:
        return Finding(
            "bundled", "error", "dvc.lock names nothing in it; `git checkout -- dvc.lock`"
        )
    if problems:
        text = f"{len(problems)} of {len(todo)} objects: {shortened(problems, 2)}"
        return Finding("bundled", "error", f"{text}; `git checkout -- bundled` brings them back")
    return Finding("bundled", "ok", f"all {len(todo)} objects are whole")


def _bundled(root: Path) -> list[Finding]:
    pipelines = (root / "dvc.yaml", root / "models/dvc.yaml")
    promised = [md5 for path in pipelines for md5 in probes.promised(path, "bundled")]
    return [check_bundled(root / "bundled", promised)]


CHECKS: tuple[Callable[[Path], list[Finding]], ...] = (
    *(_environment, _machine, _downloads, _disk, _remotes, _git, _bundled),
)
