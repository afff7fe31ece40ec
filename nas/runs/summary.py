"""Reading of a run's summary and state from its store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..analysis.mixed_protocols import mixed_scores
from ..analysis.protocol_check import MEASURED
from ..analysis.run_summary import RunSummary, SearchSummary
from ..store.sqlite_store import Store
from .folder import RunFolder, config_of, final_of
from .taken_options import taken


def summary(run: RunFolder, *, with_options: bool = False) -> RunSummary:
    """Everything that is known of a run, from its store and that of its random-search control.

    Args:
        run: The run.
        with_options: Whether the options of its architectures are looked up, for which its search space is made.
    """
    with Store.open(run.store_path, readonly=True) as store:
        found = _summary(run, store)
        if not with_options:
            return found
        trials = [*found.trials, *(found.control.trials if found.control is not None else ())]
        return replace(found, options=taken(store, (trial.architecture for trial in trials)))


def _summary(run: RunFolder, store: Store) -> RunSummary:
    return RunSummary(
        name=run.name,
        state=state(store, run),
        config=config_of(store).to_json(),
        search=_search(store),
        control=_control(run),
        final=final_of(store),
    )


def state(store: Store, run: RunFolder) -> str:
    """'running', 'done', 'interrupted' or 'failed', from the run's store."""
    return state_of(store.get("state"), run)


def state_of(record: Mapping[str, Any] | None, run: RunFolder) -> str:
    """The state, from the record that the store has of it. A run that is stored as running but that no process has open
    was interrupted."""
    from ..store.lock import in_use

    stored = str((record or {}).get("state", "running"))
    return "interrupted" if stored == "running" and not in_use(run.store_path) else stored


def _control(run: RunFolder) -> SearchSummary | None:
    if not run.control.store_path.exists():
        return None
    with Store.open(run.control.store_path, readonly=True) as store:
        return _search(store)


def _search(store: Store) -> SearchSummary:
    trials = store.trials()
    return SearchSummary(trials, mixed_scores(trials, store.items(MEASURED)))
