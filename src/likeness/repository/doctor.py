"""Is this machine ready for the pipeline: one line per check, with what to do; exit code 1 on an error.

A warning is what slows down, or what only some commands need. Nothing is changed.
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

from likeness.common.errors import some
from likeness.repository import probes
from likeness.repository.probes import Machine, Version

PYTHON = (3, 11)
GIB = 2**30
MEMORY = 6 * GIB  # voice_train, the largest stage, takes 3.6 GiB of it on a CPU
GPU_MEMORY = 8 * GIB  # a LoRA on Stable Diffusion 1.5 at 512 pixels
DISK, DISK_FOR_MORE = 2 * GIB, 10 * GIB  # what one run writes; several runs, or a real base
CUDA_PACKAGES = ("nvidia-", "cuda-", "triton")  # that a torch for CPUs does without
# Of the runtimes that voice_download enables, the versions that yt-dlp takes.
RUNTIMES: dict[str, Version] = {"deno": (2, 3), "node": (22,)}


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and what to do where that is not well."""

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
        except ImportError as error:  # missing packages are what it looks for
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
    if version[:2] == PYTHON:
        return Finding("python", "ok", text)
    advice = f"delete .venv and `make repro PYTHON=python{_dotted(PYTHON)}`"
    return Finding("python", "error", f"{text}, not {_dotted(PYTHON)}; {advice}")


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
        text = f"{len(missing)} of {len(locked)} missing: {some(missing)}"
        return Finding("packages", "error", f"{text}; {advice}")
    if others:
        text = f"{len(others)} of {len(locked)} are not as locked: {some(others)}"
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


def check_device(asked: str, machine: Machine) -> Finding:
    """Args: asked: `base.device` of params.yaml."""
    device = machine.devices[0] if asked == "auto" else asked
    sizes = ", ".join(f"{size / GIB:.0f} GiB" for size in machine.gpu_memory)
    if device not in machine.devices:
        there = ", ".join(machine.devices)
        text = f"base.device is {asked}, and torch sees {there}; set it to auto"
        return Finding("device", "error", text)
    if device == "cpu" and machine.driver:
        text = "cpu: torch cannot use NVIDIA's driver, which is here; update it"
        return Finding("device", "warning", text)
    if device == "cuda" and min(machine.gpu_memory) < GPU_MEMORY:
        advice = "lower image_train.batch and set image_train.gradient_checkpointing"
        return Finding("device", "warning", f"cuda, {sizes}; for a real base {advice}")
    return Finding("device", "ok", f"cuda, {sizes}" if device == "cuda" else device)


def check_memory(size: int) -> Finding:
    text = f"{size / GIB:.0f} GiB of RAM"
    if size < MEMORY:
        advice = f"voice_train wants {MEMORY // GIB}; lower voice_train.batch, raise accumulation"
        return Finding("memory", "warning", f"{text}; {advice}")
    return Finding("memory", "ok", text)


def _machine(root: Path) -> list[Finding]:
    import yaml

    asked = yaml.safe_load((root / "params.yaml").read_text())["base"]["device"]
    return [check_device(asked, probes.machine()), check_memory(probes.memory())]


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
    folder = probes.cache_folder(root)
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
    config = probes.dvc_config(root)
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
        state = Finding("git", "warning", f"{len(changed)} uncommitted: {some(changed)}; {advice}")
    return [identity, state]


def _git(root: Path) -> list[Finding]:
    if not probes.ask_git(root, "rev-parse", "--git-dir"):
        advice = "install git and clone the repository with it: experiments are commits"
        return [Finding("git", "error", f"{root} is in no git repository; {advice}")]
    name, email = (
        probes.ask_git(root, "config", f"user.{key}").strip() for key in ("name", "email")
    )
    status = probes.ask_git(root, "status", "--porcelain")
    return check_git(name, email, [line[3:] for line in status.splitlines()])


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
        text = f"{len(problems)} of {len(todo)} objects: {some(problems, 2)}"
        return Finding("bundled", "error", f"{text}; `git checkout -- bundled` brings them back")
    return Finding("bundled", "ok", f"all {len(todo)} objects are whole")


def _bundled(root: Path) -> list[Finding]:
    pipelines = (root / "dvc.yaml", root / "models/dvc.yaml")
    promised = [md5 for path in pipelines for md5 in probes.promised(path, "bundled")]
    return [check_bundled(root / "bundled", promised)]


CHECKS: tuple[Callable[[Path], list[Finding]], ...] = (
    *(_environment, _machine, _downloads, _disk, _remotes, _git, _bundled),
)
