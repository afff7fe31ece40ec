"""Laws of all learners: what they see, what they do not change, and equal results on every device."""

import copy
from dataclasses import replace

import pytest
import torch
from helpers.evaluators import CPU, NARROW, Blobs, TinyConv, doubled, each, one_task, seeded, weights_of  # noqa: F401  # fixture
from helpers.learners import met, same, slow_curve
from helpers.variants import NORMS, classification, each_learner, prepared  # noqa: F401  # fixtures
from torch import nn

from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation


@pytest.mark.parametrize("norm", NORMS)
def test_step_0_is_the_networks_own_output(learner, norm):
    """The exception is fine-tuning, whose head starts from zero, so that its first output is zero."""
    network, batch, kind = classification(learner, norm)
    predictions = learner.adapt(network, weights_of(network), batch, kind, 1)
    for task, (support, x) in enumerate(zip(batch.support_x, batch.query_x, strict=True)):
        own = met(network, {}, support)(x)
        expected = 0 * own if learner.name == "finetune" else own
        assert same(predictions[0, task], expected.detach())


@pytest.mark.parametrize("norm", NORMS)
def test_tasks_do_not_see_each_other(learner, norm):
    network, batch, kind = classification(learner, norm)
    weights = weights_of(network)
    together = learner.adapt(network, weights, batch, kind, 3)
    loss, gradients = learner.meta_gradient(network, weights, batch, kind)
    alone = [one_task(batch, task) for task in range(3)]
    for task, part in enumerate(alone):
        assert same(together[:, task], learner.adapt(network, weights, part, kind, 3)[:, 0])
    if getattr(learner, "optimizer_state", "fresh") == "kept":
        return  # In meta-training its tasks influence each other through the optimizer.
    parts = [learner.meta_gradient(network, weights, part, kind) for part in alone]
    assert same(loss, sum(value for value, _ in parts) / 3)
    for name in weights:
        assert same(gradients[name], sum(g[name] for _, g in parts) / 3)


@pytest.mark.parametrize("norm", ["group", "support", "none"])
def test_queries_do_not_see_each_other_without_batch_statistics(learner, norm):
    network, batch, kind = classification(learner, norm)
    weights = weights_of(network)
    first = replace(batch, query_x=batch.query_x[:, :1], query_y=batch.query_y[:, :1])
    all_queries, one = (learner.adapt(network, weights, b, kind, 2) for b in (batch, first))
    assert same(all_queries[:, :, :1], one)


@pytest.mark.parametrize("norm, seen", [("group", False), ("support", False), ("none", False), ("batch", True)])
def test_changing_one_query_changes_no_other_prediction(learner, norm, seen):
    """The statistics of the support set do not depend on a query either; those of the batch do."""
    network, batch, kind = classification(learner, norm)
    weights = weights_of(network)
    changed = batch.query_x.clone()
    changed[:, 3] *= 5
    before, after = (learner.adapt(network, weights, b, kind, 2) for b in (batch, replace(batch, query_x=changed)))
    others = [place for place in range(batch.query_x.shape[1]) if place != 3]
    assert same(before[1:, :, others], after[1:, :, others]) is not seen
    assert not same(before[1:, :, 3], after[1:, :, 3])


def test_support_statistics_are_the_batchs_where_the_queries_are_the_support_set(learner):
    made = [classification(learner, norm) for norm in ("support", "batch")]
    [(network, batch, kind), (other, _, _)] = made
    batch = replace(batch, query_x=batch.support_x, query_y=batch.support_y)
    actual, expected = (learner.adapt(each, weights_of(each), batch, kind, 3) for each in (network, other))
    assert same(actual, expected)
    actual, expected = (learner.meta_gradient(each, weights_of(each), batch, kind) for each in (network, other))
    assert same(actual[0], expected[0])
    assert len(actual[1]) == len(expected[1])
    assert all(same(g, e) for g, e in zip(actual[1].values(), expected[1].values(), strict=True))


def test_query_labels_do_not_reach_adaptation(learner):
    network, batch, kind = classification(learner)
    weights = weights_of(network)
    hidden = replace(batch, query_y=torch.full_like(batch.query_y, -1))
    one, other = (learner.adapt(network, weights, b, kind, 2) for b in (batch, hidden))
    assert torch.equal(one, other)


