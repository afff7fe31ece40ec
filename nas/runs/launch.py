"""From a config to a finished run: check everything, search, hold the finals, write report and winner."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from ..analysis import ranking
from ..checks.controller import check_controller
from ..config.parts import Parts, build, features_of, measures
from ..config.paths import absolute_paths
from ..config.reading import QUICK_START, Config, load
from ..errors import NasError, SearchError
from ..executors.inline_executor import InlineExecutor
from ..executors.process_executor import ProcessExecutor
from ..executors.slots import slots
from ..protocols import Controller, Evaluator, Resumable, SearchSpace, Tabled
from ..registry import user_files
from ..report.tensorboard import TensorBoardLog
from ..search.fidelity import Checkpointed
from ..search.loop import search
from ..store.costs import StoredCosts
from ..store.sqlite_store import Store
from ..trial import Trial
from . import folder, random_control, resume_checks
from .artifacts import write_report
from .finals import Finals
from .folder import Run
from .interrupts import stop_on_signal
from .preflight import try_export, try_out
from .progress import Outcome, Progress, Silence
from .tabular_result import conclude

log = logging.getLogger(__name__)
Place = ProcessExecutor | InlineExecutor


def run_search(
    source: str | None = None,
    *,
    space: str | type[SearchSpace] | None = None,
    controller: str | type[Controller] | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """A whole run from Python, as `nas search` does it; every other command then works on it by its name.

    source     a TOML file or a shipped experiment's name; None: the quick start
    space      in place of the config's: a class at the top of a .py file, its name FILE.py:NAME, or another's name
    controller likewise
    overrides  KEY=VALUE, as for --set
    name       the run's; None: the config's with a number

    A script calls it under `if __name__ == "__main__":`, for worker processes import the script. In the main thread a
    Ctrl-C ends the run well; in another thread no signals are heard, and the run goes to its end. Raises NasError.
    """
    searched, by = (user_files.name_of(given) if isinstance(given, type) else given for given in (space, controller))
    config = load(source, overrides, space=searched, controller=by)
    run = folder.new_run(name, QUICK_START if source is None else source)
    return start(config, run, Silence() if progress is None else progress)


def start(config: Config, run: Run, progress: Progress) -> Outcome:
    """A new run, from nothing to its winner. Of an automatic name that was taken meanwhile the next number is used.

    Device, data and space are tried out before anything is written. Raises NasError for what is wrong with them, and
    for a search that fails.
    """
    config = absolute_paths(config)
    parts = build(config)
    with _place(config, parts) as executor:
        protocol = try_out(config, parts, executor)
        try_export(parts, executor)
        controller, given = config.controller, features_of(config, parts.evaluator)
        with _elsewhere(config, executor) as other:
            check_controller(
                controller.name, controller.options, other, space=parts.space, seed=config.search.seed, **given
            )
        with folder.create(run, config, protocol) as store:
            run = folder.run_of_store(store)
            return _carry_out(run, store, config, build(config, StoredCosts(store)), executor, progress)


def resume(run: Run, progress: Progress) -> Outcome:
    """Continues a run where it was; a run that is done stays as it is.

    Raises NasError as `start` does, and where the run's data, or files of a person's own, are not what they were."""
    with Store.open(run.store_path) as store:
        resume_checks.check_files(store)
        config = folder.config_of(store)
        parts = build(config, StoredCosts(store))
        unfinished = store.get("final") is None
        if unfinished:
            resume_checks.check_scores(run)
        with _place(config, parts) as executor:
            if unfinished:
                # Else data that is missing today would be stored as candidates that failed.
                resume_checks.check_protocol(store, config, try_out(config, parts, executor))
            return _carry_out(run, store, config, parts, executor, progress)


def _carry_out(run: Run, store: Store, config: Config, parts: Parts, executor: Place, progress: Progress) -> Outcome:
    store.put("state", {"state": "running"})
    try:
        with (
            stop_on_signal(asked=progress.stopping, kill=executor.kill) as stopped,
            random_control.opened(run, config) as rival,
        ):
            log = run.folder / "tensorboard"
            _search(run, store, config, parts, executor, progress, stopped, log)
            if rival is not None and not stopped():
                _control(run, rival, config, executor, progress, stopped, log / "control")
            final = None
            if not stopped() and measures(parts.evaluator):
                final = Finals(run, store, config, parts, executor, stopped, progress.measured, rival).hold()
            elif not stopped():
                final = conclude(store, config, parts.evaluator, rival)
    except NasError as error:
        store.put("state", {"state": "failed", "reason": str(error)})
        raise
    state: Literal["done", "interrupted"] = "interrupted" if final is None else "done"
    store.put("state", {"state": state})
    write_report(run, store, parts)
    return Outcome(run, state, final)


def _control(
    run: Run,
    store: Store,
    config: Config,
    executor: Place,
    progress: Progress,
    stopped: Callable[[], bool],
    log: Path,
) -> None:
    """The search of the run's random control. One that fails is no reason to lose the run: the result will say why."""
    own_config = random_control.of_config(config)
    parts = build(own_config, StoredCosts(store))
    if store.get(random_control.FAILED) is not None:
        return
    try:
        _search(run.control, store, own_config, parts, executor, progress, stopped, log)
    except SearchError as error:
        store.put(random_control.FAILED, {"reason": str(error)})


