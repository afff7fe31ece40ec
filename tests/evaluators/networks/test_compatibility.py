"""Refusals before training after one run of the network, with the name of the layer."""

import pytest
import torch
from helpers.evaluators import only, seeded  # noqa: F401  # fixture
from helpers.refusals import Does, X, network
from torch import nn

from nas.errors import SpaceError
from nas.evaluators.learners import Anil
from nas.evaluators.networks.building import build
from nas.evaluators.networks.compatibility import check_forward
from nas.evaluators.networks.normalisation import Normalisation
from nas.task import TaskShape

SHAPE = TaskShape((1, 4, 4), 3)


def refused(made):
    with pytest.raises(SpaceError) as caught:
        check_forward(made, X, 3, "makes")
    return str(caught.value)


class Remembers(nn.Module):
    """Keeps a running mean in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return x - self.mean


class Counts(nn.Module):
    """Layer with a counter, which is a buffer or not, and by which it multiplies or not."""

    def __init__(self, *, buffer, tells):
        super().__init__()
        self.tells = tells
        if buffer:
            self.register_buffer("calls", torch.tensor(0))
        else:
            self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls if self.tells else x


class Clamps(nn.Module):
    """Layer that clamps its weights in place, through `data`, whose changes torch does not count, or directly."""

    def __init__(self, *, data):
        super().__init__()
        self.weight, self.data = nn.Parameter(torch.full((6,), 0.9)), data

    def forward(self, x):
        if self.data:
            self.weight.data.clamp_(max=0.8)
        else:
            with torch.no_grad():
                self.weight.clamp_(max=2.0)  # No number changes, but it is a change in place.
        return x * self.weight


@pytest.mark.parametrize(
    "made, state, kind",
    [
        (network(nn.Tanh(), Remembers()), "3.mean", r"layer '3' \(Remembers\)"),
        (network(nn.Sequential(Counts(buffer=True, tells=False))), "2.0.calls", r"layer '2.0' \(Counts\)"),
        (network(Clamps(data=True)), "2.weight", r"layer '2' \(Clamps\)"),
        (network(Clamps(data=False)), "2.weight", r"layer '2' \(Clamps\)"),
        (
            network(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6))),
            "2.parametrizations.weight.0._u",
            "layer '2.parametrizations.weight.0'",
        ),
    ],
)
def test_a_layer_that_changes_its_state_is_named(made, state, kind):
    with pytest.raises(SpaceError, match=f"space 'makes' changes its own '{state}' when it runs, in {kind}"):
        check_forward(made, X, 3, "makes")


@pytest.mark.parametrize(
    "made",
    [
        nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 3)),  # no input is below zero
        nn.Sequential(nn.Flatten(), nn.Dropout(0.0), nn.Sequential(nn.Hardtanh(inplace=True)), nn.Linear(16, 3)),
        nn.Sequential(Does(lambda x: x.sub_(1)), nn.Flatten(), nn.Linear(16, 3)),
    ],
)
def test_a_layer_that_changes_the_inputs_is_named(made):
    name = "2.0" if isinstance(made[0], nn.Flatten) else "0"
    before = X.clone()
    assert f"changes its inputs in place, in layer '{name}' (" in refused(made)
    assert torch.equal(X, before)


def test_a_change_of_the_inputs_before_a_layer_is_not_that_layers():
    class Halves(nn.Sequential):
        def forward(self, x):
            return super().forward(x.mul_(0.5))

    made = nn.Sequential(Halves(nn.Flatten(), nn.Tanh()), nn.Linear(16, 3))
    assert "changes its inputs in place, in layer '0' (Halves)" in refused(made)


def test_a_network_may_change_in_place_what_it_made_itself():
    check_forward(nn.Sequential(Does(torch.clone), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 3)), X, 3, "s")
    check_forward(network(nn.ReLU(inplace=True)), X, 3, "s")


@pytest.mark.parametrize(
    "made, told",
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(16, 7)),
            r"gives \(2, 7\) for 2 .* needs \(2, 3\). It ends with layer '1' ",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Flatten(0)),
            r"gives \(6,\) .* layer '2' \(Flatten\), which gi",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(16, 3), Does(lambda x: (x, x))),
            r"gives a tuple; .* layer '2' \(Does\)",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 3), Does(torch.Tensor.long)), r"gives torch.int64 numbers; .* '2'"),
        (
            Does(lambda x: x.flatten(1) @ torch.ones(16, 3) * nn.Parameter(torch.ones(2))[:, None, None]),
            "its forward|own",
        ),
        (network(lambda x: (x - 50).log(), nn.Tanh()), r"not finite for inputs .* first in layer '2' \(Does\)"),
        (
            network(nn.Sequential(nn.Linear(5, 6))),
            r"does not take this task's inputs \(1, 4, 4\): .*in layer '2.0' \(Lin",
        ),
        (network(lambda x: x.nothing), r"'Tensor' object has no attribute 'nothing' \(in layer '2' \(Does\)\)"),
        (network(nn.LazyLinear(6)), r"takes the size of layer '2' \(LazyLinear\) from its first input"),
    ],
)
def test_an_output_that_cannot_be_used_names_the_layer(made, told):
    with pytest.raises(SpaceError, match=told):
        check_forward(made, X, 3, "makes")


def test_a_refusal_of_the_networks_own_stays_what_it_is():
    def refuses(x):
        raise SpaceError("not these")

    with pytest.raises(SpaceError, match=r"^not these$"):
        check_forward(network(refuses), X, 3, "makes")


def draws(x):
    return x + 0 * torch.rand(())  # This makes no difference to the output.


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.AlphaDropout(0.1), draws, Counts(buffer=False, tells=True)])
def test_a_layer_that_gives_two_outputs_for_one_input_is_named(layer):
    made = network(nn.Tanh(), nn.Sequential(layer) if isinstance(layer, nn.Module) else nn.Sequential(Does(layer)))
    with torch.random.fork_rng(devices=[]):
        before = torch.random.get_rng_state()
        assert "gives two outputs for one input, in layer '3.0' (" in refused(made)
        assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "sees",
    [
        lambda x: x - x.mean(0),
        lambda x: x / x.max().item(),
        lambda x: nn.functional.batch_norm(x, None, None, training=True),
    ],
)
def test_a_layer_that_lets_examples_see_each_other_is_named(sees):
    """Learners that run all tasks at once would mix tasks; batch normalisation is allowed, as its mode is set."""
    assert "lets the examples of a batch see each other, in layer '3' (Does)" in refused(network(nn.Tanh(), sees))
    check_forward(network(nn.BatchNorm1d(6, track_running_stats=False)), X, 3, "makes")


def test_what_is_refused_is_refused_when_a_candidate_is_built():
    class Space:
        name = "makes"

        def decide(self, choose):
            return choose("only", [0])

        def build(self, spec, task):
            return network(Remembers())

    with pytest.raises(SpaceError, match=r"changes its own '2\.mean'"):
        build(Space(), only(Space()), SHAPE, Normalisation(), learner=Anil(), seed=0)
