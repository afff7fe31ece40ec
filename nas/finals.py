"""The finals: the best candidates re-measured on fresh tasks, the winner and the baseline tested once, side by side.

A search's best score flatters: it is the luckiest of many. So finalists are meta-trained again with other seeds and
measured on validation tasks that no candidate has seen; that chooses the winner. Only then are test tasks touched,
once, by the winner and by the hand-designed baseline, on the same tasks with the same seeds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any

from .architecture import Architecture, Score, Trial
from .config import Config, FinalTable, Parts
from .errors import SearchError
from .executors.attempt import attempt, reason
from .protocols import Bank, TaskFamily
from .runs import Run, leaders, median
from .space import sample
from .statistics import average, compare
from .store import Store

FRESH = 1_000_000
"""The first fresh validation task; a search's own bank begins at 0."""
ENOUGH_TASKS, ENOUGH_QUERIES = 600, 15
"""Tasks, and queries a class, from which on a mean is worth reporting."""


@dataclass(frozen=True)
class Measurement:
    """One architecture, meta-trained with one seed, on one bank. `key` is its place in the store."""

    architecture: Architecture
    seed: int
    bank: Bank

    @property
    def key(self) -> str:
        return f"measured/{self.bank.split}/{self.architecture.space}/{self.architecture.key}/{self.seed}"


@dataclass(frozen=True)
class Finals:
    """What the finals of one run need. `on_done` hears of each measurement: how many are done, and of how many."""

    run: Run
    store: Store
    config: Config
    parts: Parts
    executor: Executor
    stop: Callable[[], bool]
    on_done: Callable[[int, int], None]

    def hold(self) -> dict[str, Any] | None:
        """The finals' result as JSON values, also stored as the record 'final'; None when interrupted.

        Measurements that a store holds already are not made again. Raises SearchError when no candidate can be
        measured.
        """
        config, trials = self.config.final, self.store.trials()
        finalists = leaders(trials, config.top)
        middle = median(trials)
        baseline = sample(self.parts.baseline, random.Random(0))
        fresh, test = Bank("validation", FRESH, config.validation_tasks), Bank("test", 0, config.tasks)
        if not self._measure(fresh, [t.architecture for t in (*finalists, middle)]):
            return None
        entries = {t.number: entry for t in finalists if (entry := self._entry(t, fresh))}
        if not entries:
            error = self._failures()[-1]["error"]
            raise SearchError(f"none of the {len(finalists)} finalists could be meta-trained again: {error}")
        winner = max((t for t in finalists if t.number in entries), key=lambda t: float(entries[t.number]["value"]))
        if not self._measure(test, [winner.architecture, baseline]):
            return None
        result = {
            "kind": self.parts.measurer.tasks.shape.kind,
            "tasks": config.tasks,
            "finalists": sorted(entries.values(), key=lambda entry: -entry["value"]),
            "median": self._against(winner, middle, fresh),
            **self._tested(winner, baseline, test, fresh),
            "control": None,
            "warning": warning(config, self.parts.measurer.tasks),
            "failures": self._failures(),
        }
        self.store.put("final", result)
        return result

    def _seeds(self) -> list[int]:
        """Other seeds than the search's own, so that a lucky meta-training does not count twice."""
        return [self.config.search.seed + 1 + i for i in range(self.config.final.seeds)]

    def _measure(self, bank: Bank, architectures: Iterable[Architecture]) -> bool:
        """Makes the measurements that the store lacks; False when interrupted."""
        distinct = {a.key: a for a in architectures}.values()
        wanted = [Measurement(a, seed, bank) for seed in self._seeds() for a in distinct]
        missing = [m for m in wanted if self.store.get(m.key) is None]
        if missing and self.stop():
            return False
        running = {self._submit(m): m for m in missing}
        done = len(wanted) - len(missing)
        self.on_done(done, len(wanted))
        while running:
            if self.stop():
                for future in running:
                    future.cancel()
                running = {future: m for future, m in running.items() if not future.cancelled()}
            finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                self.store.put(running.pop(future).key, _outcome(future))
                done += 1
                self.on_done(done, len(wanted))
        return done == len(wanted)

    def _submit(self, measurement: Measurement) -> Future[Score]:
        ours = measurement.architecture.space == self.parts.space.name
        evaluator = self.parts.measurer if ours else self.parts.baseline_measurer
        weights = self.run.weights(measurement.architecture, measurement.seed)
        return self.executor.submit(
            evaluator.measure,
            measurement.architecture,
            self.config.final_budget,
            measurement.seed,
            bank=measurement.bank,
            weights=weights,
        )

    def _scores(self, architecture: Architecture, bank: Bank) -> list[Score]:
        """The stored scores, one a seed; none at all when one of the measurements failed."""
        records = [self.store.get(Measurement(architecture, seed, bank).key) for seed in self._seeds()]
        return [Score.from_json(r["score"]) for r in records] if all(r["score"] for r in records) else []

    def _entry(self, trial: Trial, bank: Bank) -> dict[str, Any] | None:
        """A candidate's scores on a bank in short; None where a measurement failed."""
        scores = self._scores(trial.architecture, bank)
        named = {"number": trial.number, "search_value": trial.value}
        return {**named, **_entry(trial.architecture, scores)} if scores else None

    def _against(self, winner: Trial, middle: Trial, fresh: Bank) -> dict[str, Any] | None:
        """The median candidate of the search, and by how much the winner is better on the same fresh tasks."""
        entry = self._entry(middle, fresh)
        if entry is None:
            return None
        ours, theirs = self._scores(winner.architecture, fresh), self._scores(middle.architecture, fresh)
        return {**entry, "difference": compare(ours, theirs).to_json()}

    def _tested(self, winner: Trial, baseline: Architecture, test: Bank, fresh: Bank) -> dict[str, Any]:
        ours, theirs = self._scores(winner.architecture, test), self._scores(baseline, test)
        chosen = self._scores(winner.architecture, fresh)
        seed = max(zip(self._seeds(), chosen, strict=True), key=lambda pair: pair[1].value)[0]
        return {
            "winner": {"number": winner.number, "weights_seed": seed, **_entry(winner.architecture, ours)}
            if ours
            else None,
            "baseline": {"name": baseline.space, **_entry(baseline, theirs)} if theirs else None,
            "difference": compare(ours, theirs).to_json() if ours and theirs else None,
        }

    def _failures(self) -> list[dict[str, str]]:
        """The measurements without a score, and why."""
        records = self.store.items("measured/")
        return [{"measurement": key, "error": record["error"]} for key, record in records.items() if record["error"]]


