"""The one door to DVC: its commands, its config, its plan of stages, and how it composes params.

No other module of this package imports DVC, so what a new version of DVC changes is changed here.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from likeness.common.errors import LikenessError, one_line

DVC = (sys.executable, "-m", "dvc")
ABSENT = "–"
_composing = threading.Lock()  # Hydra keeps its state in the process


def run_dvc(root: Path, *command: str) -> str:
    """What a DVC command prints. Raises `LikenessError` with what it says if it fails."""
    done = subprocess.run([*DVC, *command], cwd=root, capture_output=True, encoding="utf-8")
    if done.returncode:
        reason = first_error(done.stderr) or done.stderr.strip()[-200:]
        raise LikenessError(f"dvc {' '.join(command)}: {reason}")
    return done.stdout


def first_error(stderr: str) -> str:
    """The first error that a DVC command tells; empty if it tells none."""
    told = (line for line in stderr.splitlines() if line.startswith("ERROR: "))
    return next(told, "").removeprefix("ERROR: ")


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; a list is a value."""
    if not isinstance(tree, dict):
        return {prefix: tree} if prefix else {}
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found


# --- config and cache -----------------------------------------------------------------------------


def read_config(root: Path) -> dict[str, Any]:
    """DVC's config as it applies in a repository: the user's, the project's and the local one."""
    from dvc.config import Config

    return dict(Config(dvc_dir=str(root.resolve() / ".dvc")))


def dvc_cache(root: Path, config: Mapping[str, Any] | None = None) -> Path:
    """The folder of DVC's cache that the repository at `root` uses.

    Experiments in temporary folders (`dvc exp run --temp`, `--queue`) are configured by DVC with the
    main repository's cache, so they share it. `config` is that of `root`, if it has been read.
    """
    config = config or read_config(root)
    return Path(config["cache"].get("dir") or root.resolve() / ".dvc" / "cache")


def cached_file(root: Path, md5: str, inside: str = "") -> Path | None:
    """The file in the local cache that an output of dvc.lock has as `md5`; None if it is not there.

    DVC's own file system would fetch a missing file from the remote, which may be another machine.

    Args:
        md5: of a file, or of a folder, which ends in `.dir`.
        inside: the file's path in that folder.
    """
    store = dvc_cache(root) / "files" / "md5"

    def stored(name: str) -> Path:
        return store / name[:2] / name[2:]

    if md5.endswith(".dir"):
        if not stored(md5).is_file():
            return None
        entries = json.loads(stored(md5).read_bytes())
        md5 = next((entry["md5"] for entry in entries if entry["relpath"] == inside), "")
    elif inside:
        return None
    return stored(md5) if md5 and stored(md5).is_file() else None


def cache_folder(root: Path, config: Mapping[str, Any] | None = None) -> Path:
    """`likeness/` beside DVC's cache: the item store, training scratch and leases of GPUs."""
    return dvc_cache(root, config).parent / "likeness"


def open_cache_folder(root: Path) -> Path:
    """`cache_folder`, made if it is not there yet, for this process to write to.

    Where the config says `cache.shared = group`, what this process writes from now on has the rights
    that DVC gives its own cache then: the group may write, and folders pass their group on.
    """
    config = read_config(root)
    folder = cache_folder(root, config)
    shared = config["cache"].get("shared") == "group"
    if shared:
        os.umask(0o002)
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        if shared:
            folder.chmod(0o2775)
    return folder


def share_settings(root: Path, clone: Path) -> None:
    """Give a clone that lies below `root` the settings of `.dvc/config.local`, and `root`'s cache.

    Raises:
        LikenessError: a setting that DVC cannot write, as it writes its config in ASCII.
    """
    from dvc.config import Config
    from dvc.config_schema import RelPath

    local = Config(dvc_dir=str(root / ".dvc")).read("local")
    # A relative path leaves out the folders above the repository, whose names may not be ASCII.
    local["cache"]["dir"] = RelPath(dvc_cache(root))
    try:
        with Config(dvc_dir=str(clone / ".dvc")).edit("local") as edited:
            edited.update(local)
    except UnicodeEncodeError as error:
        raise LikenessError(
            f"{root / '.dvc/config.local'}: DVC writes its config in ASCII, and {error.object!r} "
            "is not; give the cache a path without such letters"
        ) from error


# --- the stages -----------------------------------------------------------------------------------


def stale_stages(root: Path) -> dict[str, list[str]]:
    """The stages that `dvc repro` would run although all data could be pulled, and why.

    `dvc repro --dry --allow-missing` exits with 0 where stages would run (treeverse/dvc#9861), and
    with an error where a changed stage's inputs are not pulled. So DVC's own plan is walked here.
    A frozen stage is never stale.
    """
    from dvc.repo import Repo, lock_repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    found = {}
    with one_line_errors(str(root)), Repo(str(root)) as repo, lock_repo(repo):
        graph = get_active_graph(repo.index.graph)
        for stage in plan_repro(graph, collect_stages(repo, [str(root / "dvc.yaml")])):
            reasons = [] if stage.frozen else _reasons(repo, stage, graph.successors(stage))
            if reasons:
                found[_address(repo, stage)] = reasons
    return found


