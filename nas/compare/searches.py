"""Searches of a comparison: several controllers with the same budget, tasks and seeds, each search made once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..analysis.comparison import Result
from ..analysis.final_result import Measured
from ..checks.controller import check_determinism
from ..config.parts import build, features_of
from ..config.paths import absolute_paths
from ..config.schema import Config, KeyFault
from ..errors import ConfigError, NasError, ProtocolError, SearchError
from ..executors.process_executor import ProcessExecutor
from ..executors.slots import slots
from ..failures import reason
from ..protocols.evaluators import Tabled
from ..registry import user_files
from ..runs import launch
from ..runs import progress as of_run
from ..runs.folder import RESULTS, RunFolder
from ..runs.interrupts import stop_on_signal
from ..runs.preflight import search_protocol
from ..runs.resume_checks import check_protocol
from ..search.checked_controller import STORED
from ..store.sqlite_store import Store
from ..trial import Trial
from .one_search import entered, fingerprint, look_up, result_of, run_name

POLL_S = 0.2
"""Longest time between two checks for a signal to stop, in seconds."""


class Progress(of_run.Progress, Protocol):
    """Receiver of a comparison's progress, and of the progress of its runs."""

    def searched(self, done: int, of: int) -> None:
        """So many of the comparison's searches are done."""


@dataclass(frozen=True)
class Job:
    """One search of a comparison.

    Attributes:
        label: The controller's label.
        seed: Number of the search, from 0.
        config: What `entered` returned for the label and the seed.
        key: Key of the result in the comparison's store.
    """

    label: str
    seed: int
    config: Config
    key: str