def warning(config: FinalTable, tasks: TaskFamily) -> str | None:
    """What a report must say where its numbers rest on too little; None where they do not."""
    counts = {"validation tasks": config.validation_tasks, "test tasks": config.tasks}
    few = [f"{count:,} {what}" for what, count in counts.items() if count < ENOUGH_TASKS]
    rule = f"at least {ENOUGH_TASKS} tasks"
    if tasks.shape.kind == "classification":
        rule += f" of {ENOUGH_QUERIES} queries a class"
        queries = getattr(tasks, "queries", ENOUGH_QUERIES)
        few += [f"{queries} queries a class"] if queries < ENOUGH_QUERIES else []
    return f"measured on {', '.join(few)}; numbers to report need {rule}" if few else None


def _outcome(future: Future[Score]) -> dict[str, Any]:
    """What is stored of a measurement: its score, or why there is none."""
    error = future.exception()
    score, error = (None, error) if error is not None else attempt(_storable, future.result())
    return {"score": score, "error": None if error is None else reason(error)}


def _storable(score: Score) -> dict[str, Any]:
    data = score.checked().to_json()
    json.dumps(data, allow_nan=False)
    return data


def _entry(architecture: Architecture, scores: Sequence[Score]) -> dict[str, Any]:
    curves = zip(*(score.curve for score in scores), strict=True)
    return {
        "key": architecture.key,
        "architecture": architecture.to_json(),
        **average(scores).to_json(),
        "seeds": [score.value for score in scores],
        "curve": [sum(step) / len(scores) for step in curves],
        "parameters": scores[0].metrics.get("parameters"),
        "flops": scores[0].metrics.get("flops"),
        "protocol": dict(scores[0].protocol),
        "provenance": [dict(score.provenance) for score in scores],
    }
