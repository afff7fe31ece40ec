"""Evaluator `supervised`: its laws, its banks, its weights and stages, and what it refuses."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch
from helpers.evaluators import NARROW, WIDE, Blobs, TinyConv
from helpers.labelled import toy_fashion_mnist
from helpers.meta import numbers

from nas.augmentation_policy import AugmentationPolicy
from nas.errors import ConfigError, DataError
from nas.evaluators import MetaEvaluator, SupervisedEvaluator
from nas.evaluators.learners import Anil
from nas.evaluators.supervised_training.optimizers import Adam, Sgd
from nas.protocols import Costed, Featured, Measuring, Normalising, Protocolled, Resumable
from nas.protocols.learners import Portable
from nas.task import FRESH, Bank
from nas.testing.evaluators import check_evaluator

TEST, SECOND_HALF = Bank("test", 0, 40), Bank("validation", FRESH, 30)


@pytest.fixture
def evaluator(tmp_path):
    def make(**options):
        usual = {"space": TinyConv(), "tasks": toy_fashion_mnist(tmp_path / "data"), "batch": 16, "device": "cpu"}
        return SupervisedEvaluator(**{**usual, **options})

    return make


def test_the_laws_of_evaluators_hold(evaluator):
    check_evaluator(evaluator(), NARROW, 2, num_tasks=30)
    check_evaluator(evaluator(validation_examples=8, norm="group"), WIDE, 1, num_tasks=8)
    for protocol in (Measuring, Resumable, Protocolled, Costed, Featured, Normalising):
        assert isinstance(evaluator(), protocol)
    assert isinstance(evaluator().learner, Portable)


def test_it_learns(evaluator):
    chosen = evaluator(optimizer=Sgd(rate=0.05), crop=0, flip=False)
    score = chosen.evaluate(WIDE, 12, 0)
    assert score.value > 0.8
    assert evaluator(optimizer=Sgd(rate=1e-5)).evaluate(WIDE, 1, 0).value < 0.5


def test_its_score_is_the_accuracy_of_the_trained_network_on_the_bank(evaluator, tmp_path):
    chosen, weights = evaluator(), tmp_path / "weights"
    for bank, first in ((TEST, 0), (SECOND_HALF, 30)):
        score = chosen.measure(NARROW, 2, 1, bank=bank, weights=weights)
        network = chosen.trained(NARROW, 2, 1, weights)
        x, y = chosen.tasks.examples(bank.split, torch.device("cpu"))
        right = network(x[first : first + bank.count].float() / 255).argmax(1) == y[first : first + bank.count]
        assert score.per_task == tuple(right.double().tolist())
        assert score.value == pytest.approx(right.double().mean().item())
        assert score.stderr == pytest.approx(right.double().std().item() / bank.count**0.5)
    assert score.outer_steps is None, "the second measurement reads the weights"


def test_one_training_serves_several_banks(evaluator, tmp_path):
    chosen, weights = evaluator(), tmp_path / "weights"
    first = chosen.measure(NARROW, 2, 1, bank=TEST, weights=weights)
    content = weights.read_bytes()
    assert numbers(chosen.measure(NARROW, 2, 1, bank=TEST, weights=weights)) == numbers(first)
    assert weights.read_bytes() == content
    searched = chosen.measure(NARROW, 2, 1, bank=Bank("validation", 0, 30), weights=weights)
    assert numbers(searched) == numbers(chosen.evaluate(NARROW, 2, 1))


def test_weights_of_another_training_are_refused(evaluator, tmp_path):
    weights = tmp_path / "weights"
    evaluator().measure(NARROW, 1, 1, bank=TEST, weights=weights)
    for other in ({"crop": 2}, {"flip": False}, {"batch": 20}, {"norm": "none"}, {"optimizer": Adam()}):
        with pytest.raises(DataError, match="delete it to train again"):
            evaluator(**other).measure(NARROW, 1, 1, bank=TEST, weights=weights)
    for budget, seed, architecture in ((2, 1, NARROW), (1, 2, NARROW), (1, 1, WIDE)):
        with pytest.raises(DataError, match="delete it to train again"):
            evaluator().trained(architecture, budget, seed, weights)


def test_rungs_continue_from_a_file_and_give_the_score_of_a_whole_training(evaluator, tmp_path):
    chosen, checkpoint = evaluator(), tmp_path / "stage"
    first = chosen.advance(NARROW, 1, 0, schedule=3, checkpoint=checkpoint)
    again = chosen.advance(NARROW, 3, 0, schedule=3, checkpoint=checkpoint)
    assert (first.outer_steps, again.outer_steps) == (1, 2)
    assert first.protocol["schedule"] == 3
    assert first.protocol == chosen.search_protocol(1, 3)
    assert numbers(again) == numbers(chosen.evaluate(NARROW, 3, 0))
    checkpoint.write_bytes(b"damaged")
    anew = chosen.advance(NARROW, 3, 0, schedule=3, checkpoint=checkpoint)
    assert (numbers(anew), anew.outer_steps) == (numbers(again), 3)


def test_a_pickled_copy_has_the_same_protocol(evaluator):
    copied = pickle.loads(pickle.dumps(evaluator()))
    assert copied.search_protocol(2, 2) == evaluator().search_protocol(2, 2)


def test_the_protocol_tells_what_the_score_depends_on(evaluator, tmp_path):
    base = evaluator().search_protocol(2, 2)
    assert base["optimizer"] == {
        "name": "sgd",
        "rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "nesterov": True,
    }
    assert (base["augmentation"], base["budget_unit"], base["task_unit"]) == (None, "epochs", "examples")
    others = (
        evaluator(optimizer=Adam()),
        evaluator(norm="group"),
        evaluator(tasks=toy_fashion_mnist(tmp_path / "data", train_examples=50)),
        evaluator(validation_examples=10),
    )
    protocols = [base, *(other.search_protocol(2, 2) for other in others), evaluator().search_protocol(1, 2)]
    assert all(one != other for i, one in enumerate(protocols) for other in protocols[:i])


def test_costs_and_zero_cost_scores_are_those_of_the_network(evaluator):
    chosen = evaluator()
    score = chosen.evaluate(NARROW, 1, 0)
    assert chosen.cost(NARROW, "parameters") == score.metrics["parameters"]
    assert chosen.cost(NARROW, "flops") == score.metrics["flops"]
    assert chosen.cost(NARROW, "latency_ms") > 0
    features = chosen.features(NARROW, ["synflow", "naswot", "grad-norm", "parameters"])
    assert features == chosen.features(NARROW, ["synflow", "naswot", "grad-norm", "parameters"])
    assert all(torch.isfinite(torch.tensor(list(features.values()))))


class Policies(TinyConv):
    """The width of the convolution, and a policy."""

    def augmentation(self, spec):
        return AugmentationPolicy(())


class Darker:
    name, draws = "darker", 1

    def __call__(self, images, uniforms):
        return images // 2


def test_an_augmentation_changes_the_training_and_is_in_the_protocol(evaluator):
    plain, darker = evaluator().evaluate(NARROW, 1, 0), evaluator(augmentation=Darker()).evaluate(NARROW, 1, 0)
    assert darker.protocol["augmentation"]["name"] == "darker"
    assert plain.per_task != darker.per_task


def test_tasks_of_the_other_kind_are_refused_in_one_line(evaluator, tmp_path):
    with pytest.raises(ConfigError, match="trains on one data set with labels, and 'blobs' draws few-shot tasks"):
        evaluator(tasks=Blobs())
    with pytest.raises(ConfigError, match="'fashion-mnist' is one data set, of which no few-shot tasks are drawn"):
        MetaEvaluator(TinyConv(), toy_fashion_mnist(tmp_path), Anil())


def test_options_out_of_range_are_refused(evaluator):
    for option, value in {"batch": 3, "crop": -1, "validation_examples": -1}.items():
        with pytest.raises(ConfigError, match=f"{option} = {value}"):
            evaluator(**{option: value})
    with pytest.raises(ConfigError, match="at least 2, or 0 for all"):
        evaluator(validation_examples=1)
    for options in ({"nesterov": True, "momentum": 0.0}, {"rate": 0.0}, {"momentum": 1.5}):
        with pytest.raises(ConfigError):
            Sgd(**options)
    with pytest.raises(ConfigError):
        Adam(beta1=1.0)


def test_too_large_a_bank_is_refused_by_the_check_and_by_a_measurement(evaluator, tmp_path):
    evaluator(validation_examples=30).check(NARROW)
    with pytest.raises(ConfigError, match="ask for 30 at most"):
        evaluator(validation_examples=31).check(NARROW)
    with pytest.raises(ConfigError, match="ask for 40 at most"):
        evaluator().measure(NARROW, 1, 0, bank=replace(TEST, count=41), weights=tmp_path / "weights")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_score_twice_and_nearly_that_of_the_cpu(evaluator):
    on_gpu = evaluator(device="cuda")
    score = on_gpu.evaluate(WIDE, 2, 0)
    assert numbers(on_gpu.evaluate(WIDE, 2, 0)) == numbers(score)
    assert abs(score.value - evaluator().evaluate(WIDE, 2, 0).value) < 0.2
