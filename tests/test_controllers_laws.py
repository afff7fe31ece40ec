"""What every controller keeps, and what importing them costs."""

import random
import subprocess
import sys

import pytest
import torch

from nas.architecture import Architecture, Score, Trial
from nas.controllers import Evolution, RandomSearch, Reinforce
from nas.errors import SpaceError
from nas.space import sample
from nas.testing import ToySpace, check_controller

CONTROLLERS = {
    "random": lambda space, seed: RandomSearch(space, seed=seed),
    "evolution": lambda space, seed: Evolution(space, seed=seed, population=6, tournament=2),
    "reinforce": lambda space, seed: Reinforce(space, seed=seed, lr=0.05, batch=3, hidden=8, layers=1),
}


class Flat:
    name = "flat"

    def decide(self, choose):
        return [choose(f"{i}", range(4)) for i in range(6)]


class WithoutChoices:
    name = "fixed"

    def decide(self, choose):
        return "the one"


class RejectsAll:
    name = "none"

    def decide(self, choose):
        choose("a", (0, 1))
        choose.reject("never")


def trials(count, seed=0):
    rng = random.Random(seed)
    return [
        Trial(i, sample(ToySpace(), rng), budget=1, seed=0, state="done", score=Score(rng.random(), 0.0))
        for i in range(count)
    ]


@pytest.mark.parametrize("name", CONTROLLERS)
def test_it_keeps_the_laws(name):
    check_controller(CONTROLLERS[name], candidates=30)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_its_state_is_how_many_were_asked_and_what_was_told_in_order(name):
    # More than the law of replay: it does not matter when they were asked, so a store without that rebuilds it.
    told = trials(20)
    apart, at_once = CONTROLLERS[name](ToySpace(), 3), CONTROLLERS[name](ToySpace(), 3)
    for trial in told:
        apart.ask(1)
        apart.tell([trial])
    at_once.ask(20)
    at_once.tell(told)
    assert apart.ask(10) == at_once.ask(10)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_seed_matters(name):
    assert CONTROLLERS[name](ToySpace(), 0).ask(20) != CONTROLLERS[name](ToySpace(), 1).ask(20)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_global_generators_are_left_alone(name):
    before = random.getstate(), torch.get_rng_state()
    controller = CONTROLLERS[name](ToySpace(), 0)
    controller.ask(3)
    controller.tell(trials(12))
    controller.ask(3)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_space_without_choices_has_its_one_architecture_proposed(name):
    controller = CONTROLLERS[name](WithoutChoices(), 0)
    only = Architecture("fixed", {})
    for number in range(10):
        assert controller.ask(1) == [only]
        controller.tell([Trial(number, only, budget=1, seed=0, state="done", score=Score(float(number), 0.0))])


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_space_that_rejects_all_ends_with_its_reason(name):
    with pytest.raises(SpaceError, match=r"rejected 1000 in a row.*never"):
        CONTROLLERS[name](RejectsAll(), 0).ask(1)


@pytest.mark.parametrize("name", ["evolution", "reinforce"])
def test_learning_concentrates_on_what_scores_well(name):
    # Mean of the last 20 of 80 candidates, over five seeds; the score is the mean option index, at random 1.5 ± .05.
    def late_mean(seed):
        controller, values = CONTROLLERS[name](Flat(), seed), []
        for number in range(80):
            (architecture,) = controller.ask(1)
            values.append(sum(architecture.picks.values()) / 6)
            controller.tell([Trial(number, architecture, 1, 0, "done", Score(values[-1], 0.0))])
        return sum(values[-20:]) / 20

    assert sum(map(late_mean, range(5))) / 5 > 1.8


@pytest.mark.parametrize("name", ["evolution", "reinforce"])
def test_a_trial_of_another_space_is_refused(name):
    foreign = Trial(0, Architecture("other", {"a": 1}), 1, 0, "done", Score(0.5, 0.0))
    with pytest.raises(SpaceError, match="of space 'other', not of 'toy'"):
        CONTROLLERS[name](ToySpace(), 0).tell([foreign])


def test_random_and_evolution_do_without_torch():
    program = (
        "import sys, nas.controllers, nas.testing; from nas.controllers import Evolution, RandomSearch;"
        "Evolution(nas.testing.ToySpace()).ask(3); assert 'torch' not in sys.modules;"
        "from nas.controllers import Reinforce; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_name_that_is_not_there_is_an_attribute_error():
    import nas.controllers

    with pytest.raises(AttributeError, match="'Reinforcement'"):
        _ = nas.controllers.Reinforcement
