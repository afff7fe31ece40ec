"""Final measurements: architectures meta-trained again with other seeds and measured on other tasks, each once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

from ..analysis.final_result import Failure, Measured
from ..analysis.intervals import Estimate, average, compare, estimate
from ..analysis.protocol_check import MEASURED, check_same
from ..analysis.seed_variance import SeedPool
from ..architecture import Architecture
from ..errors import SearchError
from ..executors.capped_output import output_of
from ..executors.retried_call import RetriedCall
from ..failures import attempt, is_machine_fault, reason
from ..protocols.evaluators import half_chunk
from ..protocols.recipes import RecipeMeasuring
from ..task import FRESH, Bank
from ..training_recipe import TrainingRecipe
from ..trial import Score, Trial
from . import trial_logs
from .context import RunContext
from .successive_rejects import race

ATTRIBUTED = "attributed/"
"""Prefix of the keys of records of an attribution's measurements."""
POLL_S = 0.2
"""Longest time between two calls of `stop`, in seconds."""
Ranked = list[tuple[Trial, int]]
"""Finalists, best first, each with the number of its measurements that counted."""


class Stopped(Exception):
    """The run was asked to stop, or the machine failed, before all measurements were made."""


@dataclass(frozen=True)
class Measurement:
    """One architecture, meta-trained with one seed, measured on one bank.

    Attributes:
        architecture: The architecture.
        seed: Seed of the meta-training.
        bank: The tasks.
        training: The recipe that it is trained by, in place of its own, for an attribution; None for its own.
    """

    architecture: Architecture
    seed: int
    bank: Bank
    training: TrainingRecipe | None = None

    @property
    def group(self) -> str:
        """Prefix of the keys of measurements on the same bank."""
        return f"{MEASURED}{self.bank.split}/" if self.training is None else ATTRIBUTED

    @property
    def name(self) -> str:
        """Name of the file of what it prints."""
        recipe = "" if self.training is None else f"{self.training.key}-"
        return f"{self.bank.split}-{recipe}{self.architecture.key}-seed{self.seed}"

    @property
    def key(self) -> str:
        """Key of its record in the store."""
        recipe = "" if self.training is None else f"{self.training.key}/"
        return f"{self.group}{recipe}{self.architecture.space}/{self.architecture.key}/{self.seed}"


