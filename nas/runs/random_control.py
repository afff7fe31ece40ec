"""The random control of a run: a second search, by the controller `random`, with the same budget, seed and tasks.

It is kept in a folder of its own in the run's: nothing of it enters the search's trials or numbers. Its best candidate
goes through the same finals, and stands beside the winner. What a search finds that chance finds too, it owes to its
space.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..analysis.ranking import anytime, leaders
from ..analysis.seed_variance import SeedPool
from ..config.parts import CONTROL
from ..config.reading import Component, Config
from ..errors import SearchError
from ..store.sqlite_store import Store
from ..task import Bank
from ..trial import Score, Trial
from .folder import Run
from .measurements import Measuring, of_search

FAILED = "failed"
"""The record that says why a control's search ended before its budget; it is not made again."""


def of_config(config: Config) -> Config:
    """The config of the control's search: that of the run with another controller."""
    search = config.search.model_copy(update={"control": "none"})
    return config.model_copy(update={"controller": Component(name=CONTROL), "search": search})


@contextmanager
def opened(run: Run, config: Config) -> Iterator[Store | None]:
    """The store of a run's control, made where it is missing; None for a run without control."""
    if config.search.control == "none":
        yield None
        return
    path = run.control.store_path
    path.parent.mkdir(exist_ok=True)
    with Store.open(path) if path.exists() else Store.create(path, {"config": of_config(config).to_json()}) as store:
        yield store


def result(measuring: Measuring, winner: list[Score], *, test: Bank, fresh: Bank, pool: SeedPool) -> dict[str, Any]:
    """The control's finals: its winner on the test tasks, and by how much `winner`, the search's, is better.

    `measuring` is of the control's store; `pool` is the search's, to which the control's networks are added. A control
    that fails is no reason to lose the run: why is the result's 'error'. Raises Stopped.
    """
    store, final = measuring.store, measuring.config.final
    try:
        ranked = measuring.rank(fresh, best_of(store, final.top))
        rival = ranked[0][0]
        measuring.make(test, [(rival.architecture, final.seeds)])
        scores = measuring.scores(rival.architecture, test, final.seeds)
        if not scores:
            raise SearchError(f"the test of its winner failed: {measuring.failures()[-1]['error']}")
    except SearchError as error:
        return {"name": CONTROL, "error": str(error)}
    of_ranked = [(trial.architecture, pulls) for trial, pulls in ranked]
    own = measuring.pool({fresh: of_ranked, test: [(rival.architecture, final.seeds)]})
    pool = pool.with_pool(own)
    return {
        "name": CONTROL,
        **of_search(rival),
        **measuring.entry(rival.architecture, scores, pool),
        "difference": measuring.difference(winner, scores, pool) if winner else None,
        "finalists": measuring.entries(fresh, ranked, pool),
        "failures": measuring.failures(),
    }


def both(config: Config, search: Store, control: Store) -> dict[str, list[list[float]]]:
    """`anytime` of the search and of its control, by the names of their controllers."""
    return {config.controller.name: anytime(search.trials()), CONTROL: anytime(control.trials())}


def best_of(store: Store, count: int) -> list[Trial]:
    """The best candidates of the control. Raises SearchError where its search failed, or found nothing."""
    failed = store.get(FAILED)
    if failed is not None:
        raise SearchError(failed["reason"])
    return leaders(store.trials(), count)
