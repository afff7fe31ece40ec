"""Course of a run from its config to its winner: checks, search, finals, report."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..analysis.final_result import FinalResult
from ..checks.controller import check_determinism
from ..config.parts import Parts, build, engine_of, features_of, measures
from ..config.paths import absolute_paths, data_files
from ..config.schema import Config
from ..errors import ConfigError, NasError, WriteError
from ..executors.adapter import ExecutorAdapter
from ..executors.engines import SlotRequest
from ..executors.inline_executor import InlineExecutor
from ..executors.process_executor import ProcessExecutor
from ..failures import is_machine_fault
from ..protocols.executors import AnyExecutor, CandidateExecutor
from ..registry import user_files
from ..store.costs import StoredCosts
from ..store.file_system import network_note
from ..store.retries import NO_RETRIES, Retries
from ..store.sqlite_store import Store
from . import folder, random_control, resume_checks
from .artifacts import write_report
from .context import RunContext
from .extending import UNCHANGED, Extension, extend, extended
from .finals import run_finals
from .folder import RunFolder
from .interrupts import stop_on_signal
from .machine_faults import WAIT_S
from .preflight import check_paths, data_inventory, try_export, try_out
from .progress import Progress
from .searching import search_candidates, search_control
from .tabular_result import conclude
from .wall_clock import WallClock

log = logging.getLogger(__name__)
CHECKS_S = 600.0
"""Least deadline of a call that the checks before a search make in a worker, where evaluations have a deadline."""
TRY_OUT = "space, data and device in a worker process"


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run that this process has carried out.

    Attributes:
        run: The run, under the name that it was given.
        state: 'done', or 'interrupted' where it was asked to stop or the machine failed.
        final: Its final result; None where it was interrupted before there was one.
    """

    run: RunFolder
    state: Literal["done", "interrupted"]
    final: FinalResult | None


def start(config: Config, run: RunFolder, progress: Progress, executor: AnyExecutor | None = None) -> Outcome:
    """Carries out a new run.

    Device, data and space are tried before anything is written.

    Args:
        config: Its config.
        run: Its name and folder. Where an automatic name was taken meanwhile, the next number is used.
        progress: Receiver of its events.
        executor: Place where candidates are evaluated, in place of the config's engine; it stays open.

    Raises:
        NasError: The config cannot be carried out, or the search failed.
    """
    began, config = time.monotonic(), absolute_paths(config)
    parts = build(config)
    check_paths(config, parts)
    with _executor_of(config, parts, executor) as slots:
        progress.checking(TRY_OUT)
        protocol = try_out(config, parts, slots)
        progress.checking("whether networks of the space can be exported")
        try_export(parts, slots)
        progress.checking("that the controller proposes the same in another process")
        controller, features = config.controller, features_of(config, parts.evaluator)
        with _other_process(config, slots) as other:
            check_determinism(
                controller.name, controller.options, other, space=parts.space, seed=config.search.seed, **features
            )
        with folder.create(run, config, protocol, data_inventory(parts, slots)) as store:
            run, parts = folder.run_of_store(store), build(config, StoredCosts(store))
            return _carry_out(RunContext(run, store, config, parts, slots, progress, began=began))


def resume(
    run: RunFolder,
    progress: Progress,
    space: str | None = None,
    extension: Extension = UNCHANGED,
    executor: AnyExecutor | None = None,
) -> Outcome:
    """Continues a run where it was; a run that is done stays as it is unless it is extended.

    Args:
        run: The run.
        progress: Receiver of its events.
        space: The present place of the user's own space, FILE.py, where the file was moved; None where it was not.
        extension: More candidates, failed ones again, or an end of the search; by default none of these.
        executor: As for `start`.

    Raises:
        NasError: As `start` does, and where the run's data or its user's files have changed.
    """
    began = time.monotonic()
    with Store.open(run.store_path) as store:
        resume_checks.check_files(store, space)
        config = extended(resume_checks.config_with(store, space), store.trials(), extension)
        parts = build(config, StoredCosts(store))
        unfinished = extension.searches or folder.final_of(store) is None
        if unfinished:
            resume_checks.check_scores(run)
        with _executor_of(config, parts, executor) as slots:
            if unfinished:
                progress.checking(TRY_OUT)
                resume_checks.check_inventory(store, config, data_inventory(parts, slots))
                # Otherwise data that is missing today would be stored as candidates that failed.
                resume_checks.check_protocol(store, config, try_out(config, parts, slots))
            extend(store, extension)
            return _carry_out(RunContext(run, store, config, parts, slots, progress, began=began))


