"""Tests of Optuna's samplers as controllers: trials they are told, contained logs, errors."""

import logging
import math
import subprocess
import sys
import warnings

import optuna
import pytest
from helpers.controllers import Flat
from optuna.trial import TrialState

from nas import registry
from nas.architecture import Architecture
from nas.checks.controller import first_proposals
from nas.controllers import OptunaSampler
from nas.controllers import optuna as module
from nas.errors import ConfigError, SearchError
from nas.testing import Ten, ToySpace, check_controller
from nas.trial import Score, Trial

SAMPLERS = ["cmaes", "gp", "nsgaii", "nsgaiii", "qmc", "random", "tpe"]


class Alike:
    """Most is rejected."""

    name = "alike"

    def decide(self, choose):
        if len({choose(f"{i}", range(3)) for i in range(3)}) > 1:
            choose.reject("all must be alike")


def make(name, space, seed=0, **options):
    return registry.create("controller", f"optuna:{name}", options, space=space, seed=seed)


def done(architecture, value):
    return Trial(0, architecture, 1, 0, "done", Score(value, 0.0))


def failed(architecture):
    return Trial(0, architecture, 1, 0, "failed", error="it broke")


def states(controller):
    return [trial.state.name for trial in controller._study.trials]


def test_all_of_optunas_samplers_that_need_nothing_are_there():
    assert sorted(module._samplers()) == SAMPLERS


@pytest.mark.parametrize("name", sorted({*SAMPLERS} - {"gp", "tpe"}))
def test_every_sampler_keeps_the_laws(name):
    check_controller(lambda space, seed: make(name, space, seed), candidates=8, repeats=False)


def test_the_gaussian_process_proposes_and_repeats_nothing():
    first, second = (make("gp", Flat(), n_startup_trials=4) for _ in range(2))
    asked = []
    for number in range(8):
        asked += first.ask(1)
        first.tell([done(asked[-1], float(sum(asked[-1].picks.values())))])
        assert second.ask(1) == asked[number:]
        second.tell([done(asked[-1], float(sum(asked[-1].picks.values())))])
    assert len(set(asked)) == 8


def test_choices_are_categorical_by_their_names_and_numbers_where_a_sampler_knows_no_others():
    for name, kind in (
        ("tpe", optuna.distributions.CategoricalDistribution),
        ("cmaes", optuna.distributions.IntDistribution),
    ):
        controller = make(name, Ten())
        (architecture,) = controller.ask(1)
        (asked,) = controller._study.trials
        sizes = {"a": 2, "b": 4} if architecture.picks["a"] == 0 else {"a": 2, "b": 3, "c": 2}
        assert asked.params == {f"{name} of {size}": architecture.picks[name] for name, size in sizes.items()}
        assert {type(distribution) for distribution in asked.distributions.values()} == {kind}


def test_optuna_hears_of_scores_failures_and_what_it_was_not_asked_for():
    controller = make("tpe", Flat())
    a, b, c = controller.ask(3)
    controller.tell([done(b, 0.25), failed(c), done(a, math.nan)])
    stranger = Architecture("flat", {f"{i}": 3 for i in range(6)})
    controller.tell([done(stranger, 0.75), failed(stranger)])
    trials = controller._study.trials
    assert [trial.state for trial in trials] == [
        TrialState.FAIL,
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.COMPLETE,
    ]
    assert [trial.value for trial in trials] == [None, 0.25, None, 0.75]
    assert controller._study.best_params == {f"{i} of 4": 3 for i in range(6)}
    assert controller._study.direction.name == "MAXIMIZE"


def test_what_is_rejected_or_seen_is_not_left_running():
    controller = make("random", Alike())
    assert len(controller.ask(5)) == 3
    assert states(controller).count("RUNNING") == 3
    assert set(states(controller)) == {"RUNNING", "FAIL"}
    assert controller.ask(1) == []


def test_it_learns_from_a_warm_start():
    warm = [
        done(architecture, float(sum(architecture.picks.values()))) for architecture in make("random", Flat()).ask(200)
    ]
    first = []
    for seed in range(5):
        controller = make("tpe", Flat(), seed, multivariate=False)
        controller.tell(warm)
        first += controller.ask(1)
    assert sum(sum(a.picks.values()) for a in first) / 5 > 15  # 9 by chance, 18 at most


