"""Tests of check_controller: sound controllers pass, and each law is broken by a controller that fails by name."""

import math
import random

import pytest

from nas.architecture import Architecture
from nas.controllers import RandomSearch
from nas.search.checked_controller import CheckedController
from nas.space import sample
from nas.testing import ToySpace, check_controller


class OneGenerator:
    """Draws all proposals from one generator, which keeps the laws as long as `tell` draws nothing from it."""

    def __init__(self, space, seed):
        self.space, self.rng = space, random.Random(seed)

    def ask(self, n):
        return [sample(self.space, self.rng) for _ in range(n)]

    def tell(self, trials):
        """Learns nothing."""


class Global(OneGenerator):
    def ask(self, n):
        return [sample(self.space, random.Random(random.random())) for _ in range(n)]


class OneCallOneDraw(OneGenerator):
    def ask(self, n):
        rng = random.Random(self.rng.random())
        return [sample(self.space, rng) for _ in range(n)]


class CountsTells(OneGenerator):
    """Each call of `tell` draws from the generator, whatever the trials."""

    def tell(self, trials):
        self.rng.random()


class CountsFailures(OneGenerator):
    def tell(self, trials):
        for trial in trials:
            if trial.state == "failed":
                self.rng.random()


class NeedsScores(OneGenerator):
    def tell(self, trials):
        for trial in trials:
            assert trial.score is not None, "no score"


class Forgetful(OneGenerator):
    """Keeps its state in the class, so that a rebuilt controller starts with what another one was told."""

    best = 0.0

    def tell(self, trials):
        for trial in trials:
            if trial.score is not None and trial.value > Forgetful.best:
                Forgetful.best = trial.value
                self.rng.random()


class Elsewhere(OneGenerator):
    def ask(self, n):
        return [Architecture("elsewhere", {}) for _ in range(n)]


class DividesBySpread(OneGenerator):
    def __init__(self, space, seed):
        super().__init__(space, seed)
        self.values = []

    def tell(self, trials):
        self.values += [trial.value for trial in trials if trial.score is not None]
        if len(self.values) > 1:
            _ = 1 / (max(self.values) - min(self.values))


class Measured(OneGenerator):
    """Measuring it draws from its generator."""

    def measurements(self):
        return {"draw": self.rng.random()}


class Undefined(OneGenerator):
    def measurements(self):
        return {"mean": math.nan}


class Named(OneGenerator):
    def measurements(self):
        return {1: 0.5}


def test_sound_controllers_pass():
    check_controller(OneGenerator)
    check_controller(lambda space, seed: RandomSearch(space, seed=seed))


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (Global, AssertionError, r"ask\(60\) differs"),
        (OneCallOneDraw, AssertionError, r"ask\(60\) differs"),
        (CountsTells, AssertionError, r"tell\(a \+ b\) differs"),
        (CountsFailures, AssertionError, "failed trials"),
        (NeedsScores, AssertionError, "no score"),
        (Forgetful, AssertionError, "rebuilt|differs"),
        (Elsewhere, Exception, "elsewhere"),
        (DividesBySpread, ZeroDivisionError, "division"),
        (Measured, AssertionError, r"measurements\(\) must change nothing"),
        (Undefined, AssertionError, "gives 'mean' as nan; it must be a finite number, or absent"),
        (Named, AssertionError, "has the name 1; it must be a text"),
    ],
)
def test_a_broken_controller_is_named(make, error, reason):
    with pytest.raises(error, match=reason):
        check_controller(make)


def test_measurements_are_checked_through_the_checks_of_a_search_too():
    def make(space, seed):
        return CheckedController(Measured(space, seed), space)

    with pytest.raises(AssertionError, match=r"measurements\(\) must change nothing"):
        check_controller(make)
    assert CheckedController(OneGenerator(ToySpace(), 0), ToySpace()).measurements() == {}