def _search(
    run: Run,
    store: Store,
    config: Config,
    parts: Parts,
    executor: Place,
    progress: Progress,
    stopped: Callable[[], bool],
    log_folder: Path,
) -> None:
    done = [trial for trial in store.trials() if trial.state != "pending"]
    progress.started(run, config, done, executor.workers)
    log = TensorBoardLog(log_folder, done)
    leader = next(iter(ranking.best(done)), None)

    def on_trial(trial: Trial) -> None:
        nonlocal leader
        leader = next(iter(ranking.best([trial] if leader is None else [leader, trial])), trial)
        log.add(trial)
        progress.trial(trial, leader)

    try:
        end = search(
            space=parts.space,
            controller=parts.controller,
            evaluator=_evaluator(run, config, parts),
            store=store,
            executor=executor,
            trials=config.search.trials,
            budget=config.evaluator.budget,
            seed=config.search.seed,
            workers=executor.workers,
            fidelity=config.fidelity,
            duplicates=config.search.repeats,
            seconds=config.search.seconds or math.inf,
            on_trial=on_trial,
            stop=stopped,
        )
    finally:
        log.close()
    if end == "exhausted":
        progress.exhausted()
    if end != "interrupted":
        shutil.rmtree(run.checkpoints, ignore_errors=True)


def _evaluator(run: Run, config: Config, parts: Parts) -> Evaluator:
    """The evaluator of a search's candidates: with rungs, and where it can, it goes on from where it left them."""
    if len(config.budgets) > 1 and isinstance(parts.evaluator, Resumable):
        return Checkpointed(parts.evaluator, config.evaluator.budget, run.checkpoints)
    return parts.evaluator


def _place(config: Config, parts: Parts) -> AbstractContextManager[Place]:
    """Where candidates are evaluated. A table is looked up here, one at a time, so that every run of it is the same."""
    return InlineExecutor() if isinstance(parts.evaluator, Tabled) else _executor(config)


def _elsewhere(config: Config, executor: Executor) -> AbstractContextManager[Executor]:
    """Where a controller is tried beside here: a worker or, where a table needs none, another process for one's own."""
    if isinstance(executor, InlineExecutor) and user_files.is_own(config.controller.name):
        return ProcessExecutor(1)
    return nullcontext(executor)


@contextmanager
def _executor(config: Config) -> Iterator[ProcessExecutor]:
    environments = slots(config.search.workers, config.search.device)
    deadline = config.search.deadline_s or None
    executor = ProcessExecutor(len(environments), environments=environments, deadline_s=deadline)
    try:
        yield executor
    except BaseException:
        executor.kill()
        raise
    finally:
        executor.shutdown()
