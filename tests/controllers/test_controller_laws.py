"""Tests of the laws of all controllers, and of what they import."""

import math
import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
import torch
from helpers.controllers import Flat, done

import nas.controllers
from nas.architecture import Architecture
from nas.errors import ConfigError, Rejected, SpaceError
from nas.executors import InlineExecutor
from nas.protocols import SearchSpace
from nas.registry import components
from nas.search import SearchOptions, search
from nas.space import mutate, sample
from nas.store import Store
from nas.testing import Ten, ToySpace, check_controller
from nas.trial import Score, Trial, without_duplicates

# Small populations, batches and networks, so that in few candidates they learn and age.
OPTIONS = {
    "evolution": {"population": 8, "tournament": 2, "first": 5, "pool": 20},
    "reinforce": {"batch": 3, "first": 5, "pool": 20},
    "optuna:tpe": {"n_startup_trials": 3},
    "regularized-evolution": {"population": 6, "tournament": 2},
    "zoph-le": {"lr": 0.05, "batch": 3, "hidden": 8, "layers": 1},
}
CONTROLLERS = [*components.names("controller"), "optuna:tpe"]
REPEATING = {"regularized-evolution", "zoph-le", "reinforce-nas-bench-201"}
"""Those that may propose again what they have proposed, as published."""
LEARNING = ["evolution", "local-search", "optuna:tpe", "regularized-evolution", "reinforce", "zoph-le"]
"""Those of which something is to be seen after a few dozen candidates."""


def make(name, space, seed=0):
    return components.create("controller", name, OPTIONS.get(name, {}), space=space, seed=seed)


class WithoutChoices:
    name = "fixed"

    def decide(self, choose):
        return "the one"


class RejectsAll:
    name = "none"

    def decide(self, choose):
        choose("a", (0, 1))
        choose.reject("never")


class Sum:
    """Scores by the sum of the indices."""

    def evaluate(self, architecture, budget, seed):
        return Score(float(sum(architecture.picks.values())), 0.0)


def trials(count, seed=0):
    rng = random.Random(seed)
    return [done(number, sample(ToySpace(), rng), rng.random()) for number in range(count)]


@pytest.mark.parametrize("name", CONTROLLERS)
def test_it_keeps_the_laws(name):
    candidates = 8 if name == "optuna:tpe" else 20  # it takes its time where little is left to propose
    check_controller(lambda space, seed: make(name, space, seed), candidates=candidates, repeats=name in REPEATING)


@pytest.mark.parametrize("name", sorted(REPEATING))
def test_what_may_repeat_is_told_from_what_may_not(name):
    with pytest.raises(AssertionError, match="was proposed or told of before"):
        check_controller(lambda space, seed: make(name, space, seed), candidates=10, repeats=False)


@pytest.mark.parametrize("name", ["random", "grid", *sorted(REPEATING)])
def test_its_state_is_how_many_were_asked_and_what_was_told_in_order(name):
    # More than the law of replay: it does not matter when they were asked. Who repeats nothing cannot promise that,
    # unless scores do not matter to it.
    apart, at_once = make(name, Flat(), 3), make(name, Flat(), 3)
    asked = []
    for number in range(20):
        asked += apart.ask(1)
        apart.tell([done(number, asked[-1], float(number))])
    at_once.ask(20)
    at_once.tell([done(number, architecture, float(number)) for number, architecture in enumerate(asked)])
    assert apart.ask(10) == at_once.ask(10)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_seed_matters(name):
    assert make(name, ToySpace(), 0).ask(20) != make(name, ToySpace(), 1).ask(20)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_global_generators_are_left_alone(name):
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    controller = make(name, ToySpace())
    controller.ask(3)
    controller.tell(trials(12))
    controller.ask(3)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_space_without_choices_has_its_one_architecture_proposed(name):
    controller = make(name, WithoutChoices())
    only = Architecture("fixed", {})
    for number in range(4):
        assert controller.ask(1) == ([only] if number == 0 or name in REPEATING else [])
        controller.tell([done(number, only, float(number))])


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_space_that_rejects_all_ends_with_its_reason(name):
    with pytest.raises(SpaceError, match=r"rejected 1000 in a row.*never"):
        make(name, RejectsAll()).ask(1)


