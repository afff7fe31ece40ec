"""Learners against independent slow loops: one task at a time, float64, torch.autograd.grad, no torch.func."""

import copy
from dataclasses import replace

import pytest
import torch
from helpers.evaluators import CPU, Blobs, TinyConv, doubled, seeded, weights_of  # noqa: F401  # fixture
from helpers.learners import PRESETS, same, slow_loss, slow_meta_gradient, slow_predictions
from helpers.variants import NORMS, VARIANTS, classification, each_learner, each_method, prepared, regression  # noqa: F401  # fixtures
from torch import nn

from nas import registry
from nas.evaluators.learners import Maml, Reptile
from nas.evaluators.networks.normalisation import normalise_head_input, set_normalisation
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.search_spaces.dense_cell import EDGES
from nas.search_spaces.few_shot_cell.network import CellNetwork
from nas.search_spaces.few_shot_cell.spec import CellStack
from nas.search_spaces.plain.network import conv4
from nas.task import TaskBatch, TaskShape

METHODS = set(registry.names("learner")) - set(PRESETS)


def test_every_learner_of_the_registry_is_tested_here():
    assert {learner.name for learner in VARIANTS.values()} == METHODS


# --- against the slow loops ------------------------------------------------------------------------------------------

CASES = {f"{norm}, head norm": (norm, True) for norm in NORMS} | {"group": ("group", False)}
PAIRS = [(learner, case) for learner in VARIANTS for case in CASES]
PAIRS += [(learner, "regression") for learner in VARIANTS if not learner.startswith("protonet")]


@pytest.fixture(params=PAIRS, ids=", ".join)
def pair(request):
    """A learner with a network, tasks and their kind."""
    learner, case = VARIANTS[request.param[0]], request.param[1]
    return learner, *(regression(learner) if case == "regression" else classification(learner, *CASES[case]))


def test_predictions_are_those_of_the_slow_loop(pair):
    learner, network, batch, kind = pair
    weights = weights_of(network)
    fast = learner.adapt(network, weights, batch, kind, 4)
    slow = slow_predictions(learner, network, weights, batch, 4)
    assert fast.shape == (5, 3, batch.query_x.shape[1], 3 if kind == "classification" else 1)
    assert same(fast, slow)
    assert (slow[0] - slow[-1]).abs().max() > 1e-3  # Otherwise there would be nothing to compare.


def test_the_meta_gradient_is_that_of_the_slow_loop(pair):
    learner, network, batch, kind = pair
    check_meta_gradient(learner, network, batch, kind)
    loss, gradients = learner.meta_gradient(network, weights_of(network), batch, kind)
    assert loss.shape == ()
    assert gradients.keys() == weights_of(network).keys()
    assert not any(g.requires_grad for g in [loss, *gradients.values()])


def check_meta_gradient(learner, network, batch, kind):
    weights = weights_of(network)
    loss, gradients = learner.meta_gradient(network, weights, batch, kind)
    slow_value, slow = slow_meta_gradient(learner, network, weights, batch)
    assert same(loss, slow_value)
    for name in weights:
        assert same(gradients[name], slow[name]), name
    assert same(learner.adapt(network, weights, batch, kind, 2), slow_predictions(learner, network, weights, batch, 2))


# Between them, the cells have all operations, most with edges that follow others.
CELLS = [
    ("conv3", "sep3", "avg_pool", "max_pool", "conv1", "skip"),
    ("dil3", "max_pool", "skip", "skip", "sep3", "avg_pool"),
]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("cell", [*CELLS, None], ids=["cell", "other cell", "conv4"])
def test_real_networks_of_images_get_the_slow_loops_gradients(method, norm, cell):
    shape = TaskShape((2, 8, 8), 2)
    network = conv4(4, shape) if cell is None else CellNetwork(CellStack(cell, 4, 2, (0,)), EDGES, shape)
    network = normalise_head_input(set_normalisation(network, norm))
    network = prepared(method, network, Blobs())
    x = torch.rand(2, 6, *shape.input_shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.tensor([0, 0, 1, 1, 0, 1]).repeat(2, 1)
    classes = torch.tensor([[3, 0], [6, 3]])
    batch = TaskBatch(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:], classes)
    check_meta_gradient(method, network, batch, "classification")


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_queries_taken_task_by_task_give_the_same(method, norm, monkeypatch):
    """A CPU takes them so when a large network has many of them."""
    monkeypatch.setattr("nas.evaluators.learners.inner_loop.ONE_BY_ONE", 1)
    test_real_networks_of_images_get_the_slow_loops_gradients(method, norm, CELLS[0])


class Tokens(nn.Module):
    """Images as rows of numbers, for layers that normalise other things than channels."""

    def __init__(self, norm):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.norm = norm
        self.head = nn.Linear(24, 3)

    def forward(self, x):
        return self.head(self.norm(self.first(x.flatten(1, 2))).tanh().flatten(1))


