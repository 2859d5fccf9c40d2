"""Run a search over params, and continue one that was interrupted.

conf/search/<lane>.yaml lists the values to try; -S adds a param or replaces its values. Each combination
is one experiment of the commit that is checked out (`dvc exp show`, `likeness compare`). Stages that
are the same for all of them are run once, first. Combinations that an experiment of this commit has
already run are skipped, so a search that was stopped or killed continues when the same command is given
again. A run that is killed is repeated; one that fails is reported with its first error and its log.

With --sampler optuna, Optuna chooses --trials of the combinations by the results so far.
`likeness.repository.runs` says how an experiment is run, and why not by `dvc queue`.
"""

import argparse
import fcntl
import json
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from likeness.common.errors import LikenessError
from likeness.repository.dvc import upstream
from likeness.repository.experiments import git, read_file
from likeness.repository.runs import Run, Runner, experiments, find_done
from likeness.repository.space import Space, read_space

if TYPE_CHECKING:
    import optuna


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("lane", metavar="NAME", help="of a file in conf/search/")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="runs at a time (1)")
    parser.add_argument("-S", dest="sets", action="append", default=[], metavar="KEY=VALUES")
    parser.add_argument("--sampler", choices=("grid", "optuna"), default="grid")
    parser.add_argument("--trials", type=int, metavar="N", help="experiments that optuna may run")
    parser.add_argument("--retries", type=int, default=2, metavar="N", help="of a failed run (2)")
    parser.add_argument("--minutes", type=float, metavar="M", help="a longer run counts as failed")
    parser.add_argument("--dry", action="store_true", help="print what would be run")


def main(args: argparse.Namespace, root: Path) -> int:
    """Returns 1 if an experiment failed."""
    if (args.sampler == "optuna") != bool(args.trials):
        raise LikenessError("search: --sampler optuna and --trials N go together")
    if not args.dry:
        _check_committed(root)
    space = read_space(root, args.lane, args.sets)
    workers = max(1, args.workers)
    folder = root / ".dvc" / "tmp" / "search" / args.lane
    search = Search(space, Runner(root, folder, workers, max(0, args.retries), args.minutes))
    if args.dry:
        for run in search.pending(space.grid()):
            print(shlex.join(run.command))
        return 0
    with _one_search_at_a_time(folder), _stopped_by_signals(search.runner):
        search.runner.recover()
        if args.sampler == "grid":
            failed = search.try_all(workers)
        else:
            failed = search.try_best(args.trials, workers)
    print("\n".join(search.table()))
    for problem in failed:
        print(f"failed: {problem}", file=sys.stderr)
    return 1 if failed else 0


