"""Several controllers on the same searches: the same budget, tasks and seeds, each search made once and kept."""

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
from ..config.reading import Config
from ..config.schema import KeyFault
from ..errors import ConfigError, NasError, ProtocolError, SearchError
from ..executors.process_executor import ProcessExecutor
from ..executors.slots import slots
from ..failures import reason
from ..protocols import Tabled
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


class Progress(of_run.Progress, Protocol):
    """Who hears how a comparison comes along, and each of its runs, where it makes runs."""

    def searched(self, done: int, of: int) -> None: ...


@dataclass(frozen=True)
class Job:
    """One search: `config` is what `entered` gave for the label and the seed."""

    label: str
    seed: int
    config: Config
    key: str


def compare(
    config: Config, labels: Sequence[str], seeds: int, folder: Path, progress: Progress
) -> dict[str, list[Result]] | None:
    """The results of each controller by its label, for seeds 0 to `seeds` - 1; None where it was interrupted.

    Finished searches are kept in `folder`, and are not made again by a later comparison of the same kind. A table is
    searched in memory, in worker processes; with any other evaluator each search is a run, in `folder`. Raises NasError
    for what cannot be compared, and where a search fails.
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
        search = _tabled if isinstance(build(config).evaluator, Tabled) else _real
        for count, (job, result) in enumerate(search(missing, config, folder, progress), 1):
            _check_unchanged(job, config)
            store.put(job.key, result.to_json())
            progress.searched(len(jobs) - len(missing) + count, len(jobs))
        kept = store.items("result/")
    if any(job.key not in kept for job in jobs):
        return None
    found = {job.key: Result.from_json(kept[job.key]) for job in jobs}
    return {label: [found[job.key] for job in jobs if job.label == label] for label in labels}


@contextmanager
def _opened(folder: Path) -> Iterator[Store]:
    """The store of results. Where a comparison is refused before there is any result, nothing is left of it."""
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
            with suppress(OSError):  # there are files of a person's own in it
                folder.rmdir()


def _jobs(config: Config, labels: Sequence[str], seeds: int) -> list[Job]:
    """Seed after seed, so that what is finished can be paired."""
    if len(set(labels)) < len(labels) or not labels:
        raise ConfigError(f"the controllers are {', '.join(labels) or 'none'}; name each once, and at least one")
    if seeds < 1:
        raise ConfigError(f"seeds is {seeds}; it must be at least 1")
    kinds = {}
    for label in labels:
        try:
            kinds[label] = _kind(config, label)
        except KeyFault as error:
            raise ConfigError(f"compare {label!r}: {error}") from None
    return [
        Job(label, seed, entered(config, label, seed), f"{kinds[label]}{seed}")
        for seed in range(seeds)
        for label in labels
    ]


def _kind(config: Config, label: str) -> str:
    """What the keys of a controller's results begin with, before the seed."""
    return f"result/{fingerprint(entered(config, label, 0))}/{label}/"


def _check_unchanged(job: Job, config: Config) -> None:
    """Raises ProtocolError where the data, or a person's own files, are not those that the comparison began with."""
    if not job.key.startswith(_kind(config, job.label)):
        raise ProtocolError(
            f"the data, or a file of yours, changed while the comparison went on; {job.label} with seed {job.seed} was "
            "not kept: restore what it was, or compare anew with the same command"
        )


def _tabled(jobs: Sequence[Job], config: Config, _folder: Path, progress: Progress) -> Iterator[tuple[Job, Result]]:
    """Searches of a table, each in one of several processes, as they end; fewer than all when interrupted."""
    workers = min(len(slots(config.search.workers, "cpu")), max(1, len(jobs)))
    with (
        ProcessExecutor(workers) as executor,
        stop_on_signal(on_first=progress.stopping, kill=executor.kill) as stopped,
    ):
        for job in {job.label: job for job in jobs}.values():
            _rehearse(job, executor)
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
                    text = text.removesuffix(STORED)  # a search in memory stores none
                    raise SearchError(f"{job.label} with seed {job.seed}: {text}") from error
                yield job, future.result()


def _rehearse(job: Job, executor: Executor) -> None:
    """Has a controller of a person's own tried out; a run of another evaluator does so itself. Raises NasError."""
    controller = job.config.controller
    if user_files.is_user_class_name(controller.name):
        parts, seed = build(job.config), job.config.search.seed
        given = features_of(job.config, parts.evaluator)
        check_determinism(controller.name, controller.options, executor, space=parts.space, seed=seed, **given)


def _real(jobs: Sequence[Job], _config: Config, folder: Path, progress: Progress) -> Iterator[tuple[Job, Result]]:
    """Runs, one after the other; fewer than all when interrupted."""
    for job in jobs:
        name = run_name(job.label, job.seed, job.config)
        run = RunFolder(name, folder / "runs" / name)
        begun = run.store_path.exists()
        outcome = launch.resume(run, progress) if begun else launch.start(job.config, run, progress)
        if outcome.final is None:
            return
        with Store.open(run.store_path, readonly=True) as store:
            check_protocol(store, job.config, search_protocol(job.config, build(job.config).evaluator))
            heard = store.told()
        yield job, _measured(job, heard, outcome.final.winner)


def _measured(job: Job, heard: list[Trial], winner: Measured | None) -> Result:
    if winner is None:
        raise SearchError(f"{job.label} with seed {job.seed}: the test of its winner failed")
    return result_of(heard, job.label, job.seed, build(job.config).evaluator, winner.value)
