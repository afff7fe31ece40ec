"""Learners against independent slow loops: one task at a time, float64, torch.autograd.grad, no torch.func."""

import copy
from dataclasses import fields, replace

import pytest
import torch
from helpers_evaluators import CPU, NARROW, Blobs, TinyConv, doubled, each, one_task, only, weights_of
from helpers_learners import PRESETS, met, same, slow_curve, slow_loss, slow_meta_gradient, slow_predictions
from torch import nn

from nas import registry
from nas.errors import ConfigError, SpaceError
from nas.evaluators.candidate import attach, build
from nas.evaluators.learners import Anil, FineTune, Maml, MetaSgd, ProtoNet, Reptile, Ridge, Scratch
from nas.evaluators.normalisation import normalise_head_input, set_normalisation
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.protocols import TaskBatch, TaskShape
from nas.search_spaces import Conv4, Mlp40
from nas.search_spaces.cells import CellNetwork
from nas.search_spaces.few_shot_cell import EDGES, CellStack
from nas.search_spaces.networks import conv4
from nas.testing import ToySpace

# More inner steps than one, of sizes that make second-order terms count.
VARIANTS = {
    "maml, order 2": Maml(order=2, inner_lr=0.3, steps=3),
    "maml, order 1": Maml(order=1, inner_lr=0.3, steps=3),
    "maml, learned rate": Maml(inner_lr=0.3, steps=3, learn_lr=True),
    "maml, order 1, learned rate": Maml(order=1, inner_lr=0.3, steps=3, learn_lr=True),
    "maml, head": Maml(inner_lr=0.3, steps=3, adapted="head"),
    "maml, fewer steps in training": Maml(inner_lr=0.3, steps=3, train_steps=2),
    "maml, inner Adam": Maml(inner_lr=0.03, steps=3, inner_optimizer="adam"),
    "maml, sum": Maml(inner_lr=0.05, steps=3, reduction="sum"),
    "meta-sgd": MetaSgd(inner_lr=0.3, steps=3),
    "meta-sgd, sum": MetaSgd(inner_lr=0.05, steps=3, reduction="sum"),
    "anil": Anil(inner_lr=0.3, steps=3),
    "anil, learned rate": Anil(inner_lr=0.3, steps=3, learn_lr=True),
    "anil, inner Adam, sum": Anil(inner_lr=0.03, steps=3, inner_optimizer="adam", reduction="sum"),
    "reptile": Reptile(inner_lr=0.02, train_steps=4, batch=7, steps=6),
    "reptile, inner SGD, sum": Reptile(0.02, train_steps=4, batch=7, steps=6, inner_optimizer="sgd", reduction="sum"),
    "protonet": ProtoNet(),
    "protonet, by dimension": ProtoNet(temperature=0),
    "ridge": Ridge(penalty=0.5),
    "finetune": FineTune(inner_lr=0.3, steps=3),
    "finetune, inner Adam, sum": FineTune(inner_lr=0.03, steps=3, inner_optimizer="adam", reduction="sum"),
    "scratch": Scratch(inner_lr=0.3, steps=3),
    "scratch, inner Adam, sum": Scratch(inner_lr=0.03, steps=3, inner_optimizer="adam", reduction="sum"),
}
METHODS = set(registry.names("learner")) - set(PRESETS)
NORMS = ["group", "batch", "support", "none"]


# One of each method, for what takes long.
METHOD_VARIANTS = {learner.name: variant for variant, learner in reversed(VARIANTS.items())}


@pytest.fixture(params=METHOD_VARIANTS.values(), ids=str)
def method(request):
    return VARIANTS[request.param]


@pytest.fixture(params=VARIANTS, ids=str)
def learner(request):
    return VARIANTS[request.param]


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_every_learner_of_the_registry_is_tested_here():
    assert {learner.name for learner in VARIANTS.values()} == METHODS


def shaken(network, seed=0):
    """The network in float64, its parameters, the learner's own too, all away from where they start."""
    generator = torch.Generator().manual_seed(seed)
    for p in network.double().parameters():
        p.data = p.data + 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return network


def prepared(learner, network, family):
    return shaken(attach(network, learner.initial(network, family)))


def classification(learner, norm="group", head_norm=True):
    """A network for the learner, tasks, and their kind."""
    family = Blobs(shots=2)
    network = build(TinyConv(), NARROW, family.shape, norm=norm, head_norm=head_norm, learner=learner, seed=3)
    return prepared(learner, network, family), doubled(family.tasks("train", range(3), CPU)), "classification"