@dataclass(frozen=True)
class Measurements:
    """Final measurements of one run; those that its store holds are not made again."""

    context: RunContext

    @property
    def fresh(self) -> Bank:
        """The validation tasks that choose the winner, which no candidate of the search has seen."""
        return Bank("validation", FRESH, self.context.config.final.validation_tasks)

    @property
    def test(self) -> Bank:
        """The test tasks."""
        return Bank("test", 0, self.context.config.final.tasks)

    @property
    def accuracy(self) -> bool:
        """Whether the measured values are accuracies, which lie in [0, 1]."""
        return self.context.parts.measurer.tasks.shape.kind == "classification"

    def seeds(self, count: int) -> list[int]:
        """The first `count` seeds. They are not the search's own, or a lucky meta-training would count twice."""
        return [self.context.config.search.seed + 1 + i for i in range(count)]

    def make(self, bank: Bank, wanted: Iterable[tuple[Architecture, int]]) -> None:
        """Makes the measurements on a bank that the store lacks.

        Args:
            bank: The bank of tasks.
            wanted: Architectures, each with the number of its seeds.

        Raises:
            Stopped: The run was asked to stop.
        """
        counts: dict[Architecture, int] = {}
        for architecture, count in wanted:
            counts[architecture] = max(count, counts.get(architecture, 0))
        seeds = enumerate(self.seeds(max(counts.values())))
        measurements = [Measurement(a, seed, bank) for i, seed in seeds for a, count in counts.items() if i < count]
        self.make_each(measurements)

    def make_each(self, measurements: Sequence[Measurement]) -> None:
        """Makes those of some measurements that the store lacks. Raises Stopped as `make`."""
        missing = [m for m in measurements if self.context.store.get(m.key) is None]
        if missing and self.context.stop():
            raise Stopped
        self._run(missing, len(measurements))

    def scores(self, architecture: Architecture, bank: Bank, count: int) -> list[Score]:
        """The stored scores of the first `count` seeds; none at all when one of the measurements failed."""
        keys = [Measurement(architecture, seed, bank).key for seed in self.seeds(count)]
        records = [self.context.store.get(key) for key in keys]
        return [Score.from_json(r["score"]) for r in records] if all(r["score"] for r in records) else []

    def error(self, architecture: Architecture, bank: Bank, count: int) -> str:
        """Why the first of the measurements with `count` seeds that failed did; empty where none failed."""
        keys = [Measurement(architecture, seed, bank).key for seed in self.seeds(count)]
        records = [self.context.store.get(key) for key in keys]
        return next((str(record["error"]) for record in records if record and record["error"]), "")

    def rank(self, bank: Bank, finalists: Sequence[Trial], beside: Sequence[Architecture] = ()) -> Ranked:
        """Ranks finalists by successive rejects, with the same seeds in the same order for all.

        Args:
            bank: Fresh validation tasks.
            finalists: The trials to rank; together they have `final.seeds` measurements for each.
            beside: Architectures that are measured too, with the first `final.seeds` seeds.

        Returns:
            The finalists, best first, without those that failed.

        Raises:
            Stopped: The run was asked to stop.
            SearchError: No finalist can be measured.
        """
        seeds = self.context.config.final.seeds
        others = [(architecture, seeds) for architecture in beside]

        def measure(trials: Sequence[Trial], count: int) -> list[float | None]:
            self.make(bank, [*((trial.architecture, count) for trial in trials), *others])
            scores = [self.scores(trial.architecture, bank, count) for trial in trials]
            return [estimate([score.per_task for score in row]).value if row else None for row in scores]

        ranked = race(finalists, len(finalists) * seeds, measure)
        if not ranked:
            error = self.error(finalists[-1].architecture, bank, seeds)
            raise SearchError(f"none of the {len(finalists)} finalists could be trained again: {error}")
        return ranked

    def pool(self, banks: Mapping[Bank, Iterable[tuple[Architecture, int]]]) -> SeedPool:
        """The networks from which the variance between trainings is pooled.

        Args:
            banks: By bank, the architectures measured on it, each with the number of its seeds.
        """
        scores = [
            {f"{a.space}/{a.key}": self.scores(a, bank, count) for a, count in measured}
            for bank, measured in banks.items()
        ]
        return SeedPool.of_scores(scores, accuracy=self.accuracy)

    def entry(self, architecture: Architecture, scores: Sequence[Score], pool: SeedPool) -> Measured:
        """An architecture's entry in the final result, from its scores, one a seed."""
        curves = zip(*(score.curve for score in scores), strict=True)
        metrics = scores[0].metrics
        return Measured(
            architecture,
            average(scores, accuracy=self.accuracy, pool=pool),
            seeds=tuple(score.value for score in scores),
            curve=tuple(sum(step) / len(scores) for step in curves),
            parameters=metrics.get("parameters"),
            flops=metrics.get("flops"),
            flops_uncounted=metrics.get("flops_uncounted", 0.0),
            protocol=dict(scores[0].protocol),
            provenance=tuple(dict(score.provenance) for score in scores),
        )

    def finalists(self, bank: Bank, ranked: Ranked, pool: SeedPool) -> tuple[Measured, ...]:
        """Ranked finalists as entries of the final result."""
        return tuple(
            self.entry(trial.architecture, self.scores(trial.architecture, bank, count), pool).of_trial(trial)
            for trial, count in ranked
        )

    def difference(self, first: Sequence[Score], second: Sequence[Score], pool: SeedPool) -> Estimate:
        """By how much the first scores, one a seed, are above the second."""
        return compare(first, second, accuracy=self.accuracy, pool=pool)

    def failures(self) -> tuple[Failure, ...]:
        """The measurements without a score, those of an attribution included."""
        records = {**self.context.store.items(MEASURED), **self.context.store.items(ATTRIBUTED)}
        return tuple(Failure(key, record["error"]) for key, record in records.items() if record["error"])

    def _run(self, missing: Sequence[Measurement], total: int) -> None:
        running = {self._submit(measurement): measurement for measurement in missing}
        done = total - len(missing)
        self.context.progress.measured(done, total)
        while running:
            if self.context.stop() or self.context.faults.happened:
                for future in running:
                    future.cancel()
                running = {future: m for future, m in running.items() if not future.cancelled()}
            finished, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in finished:
                measurement, error = running.pop(future), future.exception()
                trial_logs.keep(self.context.run, measurement.name, output_of(future))
                if error is not None and is_machine_fault(error):
                    verdict = self.context.faults.verdict(self.context.run.folder, measurement.key, error)
                    if verdict == "again":
                        running[self._submit(measurement)] = measurement
                    if verdict != "failed":
                        continue
                self._keep(measurement, _record(future))
                done += 1
                self.context.progress.measured(done, total)
        if done < total:
            raise Stopped

    def _keep(self, measurement: Measurement, record: dict[str, Any]) -> None:
        """Stores a measurement. Raises ProtocolError for a score of another protocol than those on the same bank."""
        store, split = self.context.store, measurement.bank.split
        stored = store.items(measurement.group).values() if record["score"] else ()
        first = next((other["score"] for other in stored if other["score"]), None)
        if first is not None:
            check_same(first["protocol"], record["score"]["protocol"], f"the final {split} measurements")
        store.put(measurement.key, record)

    def _submit(self, measurement: Measurement) -> Future[Score]:
        parts = self.context.parts
        searched = measurement.architecture.space == parts.space.name
        evaluator = parts.measurer if searched else parts.baseline_measurer
        weights = self.context.run.weights(measurement.architecture, measurement.seed)
        if measurement.training is not None and isinstance(evaluator, RecipeMeasuring):
            evaluator = evaluator.with_training(measurement.training)
            weights = weights.with_name(f"{measurement.training.key}-{weights.name}")
        smaller = half_chunk(evaluator)
        measure = RetriedCall(evaluator.measure, None if smaller is None else smaller.measure)
        return self.context.executor.submit(
            measure,
            measurement.architecture,
            self.context.config.final_budget,
            measurement.seed,
            bank=measurement.bank,
            weights=weights,
        )


def _record(future: Future[Score]) -> dict[str, Any]:
    """The record of a measurement as JSON values: its score, or the reason why there is none."""
    error = future.exception()
    if error is None:
        stored = attempt(_storable, future.result())
        if stored.error is None:
            return {"score": stored.value, "error": None}
        error = stored.error
    return {"score": None, "error": reason(error)}


def _storable(score: Score) -> dict[str, Any]:
    data = score.checked().to_json()
    json.dumps(data, allow_nan=False)
    return data
