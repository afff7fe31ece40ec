"""Head of a network: the linear layer that gives its output, in any order of registration."""

import copy
import random
from itertools import permutations

import pytest
import torch
from helpers.evaluators import CPU, Blobs, doubled, only, weights_of
from helpers.variants import each_method  # noqa: F401  # fixture
from torch import nn

from nas import registry
from nas.errors import SpaceError
from nas.evaluators.learners import Anil, Maml, ProtoNet
from nas.evaluators.learners.body_and_head import split_head
from nas.evaluators.learners.maml import adapted_names
from nas.evaluators.networks.building import assemble, build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.networks.output_layer import HEAD, head_name, mark_head
from nas.evaluators.networks.weights import attach
from nas.space import sample
from nas.task import TaskShape

LAYERS = {"hidden": lambda: nn.Linear(16, 6), "middle": lambda: nn.Linear(6, 4), "head": lambda: nn.Linear(4, 3)}
ORDERS = list(permutations(LAYERS))


class Ordered(nn.Module):
    """Three linear layers, registered in one order and called in another; `end` may follow the last."""

    def __init__(self, order, end=nn.Identity):
        super().__init__()
        for name in order:
            setattr(self, name, LAYERS[name]())
        self.end = end()

    def forward(self, x):
        return self.end(self.head(self.middle(self.hidden(x.flatten(1)).tanh()).relu()))


class Space:
    """Space of the one network that `make` makes."""

    name = "one-network"

    def __init__(self, make):
        self.make = make

    def decide(self, choose):
        return choose("one", [1])

    def build(self, spec, task):
        return self.make()


def built(make, learner, head_norm=True):
    space = Space(make)
    return build(space, only(space), Blobs().shape, Normalisation(head_norm=head_norm), learner=learner, seed=1)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_the_order_of_registration_does_not_matter(order, method):
    """It changes neither predictions nor meta-gradients."""
    family = Blobs(shots=2)
    batch = doubled(family.tasks("train", range(2), CPU))
    actual = []
    for each in (tuple(LAYERS), order):
        network = built(lambda each=each: Ordered(each), method).double()
        generator = torch.Generator().manual_seed(0)
        for name in LAYERS:
            layer = getattr(network, name)
            assert isinstance(layer, nn.Sequential) == (name == "head")
            for p in layer.parameters():
                p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype)
        attach(network, method.initial(network, family)).double()
        weights = weights_of(network)
        curve = method.adapt(network, weights, batch, "classification", 3)
        actual.append((curve, *method.meta_gradient(network, weights, batch, "classification")))
    (curve, loss, gradients), (curve_too, loss_too, gradients_too) = actual
    assert torch.equal(curve, curve_too)
    assert torch.equal(loss, loss_too)
    assert gradients.keys() == gradients_too.keys()
    assert all(torch.equal(gradients[name], gradients_too[name]) for name in gradients)


@pytest.mark.parametrize("head_norm", [True, False])
def test_learners_of_the_head_alone_take_that_layer(head_norm):
    network = built(lambda: Ordered(("head", "middle", "hidden")), Anil(), head_norm=head_norm)
    prefix = "head.linear." if head_norm else "head."
    assert split_head(network).prefix == prefix
    assert adapted_names(network, "head") == {f"{prefix}weight", f"{prefix}bias"}


def test_a_learner_by_itself_finds_the_head_when_it_checks_the_network():
    for learner in (Anil(), ProtoNet(), Maml(adapted="head")):
        network = Ordered(("head", "middle", "hidden"))
        learner.check(network, torch.rand(2, 16))
        assert split_head(network).prefix == "head."


@pytest.mark.parametrize("name", registry.names("space"))
def test_the_heads_of_the_shipped_spaces_are_registered_last(name):
    """Their scores therefore do not depend on how the head is found."""
    shapes = [TaskShape((1, 28, 28), 5), TaskShape((2, 24), 4)]
    space = registry.create("space", name, {})
    tried = 0
    for shape in shapes:
        for seed in range(3):
            try:
                network = assemble(space, sample(space, random.Random(seed)), shape, Normalisation())
            except SpaceError:  # The space is not for such inputs.
                continue
            tried += 1
            unmarked = copy.deepcopy(network)
            delattr(unmarked, HEAD)
            assert head_name(network) == head_name(unmarked) is not None
    assert tried


# --- what is a head, and what is none --------------------------------------------------------------------------------