def regression(learner):
    family = Sinusoid()
    network = build(ToySpace(), only(ToySpace()), family.shape, norm="group", head_norm=True, learner=learner, seed=3)
    return prepared(learner, network, family), doubled(family.tasks("train", range(3), CPU)), "regression"


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
    assert (slow[0] - slow[-1]).abs().max() > 1e-3  # or there would be nothing to compare


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
    """As they are on a CPU when there are many of them for a large network."""
    monkeypatch.setattr("nas.evaluators.learners.inner.ONE_BY_ONE", 1)
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
    """Of the outer loss as `adapt` gives it, which takes no outer gradient at all."""
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
    monkeypatch.setattr("nas.evaluators.learners.inner.task_losses", lambda _kind, out, y: (out * y).mean(dim=(1, 2)))
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
    """Were it to take examples as they come, the first batch would be of one class."""
    learner = Reptile(inner_lr=0.02, train_steps=2, batch=3)
    network, batch, kind = classification(learner)
    weights = weights_of(network)
    shuffled = torch.randperm(batch.query_y.shape[1], generator=torch.Generator().manual_seed(1))
    batch = replace(batch, query_x=batch.query_x[:, shuffled], query_y=batch.query_y[:, shuffled])
    _, gradients = learner.meta_gradient(network, weights, batch, kind)
    _, slow = slow_meta_gradient(learner, network, weights, batch)
    assert all(same(gradients[name], slow[name]) for name in weights)


# --- laws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_step_0_is_the_networks_own_output(learner, norm):
    """But of fine-tuning, whose head starts from zero: then it says nothing."""
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
    """Nor do the support set's statistics depend on it; with the batch's own, they do."""
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
    found, expected = (learner.adapt(each, weights_of(each), batch, kind, 3) for each in (network, other))
    assert same(found, expected)
    found, expected = (learner.meta_gradient(each, weights_of(each), batch, kind) for each in (network, other))
    assert same(found[0], expected[0])
    assert len(found[1]) == len(expected[1])
    assert all(same(g, e) for g, e in zip(found[1].values(), expected[1].values(), strict=True))


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
    """The outer loop hands over the learned ones alone; the network keeps the rest."""
    family = Blobs(shots=2)
    network = build(TinyConv(), NARROW, family.shape, norm=norm, head_norm=True, learner=learner, seed=3)
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


# --- what learners refuse --------------------------------------------------------------------------------------------


def test_anil_refuses_a_network_without_a_linear_layer():
    network = nn.Sequential(nn.Flatten(), nn.Bilinear(1, 1, 1))
    with pytest.raises(SpaceError, match=r"linear head, but the network has no body followed by an nn\.Linear"):
        Anil().check(network, torch.rand(2, 1))
    with pytest.raises(SpaceError, match="linear head"):
        Anil().check(nn.Linear(1, 1), torch.rand(2, 1))


@pytest.mark.parametrize("last", [nn.Tanh(), nn.Flatten(0)], ids=["another function", "another shape"])
def test_anil_refuses_work_after_the_last_linear_layer(last):
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), last)
    with pytest.raises(SpaceError, match=r"does more after its last linear layer, '2'"):
        Anil().check(network, torch.rand(2, 3))


class Twisted(nn.Module):
    """Registered last, but not computed last."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.body = nn.Linear(3, 4)

    def forward(self, x):
        return self.head(self.body(x))


def test_anil_refuses_a_head_that_is_not_computed_last():
    with pytest.raises(SpaceError):
        Anil().check(Twisted(), torch.rand(2, 3))


@pytest.mark.parametrize("space", [Conv4(4), Mlp40(), TinyConv()], ids=lambda space: space.name)
def test_no_learner_refuses_an_ordinary_network(learner, space):
    family = Sinusoid() if space.name == "mlp40" else Blobs()
    network = build(space, only(space), family.shape, norm="group", head_norm=True, learner=learner, seed=0)
    learner.check(network, torch.rand(2, *family.shape.input_shape))


BAD = [("steps", 0), ("inner_lr", 0.0), ("inner_lr", -1.0), ("outer_lr", 0.0), ("outer_lr", float("nan"))]
BAD += [("first_order", -0.1), ("first_order", 1.5), ("first_order", float("nan"))]
BAD += [("penalty", 0.0), ("temperature", -1.0), ("train_steps", -1)]
REFUSED = [
    (name, option, value)
    for name in registry.names("learner")
    for option, value in BAD
    if option in {field.name for field in fields(registry.find("learner", name))}
]


@pytest.mark.parametrize("name, option, value", REFUSED)
def test_options_out_of_range_are_refused(name, option, value):
    with pytest.raises(ConfigError, match=f"{name} {option} = {value}"):
        registry.find("learner", name)(**{option: value})


@pytest.mark.parametrize("option", ["train_steps", "batch"])
def test_reptile_refuses_to_train_on_nothing(option):
    with pytest.raises(ConfigError, match=f"{option} = 0"):
        Reptile(**{option: 0})


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
    assert same(predictions.cpu(), learner.adapt(network, weights, batch, kind, 3))
    expected = learner.meta_gradient(network, weights, batch, kind)[1]
    assert all(same(gradients[name].cpu(), expected[name]) for name in weights)
