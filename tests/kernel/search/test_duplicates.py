"""No network is evaluated twice: a repeat gets the known result, whoever proposes, whatever runs beside, and after a
resume."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from helpers.search import FEW, HALVES, Bits, Chain, FewNetworks, Toy, run_toy

from nas import registry
from nas.analysis import ranking
from nas.analysis.ranking import steps_spent
from nas.architecture import Architecture
from nas.errors import SearchError, SpaceError
from nas.executors import InlineExecutor, ProcessExecutor
from nas.search.fidelity import Fidelity
from nas.search.plan import MAX_PENDING_DUPLICATES
from nas.search_spaces import FewShotCell
from nas.space import enumerate_all, replay, sample
from nas.space.graph import canonical
from nas.space.identity import network_key
from nas.store import Store
from nas.trial import Score, Trial, without_duplicates

ALL = list(enumerate_all(Bits()))


def bits(*ones: int) -> Architecture:
    return Architecture("bits", {f"bit{i}": int(i in ones) for i in range(8)})


def network(architecture: Architecture) -> tuple[int, ...]:
    """What tells networks of `FewNetworks` apart, without a graph."""
    values = [architecture.picks[f"bit{i}"] for i in range(8)]
    return (sum(values[:6]), *values[6:])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "trials.sqlite", {}) as store:
        yield store


@dataclass(frozen=True)
class Counting(Toy):
    """Writes each evaluation to a file, from whatever process: the network and the budget."""

    file: str = ""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{network(architecture)} {budget}\n".encode())
        os.close(descriptor)
        return super().evaluate(architecture, budget, seed)


class Scripted:
    """Proposes what it is given, and keeps what it is told."""

    def __init__(self, proposals: Sequence[Architecture]) -> None:
        self.left, self.heard = iter(proposals), []

    def ask(self, n: int) -> list[Architecture]:
        return list(itertools.islice(self.left, n))

    def tell(self, trials: Sequence[Trial]) -> None:
        self.heard += trials


def check_repeats(trials: Sequence[Trial], promoted: set[int] = frozenset()) -> None:
    """Every proposal of a network after the first is a repeat of that one, with its result, and costs nothing."""
    first: dict[tuple[int, ...], Trial] = {}
    for trial in trials:
        if trial.number in promoted:
            assert trial.duplicate_of is None
            continue
        known = first.setdefault(network(trial.architecture), trial)
        assert trial.duplicate_of == (None if known is trial else known.number)
        if trial.duplicate_of is not None:
            same = (known.state, known.score, known.error, known.budget, known.seed)
            assert (trial.state, trial.score, trial.error, trial.budget, trial.seed) == same
            assert trial.seconds == 0.0


# --- when two architectures are one network --------------------------------------------------------------------------


def test_a_few_networks_are_as_few_as_a_brute_force_finds():
    keys = {network_key(FewNetworks(), architecture): network(architecture) for architecture in ALL}
    assert len(keys) == len(set(keys.values())) == len({network(architecture) for architecture in ALL}) == 28


def test_without_a_graph_only_equal_picks_are_one_network():
    assert len({network_key(Bits(), architecture) for architecture in ALL}) == 256
    assert network_key(Bits(), bits(1)) == network_key(Bits(), Architecture("bits", dict(bits(1).picks)))


def test_equal_cells_of_another_width_depth_or_reduction_are_other_networks():
    space, rng = FewShotCell(), random.Random(0)
    outside = ("width", "cells", "reduce")
    for _ in range(30):
        one, other = sample(space, rng), sample(space, rng)
        cell = {name: pick for name, pick in one.picks.items() if not name.startswith(outside)}
        rest = {name: pick for name, pick in other.picks.items() if name.startswith(outside)}
        mixed = Architecture(space.name, cell | rest)
        a, b = replay(space, one), replay(space, mixed)
        same = (a.width, a.num_cells, a.reductions) == (b.width, b.num_cells, b.reductions)
        assert (network_key(space, one) == network_key(space, mixed)) == same
    # Edges that are dead or change places, as tests of the space have it, in an architecture's picks.
    cell = {"edge0-1": 2, "edge0-2": 3, "edge1-2": 0, "edge0-3": 0, "edge1-3": 1, "edge2-3": 4}
    swapped = {**cell, "edge0-1": 3, "edge0-2": 2, "edge1-3": 4, "edge2-3": 1}
    rest = {"width": 0, "cells": 0, "reduce[0]": 1, "reduce[1]": 0}
    assert network_key(space, Architecture(space.name, cell | rest)) == network_key(
        space, Architecture(space.name, swapped | rest)
    )


def test_attributes_of_a_graph_belong_to_its_canonical_form():
    def cell(**attributes: Any) -> nx.DiGraph:
        graph = nx.DiGraph(**attributes)
        graph.add_node(0, op="input")
        graph.add_node(1, op="output")
        graph.add_edge(0, 1)
        return graph

    forms = [canonical(cell(**a)) for a in ({}, {"width": 8}, {"width": 16}, {"depth": 8}, {"width": 8, "depth": 2})]
    assert len(set(forms)) == 5
    assert canonical(cell(width=8, depth=(1, 2))) == canonical(cell(depth=[1, 2], width=8))


@pytest.mark.parametrize(
    "graph, why",
    [
        (lambda self, spec: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda self, spec: None, "AttributeError"),
        (lambda self, spec: nx.DiGraph([(0, 1), (1, 0)]), "SpaceError: the graph of a cell has a cycle"),
        (lambda self, spec: nx.DiGraph(spec=object()), "not JSON serializable"),
        (None, "not callable"),
    ],
)
def test_a_graph_that_cannot_be_used_ends_a_search_before_anything_is_stored(graph, why, store):
    broken = type("Broken", (Bits,), {"graph": graph} if graph else {"graph": "a picture"})()
    controller = Scripted(ALL)
    with pytest.raises(
        SpaceError, match=r"space 'bits' gives no usable graph of the architecture \{'bit0': 0, .*"
    ) as e:
        run_toy(store, space=broken, controller=controller)
    assert why in str(e.value)
    assert "correct its `graph`, or leave it out" in str(e.value)
    assert store.trials() == controller.heard == []


# --- the search ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry.names("controller"))
@pytest.mark.parametrize("workers", [1, 3])
def test_there_are_as_many_evaluations_as_networks_proposed(name: str, workers: int, store: Store, tmp_path: Path):
    controller = registry.create("controller", name, {}, space=FewNetworks(), seed=1)
    heard, file = [], tmp_path / "evaluations"
    tell = controller.tell
    controller.tell = lambda trials: (heard.extend(trials), tell(trials))
    executor: Executor = InlineExecutor() if workers == 1 else ThreadPoolExecutor(workers)
    with executor:
        options = {"evaluator": Counting(file=str(file)), "executor": executor, "workers": workers, "trials": 15}
        assert run_toy(store, **FEW, controller=controller, **options) == "done"
    trials, lines = store.trials(), file.read_text().splitlines()
    check_repeats(trials)
    assert len(lines) == len(set(lines)) == 15 == len({network(trial.architecture) for trial in trials})
    # Those with a predictor look at networks; the others propose one again by other choices.
    assert (len(trials) == 15) == (name in ("evolution", "reinforce"))
    assert heard == store.told()
    assert sorted(trial.number for trial in heard) == list(range(len(trials)))
    again = registry.create("controller", name, {}, space=FewNetworks(), seed=1)
    store.replay(again)
    assert again.ask(3) == controller.ask(3)


def test_with_worker_processes_and_rungs_no_network_is_evaluated_twice_on_a_rung(store: Store, tmp_path: Path):
    file = tmp_path / "evaluations"
    with ProcessExecutor(2) as executor:
        options = {**HALVES, **FEW, "evaluator": Counting(file=str(file)), "executor": executor, "workers": 2}
        assert run_toy(store, **options) == "done"
    trials, promoted, lines = store.trials(), store.promoted(), file.read_text().splitlines()
    check_repeats(trials, promoted)
    assert len(lines) == len(set(lines)) == len(without_duplicates(trials)) == 14 + len(promoted)
    assert promoted
    assert len(trials) > len(lines)


def test_a_running_network_is_waited_for_without_keeping_a_worker_from_others(store: Store):
    """Futures end in the order that the test says: the first proposal last."""

    class Held(InlineExecutor):
        def __init__(self) -> None:
            super().__init__()
            self.held: list[tuple[Future[Any], Any]] = []

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            outer: Future[Any] = Future()
            self.held.append((outer, fn(*args, **kwargs)))
            if len(self.held) == 2:
                self.end(1)
            return outer

        def end(self, place: int) -> None:
            outer, result = self.held.pop(place)
            outer.set_result(result)

    executor = Held()
    controller = Scripted([bits(0), bits(1), bits(0, 1), bits(2), bits(1, 2), bits(0, 1, 2)])
    heard: list[int] = []

    def on_trial(trial: Trial) -> None:
        heard.append(trial.number)
        if trial.number == 5:
            executor.end(0)

    options = {**FEW, "evaluator": Toy(harmless=True), "controller": controller, "trials": 3, "workers": 2}
    assert run_toy(store, **options, executor=executor, on_trial=on_trial) == "done"
    trials = store.trials()
    check_repeats(trials)
    assert [trial.duplicate_of for trial in trials] == [None, 0, None, 0, 2, None]
    # 2 ended first, and its repeat was answered beside the running 0; those of 0 follow it.
    assert heard == [trial.number for trial in controller.heard] == [2, 4, 5, 0, 1, 3]


def test_a_controller_is_not_asked_for_ever_before_it_hears_of_a_repeat(store: Store):
    asked_before: list[int] = []

    class Same(Scripted):
        def ask(self, n: int) -> list[Architecture]:
            asked_before.extend([len(self.heard)] * n)
            return super().ask(n)

    proposals = [bits(0)] * 100 + [bits(0, 1)]
    assert run_toy(store, **FEW, controller=Same(proposals), workers=2, trials=2) == "done"
    assert MAX_PENDING_DUPLICATES <= asked_before.count(0) <= MAX_PENDING_DUPLICATES + 2
    check_repeats(store.trials())
    assert len(store.trials()) == 101


@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_proposes_nothing_new_is_exhausted_and_stays_so_after_a_resume(workers: int, store: Store):
    proposals = [bits(0), bits(0, 1), *[bits(2), bits(3)] * 500]
    options = {**FEW, "evaluator": Toy(harmless=True), "max_duplicates_in_a_row": 30, "workers": workers}
    assert run_toy(store, controller=Scripted(proposals), **options) == "exhausted"
    trials = store.trials()
    assert [trial.duplicate_of for trial in trials[:32]] == [None, None, *[0] * 30]
    assert len(trials) <= 32 + workers - 1
    controller = Scripted(proposals)
    assert run_toy(store, controller=controller, **options) == "exhausted"
    assert store.trials() == trials
    assert sorted(controller.heard, key=lambda trial: trial.number) == trials
    # A longer patience goes on where the shorter one ended.
    assert run_toy(store, controller=Scripted(proposals), **{**options, "max_duplicates_in_a_row": 40}) == "exhausted"
    assert store.trials()[: len(trials)] == trials
    assert 42 <= len(store.trials()) <= 42 + workers - 1


def test_something_new_ends_a_row_of_repeats(store: Store):
    proposals = [bits(*range(i)) for i in range(6) for _ in range(5)]
    assert run_toy(store, **FEW, controller=Scripted(proposals), max_duplicates_in_a_row=5, trials=6) == "done"
    assert len(store.trials()) == 26


def test_a_repeat_of_a_failure_is_told_as_one_and_is_no_failure_more(store: Store):
    class Bad:
        calls = 0

        def evaluate(self, *_: Any) -> Score:
            self.calls += 1
            raise RuntimeError("no luck")

    evaluator, controller = Bad(), Scripted([bits(0)] * 10 + [bits(), bits(1, 2), bits(0, 1), bits(1, 2, 3)])
    with pytest.raises(SearchError, match=r"^4 candidates failed in a row, the last \(#13\)"):
        run_toy(store, **FEW, evaluator=evaluator, controller=controller, max_failures_in_a_row=4)
    assert evaluator.calls == 4
    check_repeats(store.trials())
    assert {(trial.state, trial.error) for trial in controller.heard} == {("failed", "RuntimeError: no luck")}
    assert len(controller.heard) == 14


def test_scores_of_another_budget_or_seed_are_not_this_searchs(store: Store):
    options = {**FEW, "evaluator": Toy(harmless=True)}
    run_toy(store, **options, controller=Scripted([bits(0)]), trials=1)
    for number, other in enumerate(({"budget": 4}, {"seed": 8}), 2):
        proposals = [bits(0), bits(1), bits(2)][:number]
        run_toy(store, **options, **other, controller=Scripted(proposals), trials=number)
    assert [trial.duplicate_of for trial in store.trials()] == [None] * 3


@pytest.mark.parametrize("make", [Chain, lambda: Chain(batch=3)])
def test_a_run_with_repeats_stopped_anywhere_resumes_to_the_unbroken_one(make: Callable[[], Any], tmp_path: Path):
    options = {**HALVES, **FEW, "trials": 9}
    with Store.create(tmp_path / "unbroken.sqlite", {}) as store:
        assert run_toy(store, controller=make(), **options) == "done"
        expected, told, promoted = store.trials(), store.told(), store.promoted()
    check_repeats(expected, promoted)
    assert len(without_duplicates(expected)) < len(expected)
    for count in range(len(expected)):
        seen: list[Trial] = []
        path = tmp_path / f"{count}.sqlite"
        stopping = {"on_trial": seen.append, "stop": lambda seen=seen, count=count: len(seen) >= count}
        with Store.create(path, {}) as store:
            assert run_toy(store, controller=make(), **stopping, **options) == "interrupted"
            assert len(store.trials()) == count
        with Store.open(path) as store:
            assert run_toy(store, controller=make(), **options) == "done"
            assert store.trials() == expected
            assert store.told() == told


def test_a_repeat_whose_first_was_running_when_all_ended_is_told_after_it(store: Store):
    (first,) = store.propose([bits(0)], 3, 7)
    store.propose_duplicate(bits(1), first)
    controller = Scripted([bits(0), bits(1), bits(0, 1)])
    assert run_toy(store, **FEW, evaluator=Toy(harmless=True), controller=controller, trials=2) == "done"
    check_repeats(store.trials())
    assert [trial.number for trial in controller.heard] == [0, 1, 2]


# --- what is counted -------------------------------------------------------------------------------------------------


def trial(number: int, value: float, budget: int = 2, duplicate_of: int | None = None) -> Trial:
    score = Score(value, 0.0, metrics={"outer_steps": float(budget)})
    return Trial(number, bits(*range(number)), budget, 0, "done", score, seconds=1.0, duplicate_of=duplicate_of)


def test_a_repeat_is_no_finalist_no_vote_for_the_median_no_cost_and_no_place_on_a_rung():
    new = [trial(0, 0.1), trial(1, 0.5), trial(2, 0.9), trial(3, 0.7)]
    again = [trial(number, 0.9, duplicate_of=2) for number in range(4, 8)]
    assert without_duplicates([*new, *again]) == new
    assert ranking.best([*new, *again], 3) == ranking.best(new, 3) == [new[2], new[3], new[1]]
    assert ranking.median([*new, *again]) == ranking.median(new) == new[1]
    assert steps_spent([*new, *again]) == steps_spent(new) == 8
    halves = Fidelity(rungs=2, eta=2)
    assert halves.promotion([*new, *again], 4) == halves.promotion(new, 4) == (new[2], 4)
    above = [replace(trial(8, 0.9, 4), architecture=new[2].architecture), trial(9, 0.7, 4)]
    above[1] = replace(above[1], architecture=new[3].architecture)
    assert halves.promotion([*new, *again, *above], 4) is None


def test_json_says_whose_result_a_repeat_has():
    assert [t.to_json()["repeats"] for t in (trial(0, 0.1), trial(4, 0.1, duplicate_of=0))] == [None, 0]
