"""Random-search control of a run: a second search, at random with the same budget, seed and tasks.

It has a folder of its own in the run's, and is no part of the search's trials or numbers. Its best candidate goes
through the same finals and is compared with the winner: what random search finds as well is owed to the space, not to
the controller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ..analysis.final_result import ControlResult
from ..analysis.ranking import Anytime, anytime, leaders
from ..analysis.seed_variance import SeedPool
from ..config.parts import CONTROL
from ..config.schema import Component, Config
from ..errors import SearchError, WriteError
from ..store.retries import NO_RETRIES, Retries
from ..store.sqlite_store import Store
from ..trial import Score, Trial
from .context import RunContext
from .folder import RunFolder
from .measurements import Measurements

FAILED = "failed"
"""Key of the record of why a control's search ended before its budget; such a search is not made again."""


def control_config(config: Config) -> Config:
    """The config of the control's search: that of the run with another controller."""
    search = config.search.model_copy(update={"control": "none"})
    return config.model_copy(update={"controller": Component(name=CONTROL), "search": search})


@contextmanager
def control_store(run: RunFolder, config: Config, retries: Retries = NO_RETRIES) -> Iterator[Store | None]:
    """The store of a run's control, made where it is missing; None for a run without control.

    Args:
        run: The run.
        config: Its config.
        retries: How long a write is repeated while the disk is full.
    """
    if config.search.control == "none":
        yield None
        return
    path = run.control.store_path

    def opened() -> Store:
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise WriteError(f"{path.parent} cannot be made: {error.strerror}; check the folder") from error
        meta = {"config": control_config(config).to_json()}
        return Store.open(path) if path.exists() else Store.create(path, meta)

    with retries.call(opened) as store:
        store.retries = retries
        yield store


def measured_result(measurements: Measurements, winner: Sequence[Score], pool: SeedPool) -> ControlResult:
    """The finals of the control: its best candidate on the test tasks, and by how much the search's winner is better.

    Args:
        measurements: Measurements of the control's store.
        winner: The scores of the search's winner, one a seed; empty where its test failed.
        pool: The search's networks, to which the control's are added.

    Returns:
        The result, with the error in place of numbers where the control failed: that is no reason to lose the run.

    Raises:
        Stopped: The run was asked to stop.
    """
    store, final = measurements.context.store, measurements.context.config.final
    fresh, test = measurements.fresh, measurements.test
    try:
        ranked = measurements.rank(fresh, best_of(store, final.top))
        best = ranked[0][0]
        tested = [(best.architecture, final.seeds)]
        measurements.make(test, tested)
        scores = measurements.scores(best.architecture, test, final.seeds)
        if not scores:
            raise SearchError(
                f"the test of its winner failed: {measurements.error(best.architecture, test, final.seeds)}"
            )
    except SearchError as error:
        return ControlResult(CONTROL, error=str(error))
    on_fresh = [(trial.architecture, pulls) for trial, pulls in ranked]
    pool = pool.with_pool(measurements.pool({fresh: on_fresh, test: tested}))
    entry = replace(measurements.entry(best.architecture, scores, pool).of_trial(best), name=CONTROL)
    return ControlResult(
        CONTROL,
        best=replace(entry, difference=measurements.difference(winner, scores, pool)) if winner else entry,
        finalists=measurements.finalists(fresh, ranked, pool),
        failures=measurements.failures(),
    )


def both_anytime(context: RunContext, control: Store) -> Mapping[str, Anytime]:
    """The best scores so far of the search and of its control, by the names of their controllers."""
    return {context.config.controller.name: anytime(context.store.trials()), CONTROL: anytime(control.trials())}


def best_of(store: Store, count: int) -> list[Trial]:
    """The best candidates of the control.

    Raises:
        SearchError: Its search failed, or no candidate has a score.
    """
    failed = store.get(FAILED)
    if failed is not None:
        raise SearchError(failed["reason"])
    return leaders(store.trials(), count)
