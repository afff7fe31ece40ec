"""The finals: the best candidates re-measured on fresh tasks, the winner and the baseline tested once, side by side.

A search's best score flatters: it is the luckiest of many. So finalists are meta-trained again with other seeds and
measured on validation tasks that no candidate has seen; that chooses the winner. Only then are test tasks touched,
once, by the winner and by the hand-designed baseline, on the same tasks with the same seeds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any

from .architecture import Architecture, Score, Trial
from .config import Config, Parts
from .errors import SearchError
from .protocols import Bank, Measurer
from .runs import Run, best, median_score
from .space import sample
from .statistics import difference, estimate
from .store import Store

FRESH = 1_000_000
"""The first fresh validation task; a search's own bank begins at 0."""


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
        config = self.config.final
        trials = self.store.trials()
        finalists = best(trials, config.top)
        if not finalists:
            raise SearchError("no candidate was scored, so there is nothing to choose from")
        fresh, test = Bank("validation", FRESH, config.validation_tasks), Bank("test", 0, config.tasks)
        baseline = sample(self.parts.baseline, random.Random(0))
        if not self._measure(fresh, [t.architecture for t in finalists]):
            return None
        entries = [entry for t in finalists if (entry := self._finalist(t, fresh))]
        if not entries:
            raise SearchError(f"none of the {len(finalists)} finalists could be meta-trained again; see `nas show`")
        entries.sort(key=lambda entry: -entry["value"])
        winner = next(t for t in finalists if t.number == entries[0]["number"])
        if not self._measure(test, [winner.architecture, baseline]):
            return None
        result = {
            "kind": self.parts.evaluator.tasks.shape.kind,
            "finalists": entries,
            **self._tested(winner, baseline, test, fresh),
            "control": None,
            "median": _against_median(winner, trials),
        }
        self.store.put("final", result)
        return result

    def _seeds(self) -> list[int]:
        """Other seeds than the search's own, so that a lucky meta-training does not count twice."""
        return [self.config.search.seed + 1 + i for i in range(self.config.final.seeds)]

    def _measure(self, bank: Bank, architectures: Iterable[Architecture]) -> bool:
        """Makes the measurements that the store lacks; False when interrupted."""
        wanted = [Measurement(a, seed, bank) for seed in self._seeds() for a in architectures]
        missing = [m for m in wanted if self.store.get(m.key) is None]
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
        evaluator: Measurer = self.parts.evaluator if ours else self.parts.baseline_evaluator
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
        outcomes = [self.store.get(Measurement(architecture, seed, bank).key) for seed in self._seeds()]
        return [Score.from_json(o["score"]) for o in outcomes] if all(o["score"] for o in outcomes) else []

    def _finalist(self, trial: Trial, bank: Bank) -> dict[str, Any] | None:
        scores = self._scores(trial.architecture, bank)
        return (
            {"number": trial.number, "search_value": trial.value, **_entry(trial.architecture, scores)}
            if scores
            else None
        )

    def _tested(self, winner: Trial, baseline: Architecture, test: Bank, fresh: Bank) -> dict[str, Any]:
        ours, theirs = self._scores(winner.architecture, test), self._scores(baseline, test)
        chosen = self._scores(winner.architecture, fresh)
        seed = max(zip(self._seeds(), chosen, strict=True), key=lambda pair: pair[1].value)[0]
        found = {"number": winner.number, "weights_seed": seed, **_entry(winner.architecture, ours)} if ours else None
        other = {"name": baseline.space, **_entry(baseline, theirs)} if theirs else None
        apart = difference(_table(ours), _table(theirs)).to_json() if ours and theirs else None
        return {"winner": found, "baseline": other, "difference": apart}


def _outcome(future: Future[Score]) -> dict[str, Any]:
    error = future.exception()
    if error is not None:
        return {"score": None, "error": f"{type(error).__name__}: {error}"}
    return {"score": future.result().checked().to_json(), "error": None}


def _table(scores: Sequence[Score]) -> list[tuple[float, ...]]:
    return [score.per_task for score in scores]


def _entry(architecture: Architecture, scores: Sequence[Score]) -> dict[str, Any]:
    curves = zip(*(score.curve for score in scores), strict=True)
    return {
        "key": architecture.key,
        "architecture": architecture.to_json(),
        **estimate(_table(scores)).to_json(),
        "seeds": [score.value for score in scores],
        "curve": [sum(step) / len(scores) for step in curves],
        "parameters": scores[0].metrics.get("parameters"),
        "flops": scores[0].metrics.get("flops"),
        "protocol": dict(scores[0].protocol),
    }


def _against_median(winner: Trial, trials: Sequence[Trial]) -> dict[str, Any]:
    """The winner beside the median candidate, both by the search's own score and on its own tasks."""
    return {"value": median_score(trials), "winner": winner.value, "candidates": len([t for t in trials if t.score])}