@pytest.mark.parametrize(
    "norm",
    [
        nn.LayerNorm(6),
        nn.LayerNorm([4, 6]),
        nn.LayerNorm(6, bias=False),
        nn.InstanceNorm1d(4, affine=True),
        nn.GroupNorm(2, 4),
        nn.BatchNorm1d(4),
        nn.BatchNorm1d(4, affine=False),
        nn.RMSNorm(6),
    ],
    ids=repr,
)
def test_every_normalisation_gets_the_slow_loops_gradients(method, norm):

    network = prepared(method, set_normalisation(Tokens(copy.deepcopy(norm)), "batch"), Blobs())
    check_meta_gradient(method, network, doubled(Blobs(shots=2).tasks("train", range(2), CPU)), "classification")


def test_a_network_may_normalise_its_inputs_first(learner):
    """Without an input gradient, torch's group normalisation of channels-last images ends the process."""
    network = set_normalisation(nn.Sequential(nn.BatchNorm2d(1), TinyConv().build(4, Blobs().shape)), "group")
    network = prepared(learner, network, Blobs())
    check_meta_gradient(learner, network, doubled(Blobs().tasks("train", range(2), CPU)), "classification")


@pytest.mark.parametrize(
    "variant",
    [
        *("maml, order 2", "maml, learned rate", "maml, inner Adam", "maml, sum", "meta-sgd", "meta-sgd, sum"),
        *("anil", "anil, learned rate", "anil, inner Adam, sum", "protonet", "ridge"),
    ],
)
def test_second_order_meta_gradients_are_finite_differences(variant):
    """The differences are of the outer loss by `adapt`, which takes no outer gradient."""
    learner = VARIANTS[variant]
    network, batch, kind = classification(learner)
    weights = weights_of(network)

    def outer_loss():
        predictions = learner.adapt(network, weights, batch, kind, learner.steps)[-1]
        return sum(slow_loss(p, y) for p, y in zip(predictions, batch.query_y, strict=True)) / len(predictions)

    _, gradients = learner.meta_gradient(network, weights, batch, kind)
    step = 1e-5
    for name, w in weights.items():
        place = int(gradients[name].abs().argmax())
        flat = w.view(-1)
        kept = flat[place].item()
        flat[place] = kept + step
        above = outer_loss()
        flat[place] = kept - step
        difference = (above - outer_loss()) / (2 * step)
        flat[place] = kept
        assert difference.item() == pytest.approx(gradients[name].view(-1)[place].item(), rel=1e-5, abs=1e-9), name


def test_orders_differ_by_as_much_as_the_inner_step_and_agree_without_one():
    network, batch, kind = classification(Maml())
    weights = weights_of(network)

    def gap(inner_lr):
        first, second = (
            Maml(order=order, inner_lr=inner_lr, steps=2).meta_gradient(network, weights, batch, kind)[1]
            for order in (1, 2)
        )
        return max((first[name] - second[name]).abs().max().item() for name in weights)

    assert gap(1e-1) > 1e-3
    assert gap(1e-6) == pytest.approx(gap(1e-5) / 10, rel=1e-3)


class Sum(nn.Module):
    """One number for any inputs, linear in its only parameter: the inner loss below has no second derivative."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.3], dtype=torch.float64))

    def forward(self, x):
        return self.weight * x


def test_orders_agree_where_the_inner_loss_is_linear(monkeypatch):
    monkeypatch.setattr(
        "nas.evaluators.learners.inner_loop.task_losses", lambda _kind, out, y: (out * y).mean(dim=(1, 2))
    )
    batch = doubled(Sinusoid().tasks("train", range(3), CPU))
    network = Sum()
    gradients = [
        Maml(order=order, inner_lr=0.7, steps=3).meta_gradient(network, weights_of(network), batch, "regression")[1]
        for order in (1, 2)
    ]
    expected = (batch.query_x * batch.query_y).mean()
    assert torch.allclose(gradients[0]["weight"], expected)
    assert torch.equal(gradients[0]["weight"], gradients[1]["weight"])


def test_reptile_takes_the_classes_in_turn_whatever_their_order():
    """Examples in their original order would make a first batch of one class."""
    learner = Reptile(inner_lr=0.02, train_steps=2, batch=3)
    network, batch, kind = classification(learner)
    weights = weights_of(network)
    shuffled = torch.randperm(batch.query_y.shape[1], generator=torch.Generator().manual_seed(1))
    batch = replace(batch, query_x=batch.query_x[:, shuffled], query_y=batch.query_y[:, shuffled])
    _, gradients = learner.meta_gradient(network, weights, batch, kind)
    _, slow = slow_meta_gradient(learner, network, weights, batch)
    assert all(same(gradients[name], slow[name]) for name in weights)
