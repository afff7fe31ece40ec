"""From a config to a finished run: check everything, search, hold the finals, write report and winner."""

from __future__ import annotations

import logging
import math
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from . import control, own, runs
from .architecture import Architecture, Trial
from .config import QUICK_START, Config, Parts, build, features_of, load, measures
from .config_paths import absolute_paths
from .conformance import Endless, Watched, check_fingerprint, quick
from .constraints import StoredCosts
from .deliver import REMEDY, first_not_source, write_report
from .errors import ConfigError, NasError, Rejected, SearchError, SpaceError
from .executors.attempt import attempt, reason
from .executors.inline import InlineExecutor
from .executors.processes import ProcessExecutor
from .executors.slots import slots
from .fidelity import Checkpointed
from .finals import Finals
from .interrupts import stop_on_signal
from .lookup import check_table, conclude, search_protocol
from .protocols import Controller, Evaluator, Measurer, Resumable, SearchSpace, Split, Tabled
from .rehearsal import check_controller
from .repeats import network_key
from .report.tensorboard import TensorBoardLog
from .runs import Run
from .search import search
from .space import replay, sample
from .store import Store

log = logging.getLogger(__name__)
Place = ProcessExecutor | InlineExecutor
EXPORTED = 3
"""Networks of a space whose export is tried before a search."""