def test_it_proposes_what_optuna_itself_would():
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=7), direction="maximize")
    controller, seen = make("tpe", Flat(), seed=7), {}
    repeats = 0
    while len(seen) < 100:
        trial = study.ask()
        picks = {f"{i}": trial.suggest_categorical(f"{i} of 4", range(4)) for i in range(6)}
        value = float(sum(picks.values()))
        study.tell(trial, value)
        if Architecture("flat", picks) in seen:
            repeats += 1
            continue
        (asked,) = controller.ask(1)
        assert dict(asked.picks) == picks
        controller.tell([done(asked, value)])
        seen[asked] = value
    assert repeats > 3
    assert states(controller) == ["COMPLETE"] * (100 + repeats)


@pytest.mark.parametrize("hashes", ["1", "2"])
def test_another_process_proposes_the_same(hashes):
    program = (
        "from nas import registry; from nas.testing import ToySpace; from nas import Score, Trial\n"
        "options = {'multivariate': True, 'group': True}\n"
        "made = registry.create('controller', 'optuna:tpe', options, space=ToySpace(), seed=3)\n"
        "for n in range(25):\n"
        "    a, = made.ask(1); print(a.key); made.tell([Trial(n, a, 1, 0, 'done', Score(len(a.picks) + n % 3, 0.0))])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": hashes}
    )
    controller = make("tpe", ToySpace(), seed=3, multivariate=True, group=True)
    keys = []
    for number in range(25):
        (architecture,) = controller.ask(1)
        keys.append(architecture.key)
        controller.tell([done(architecture, len(architecture.picks) + number % 3)])
    assert found.stdout.split() == keys
    assert found.stderr == ""


def test_logs_and_warnings_are_contained_and_settings_restored(caplog):
    logger = logging.getLogger("optuna")
    before, filters = logger.level, list(warnings.filters)
    controller = make("cmaes", Ten(), with_margin=True)
    controller.tell([done(architecture, 0.5) for architecture in controller.ask(4)])
    controller.ask(2)
    assert logger.level == before
    assert warnings.filters == filters
    assert caplog.records == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tpee", {}, "controller 'optuna:tpee' is not known: did you mean 'tpe'"),
        ("", {}, "Known: cmaes, gp"),
        ("grid", {}, "is not known"),
        ("tpe", {"n_startup_trial": 3}, "has no option 'n_startup_trial'; did you mean 'n_startup_trials'"),
        ("tpe", {"n_startup_trials": "3"}, "option 'n_startup_trials' is '3'"),
        ("tpe", {"gamma": 3}, "has no option 'gamma'"),
        ("nsgaii", {"population_size": 1}, "controller 'optuna:nsgaii' cannot be made: ValueError"),
    ],
)
def test_a_wrong_name_or_option_is_explained(name, options, message):
    with pytest.raises(ConfigError) as caught:
        make(name, ToySpace(), **options)
    assert message in str(caught.value)


def test_what_its_sampler_does_not_take_is_seen_before_a_search():
    with pytest.raises(SearchError, match=r"ask raised ValueError: The size of .samples. must be positive"):
        first_proposals("optuna:tpe", {"n_ei_candidates": 0}, ToySpace(), seed=0)


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"Optuna cannot be imported.*pip install 'adaptnas\[optuna\]'"):
        registry.find("controller", "optuna:tpe")


def test_without_the_package_of_cma_es_it_says_so_before_the_search(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package cmaes.*pip install 'adaptnas\[optuna\]'"):
        OptunaSampler(ToySpace(), sampler="cmaes")


@pytest.mark.parametrize("name", ["random", "tpe", "cmaes", "nsgaii"])
def test_of_many_trials_only_the_best_and_the_latest_are_held_and_the_laws_are_kept(name, monkeypatch):
    monkeypatch.setattr(module, "MOST_TRIALS_KEPT", 12)
    monkeypatch.setattr(module, "MOST_DUPLICATES", 3)  # TPE of few trials draws many duplicates, which takes long
    check_controller(lambda space, seed: make(name, space, seed), candidates=16, repeats=False)


def test_what_is_held_of_many_trials(monkeypatch):
    monkeypatch.setattr(module, "MOST_TRIALS_KEPT", 12)
    controller, values = make("random", Flat()), []
    for number in range(60):
        (architecture, pending) = controller.ask(2)
        values.append(float((7 * number) % 61))
        controller.tell([done(architecture, values[-1])])
        controller.tell([failed(pending)] if number % 3 else [])
        held = [trial.value for trial in controller._study.trials if trial.value is not None]
        assert len(controller._study.trials) <= 12 + 2
        assert max(values) in held
        assert held[-1] == values[-1]
