"""Summary of a run as JSON values."""

from __future__ import annotations

from typing import Any

from ..analysis.pareto_front import front_of, objectives_of
from ..analysis.protocol_check import MEASURED, mixed
from ..analysis.ranking import best, steps_spent
from ..store.sqlite_store import Store
from ..trial import without_duplicates
from .folder import Run, config_of


def summary(run: Run) -> dict[str, Any]:
    """All there is to know of a run, as JSON values."""
    with Store.open(run.store_path, readonly=True) as store:
        trials, config = store.trials(), config_of(store)
        leader = best(trials)
        found = front_of(trials, objectives_of(config.to_json()))
        return {
            "name": run.name,
            "state": state(store, run),
            "config": config.to_json(),
            "trials": [trial.to_json() for trial in trials],
            "best": leader[0].number if leader else None,
            "repeats": len(trials) - len(without_duplicates(trials)),
            "outer_steps": steps_spent(trials),
            "front": None if found is None else found.to_json(),
            "final": store.get("final"),
            "control": _control(run),
            "mixed": mixed(trials, store.items(MEASURED)),
        }


def _control(run: Run) -> dict[str, Any] | None:
    """The trials of a run's random control, as JSON values; None where it has none."""
    if not run.control.store_path.exists():
        return None
    with Store.open(run.control.store_path, readonly=True) as store:
        trials = store.trials()
        return {"trials": [trial.to_json() for trial in trials], "mixed": mixed(trials, store.items(MEASURED))}


def state(store: Store, run: Run) -> str:
    """'running', 'done', 'interrupted' or 'failed'. A run that says running but that no process has was interrupted."""
    from ..store.sqlite_file import in_use

    said = str((store.get("state") or {}).get("state", "running"))
    return "interrupted" if said == "running" and not in_use(run.store_path) else said