def _reasons(repo: Any, stage: Any, upstream: Iterable[Any]) -> list[str]:
    """Why a stage's entry in the lock is wrong. Data that is only missing here is no reason."""
    if stage.deps and not any(dep.hash_info for dep in stage.deps):
        return ["not in dvc.lock"]
    made = {out.fs_path: out.hash_info for other in upstream for out in other.outs}
    reasons = ["its command changed"] if stage.changed_stage() else []
    for dep in stage.deps:
        state = _state(dep)
        if isinstance(state, Mapping):
            reasons += _changed_params(dep)
        elif state == "deleted" and any(Path(dep.fs_path).is_relative_to(out) for out in made):
            if made.get(dep.fs_path, dep.hash_info) != dep.hash_info:
                reasons.append(f"{_path(repo, dep)} is not what dvc.lock says was made")
        elif state:
            reasons.append(f"{_path(repo, dep)} {state}")
    for out in stage.outs:
        state = _state(out)
        if state and not (out.use_cache and state in ("deleted", "not in cache")):
            reasons.append(f"{_path(repo, out)} {state}")
    return reasons


def _address(repo: Any, stage: Any) -> str:
    """A stage's name as DVC's commands take it in the root, whatever folder this runs in."""
    file = Path(stage.path).relative_to(repo.root_dir).as_posix()
    return ":".join([file, *getattr(stage, "name", "").split()]).removeprefix("dvc.yaml:")


def _path(repo: Any, entry: Any) -> str:
    return Path(entry.fs_path).relative_to(repo.root_dir).as_posix()


def _state(entry: Any) -> Any:
    """How a dependency or output changed: None, a word, or a word for each key of a params file."""
    return next(iter(entry.status().values()), None)


def _changed_params(dep: Any) -> list[str]:
    old, new = flat(dep.hash_info.value or {}), flat(dep.read_params(flatten=False))
    return [
        f"{key} {old.get(key, ABSENT)} → {new.get(key, ABSENT)}"
        for key in (old | new)
        if old.get(key) != new.get(key)
    ]


def untracked_inputs(root: Path) -> list[Path]:
    """What stages read and no stage or .dvc file makes: those paths are git's or the user's own."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        made = {out.fs_path for out in repo.index.outs}
        read = {
            dep.fs_path
            for stage in repo.index.stages
            for dep in stage.deps
            if dep.protocol == "local"
        }
    paths = map(Path, sorted(read))
    return [path for path in paths if not made & {str(path), *map(str, path.parents)}]


def upstream(root: Path, target: str, keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """The stages of dvc.yaml that the target depends on, with itself; and those of them that the values
    of `keys` do not change and that come last before the others.
    """
    import networkx  # type: ignore[import-untyped]
    from dvc.dependency.param import ParamsDependency
    from dvc.repo import Repo

    with one_line_errors("dvc.yaml"), Repo(str(root)) as repo:
        graph = repo.index.graph  # from each stage to those that it needs
        needs = {stage: {stage, *networkx.descendants(graph, stage)} for stage in graph}
        end = next((stage for stage in graph if _own([stage]) == [target]), None)
        if end is None:
            raise LikenessError(f"dvc.yaml: no stage {target}, which the search is about")
        reads = {
            stage: [
                param
                for dep in stage.deps
                if isinstance(dep, ParamsDependency)
                for param in dep.params
            ]
            for stage in needs[end]
        }
        by_key = [
            {stage for stage in reads if any(_within(key, param) for param in reads[stage])}
            for key in keys
        ]
        # A key that no stage reads is a group of conf/ or part of paths in dvc.yaml: it may change any.
        touched = set().union(*by_key) if all(by_key) else needs[end]
        varying = {stage for stage in needs[end] if needs[stage] & touched}
        last = {
            stage
            for stage in needs[end] - varying
            if any(after in varying for after in graph.predecessors(stage))
        }
        return _own(needs[end]), _own(last)


def _within(key: str, param: str) -> bool:
    return f"{key}.".startswith(f"{param}.") or f"{param}.".startswith(f"{key}.")


def _own(stages: Iterable[Any]) -> list[str]:
    """The names of the stages in the root's dvc.yaml that are not frozen."""
    own = (stage for stage in stages if stage.path_in_repo == "dvc.yaml" and not stage.frozen)
    return sorted(stage.name for stage in own)


# --- params ---------------------------------------------------------------------------------------


def compose(root: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The params that `dvc exp run` makes of these overrides. Raises `LikenessError`."""
    from dvc.utils.hydra import apply_overrides, compose_and_dump

    hydra = read_config(root).get("hydra", {})
    with tempfile.TemporaryDirectory() as folder, _composing, one_line_errors("-S"):
        path = Path(folder) / "params.yaml"
        if hydra.get("enabled"):
            conf, name = hydra.get("config_dir", "conf"), hydra.get("config_name", "config")
            compose_and_dump(path, str(root / conf), None, name, str(root), list(overrides))
        else:
            path.write_bytes((root / "params.yaml").read_bytes())
            apply_overrides(str(path), list(overrides))
        composed: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return composed


def single_overrides(override: str) -> tuple[str, ...]:
    """An override for each value that `key=value,value` or `key=range(...)` gives."""
    from dvc.utils.hydra import get_hydra_sweeps

    with one_line_errors("-S"):
        sweeps = get_hydra_sweeps({"params.yaml": [override]})
    return tuple(each["params.yaml"][0] for each in sweeps)


@contextmanager
def one_line_errors(where: str) -> Iterator[None]:
    """What DVC and Hydra raise for a user's mistake, as a `LikenessError`."""
    from dvc.exceptions import DvcException
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (DvcException, HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__ if isinstance(error, DvcException) else None
        raise LikenessError(f"{where}: {one_line(cause or error)}") from error
