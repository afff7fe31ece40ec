"""Leave-one-out, thresholds for unknown classes and the comparison, against slow or closed forms."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.predictors import adaptable

from nas.adapt import comparison, predictor
from nas.adapt.leave_one_out import leave_one_out
from nas.adapt.unknowns import Calibration, calibrate
from nas.analysis.intervals import paired_difference_interval
from nas.errors import DataError

X = torch.rand(7, 1, 28, 28, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 0, 1, 1, 1, 2, 2])
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module", params=["protonet", "ridge", "anil", "maml"])
def net(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adaptable(tmp_path_factory.mktemp(request.param) / "net", request.param)


def test_an_example_left_out_is_predicted_as_by_a_network_fitted_to_the_others(net):
    loaded = predictor.load(net)
    outputs, left_out = leave_one_out(loaded, X, Y)
    assert left_out.all()
    for place in range(len(X)):
        others = torch.arange(len(X)) != place
        fitted = loaded.fit_inputs(X[others], NAMES, Y[others])
        torch.testing.assert_close(outputs[place], fitted.outputs(X[place : place + 1])[0], rtol=1e-4, atol=1e-5)


def test_the_only_example_of_a_class_is_not_left_out(net):
    outputs, left_out = leave_one_out(predictor.load(net), X[:6], Y[:6])
    assert left_out.tolist() == [True] * 5 + [False]
    assert outputs[5].tolist() == [0, 0, 0]


def test_examples_of_a_class_held_out_are_scored_without_it(net):
    loaded = predictor.load(net)
    found = calibrate(loaded, X, Y)
    expected = []
    for held, rest in ((0, (1, 2)), (1, (0, 2)), (2, (0, 1))):
        kept = held != Y
        y = torch.tensor([rest.index(int(label)) for label in Y[kept]])
        expected += loaded.fit_inputs(X[kept], ("p", "q"), y).outputs(X[~kept]).amax(dim=1).tolist()
    assert found.unknown == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert len(found.known) == len(found.correct) == 7
    with pytest.raises(DataError, match="at least 3"):
        calibrate(loaded, X[:5], Y[:5])
    assert len(calibrate(loaded, X[:5], Y[:5], X[5:]).unknown) == 2


def test_a_threshold_is_the_least_that_keeps_the_rate_of_false_accepts():
    rng = np.random.default_rng(0)
    for _ in range(50):
        known, unknown = rng.integers(0, 9, 12).tolist(), rng.integers(0, 9, 7).tolist()
        correct = (rng.random(12) < 0.5).tolist()
        rate = float(rng.choice([0.0, 0.1, 0.3, 0.5, 0.9]))
        at = Calibration(known, correct, unknown).at(rate)
        assert at.false_accepts == sum(score >= at.threshold for score in unknown) / 7 <= rate
        below = math.nextafter(at.threshold, -math.inf)
        assert sum(score >= below for score in unknown) / 7 > rate
        accepted = [right for score, right in zip(known, correct, strict=True) if score >= at.threshold]
        assert at.accepted == len(accepted) / 12
        assert at.accuracy == (sum(accepted) / len(accepted) if accepted else None)


def test_the_interval_of_a_paired_difference_covers_it():
    """The interval is Wald's with one example more of each discordant kind; it covers 95 % also for few examples."""
    assert paired_difference_interval(0, 0, 8)[0] == -paired_difference_interval(0, 0, 8)[1]
    low, high = paired_difference_interval(40, 10, 1000)
    half = 1.96 * ((41 + 11) / 1002 - (30 / 1002) ** 2) ** 0.5 / 1002**0.5
    assert (low, high) == pytest.approx((30 / 1002 - half, 30 / 1002 + half), abs=1e-5)
    draws, covered = random.Random(0), 0
    for _ in range(2000):
        kinds = [draws.random() for _ in range(25)]
        better, worse = sum(u < 0.3 for u in kinds), sum(0.3 <= u < 0.4 for u in kinds)
        low, high = paired_difference_interval(better, worse, 25)
        covered += low <= 0.2 <= high
    assert 0.93 <= covered / 2000 <= 0.98


def test_training_from_scratch_starts_from_other_weights_and_changes_nothing(net):
    loaded = predictor.load(net)
    before = {name: tensor.clone() for name, tensor in loaded.network.state_dict().items()}
    scratch = comparison._scratch(loaded)
    assert scratch.rule["method"] == "gradient"
    assert not scratch.rule["head_only"]
    assert all(torch.equal(before[name], tensor) for name, tensor in loaded.network.state_dict().items())
    weights = [name for name, tensor in before.items() if tensor.dim() > 1]
    assert not any(torch.equal(before[name], scratch.network.state_dict()[name]) for name in weights)
    again = comparison._scratch(loaded)
    assert all(torch.equal(again.network.state_dict()[name], scratch.network.state_dict()[name]) for name in before)