class Made(nn.Module):
    """Network of layers by name, and a function of them and the input."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x.flatten(1))


def linears():
    return {"fc": nn.Linear(4, 3), "body": nn.Linear(16, 4)}


HEADS = {
    "followed by a change of shape": lambda n, x: n.fc(n.body(x))[:, None].flatten(1),
    "followed by what learns nothing": lambda n, x: n.fc(n.body(x)).softmax(dim=1) * 2,
    "and an unused layer": lambda n, x: (n.fc(n.body(x)), n.body(x))[0],
    "called without keyword": lambda n, x: n.fc(input=n.body(x)),
    "that is changed in place": lambda n, x: n.fc(n.body(x)).mul_(2).add_(1),
}
NO_HEADS = {
    "called twice": (lambda n, x: n.fc(n.body(x)) + n.fc(n.body(x).tanh()), {}, "(Linear)"),
    "beside another": (lambda n, x: n.fc(n.body(x)) + n.skip(x), {"skip": nn.Linear(16, 3)}, "'skip' (Linear)"),
    "beside the input": (lambda n, x: n.fc(n.body(x)) + x[:, :3], {}, "'fc' (Linear)"),
    "before a learned scale": (lambda n, x: n.fc(n.body(x)) * n.scale, {"scale": nn.Parameter(torch.ones(3))}, "'fc'"),
    "before a convolution": (
        lambda n, x: n.end(n.body(x)[:, :, None, None]).flatten(1),
        {"end": nn.Conv2d(4, 3, 1)},
        "'end' (Conv2d)",
    ),
}


@pytest.mark.parametrize("forward", HEADS.values(), ids=HEADS)
def test_what_is_a_head(forward):
    assert head_name(mark_head(Made(forward, **linears()), torch.rand(2, 16))) == "fc"


@pytest.mark.parametrize("forward, layers, last", NO_HEADS.values(), ids=NO_HEADS)
def test_what_has_no_head_is_trained_without_its_norm_and_refused_in_words_by_learners_of_a_head(forward, layers, last):
    def make():
        return copy.deepcopy(Made(forward, **linears(), **layers))

    network = built(make, Maml(order=1))
    assert head_name(network) is None
    assert not any(isinstance(layer, nn.LayerNorm) for layer in network.modules())
    with pytest.raises(
        SpaceError, match=r"has no body followed by an nn\.Linear that gives its output \(called once"
    ) as said:
        built(make, Anil())
    assert last in str(said.value)
    with pytest.raises(SpaceError, match="adapts the head layers, of which the network has none"):
        built(make, Maml(adapted="head"))


def test_a_frozen_layer_after_a_linear_one_is_what_gives_the_output():
    network = Made(lambda n, x: n.end(n.fc(n.body(x))), end=nn.Linear(3, 3).requires_grad_(False), **linears())
    assert head_name(mark_head(network, torch.rand(2, 16))) == "end"
    assert not network.end.weight.requires_grad


def test_a_head_that_is_registered_twice_is_one_layer_under_both_names():
    layers = linears()
    make = Made(lambda n, x: n.also(n.body(x)), **layers, also=layers["fc"])
    network = built(lambda: copy.deepcopy(make), Anil())
    assert isinstance(network.fc, nn.Sequential)
    assert network.also is network.fc
    assert split_head(network).prefix == "fc.linear."


# --- finding it leaves the network as it is --------------------------------------------------------------------------


class Counting(nn.Module):
    """Network that changes its state and draws random numbers as it runs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.fc = nn.Linear(16, 3)
        self.seen = None

    def forward(self, x):
        self.seen = x if self.seen is None else self.seen
        self.calls += 1
        return self.fc(nn.functional.dropout(x.flatten(1)))


def test_the_network_is_not_run_and_nothing_is_drawn():
    network, state = Counting(), torch.random.get_rng_state()
    x = torch.rand(2, 16, generator=torch.Generator().manual_seed(0))
    assert head_name(mark_head(network, x)) == "fc"
    assert network.seen is None
    assert network.calls == 0
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not x.requires_grad


def test_a_network_that_does_not_run_has_no_head_and_keeps_its_own_error():
    with pytest.raises(SpaceError, match=r"does not take this task's inputs"):
        built(lambda: Ordered(tuple(LAYERS), end=lambda: nn.Linear(5, 3)), Anil())


def test_sizes_that_are_taken_from_an_input_are_left_open():
    network = mark_head(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), torch.rand(2, 4))
    assert head_name(network) is None
    assert isinstance(network[1], nn.LazyLinear)


def test_a_network_without_numbers_is_not_run():
    with torch.device("meta"):
        network = Ordered(tuple(LAYERS))
    assert head_name(mark_head(network, torch.rand(2, 16))) is None


def test_the_last_linear_layer_is_the_head_of_a_network_that_was_never_run():
    deep = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Tanh(), nn.Sequential(nn.Linear(1, 1))), nn.Tanh())
    assert head_name(deep) == "1.1.0"
    assert head_name(nn.Sequential(nn.Tanh())) is None
    assert head_name(nn.Linear(1, 1)) is None  # No layer comes before it.