def _carry_out(context: RunContext) -> Outcome:
    run, store = context.run, context.store
    note = network_note(run.store_path)
    if note is not None:
        log.warning("%s", note)
    context.executor.deadline_s = context.config.search.deadline_s or None
    try:
        store.put("state", {"state": "running"})
        with (
            stop_on_signal(on_first=context.progress.stopping, kill=context.executor.kill) as stopped,
            random_control.control_store(run, context.config, Retries(WAIT_S, stopped)) as control,
        ):
            faults, store.retries = context.faults, Retries(WAIT_S, stopped)
            final = _final(replace(context, stop=lambda: stopped() or faults.happened), control)
        state: Literal["done", "interrupted"] = "interrupted" if final is None else "done"
        store.put("state", {"state": state})
    except (WriteError, OSError) as error:
        if isinstance(error, OSError) and not is_machine_fault(error):
            raise
        return _full(context, error)
    except NasError as error:
        store.put("state", {"state": "failed", "reason": str(error)})
        raise
    store.retries = NO_RETRIES
    try:
        write_report(run, store, context.parts)
    except NasError as error:
        if not context.faults.happened:
            raise
        log.warning("the report is not written: %s", error)
    return Outcome(run, state, final)


def _full(context: RunContext, error: Exception) -> Outcome:
    """The outcome of a run whose store or folder could not be written. Candidates that are running are ended."""
    context.faults.note(error)
    context.executor.kill()
    context.store.retries = NO_RETRIES
    with suppress(WriteError):  # Without it the run counts as interrupted once its lock is released.
        context.store.put("state", {"state": "interrupted"})
    return Outcome(context.run, "interrupted", None)


def _final(context: RunContext, control: Store | None) -> FinalResult | None:
    """The final result after both searches; None where the run was asked to stop, or its time is used up."""
    stored = folder.final_of(context.store)
    if stored is not None:
        return stored
    clock = WallClock(context.store, context.config.search.wall_clock_s, context.began)
    search_candidates(context, clock)
    if control is not None and not context.stop():
        search_control(context, control, clock)
    clock.keep()
    if context.stop():
        return None
    if not measures(context.parts.evaluator):
        return conclude(context, control)
    final = run_finals(replace(context, stop=lambda: context.stop() or clock.used_up), control)
    clock.keep()
    if final is None and not context.stop():
        log.warning(
            "search.wall_clock_s = %g is used up, and the finals are not done; what was measured is stored, and "
            "`nas resume %s` holds them to their end",
            clock.limit_s,
            context.run.name,
        )
    return final


@contextmanager
def _other_process(config: Config, executor: CandidateExecutor) -> Iterator[CandidateExecutor]:
    """Place where a controller is tried besides this process: a slot of the executor, or for a user's controller on a
    table, which is looked up in this process, a process of its own."""
    if isinstance(executor, InlineExecutor) and user_files.is_user_class_name(config.controller.name):
        with ProcessExecutor(1) as other:
            yield other
    else:
        yield executor


@contextmanager
def _executor_of(config: Config, parts: Parts, given: AnyExecutor | None) -> Iterator[CandidateExecutor]:
    """The executor of a run: the one that the person gave, which stays theirs, or that of the config's engine."""
    if isinstance(given, CandidateExecutor):
        yield given
        return
    executor = _own_executor(config, parts) if given is None else _adapted(given, config)
    try:
        yield executor
    except BaseException:
        executor.kill()
        raise
    finally:
        executor.shutdown()


def _own_executor(config: Config, parts: Parts) -> CandidateExecutor:
    search = config.search
    # The checks, which come first, may take longer than an evaluation: they read the data.
    deadline = max(search.deadline_s, CHECKS_S) if search.deadline_s else None
    data = tuple(map(Path, data_files(config)))
    code = tuple(map(Path, config.files))
    request = SlotRequest(
        workers=search.workers,
        device=search.device,
        deadline_s=deadline,
        memory_gb=search.memory_gb,
        gpu_memory_gb=search.gpu_memory_gb,
        data=data,
        code=code,
    )
    return engine_of(config, parts.evaluator, request)


def _adapted(executor: Executor, config: Config) -> ExecutorAdapter:
    if config.search.workers == "auto":
        raise ConfigError(
            f"search.workers is 'auto', and how many calls {type(executor).__name__} runs at a time is not known; "
            "set it to a number"
        )
    return ExecutorAdapter(executor, config.search.workers)