@pytest.mark.parametrize("name", LEARNING)
def test_learning_concentrates_on_what_scores_well(name):
    # Mean of the last 20 of 80 candidates, over five seeds; the score is the mean option index, at random 1.5 ± .05.
    def late_mean(seed):
        controller, values = make(name, Flat(), seed), []
        for number in range(80):
            (architecture,) = controller.ask(1)
            values.append(sum(architecture.picks.values()) / 6)
            controller.tell([done(number, architecture, values[-1])])
        return sum(values[-20:]) / 20

    assert sum(map(late_mean, range(5))) / 5 > 1.8


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_trial_of_another_space_is_refused_and_leaves_no_trace(name):
    foreign = done(0, Architecture("other", {"a": 1}), 0.5)
    controller = make(name, ToySpace())
    with pytest.raises(SpaceError, match="of space 'other', not of 'toy'"):
        controller.tell([foreign])
    assert controller.ask(5) == make(name, ToySpace()).ask(5)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_an_unknown_option_names_the_nearest(name):
    options = sorted(set(components.options_of(components.find("controller", name))) - {"space", "seed"})
    for option in options[:2]:
        with pytest.raises(ConfigError, match=f"has no option '{option}s'; did you mean '{option}'"):
            components.create("controller", name, {f"{option}s": 1}, space=ToySpace(), seed=0)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_search_ends_where_the_space_does(name, tmp_path):
    with Store.create(tmp_path / "trials.sqlite", {}) as store:
        options = SearchOptions(trials=30, budget=1, seed=0, workers=2, max_duplicates_in_a_row=20)
        end = search(Ten(), make(name, Ten()), Sum(), store, InlineExecutor(), options)
        assert end == "exhausted"
        found = without_duplicates(store.trials())
        assert len(found) == len({trial.architecture for trial in found})
        assert len(found) == 10 or name in REPEATING


class Mine:
    """What another package may offer: proposes neighbours of the best, or what comes first."""

    def __init__(self, space: SearchSpace, *, seed: int = 0, greed: float = 0.5) -> None:
        self.space, self.seed, self.greed = space, seed, greed
        self.asked, self.best = 0, None

    def ask(self, n: int) -> list[Architecture]:
        self.asked += n
        return [self.propose(random.Random(f"{self.seed}/{k}")) for k in range(self.asked - n, self.asked)]

    def propose(self, rng):
        if self.best is not None and rng.random() < self.greed:
            with suppress(Rejected):
                return mutate(self.space, self.best.architecture, rng)
        return sample(self.space, rng)

    def tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            if math.isfinite(trial.value) and (self.best is None or trial.value > self.best.value):
                self.best = trial


def test_a_controller_of_ones_own_is_one_class_with_ask_and_tell_found_by_its_entry_point(monkeypatch):
    def entry_points(*, group: str) -> EntryPoints:
        found = [EntryPoint("mine", f"{__name__}:Mine", group)] if group == "nas.controllers" else []
        return EntryPoints(found)

    monkeypatch.setattr(components, "entry_points", entry_points)
    assert "mine" in components.names("controller")
    check_controller(
        lambda space, seed: components.create("controller", "mine", {"greed": 0.9}, space=space, seed=seed),
        candidates=20,
    )
    with pytest.raises(ConfigError, match="has no option 'gred'; did you mean 'greed'"):
        components.create("controller", "mine", {"gred": 0.9}, space=ToySpace(), seed=0)


LIGHT = [name for name in CONTROLLERS if name not in {"zoph-le", "optuna:tpe"}]
"""Controllers that by default need neither torch nor optuna."""


@pytest.mark.parametrize(
    ("names", "options", "imported"),
    [
        (LIGHT, {}, set()),
        (["optuna:tpe"], {}, {"optuna"}),
        (["zoph-le"], {}, {"torch"}),
        (["reinforce"], {"policy": "lstm"}, {"torch"}),
    ],
    ids=["others", "optuna", "zoph-le", "reinforce with an LSTM"],
)
def test_only_lstm_policies_import_torch_and_only_optunas_samplers_import_optuna(names, options, imported):
    program = (
        "import sys\n"
        "from nas import registry\n"
        "from nas.testing import ToySpace\n"
        "from nas import Score, Trial\n"
        f"for name in {names}:\n"
        f"    options = {OPTIONS}.get(name, {{}}) | {options}\n"
        "    controller = registry.create('controller', name, options, space=ToySpace(), seed=0)\n"
        "    for number in range(12):\n"
        "        (asked,) = controller.ask(1)\n"
        "        controller.tell([Trial(number, asked, 1, 0, state='done', score=Score(number % 5, 0.0))])\n"
        f"    assert {{'torch', 'optuna'}} & set(sys.modules) == {imported}, name\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_controller_is_exported():
    exported = {getattr(nas.controllers, name) for name in nas.controllers.__all__}
    registered = {components.find("controller", name) for name in components.names("controller")}
    assert exported == registered | {nas.controllers.OptunaSampler}


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'Reinforcement'"):
        _ = nas.controllers.Reinforcement
