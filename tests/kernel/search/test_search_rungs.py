"""The loop by rungs: promotions come beyond the trials asked for, and a resumed run is the unbroken one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers.loop import CONTROLLERS, Recorded, new_store, stopping_after  # noqa: F401  # fixture
from helpers.search import HALVES, List, Toy, run_toy

from nas.architecture import Architecture
from nas.store import Store
from nas.trial import Score, without_duplicates


@pytest.mark.parametrize("make", CONTROLLERS.values(), ids=CONTROLLERS)
def test_a_run_by_rungs_stopped_anywhere_resumes_to_the_unbroken_one(make: Callable[[], Any], tmp_path: Path) -> None:
    with Store.create(tmp_path / "unbroken.sqlite", {}) as store:
        assert run_toy(store, controller=make(), **HALVES) == "done"
        expected, told = store.trials(), store.told()
    assert {trial.budget for trial in expected} == {2, 4, 8}
    for count in range(len(expected)):
        path = tmp_path / f"{count}.sqlite"
        on_trial, stop = stopping_after(count)
        with Store.create(path, {}) as store:
            assert run_toy(store, controller=make(), on_trial=on_trial, stop=stop, **HALVES) == "interrupted"
            assert len(store.trials()) == count
        with Store.open(path) as store:
            assert run_toy(store, controller=make(), **HALVES) == "done"
            assert store.trials() == expected
            assert store.told() == told


@pytest.mark.parametrize("workers", [1, 3])
def test_promotions_are_trials_beyond_those_asked_for_and_the_controller_never_hears_of_them(
    workers: int, store: Store
) -> None:
    controller = Recorded()
    with ThreadPoolExecutor(workers) as executor:
        options = {**HALVES, "trials": 40, "executor": executor, "workers": workers}
        assert run_toy(store, controller=controller, **options) == "done"
    trials, promoted = store.trials(), store.promoted()
    assert len(without_duplicates(trials)) == 40 + len(promoted)
    assert {t.number for t in trials if t.budget > 2} == promoted
    assert controller.told == store.told()
    assert sorted(t.number for t in controller.told) == [t.number for t in trials if t.budget == 2]
    again = Recorded()
    store.replay(again)
    assert again.ask(5) == controller.ask(5)
    for trial in trials:
        below = [
            t for t in trials[: trial.number] if (t.architecture, t.budget) == (trial.architecture, trial.budget // 2)
        ]
        assert trial.budget == 2 or any(t.state == "done" for t in below)
    assert HALVES["fidelity"].promotion(trials, 8) is None


def test_a_free_worker_promotes_before_it_asks_for_more(store: Store) -> None:
    run_toy(store, evaluator=Toy(harmless=True), controller=List(6), **{**HALVES, "trials": 6})
    values = [sum(trial.architecture.picks.values()) for trial in store.trials()]
    assert values[:2] == [0, 1], "the first two of the list differ in one bit"
    assert [trial.budget for trial in store.trials()] == [2, 2, 4, 2, 2, 4, 8, 2, 2, 4]


def test_stopped_with_nothing_left_but_promotions_a_search_is_interrupted(store: Store) -> None:
    on_trial, stop = stopping_after(2)
    options = {**HALVES, "trials": 2, "evaluator": Toy(harmless=True), "controller": List(9)}
    assert run_toy(store, on_trial=on_trial, stop=stop, **options) == "interrupted"
    assert len(store.trials()) == 2
    assert run_toy(store, **{**options, "controller": List(9)}) == "done"
    assert [trial.budget for trial in store.trials()] == [2, 2, 4]


def test_when_the_controller_has_no_more_promotions_go_on(store: Store) -> None:
    assert run_toy(store, controller=List(4), evaluator=Toy(harmless=True), **HALVES) == "exhausted"
    assert [trial.budget for trial in store.trials()] == [2, 2, 4, 2, 2, 4, 8]


def test_a_candidate_that_fails_on_a_rung_climbs_no_further_and_counts_as_a_failure(store: Store) -> None:
    class Weak(Toy):
        def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
            if budget > 2:
                raise RuntimeError("out of breath")
            return super().evaluate(architecture, budget, seed)

    controller = Recorded()
    assert run_toy(store, controller=controller, evaluator=Weak(harmless=True), **HALVES) == "done"
    failed = [trial for trial in store.trials() if trial.state == "failed"]
    assert {trial.budget for trial in store.trials()} == {2, 4}
    assert [trial.number for trial in failed] == sorted(store.promoted())
    assert len({trial.architecture for trial in failed}) == len(failed) >= 5
    assert all(trial.state == "done" for trial in controller.told)
