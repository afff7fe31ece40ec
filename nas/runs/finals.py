"""Finals of a run: the best candidates measured again on fresh tasks, the winner and the baseline tested once.

The best score of a search is biased upwards, for it is the highest of many. So finalists are meta-trained again with
other seeds and measured on validation tasks that no candidate has seen; that chooses the winner, by successive rejects.
Only then are test tasks used, once, by the winner, by the baseline network and by the best of the random-search
control, on the same tasks with the same seeds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from ..analysis.final_result import ControlResult, FinalResult, Measured
from ..analysis.ranking import leaders, median
from ..analysis.seed_variance import SeedPool
from ..config.schema import FinalTable
from ..protocols.tasks import FewShot, Labelled, TaskFamily
from ..space.sampling import sample
from ..store.sqlite_store import Store
from ..trial import Score, Trial
from . import extending, random_control
from .attribution import attribution_of
from .context import RunContext
from .folder import FINAL
from .measurements import Measurements, Stopped

ENOUGH_TASKS, ENOUGH_QUERIES = 600, 15
"""Tasks, and queries a class, from which on a mean is worth reporting."""


def run_finals(context: RunContext, control: Store | None = None) -> FinalResult | None:
    """Holds the finals of a run whose search has ended, and stores their result.

    Args:
        context: The run. Measurements that its store holds are not made again.
        control: Store of its random-search control, where it has one.

    Returns:
        The result; None where the run was asked to stop.

    Raises:
        SearchError: No candidate can be measured.
    """
    try:
        result = _result(context, control)
    except Stopped:
        return None
    context.store.put(FINAL, result.to_json())
    return result


def _result(context: RunContext, control: Store | None) -> FinalResult:
    config, trials, measurements = context.config.final, context.store.trials(), Measurements(context)
    finalists, middle, count = leaders(trials, config.top), median(trials), config.seeds
    baseline = sample(context.parts.baseline, random.Random(0))
    fresh, test = measurements.fresh, measurements.test
    ranked = measurements.rank(fresh, finalists, beside=[middle.architecture])
    winner = ranked[0][0]
    tested = [(winner.architecture, count), (baseline, count)]
    extending.note_test(context.store)
    measurements.make(test, tested)
    of_winner, of_baseline = (measurements.scores(architecture, test, count) for architecture, _ in tested)
    on_fresh = [*((trial.architecture, pulls) for trial, pulls in ranked), (middle.architecture, count)]
    pool = measurements.pool({fresh: on_fresh, test: tested})
    attribution = attribution_of(measurements, winner.architecture, baseline) if config.attribution else None
    return FinalResult(
        kind=context.parts.measurer.tasks.shape.kind,
        tasks=config.tasks,
        finalists=measurements.finalists(fresh, ranked, pool),
        median=_median(measurements, winner, middle, pool),
        winner=_winner(measurements, winner, of_winner, pool) if of_winner else None,
        baseline=replace(measurements.entry(baseline, of_baseline, pool), name=baseline.space) if of_baseline else None,
        difference=measurements.difference(of_winner, of_baseline, pool) if of_winner and of_baseline else None,
        control=None if control is None else _control(context, control, of_winner, pool),
        warning="; ".join(_warnings(context)) or None,
        failures=measurements.failures(),
        attribution=attribution,
    )


def _median(measurements: Measurements, winner: Trial, middle: Trial, pool: SeedPool) -> Measured | None:
    """The median candidate of the search, and by how much the winner is better on the same fresh tasks."""
    count = measurements.context.config.final.seeds
    of_winner, of_median = (
        measurements.scores(trial.architecture, measurements.fresh, count) for trial in (winner, middle)
    )
    if not of_median:
        return None
    entry = measurements.entry(middle.architecture, of_median, pool).of_trial(middle)
    return replace(entry, difference=measurements.difference(of_winner, of_median, pool))


def _winner(measurements: Measurements, winner: Trial, tested: Sequence[Score], pool: SeedPool) -> Measured:
    """The winner on the test tasks. The weights to export are those that did best on the fresh validation tasks."""
    seeds = measurements.seeds(measurements.context.config.final.seeds)
    on_fresh = measurements.scores(winner.architecture, measurements.fresh, len(seeds))
    seed, _ = max(zip(seeds, on_fresh, strict=True), key=lambda pair: pair[1].value)
    return replace(measurements.entry(winner.architecture, tested, pool), number=winner.number, weights_seed=seed)


def _control(context: RunContext, control: Store, winner: Sequence[Score], pool: SeedPool) -> ControlResult:
    measurements = Measurements(replace(context, store=control))
    result = random_control.measured_result(measurements, winner, pool)
    return replace(result, anytime=random_control.both_anytime(context, control))


def _warnings(context: RunContext) -> list[str]:
    few = warning(context.config.final, context.parts.measurer.tasks)
    return [*([few] if few else []), *extending.notes(context.store, context.config.search.trials)]


def warning(config: FinalTable, tasks: TaskFamily) -> str | None:
    """The warning that a result rests on too few tasks or queries; None where there are enough."""
    unit = "examples" if isinstance(tasks, Labelled) else "tasks"
    counts = {f"validation {unit}": config.validation_tasks, f"test {unit}": config.tasks}
    few = [f"{count:,} {name}" for name, count in counts.items() if count < ENOUGH_TASKS]
    rule = f"at least {ENOUGH_TASKS} {unit}"
    if tasks.shape.kind == "classification" and not isinstance(tasks, Labelled):
        rule += f" of {ENOUGH_QUERIES} queries a class"
        queries = tasks.queries if isinstance(tasks, FewShot) else ENOUGH_QUERIES
        few += [f"{queries} queries a class"] if queries < ENOUGH_QUERIES else []
    return f"measured on {', '.join(few)}; numbers to report need {rule}" if few else None
