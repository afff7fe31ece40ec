"""Final measurements: architectures meta-trained again, measured on other tasks, each once, and ranked by that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any

from ..analysis.intervals import average, compare, estimate
from ..analysis.protocol_check import MEASURED, check_same
from ..analysis.seed_variance import SeedPool
from ..architecture import Architecture
from ..config.parts import Parts
from ..config.reading import Config
from ..errors import SearchError
from ..failures import attempt, reason
from ..store.sqlite_store import Store
from ..task import Bank
from ..trial import Score, Trial
from .folder import Run
from .successive_rejects import race

Ranked = list[tuple[Trial, int]]
"""Finalists, best first, each with the number of its measurements that counted."""


class Stopped(Exception):
    """The run was asked to stop before all measurements were made."""


@dataclass(frozen=True)
class Measurement:
    """One architecture, meta-trained with one seed, on one bank. `key` is its place in the store."""

    architecture: Architecture
    seed: int
    bank: Bank

    @property
    def key(self) -> str:
        return f"{MEASURED}{self.bank.split}/{self.architecture.space}/{self.architecture.key}/{self.seed}"


@dataclass(frozen=True)
class Measuring:
    """Makes measurements for the finals of a search; those that its store holds are not made again.

    run      in whose folder weights are kept
    on_done  hears of each measurement: how many are done, and of how many
    """

    run: Run
    store: Store
    config: Config
    parts: Parts
    executor: Executor
    stop: Callable[[], bool]
    on_done: Callable[[int, int], None]

    @property
    def accuracy(self) -> bool:
        """Whether the measured values are accuracies, which lie in [0, 1]."""
        return self.parts.measurer.tasks.shape.kind == "classification"

    def pool(self, banks: Mapping[Bank, Iterable[tuple[Architecture, int]]]) -> SeedPool:
        """What the variance between trainings is pooled from: by bank, the architectures measured on it with the first
        so many seeds."""
        found = [
            {f"{a.space}/{a.key}": self.scores(a, bank, count) for a, count in measured}
            for bank, measured in banks.items()
        ]
        return SeedPool.of_scores(found, accuracy=self.accuracy)

    def entry(self, architecture: Architecture, scores: Sequence[Score], pool: SeedPool) -> dict[str, Any]:
        """An architecture's scores, one a seed, in short."""
        curves = zip(*(score.curve for score in scores), strict=True)
        return {
            "key": architecture.key,
            "architecture": architecture.to_json(),
            **average(scores, accuracy=self.accuracy, pool=pool).to_json(),
            "seeds": [score.value for score in scores],
            "curve": [sum(step) / len(scores) for step in curves],
            "parameters": scores[0].metrics.get("parameters"),
            "flops": scores[0].metrics.get("flops"),
            "flops_uncounted": scores[0].metrics.get("flops_uncounted", 0.0),
            "protocol": dict(scores[0].protocol),
            "provenance": [dict(score.provenance) for score in scores],
        }

    def difference(self, first: Sequence[Score], second: Sequence[Score], pool: SeedPool) -> dict[str, Any]:
        """By how much the first scores, one a seed, are above the second."""
        return compare(first, second, accuracy=self.accuracy, pool=pool).to_json()

    def seeds(self, count: int) -> list[int]:
        """Other seeds than the search's own, so that a lucky meta-training does not count twice."""
        return [self.config.search.seed + 1 + i for i in range(count)]

    def make(self, bank: Bank, wanted: Iterable[tuple[Architecture, int]]) -> None:
        """Makes what the store lacks of measurements with the first so many seeds. Raises Stopped."""
        counts: dict[Architecture, int] = {}
        for architecture, count in wanted:
            counts[architecture] = max(count, counts.get(architecture, 0))
        places = enumerate(self.seeds(max(counts.values())))
        all_ = [Measurement(a, seed, bank) for i, seed in places for a, count in counts.items() if i < count]
        missing = [m for m in all_ if self.store.get(m.key) is None]
        if missing and self.stop():
            raise Stopped
        running = {self._submit(m): m for m in missing}
        done = len(all_) - len(missing)
        self.on_done(done, len(all_))
        while running:
            if self.stop():
                for future in running:
                    future.cancel()
                running = {future: m for future, m in running.items() if not future.cancelled()}
            finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                self._keep(running.pop(future), _outcome(future))
                done += 1
                self.on_done(done, len(all_))
        if done < len(all_):
            raise Stopped

    def scores(self, architecture: Architecture, bank: Bank, count: int) -> list[Score]:
        """The stored scores of the first `count` seeds; none at all when one of the measurements failed."""
        records = [self.store.get(Measurement(architecture, seed, bank).key) for seed in self.seeds(count)]
        return [Score.from_json(r["score"]) for r in records] if all(r["score"] for r in records) else []

    def rank(self, bank: Bank, finalists: Sequence[Trial], beside: Sequence[Architecture] = ()) -> Ranked:
        """The finalists by successive rejects, with `final.seeds` measurements of each to spend, the same seeds in the
        same order for all; without those that failed.

        `beside` are measured too, with the first `final.seeds` seeds. Raises Stopped, and SearchError where no finalist
        can be measured.
        """
        seeds = self.config.final.seeds
        extra = [(architecture, seeds) for architecture in beside]

        def measure(trials: Sequence[Trial], count: int) -> list[float | None]:
            self.make(bank, [*((trial.architecture, count) for trial in trials), *extra])
            found = [self.scores(trial.architecture, bank, count) for trial in trials]
            return [estimate([score.per_task for score in scores]).value if scores else None for scores in found]

        ranked = race(finalists, len(finalists) * seeds, measure)
        if not ranked:
            error = self.failures()[-1]["error"]
            raise SearchError(f"none of the {len(finalists)} finalists could be meta-trained again: {error}")
        return ranked

    def entries(self, bank: Bank, ranked: Ranked, pool: SeedPool) -> list[dict[str, Any]]:
        """Ranked finalists, as a result has them."""
        return [
            {**of_search(trial), **self.entry(trial.architecture, self.scores(trial.architecture, bank, count), pool)}
            for trial, count in ranked
        ]

    def failures(self) -> list[dict[str, str]]:
        """The measurements without a score, and why."""
        records = self.store.items(MEASURED)
        return [{"measurement": key, "error": record["error"]} for key, record in records.items() if record["error"]]

    def _keep(self, measurement: Measurement, outcome: dict[str, Any]) -> None:
        """Stores a measurement. Raises ProtocolError for a score of another protocol than those on the same bank."""
        records = self.store.items(f"{MEASURED}{measurement.bank.split}/").values() if outcome["score"] else ()
        for record in records:
            if record["score"]:
                scores = f"the final {measurement.bank.split} measurements"
                check_same(record["score"]["protocol"], outcome["score"]["protocol"], scores)
                break
        self.store.put(measurement.key, outcome)

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


def of_search(trial: Trial) -> dict[str, Any]:
    """What a result says of the trial that an architecture comes from."""
    return {"number": trial.number, "search_value": trial.value}


def _outcome(future: Future[Score]) -> dict[str, Any]:
    """What is stored of a measurement: its score, or why there is none."""
    error = future.exception()
    score, error = (None, error) if error is not None else attempt(_storable, future.result())
    return {"score": score, "error": None if error is None else reason(error)}


def _storable(score: Score) -> dict[str, Any]:
    data = score.checked().to_json()
    json.dumps(data, allow_nan=False)
    return data
