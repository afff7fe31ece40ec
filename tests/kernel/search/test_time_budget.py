"""Time budgets: simulated seconds of a table up to the last candidate that fits, and real seconds by the clock."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from helpers.search import FEW, Chain, List, Toy, run_toy

from nas.architecture import Architecture
from nas.errors import DataError, StoreError
from nas.protocols import Trials
from nas.search.fidelity import Fidelity
from nas.search.time_budget import RealTimeBudget
from nas.space.identity import network_key
from nas.store import MemoryStore, Store
from nas.trial import Score, Trial, without_duplicates

RUNGS: dict[str, Any] = {"fidelity": Fidelity(rungs=2, eta=3), "budget": 3}


@dataclass(frozen=True)
class Priced:
    """A table whose costs are no binary fractions; a lookup takes no time, or 100 s that must not count."""

    missing: frozenset[str] = frozenset()

    def check(self, architecture: Architecture) -> None: ...

    def seconds(self, architecture: Architecture, budget: int) -> float:
        if architecture.key in self.missing:
            raise DataError("not there")
        return budget * (0.1 + 0.3 * sum(architecture.picks.values()))

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        cost = self.seconds(architecture, budget)
        bits = [architecture.picks[f"bit{i}"] for i in range(8)]
        value = random.Random(str(bits)).random() + budget / 10
        return Score(value, 0.0, (value,), (value,), cost_s=cost)

    def reported(self, architecture: Architecture, budget: int) -> float:
        return self.evaluate(architecture, 100, 0).value


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trials]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        with Store.create(tmp_path / "trials.sqlite", {}) as made:
            yield made


def spent(trials: list[Trial]) -> float:
    return math.fsum(trial.seconds or 0.0 for trial in without_duplicates(trials))


def by_hand(controller: Any, seconds: float, budget: int = 3) -> list[Architecture]:
    """What a published search evaluates: one after the other, until the next does not fit."""
    table, left, found = Priced(), Fraction(seconds).limit_denominator(10**6), []
    while True:
        [architecture] = controller.ask(1)
        cost = Fraction(table.seconds(architecture, budget)).limit_denominator(10**6)
        if cost > left:
            return found
        left -= cost
        trial = Trial(len(found), architecture, budget, 7)
        controller.tell([replace(trial, state="done", score=table.evaluate(architecture, budget, 7))])
        found.append(architecture)


class Draws(Chain):
    """As `Chain`, but it learns from scores alone: the trials by hand have no seconds."""


@pytest.mark.parametrize("seconds", [0.05, 3.0, 31.4])
def test_a_table_is_searched_to_the_last_candidate_that_fits(store: Trials, seconds: float) -> None:
    options: dict[str, Any] = {
        "controller": Draws(3),
        "evaluator": Priced(),
        "duplicates": "evaluated",
        "trials": 10**6,
    }
    assert run_toy(store, **options, seconds=seconds) == "done"
    assert [trial.architecture for trial in store.trials()] == by_hand(Draws(3), seconds)
    assert spent(store.trials()) <= seconds + 1e-9
    assert all(trial.seconds == trial.score.metrics["seconds"] for trial in store.trials() if trial.score)


def test_what_fits_exactly_is_evaluated(store: Trials) -> None:
    """Costs of 0.1, 0.4 and so on, whose floating point sum is more than 1.5."""
    first = List(8)
    total = sum(Fraction(Priced().seconds(a, 1)).limit_denominator(100) for a in first.left)
    options: dict[str, Any] = {"evaluator": Priced(), "trials": 100, "budget": 1}
    assert run_toy(store, **options, controller=List(9), seconds=float(total)) == "done"
    assert [trial.architecture for trial in store.trials()] == first.left
    assert run_toy(MemoryStore(), **options, controller=List(8), seconds=float(total)) == "exhausted"


@pytest.mark.parametrize("options", [{}, FEW, RUNGS, {**FEW, **RUNGS}], ids=["plain", "duplicates", "rungs", "both"])
def test_broken_off_anywhere_it_goes_on_to_the_same_end(options: dict[str, Any], tmp_path: Path) -> None:
    def searched(store: Any, **more: Any) -> str:
        usual = {"evaluator": Priced(), "trials": 1000, "seconds": 20.0, "budget": 1, "controller": Chain(2)}
        return run_toy(store, **{**usual, **options, **more})

    memory = MemoryStore()
    assert searched(memory) == "done"
    assert len(memory.trials()) > 8
    assert (memory.promoted() != set()) == ("fidelity" in options)
    assert (len(without_duplicates(memory.trials())) < len(memory.trials())) == ("space" in options)
    assert spent(memory.trials()) <= 20
    for count in range(len(memory.trials())):
        heard: list[Trial] = []
        with Store.create(tmp_path / f"{count}.sqlite", {}) as store:
            searched(store, on_trial=heard.append, stop=lambda: len(heard) >= count)  # noqa: B023  # called at once
            assert searched(store) == "done"
            assert store.trials() == memory.trials()
            assert searched(store) == "done"
            assert store.trials() == memory.trials()


def test_a_promotion_that_does_not_fit_is_left_out_and_the_search_goes_on() -> None:
    """Three candidates of 0.1 to 0.7 s, then one of them for 3 of these: it is not made where less is left."""
    store = MemoryStore()
    run_toy(store, **RUNGS, controller=List(20), evaluator=Priced(), trials=20, seconds=3.5)
    assert spent(store.trials()) <= 3.5
    table = Priced()
    promoted = [store.trials()[number] for number in sorted(store.promoted())]
    asked = [trial for trial in store.trials() if trial.number not in store.promoted()]
    left = 3.5 - spent(store.trials())
    assert promoted
    assert left < table.seconds(List(len(asked) + 1).left[-1], 1)
    assert asked[-1].number > promoted[-1].number


def test_without_a_limit_a_table_is_not_asked_for_prices() -> None:
    class Free(Priced):
        def seconds(self, architecture: Architecture, budget: int) -> float:
            raise AssertionError

        def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
            return Score(1.0, 0.0)

    store = MemoryStore()
    assert run_toy(store, evaluator=Free()) == "done"
    assert [trial.seconds for trial in store.trials()] == [0.0] * 8


@dataclass(frozen=True)
class Holed(Priced):
    """Knows what an evaluation costs, and of some not what it came to."""

    holes: frozenset[str] = frozenset()

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        if architecture.key in self.holes:
            raise DataError("not a number")
        return super().evaluate(architecture, budget, seed)


def test_what_failed_took_what_it_was_paid_for() -> None:
    holes = frozenset(architecture.key for architecture in List(2).left)
    store = MemoryStore()
    options: dict[str, Any] = {"evaluator": Holed(holes=holes), "controller": List(8), "trials": 8}
    run_toy(store, **options, seconds=3.3)
    prices = [Priced().seconds(trial.architecture, trial.budget) for trial in store.trials()]
    assert [trial.state for trial in store.trials()][:3] == ["failed", "failed", "done"]
    assert [trial.seconds for trial in store.trials()] == pytest.approx(prices)
    assert 0 < sum(prices) <= 3.3


def test_what_the_table_lacks_fails_and_costs_nothing() -> None:
    missing = frozenset(architecture.key for architecture in List(2).left)
    store = MemoryStore()
    options: dict[str, Any] = {"evaluator": Priced(missing), "controller": List(4), "trials": 4}
    assert run_toy(store, **options, seconds=3.3) == "done"
    assert [trial.state for trial in store.trials()] == ["failed", "failed", "done", "done"]
    assert spent(store.trials()) == pytest.approx(3.3)
    assert store.trials()[0].error == "DataError: not there"


def test_real_seconds_are_those_of_the_evaluations() -> None:
    """By a clock that moves 5 s with each evaluation: the third ends after 15 s, and nothing is begun then."""
    now = [0.0]

    @dataclass(frozen=True)
    class Slow(Toy):
        def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
            now[0] += 5
            return super().evaluate(architecture, budget, seed)

    options: dict[str, Any] = {"evaluator": Slow(harmless=True), "clock": lambda: now[0], "trials": 100}
    for seconds, count in ((0.001, 1), (5, 1), (5.001, 2), (14, 3), (15, 3)):
        store = MemoryStore()
        assert run_toy(store, **options, seconds=seconds) == "done"
        assert len(without_duplicates(store.trials())) == count
        assert spent(store.trials()) == 5 * count


def test_what_is_running_counts() -> None:
    budget = RealTimeBudget(10.0)
    architecture = List(1).left[0]
    assert budget.allows(architecture, 1, running_s=9.9)
    assert not budget.allows(architecture, 1, running_s=10.0)
    budget.charge(Trial(0, architecture, 1, 0, state="done", seconds=4.0))
    budget.charge(Trial(1, architecture, 1, 0, state="done", seconds=0.0, duplicate_of=0))
    budget.charge(Trial(2, architecture, 1, 0))
    assert budget.allows(architecture, 1, running_s=5.9)
    assert not budget.allows(architecture, 1, running_s=6.0)


def test_duplicates_may_be_evaluated_again() -> None:
    known, again = MemoryStore(), MemoryStore()
    options: dict[str, Any] = {**FEW, "evaluator": Toy(harmless=True), "trials": 15}
    run_toy(known, **options)
    run_toy(again, **options, duplicates="evaluated")
    assert len(without_duplicates(known.trials())) == 15 < len(known.trials())
    assert len(without_duplicates(again.trials())) == 15 == len(again.trials())
    keys = {network_key(FEW["space"], trial.architecture) for trial in again.trials()}
    assert len(keys) < 15


def test_memory_keeps_what_a_store_keeps(tmp_path: Path) -> None:
    memory = MemoryStore()
    with Store.create(tmp_path / "trials.sqlite", {}) as store:
        for kept in (store, memory):
            run_toy(kept, **FEW, **RUNGS, trials=12)
        assert memory.trials() == store.trials()
        assert memory.promoted() == store.promoted() != set()
        assert memory.pending() == store.pending() == []
        done = memory.trials()[0]
        assert memory.finish(done) is store.finish(done) is False
    with pytest.raises(StoreError, match="cannot be continued"):
        memory.replay(List(1))