class Progress(Protocol):
    """Who hears how a run comes along."""

    def started(self, run: Run, config: Config, done: list[Trial], workers: int) -> None: ...

    def trial(self, trial: Trial, best: Trial) -> None: ...

    def measured(self, done: int, of: int) -> None: ...

    def exhausted(self) -> None: ...

    def stopping(self) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its final result as JSON values, or None where it was interrupted before there was one."""

    run: Run
    state: Literal["done", "interrupted"]
    final: dict[str, Any] | None


class Silence:
    """Hears of a run and says nothing."""

    def started(self, run: Run, config: Config, done: list[Trial], workers: int) -> None: ...

    def trial(self, trial: Trial, best: Trial) -> None: ...

    def measured(self, done: int, of: int) -> None: ...

    def exhausted(self) -> None: ...

    def stopping(self) -> None: ...


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
    searched, by = (own.name_of(given) if isinstance(given, type) else given for given in (space, controller))
    config = load(source, overrides, space=searched, controller=by)
    run = runs.new_run(name, QUICK_START if source is None else source)
    return start(config, run, Silence() if progress is None else progress)


def start(config: Config, run: Run, progress: Progress) -> Outcome:
    """A new run, from nothing to its winner. Of an automatic name that was taken meanwhile the next number is used.

    Device, data and space are tried out before anything is written. Raises NasError for what is wrong with them, and
    for a search that fails.
    """
    config = absolute_paths(config)
    parts = build(config)
    with _place(config, parts) as executor:
        protocol = _try_out(config, parts, executor)
        _try_export(parts, executor)
        controller, given = config.controller, features_of(config, parts.evaluator)
        with _elsewhere(config, executor) as other:
            check_controller(
                controller.name, controller.options, other, space=parts.space, seed=config.search.seed, **given
            )
        with runs.create(run, config, protocol) as store:
            run = runs.run_of_store(store)
            return _carry_out(run, store, config, build(config, StoredCosts(store)), executor, progress)


def resume(run: Run, progress: Progress) -> Outcome:
    """Continues a run where it was; a run that is done stays as it is.

    Raises NasError as `start` does, and where the run's data, or files of a person's own, are not what they were."""
    with Store.open(run.store_path) as store:
        runs.check_files(store)
        config = runs.config_of(store)
        parts = build(config, StoredCosts(store))
        unfinished = store.get("final") is None
        if unfinished:
            runs.check_scores(run)
        with _place(config, parts) as executor:
            if unfinished:
                # Else data that is missing today would be stored as candidates that failed.
                runs.check_protocol(store, config, _try_out(config, parts, executor))
            return _carry_out(run, store, config, parts, executor, progress)


def _carry_out(run: Run, store: Store, config: Config, parts: Parts, executor: Place, progress: Progress) -> Outcome:
    store.put("state", {"state": "running"})
    try:
        with (
            stop_on_signal(asked=progress.stopping, kill=executor.kill) as stopped,
            control.opened(run, config) as rival,
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
    own_config = control.of_config(config)
    parts = build(own_config, StoredCosts(store))
    if store.get(control.FAILED) is not None:
        return
    try:
        _search(run.control, store, own_config, parts, executor, progress, stopped, log)
    except SearchError as error:
        store.put(control.FAILED, {"reason": str(error)})


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
    leader = next(iter(runs.best(done)), None)

    def on_trial(trial: Trial) -> None:
        nonlocal leader
        leader = next(iter(runs.best([trial] if leader is None else [leader, trial])), trial)
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
            repeats=config.search.repeats,
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
    if isinstance(executor, InlineExecutor) and own.is_own(config.controller.name):
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


def _try_out(config: Config, parts: Parts, executor: Executor) -> dict[str, Any] | None:
    """Has a worker see whether each space is sound, check device and data, draw tasks and build a network, or looks an
    architecture up. Returns the protocol of the search's scores, None where the evaluator tells none. Raises NasError.
    """
    if not measures(parts.evaluator):
        check_table(config, parts)
        return _protocol(config, parts, executor)
    searched = (parts.space, parts.limited, parts.measurer)
    for space, limited, evaluator in (searched, (parts.baseline, parts.baseline, parts.baseline_measurer)):
        error = _trouble(space, limited, evaluator, executor)
        if isinstance(error, NasError):
            raise error
        if error is not None:
            raise SpaceError(
                f"space {space.name!r} cannot be tried on {evaluator.tasks.name!r}: {reason(error)}; "
                "check the options of both"
            ) from error
    return _protocol(config, parts, executor)


def _protocol(config: Config, parts: Parts, executor: Executor) -> dict[str, Any] | None:
    protocol, error = attempt(executor.submit(search_protocol, config, parts.evaluator).result)
    if error is not None:
        raise error if isinstance(error, NasError) else ConfigError(f"what scores rest on is not told: {reason(error)}")
    told: dict[str, Any] | None = protocol
    return told


def _try_export(parts: Parts, executor: Executor) -> None:
    """Has a worker try how networks of the space, and the baseline, could be exported, and warns where not as source.
    Raises SpaceError where not at all, for a search must not end with what nobody can take away."""
    if not measures(parts.evaluator) or getattr(parts.measurer, "norm", None) == "support":
        return
    searched = (parts.space, parts.limited, parts.measurer)
    for space, limited, evaluator in (searched, (parts.baseline, parts.baseline, parts.baseline_measurer)):
        drawn, rng = [], random.Random(0)
        for _ in range(EXPORTED):
            with suppress(Rejected):
                drawn.append(sample(limited, rng))
        found, error = attempt(executor.submit(first_not_source, evaluator, drawn).result)
        if error is not None:  # then the search's own deadline or limits say it of the candidate
            continue
        file, why = found
        if file is None:
            raise SpaceError(f"a network of space {space.name!r} could not be exported: {why}; {REMEDY}")
        if why:
            log.warning("networks of space %r will be exported as %s, without model.py: %s", space.name, file, why)


def _trouble(space: SearchSpace, limited: SearchSpace, evaluator: Measurer, executor: Executor) -> BaseException | None:
    elsewhere, error = attempt(executor.submit(quick, space).result)  # first there, where an endless `decide` is ended
    if error is None:
        _, error = attempt(check_fingerprint, space, elsewhere)
    if error is None:
        architecture, error = attempt(sample, limited, random.Random(0))
    error = error or attempt(network_key, space, architecture)[1]
    return error or executor.submit(_check, space, evaluator, architecture).exception()


def _check(space: SearchSpace, evaluator: Measurer, architecture: Architecture) -> None:
    import torch

    watched, shape = Watched(space), evaluator.tasks.shape
    with torch.random.fork_rng(devices=[]):
        _, error = attempt(watched.build, replay(space, architecture), shape)
    if isinstance(error, Endless):
        raise error  # the evaluator would wait for ever; of anything else it says more
    evaluator.check(architecture)
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        evaluator.tasks.tasks(split, range(1), torch.device("cpu"))
