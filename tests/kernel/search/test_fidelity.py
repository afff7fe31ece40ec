"""Successive halving: the jobs of the paper's pseudocode, one by one, and candidates that must not be promoted."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from helpers.search import Bits, Chain

from nas.analysis.ranking import steps_spent
from nas.architecture import Architecture
from nas.errors import ConfigError
from nas.executors import InlineExecutor
from nas.protocols import Resumable
from nas.search import search
from nas.search.fidelity import Fidelity
from nas.search.options import SearchOptions
from nas.store.memory_store import MemoryStore
from nas.trial import Score, Trial


def trial(
    number: int, budget: int, value: float | None, candidate: int | None = None, steps: int | None = None
) -> Trial:
    architecture = Architecture("s", {"a": number if candidate is None else candidate})
    if value is None:
        return Trial(number, architecture, budget, 0, "failed", error="no luck")
    return Trial(number, architecture, budget, 0, "done", Score(value, 0.0, outer_steps=steps))


# --- budgets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rungs, eta, full, budgets",
    [
        (1, 3, 200, (200,)),
        (1, 3, 0, (0,)),
        (3, 3, 200, (22, 66, 200)),
        (4, 3, 675, (25, 75, 225, 675)),
        (3, 4, 16, (1, 4, 16)),
        (4, 2, 8, (1, 2, 4, 8)),
    ],
)
def test_each_rung_has_about_eta_times_the_budget_of_the_one_below(rungs, eta, full, budgets):
    assert Fidelity(rungs, eta).budgets(full) == budgets


@pytest.mark.parametrize("rungs, eta, full", [(3, 3, 8), (2, 2, 1), (4, 2, 7)])
def test_a_budget_too_small_for_the_rungs_is_refused(rungs, eta, full):
    with pytest.raises(ConfigError, match=f"a budget of at least {full + 1} outer steps, but it is {full}"):
        Fidelity(rungs, eta).budgets(full)
    assert len(set(Fidelity(rungs, eta).budgets(full + 1))) == rungs


@pytest.mark.parametrize("rungs, eta", [(0, 3), (2, 1)])
def test_rungs_and_factors_that_make_no_sense_are_refused(rungs, eta):
    with pytest.raises(ConfigError, match="take rungs from 1 and eta from 2"):
        Fidelity(rungs, eta)


# --- the rule --------------------------------------------------------------------------------------------------------


@dataclass
class Paper:
    """Algorithm 2 of arXiv 1810.05934, `run_then_return_val_loss` apart, in the paper's terms and with its loops.

    rungs[k]  the (loss, configuration) pairs that came back from rung k; equal losses in the order of the jobs
    """

    top: int
    eta: int
    rungs: dict[int, list[tuple[float, int, int]]] = field(default_factory=dict)
    promoted: dict[int, set[int]] = field(default_factory=dict)
    configurations: int = 0
    jobs: int = 0

    def report(self, rung: int, configuration: int, loss: float, job: int) -> None:
        self.rungs.setdefault(rung, []).append((loss, job, configuration))

    def get_job(self, more: bool) -> tuple[int, int] | None:
        """(configuration, rung); without `more` no new configuration is drawn."""
        self.jobs += 1
        for k in range(self.top - 1, -1, -1):
            candidates = sorted(self.rungs.get(k, []))[: len(self.rungs.get(k, [])) // self.eta]
            promotable = [c for _, _, c in candidates if c not in self.promoted.setdefault(k, set())]
            if promotable:
                self.promoted[k].add(promotable[0])
                return promotable[0], k + 1
        if not more:
            return None
        self.configurations += 1
        return self.configurations - 1, 0


@pytest.mark.parametrize("seed", range(60))
def test_every_job_is_that_of_the_papers_pseudocode(seed):
    """Workers that come back in any order, some with failures; scores that are often equal, or rise and fall."""
    rng = random.Random(seed)
    fidelity = Fidelity(rungs=rng.randint(1, 4), eta=rng.randint(2, 4))
    full = fidelity.eta ** (fidelity.rungs - 1) * rng.randint(1, 5)
    budgets, paper = fidelity.budgets(full), Paper(fidelity.rungs - 1, fidelity.eta)
    trials: list[Trial] = []
    running: list[int] = []
    workers, candidates, climbs = rng.randint(1, 5), rng.randint(1, 60), 0
    while True:
        while len(running) < workers:
            found = fidelity.promotion(trials, full)
            expected = paper.get_job(paper.configurations < candidates)
            if expected is None:
                assert found is None
                break
            configuration, rung = expected
            assert (found is None) == (rung == 0)
            if found is not None:
                assert (found[0].architecture.picks["a"], found[1]) == (configuration, budgets[rung])
                climbs += 1
            running.append(len(trials))
            trials.append(Trial(len(trials), Architecture("s", {"a": configuration}), budgets[rung], 0))
        if not running:
            break
        number = running.pop(rng.randrange(len(running)))
        done = trials[number]
        value = None if rng.random() < 0.15 else rng.choice([rng.random(), 0.5, 0.25])
        trials[number] = trial(number, done.budget, value, done.architecture.picks["a"])
        if value is not None:
            paper.report(budgets.index(done.budget), done.architecture.picks["a"], -value, number)
    assert paper.configurations == candidates
    assert len(trials) == candidates + climbs
    scored = {budget: [t for t in trials if t.budget == budget and t.state == "done"] for budget in budgets}
    for lower, upper in itertools.pairwise(budgets):
        assert sum(t.budget == upper for t in trials) >= len(scored[lower]) // fidelity.eta


def numbers_promoted(trials: Sequence[Trial], fidelity: Fidelity, full: int) -> list[tuple[int, int]]:
    """(number, budget) of all that climbs from here, where nothing that climbs comes back."""
    found, known = [], list(trials)
    while (promotion := fidelity.promotion(known, full)) is not None:
        found.append((promotion[0].number, promotion[1]))
        known.append(replace(promotion[0], number=len(known), budget=promotion[1], state="pending", score=None))
    return found


HALVES = Fidelity(rungs=3, eta=2)


def test_the_highest_rung_comes_first_the_best_of_a_rung_first_and_of_equals_the_earliest():
    low = [trial(number, 2, value) for number, value in enumerate([0.5, 0.9, 0.7, 0.9, 0.1, 0.2])]
    assert numbers_promoted(low, HALVES, 8) == [(1, 4), (3, 4), (2, 4)]
    assert numbers_promoted(low[::-1], HALVES, 8) == [(1, 4), (3, 4), (2, 4)]
    above = [trial(6, 4, 0.3, 1), trial(7, 4, 0.3, 3)]
    assert numbers_promoted([*low, *above], HALVES, 8) == [(6, 8), (2, 4)]


def test_failed_and_pending_trials_are_never_promoted_nor_counted():
    scored = [trial(0, 2, -5.0), trial(1, 2, -6.0)]
    others = [trial(number, 2, None) for number in range(2, 9)]
    others += [Trial(number, Architecture("s", {"a": number}), 2, 0) for number in range(9, 20)]
    assert numbers_promoted([*scored, *others], HALVES, 8) == [(0, 4)]
    assert numbers_promoted(others, HALVES, 8) == []


@pytest.mark.parametrize("value", [None, 0.9])
def test_what_failed_or_was_scored_above_is_not_promoted_again(value):
    low = [trial(0, 2, 0.8), trial(1, 2, 0.7), trial(2, 2, 0.6), trial(3, 2, 0.5)]
    assert numbers_promoted([*low, trial(4, 4, value, 0)], HALVES, 8) == [(1, 4)]


def test_an_architecture_proposed_again_and_again_climbs_once():
    same = [trial(number, 2, 0.5, candidate=7) for number in range(6)]
    assert numbers_promoted(same, HALVES, 8) == [(0, 4)]


def test_without_rungs_nothing_climbs():
    assert Fidelity().promotion([trial(number, 8, number) for number in range(20)], 8) is None


# --- checkpoints and costs -------------------------------------------------------------------------------------------


@dataclass
class Recorded:
    """An evaluator that remembers how it was called."""

    calls: list[Any] = field(default_factory=list)

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        raise AssertionError("it is to be advanced")

    def advance(self, architecture: Architecture, budget: int, seed: int, *, schedule: int, checkpoint: Path) -> Score:
        self.calls.append((architecture, budget, seed, schedule, checkpoint))
        return Score(1.0, 0.0)


def test_each_candidate_has_a_file_of_its_own_on_all_rungs(tmp_path):
    recorded = Recorded()
    assert isinstance(recorded, Resumable)
    options = SearchOptions(trials=9, budget=9, seed=5, workers=1, fidelity=Fidelity(3), checkpoints=tmp_path)
    search(Bits(), Chain(), recorded, MemoryStore(), InlineExecutor(), options)
    assert {call[2:4] for call in recorded.calls} == {(5, 9)}
    files = {}
    for architecture, budget, _, _, checkpoint in recorded.calls:
        files.setdefault(architecture, []).append((budget, checkpoint))
    assert sorted(budget for stages in files.values() for budget, _ in stages) == [1] * 9 + [3] * 3 + [9]
    assert all(len({checkpoint for _, checkpoint in stages}) == 1 for stages in files.values())
    assert len({stages[0][1] for stages in files.values()}) == len(files)
    assert {stages[0][1].parent for stages in files.values()} == {tmp_path}


def test_an_evaluator_without_advance_is_not_taken_for_one_that_can_go_on():
    class Plain:
        def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
            return Score(0.0, 0.0)

    assert not isinstance(Plain(), Resumable)


def test_the_steps_spent_are_those_that_scores_tell_of_else_the_budgets():
    trials = [
        trial(0, 2, 0.5, steps=2),
        trial(1, 8, 0.5, 0, steps=6),
        trial(2, 2, 0.1),
        trial(3, 8, None),
    ]
    assert steps_spent([*trials, Trial(4, Architecture("s", {}), 8, 0)]) == 2 + 6 + 2
    assert steps_spent([]) == 0
