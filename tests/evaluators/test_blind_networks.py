"""Networks that do not use their inputs: none scores above chance, because the order of examples reveals nothing."""

import gc
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from helpers.blind import (
    QUERIES,
    SHOTS,
    WAYS,
    ByCounter,
    ByGlobalState,
    ByLargeMean,
    ByMean,
    ByMemory,
    ByPlace,
    ByPlaceAtOnce,
    ByRank,
    Looks,
    Space,
)
from helpers.evaluators import Blobs, only
from scipy.stats import binomtest

from nas import registry
from nas.errors import NasError, SpaceError
from nas.evaluators.learners import Anil
from nas.evaluators.meta_training import scoring
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.networks.weights import attach
from nas.evaluators.tasks.drawing import draw
from nas.task import Bank

FAMILY = Blobs(ways=WAYS, shots=SHOTS, queries=QUERIES)
KINDS = ("maml", "meta-sgd", "anil", "reptile", "protonet", "ridge", "finetune", "scratch")
TASKS = 20


def accuracy(kind, norm, learner_name, tasks=TASKS, first=0):
    learner = registry.create("learner", learner_name, {})
    learner = replace(learner, steps=2) if "steps" in vars(learner) else learner
    space = Space(kind)
    network = build(space, only(space), FAMILY.shape, Normalisation(norm, False), learner=learner, seed=0)
    network.calls = 10**6
    attach(network, learner.initial(network, FAMILY))
    # One task at a time, so that the place in the batch is the place in the task.
    return scoring.score(network, FAMILY, learner, Bank("test", first, tasks), chunk=1).value


@pytest.fixture
def many_calls(monkeypatch):
    monkeypatch.setattr("helpers.blind.CALLS", [0] * 10**6)


def check_at_chance(accuracy, tasks):
    asked = tasks * WAYS * QUERIES
    assert binomtest(round(accuracy * asked), asked, 1 / WAYS).pvalue > 1e-4


@pytest.mark.parametrize("kind", [ByPlace, ByCounter, ByGlobalState], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("norm", ["group", "batch", "support", "none"])
@pytest.mark.parametrize("learner", KINDS)
def test_a_network_that_never_looks_is_at_chance(kind, norm, learner, many_calls):
    check_at_chance(accuracy(kind, norm, learner), TASKS)


@pytest.mark.parametrize("kind", [ByPlaceAtOnce, ByMean, ByRank], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("norm", ["group", "batch", "support", "none"])
def test_a_network_that_mixes_examples_is_refused_under_every_norm(kind, norm):
    space = Space(kind)
    broken = "elsewhere in the batch" if kind is ByPlaceAtOnce else "see each other"
    own = rf"the network's own forward \({kind.__name__}\), blind.py"
    with pytest.raises(SpaceError, match=f"{broken}, in {own}"):
        build(space, only(space), FAMILY.shape, Normalisation(norm, True), learner=Anil(), seed=0)


@pytest.mark.parametrize("learner", KINDS)
@pytest.mark.parametrize("norm", ["group", "support", "none"])
def test_predictions_that_depend_on_other_queries_are_refused_after_training(learner, norm):
    learner = registry.create("learner", learner, {})
    learner = replace(learner, steps=2) if "steps" in vars(learner) else learner
    for kind, refused in ((ByLargeMean, pytest.raises(NasError, match="see each other")), (Looks, nullcontext())):
        space = Space(kind)
        network = build(space, only(space), FAMILY.shape, Normalisation(norm, False), learner=learner, seed=0)
        attach(network, learner.initial(network, FAMILY))
        with refused:
            scoring.check_queries_apart(network, FAMILY, learner, Bank("test", 0, 4))


def test_batch_statistics_are_no_dependence_where_they_are_the_norm():
    for kind, refused in ((Looks, nullcontext()), (ByPlace, pytest.raises(NasError, match="see each other"))):
        space = Space(kind)
        network = build(space, only(space), FAMILY.shape, Normalisation("batch", False), learner=Anil(), seed=0)
        with refused:
            scoring.check_queries_apart(network, FAMILY, Anil(), Bank("test", 0, 4))


@pytest.mark.parametrize("learner", ["anil", "protonet"])
def test_no_tensor_holds_the_labels_of_queries_that_are_predicted(learner):
    # Of tasks that no other test draws, whose labels may still lie in the memory of the process.
    check_at_chance(accuracy(ByMemory, "none", learner, tasks=5, first=777_000), 5)


@pytest.mark.parametrize("kind", [ByPlace, ByCounter, ByGlobalState], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("learner", ["anil", "protonet"])
def test_in_the_order_of_their_classes_it_would_be_right(kind, learner, many_calls, monkeypatch):
    """This shows that the test above can fail."""
    monkeypatch.setattr(scoring, "draw", lambda family, *asked: family.tasks(*asked))
    assert accuracy(kind, "group", learner) > 0.9


@pytest.mark.parametrize("learner", ["anil", "protonet"])
def test_labels_in_a_tensor_would_be_found(learner, monkeypatch):
    """This shows that the test above can fail."""
    kept = []

    def drawn(*asked):
        batch = draw(*asked)
        kept.append(batch.query_y.clone())
        return batch

    monkeypatch.setattr(scoring, "draw", drawn)
    assert accuracy(ByMemory, "none", learner, tasks=1) > 0.9


def test_labels_that_lie_in_memory_would_be_found():
    gc.collect()  # Labels of earlier tests may wait in reference cycles, such as those of tracebacks.
    labels = torch.arange(WAYS).repeat(QUERIES)
    network = ByMemory(WAYS)
    assert torch.equal(network.guesses(torch.zeros(len(labels), 1)).argmax(dim=1), labels)