def test_nothing_that_is_given_is_changed(learner):
    network, batch, kind = classification(learner)
    own, weights = weights_of(network), {name: w + 0.1 for name, w in weights_of(network).items()}
    given, tasks = ({name: x.clone() for name, x in part.items()} for part in (weights, vars(batch)))
    learner.meta_gradient(network, weights, batch, kind)
    learner.adapt(network, weights, batch, kind, 2)
    for before, after in ((own, weights_of(network)), (given, weights), (tasks, vars(batch))):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in network.parameters())
    assert not any(w.requires_grad for w in weights.values())


def test_the_given_weights_count_not_the_networks_own(learner):
    network, batch, kind = classification(learner)
    weights = weights_of(network)
    expected = learner.adapt(network, weights, batch, kind, 2), learner.meta_gradient(network, weights, batch, kind)
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
    assert torch.equal(expected[0], learner.adapt(network, weights, batch, kind, 2))
    assert torch.equal(expected[1][0], learner.meta_gradient(network, weights, batch, kind)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_are_of_the_weights_type(learner, dtype):
    network, batch, kind = classification(learner)
    network.to(dtype)
    batch = replace(batch, support_x=batch.support_x.to(dtype), query_x=batch.query_x.to(dtype))
    weights = weights_of(network)
    loss, gradients = learner.meta_gradient(network, weights, batch, kind)
    assert {x.dtype for x in (loss, *gradients.values())} == {dtype}
    assert learner.adapt(network, weights, batch, kind, 1).dtype == dtype


@pytest.mark.parametrize("norm", NORMS)
def test_parameters_that_are_not_learned_stay_as_they_are(learner, norm):
    """The outer loop passes only the learned parameters; the network keeps the rest."""
    family = Blobs(shots=2)
    network = build(TinyConv(), NARROW, family.shape, Normalisation(norm, True), learner=learner, seed=3)
    frozen = ["0.weight", [name for name, _ in network.named_parameters()][-1]]
    for name in frozen:
        network.get_parameter(name).requires_grad_(False)
    network, batch = prepared(learner, network, family), doubled(family.tasks("train", range(3), CPU))
    weights = {name: w for name, w in weights_of(network).items() if name not in frozen}
    predictions = learner.adapt(network, weights, batch, "classification", 2)
    _, gradients = learner.meta_gradient(network, weights, batch, "classification")
    assert gradients.keys() == weights.keys()
    assert same(predictions[:, 0], slow_curve(learner, network, weights, one_task(batch, 0), 2))


class Unused(nn.Module):
    """A network with a layer that has no part in its output."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 2)
        self.body = nn.Linear(16, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.body(x.flatten(1)).tanh())


def test_a_parameter_without_a_use_has_gradient_zero(learner):
    network = prepared(learner, Unused(), Blobs())
    batch = doubled(Blobs().tasks("train", range(2), CPU))
    _, gradients = learner.meta_gradient(network, weights_of(network), batch, "classification")
    assert not gradients["unused.weight"].any()
    assert gradients["body.weight"].any() == (learner.name != "scratch")


# --- devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("norm", NORMS)
def test_a_gpu_computes_what_the_cpu_does(learner, norm):
    network, batch, kind = classification(learner, norm)
    weights = weights_of(network)
    there = {name: w.cuda() for name, w in weights.items()}
    moved = each(batch, torch.Tensor.cuda)
    predictions = learner.adapt(copy.deepcopy(network).cuda(), there, moved, kind, 3)
    loss, gradients = learner.meta_gradient(copy.deepcopy(network).cuda(), there, moved, kind)
    assert {predictions.is_cuda, loss.is_cuda} == {True}
    assert all(g.is_cuda for g in gradients.values())
    # Adam divides by the size of a gradient, also where that is rounding, as that of a bias in balanced classes.
    atol = 1e-6 if getattr(learner, "inner_optimizer", "") == "adam" else 1e-10
    assert torch.allclose(predictions.cpu(), learner.adapt(network, weights, batch, kind, 3), rtol=1e-7, atol=atol)
    expected = learner.meta_gradient(network, weights, batch, kind)[1]
    assert all(torch.allclose(gradients[name].cpu(), expected[name], rtol=1e-7, atol=atol) for name in weights)