def compare(
    config: Config, labels: Sequence[str], seeds: int, folder: Path, progress: Progress
) -> dict[str, list[Result]] | None:
    """Compares controllers on the same searches.

    Finished searches are kept, and a later comparison with the same settings does not make them again. Tables are
    searched in memory, in worker processes; with any other evaluator each search is a run.

    Args:
        config: Space, evaluator and budget of all searches.
        labels: Controllers: names, or labels of tables [compare.LABEL].
        seeds: Number of searches a controller, with seeds 0 to `seeds` - 1.
        folder: Folder of the results and runs.
        progress: Receiver of the progress.

    Returns:
        The results by label, in order of seeds; None where the comparison was interrupted.

    Raises:
        NasError: The controllers cannot be compared, or a search failed.
    """
    config = absolute_paths(config)
    jobs = _jobs(config, labels, seeds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot hold a comparison: {error.strerror}; give another folder") from None
    with _opened(folder) as store:
        kept = store.items("result/")
        missing = [job for job in jobs if job.key not in kept]
        progress.searched(len(jobs) - len(missing), len(jobs))
        make = _tabular_searches if isinstance(build(config).evaluator, Tabled) else _runs
        for count, (job, result) in enumerate(make(missing, config, folder, progress), 1):
            _check_unchanged(job, config)
            store.put(job.key, result.to_json())
            progress.searched(len(jobs) - len(missing) + count, len(jobs))
        kept = store.items("result/")
    if any(job.key not in kept for job in jobs):
        return None
    results = {job.key: Result.from_json(kept[job.key]) for job in jobs}
    return {label: [results[job.key] for job in jobs if job.label == label] for label in labels}


@contextmanager
def _opened(folder: Path) -> Iterator[Store]:
    """The store of results. A comparison that is refused before it has any result leaves no file."""
    path, refused = folder / RESULTS, False
    try:
        with Store.open(path) if path.exists() else Store.create(path, {}) as store:
            try:
                yield store
            except NasError:
                refused = not store.items("result/") and not (folder / "runs").exists()
                raise
    finally:
        if refused:
            for file in folder.glob(f"{RESULTS}*"):
                file.unlink()
            with suppress(OSError):  # The folder may hold files of the user.
                folder.rmdir()


def _jobs(config: Config, labels: Sequence[str], seeds: int) -> list[Job]:
    """The searches, ordered by seed, so that the finished ones of an interrupted comparison can be paired."""
    if len(set(labels)) < len(labels) or not labels:
        raise ConfigError(f"the controllers are {', '.join(labels) or 'none'}; name each once, and at least one")
    if seeds < 1:
        raise ConfigError(f"seeds is {seeds}; it must be at least 1")
    prefixes = {}
    for label in labels:
        try:
            prefixes[label] = _key_prefix(config, label)
        except KeyFault as error:
            raise ConfigError(f"compare {label!r}: {error}") from None
    return [
        Job(label, seed, entered(config, label, seed), f"{prefixes[label]}{seed}")
        for seed in range(seeds)
        for label in labels
    ]


def _key_prefix(config: Config, label: str) -> str:
    """The key of a controller's results up to the seed."""
    return f"result/{fingerprint(entered(config, label, 0))}/{label}/"


def _check_unchanged(job: Job, config: Config) -> None:
    """Raises ProtocolError where the data or the user's files changed since the comparison began."""
    if not job.key.startswith(_key_prefix(config, job.label)):
        raise ProtocolError(
            f"the data, or a file of yours, changed while the comparison went on; {job.label} with seed {job.seed} was "
            "not kept: restore what it was, or compare anew with the same command"
        )


def _tabular_searches(
    jobs: Sequence[Job], config: Config, _folder: Path, progress: Progress
) -> Iterator[tuple[Job, Result]]:
    """Results of searches of a table, made in worker processes, as they end; fewer where interrupted."""
    workers = min(len(slots(config.search.workers, "cpu")), max(1, len(jobs)))
    with (
        ProcessExecutor(workers) as executor,
        stop_on_signal(on_first=progress.stopping, kill=executor.kill) as stopped,
    ):
        for job in {job.label: job for job in jobs}.values():
            _check_user_controller(job, executor)
        running: dict[Future[Result], Job] = {
            executor.submit(look_up, job.config, job.label, job.seed): job for job in jobs
        }
        while running:
            if stopped():
                for future in running:
                    future.cancel()
            done = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED).done
            for future in done:
                job = running.pop(future)
                if future.cancelled() or isinstance(future.exception(), CancelledError):
                    continue
                error = future.exception()
                if error is not None:
                    text = str(error) if isinstance(error, NasError) else reason(error)
                    text = text.removesuffix(STORED)  # A search in memory stores no trials.
                    raise SearchError(f"{job.label} with seed {job.seed}: {text}") from error
                yield job, future.result()


def _check_user_controller(job: Job, executor: Executor) -> None:
    """Checks a user's controller before its searches of a table; a run does that itself. Raises NasError."""
    controller = job.config.controller
    if user_files.is_user_class_name(controller.name):
        parts, seed = build(job.config), job.config.search.seed
        features = features_of(job.config, parts.evaluator)
        check_determinism(controller.name, controller.options, executor, space=parts.space, seed=seed, **features)


def _runs(jobs: Sequence[Job], _config: Config, folder: Path, progress: Progress) -> Iterator[tuple[Job, Result]]:
    """Results of runs, made one after the other; fewer where interrupted."""
    for job in jobs:
        name = run_name(job.label, job.seed, job.config)
        run = RunFolder(name, folder / "runs" / name)
        begun = run.store_path.exists()
        outcome = launch.resume(run, progress) if begun else launch.start(job.config, run, progress)
        if outcome.final is None:
            return
        with Store.open(run.store_path, readonly=True) as store:
            check_protocol(store, job.config, search_protocol(job.config, build(job.config).evaluator))
            ended = store.told()
        yield job, _result_of_run(job, ended, outcome.final.winner)


def _result_of_run(job: Job, ended: list[Trial], winner: Measured | None) -> Result:
    if winner is None:
        raise SearchError(f"{job.label} with seed {job.seed}: the test of its winner failed")
    return result_of(ended, job.label, job.seed, build(job.config).evaluator, winner.value)