class Search:
    """Runs the experiments of a space and compares them."""

    def __init__(self, space: Space, runner: Runner) -> None:
        self.space, self.runner = space, runner
        self.stages, self.shared = upstream(space.root, space.target, space.varying)
        self.runs: dict[str, Run] = {}  # all runs of this search so far, by name
        self._locks: dict[str, Lock] = {}

    def pending(self, runs: Sequence[Run]) -> list[Run]:
        """The runs that no experiment has done yet."""
        self.runs |= {run.name: run for run in runs}
        return [run for run in runs if self._done(run) is None]

    def try_all(self, workers: int) -> list[LikenessError]:
        """Run every combination; returns the errors of those that failed."""
        runs = self.space.grid()
        pending = self.pending(runs)
        done = len(runs) - len(pending)
        print(f"{len(runs)} combinations, {done} of them done", file=sys.stderr)
        if len(pending) > 1:
            self._run_shared()
        with ThreadPoolExecutor(workers) as pool, self._progress(len(runs), done) as bar:

            def attempt(run: Run) -> LikenessError | None:
                try:
                    self._measure(run)
                except LikenessError as error:
                    return error
                finally:
                    bar.update()
                return None

            return [error for error in pool.map(attempt, pending) if error]

    def try_best(self, trials: int, workers: int) -> list[LikenessError]:
        """Run `trials` combinations that Optuna chooses; returns the errors of those that failed.

        Its study, one for each commit and space, is kept beside the logs, so that it can continue.
        """
        try:
            import optuna
            from optuna.trial import TrialState
        except ImportError as error:
            raise LikenessError("optuna is not installed here: pip install optuna") from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # failures are printed at the end
        study = optuna.create_study(
            study_name=f"{self.runner.rev[:12]}-{self.space.digest}",
            storage=f"sqlite:///{self.runner.folder / 'optuna.db'}",
            direction="minimize" if self.space.better == "lower" else "maximize",
            load_if_exists=True,
        )
        for trial in study.get_trials(states=(TrialState.RUNNING,)):  # its search was killed
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
        self._run_shared()
        failed: dict[str, LikenessError] = {}

        def tried() -> set[str]:
            complete = study.get_trials(states=(TrialState.COMPLETE,))
            return {_combination(trial.params) for trial in complete} | failed.keys()

        budget = min(trials, len(self.space))
        before: set[str] | None = None
        with self._progress(budget, len(tried())) as bar:
            while (missing := budget - len(now := tried())) > 0:
                # A combination that is chosen again costs no run, so it does not count. If Optuna
                # chose only such, it is given a new one.
                if now == before:
                    study.enqueue_trial(
                        next(each for each in self.space.varied() if _combination(each) not in now)
                    )
                before = now
                study.optimize(
                    partial(self._objective, failed),
                    n_trials=missing,
                    n_jobs=min(workers, missing),
                    catch=(LikenessError,),
                    callbacks=[lambda *_: bar.update(len(tried()) - bar.n)],
                )
        return list(failed.values())

    def _objective(self, failed: dict[str, LikenessError], trial: "optuna.Trial") -> float:
        overrides = [
            trial.suggest_categorical(key, values) if len(values) > 1 else values[0]
            for key, values in self.space.choices.items()
        ]
        run, chosen = self.space.run(overrides), _combination(trial.params)
        with self._locks.setdefault(run.name, Lock()):  # two threads may choose the same one
            if chosen not in failed:
                try:
                    return self._measure(run)
                except LikenessError as error:
                    failed[chosen] = error
            raise failed[chosen]

    def _measure(self, run: Run) -> float:
        """The metric of a run, after running it unless an experiment has. Raises `LikenessError`."""
        if self.pending([run]):
            self.runner.run(run)
        found = self._metric(self._done(run) or run.name)
        if found is None:
            raise LikenessError(f"{run.name}: has none of {', '.join(self.space.metrics)}")
        metric, value = found
        tqdm.write(f"{run.name}: {metric} {value:.5g}", file=sys.stderr)
        return value

    def _progress(self, total: int, done: int) -> "tqdm[Any]":
        what = f"search {self.space.lane}: experiments"
        return tqdm(desc=what, total=total, initial=done, file=sys.stderr, dynamic_ncols=True)

    def _run_shared(self) -> None:
        if self.shared:
            self.runner.run(self.space.shared(self.shared), keep=False)

    def _done(self, run: Run) -> str | None:
        return find_done(self.space.root, self.runner.rev, run, self.stages)

    def _metric(self, experiment: str) -> tuple[str, float] | None:
        """The first of the space's metrics that an experiment has, and its value."""
        rev = experiments(self.space.root, self.runner.rev)[experiment]
        for metric in self.space.metrics:
            stage, _, key = metric.partition(".")
            file = read_file(self.space.root, rev, f"metrics/{stage}.json")
            values = json.loads(file or b"{}")
            if key in values:
                return metric, float(values[key])
        return None

    def table(self) -> list[str]:
        """A line for each finished experiment of the space, best first."""
        rows = []
        for run in self.runs.values():
            name = self._done(run)
            if name and (found := self._metric(name)):
                metric, value = found
                varied = [
                    each for each in run.overrides if each.partition("=")[0] in self.space.varying
                ]
                rows.append((value, f"{name}  {metric} {value:.5g}  {' '.join(varied)}"))
        return [line for _, line in sorted(rows, reverse=self.space.better == "higher")]


def _combination(params: dict[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def _check_committed(root: Path) -> None:
    changed = git(root, "diff", "HEAD", "--name-only").splitlines()
    if changed:
        raise LikenessError(
            f"{changed[0]}: changed since the last commit; commit or undo it, since every experiment "
            "of a search is one of the commit"
        )


@contextmanager
def _one_search_at_a_time(folder: Path) -> Iterator[None]:
    """One search of a lane at a time. Raises `LikenessError` if another is running."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LikenessError(f"search {folder.name}: is running already") from error
        yield


@contextmanager
def _stopped_by_signals(runner: Runner) -> Iterator[None]:
    """End the runs when the search is interrupted."""

    def stop(number: int, _: object) -> None:
        runner.stop()
        raise KeyboardInterrupt

    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
