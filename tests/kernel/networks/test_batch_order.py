"""Networks that mix the examples of a batch: found, with the layer and the line that does it."""

import random

import pytest
import torch
from torch import nn

from nas import registry
from nas.networks.batch_order import BATCH_NORMS, EXAMPLES, find_fault
from nas.space import replay, sample
from nas.task import TaskShape
from nas.testing import check_space

LIKE = torch.zeros(1, 6, 4)


class Net(nn.Module):
    """Features of each example, what `mixes` makes of them, and a head."""

    def __init__(self, mixes, layer=None):
        super().__init__()
        self.first, self.head = nn.Linear(24, 5), nn.Linear(5, 3)
        self.mixes, self.layer = mixes, layer

    def forward(self, x):
        h = self.first(x.flatten(1)).tanh()
        return self.head(self.mixes(h) if self.layer is None else self.mixes(self.layer, h, x))


class Gained(nn.Module):
    """The place in the batch, times a weight that begins at zero."""

    def __init__(self):
        super().__init__()
        self.first, self.gain = nn.Linear(24, 3), nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.first(x.flatten(1)) + self.gain * torch.arange(len(x))[:, None]


class InEvaluation(nn.Module):
    """Sorts the batch in evaluation mode alone."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(24, 3)

    def forward(self, x):
        h = self.first(x.flatten(1))
        return h if self.training else h.sort(dim=0).values


SEEN = []


def remembers(h):
    SEEN.append(h.detach().clone())
    return h + SEEN[-2] if len(SEEN) > 1 and SEEN[-2].shape == h.shape else h


def attends(layer, h, x):
    return layer(h[None], h[None], h[None])[0][0]


def reads(layer, h, x):
    """The last state of a recurrent layer that reads the 6 values of 4 features of each example."""
    return h + layer(x)[0][:, -1]


with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    FAULTY = {
        "place": (Net(lambda h: h + torch.arange(len(h))[:, None] / len(h)), "equivariance", "own forward"),
        "place alone": (
            Net(lambda h: (torch.arange(len(h)) / len(h))[:, None] * torch.ones(5)),
            "equivariance",
            "own forward",
        ),
        "sorts": (Net(lambda h: h.sort(dim=0).values), "equivariance", "own forward"),
        "cumulative": (Net(lambda h: h.cumsum(dim=0)), "equivariance", "own forward"),
        "first example": (Net(lambda h: h - h[:1]), "equivariance", "own forward"),
        "gain of zero": (Gained(), "equivariance", "own forward"),
        "evaluation": (InEvaluation(), "equivariance", "own forward"),
        "batch mean": (Net(lambda h: h - h.mean(0)), "independence", "own forward"),
        "gradients on": (Net(lambda h: h - h.mean(0) * torch.is_grad_enabled()), "independence", "own forward"),
        "gradient wanted": (Net(lambda h: h - h.mean(0) * h.requires_grad), "independence", "own forward"),
        "attention": (Net(attends, nn.MultiheadAttention(5, 1, batch_first=True)), "independence", "layer 'layer'"),
        "largest": (Net(lambda h: h / h.abs().max()), "independence", "own forward"),
        "dropout": (Net(lambda layer, h, x: layer(h), nn.Dropout(0.5)), "repeatability", "layer 'layer' (Dropout)"),
        "global state": (Net(remembers), "repeatability", "own forward"),
    }


@pytest.mark.parametrize("name", FAULTY)
def test_a_network_that_mixes_examples_is_found_and_the_line_is_named(name):
    network, broken, place = FAULTY[name]
    SEEN.clear()
    fault = find_fault(network, LIKE)
    assert fault is not None
    assert fault.broken == broken
    assert place in fault.place
    assert ("test_batch_order.py:" in fault.place) == (name != "global state")  # it differs the first time alone
    assert str(fault).endswith(fault.remedy)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_a_recurrent_layer_that_takes_the_batch_for_time_is_named_with_the_remedy(kind):
    fault = find_fault(Net(reads, kind(4, 5)), LIKE)
    assert fault is not None
    assert "layer 'layer'" in fault.place
    assert f"nn.{kind.__name__}" in fault.remedy
    assert "batch_first=True" in fault.remedy
    assert find_fault(Net(reads, kind(4, 5, batch_first=True)), LIKE) is None


@pytest.mark.parametrize(
    "layer",
    [
        nn.MultiheadAttention(4, 2),
        nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0),
    ],
)
def test_attention_that_takes_the_batch_for_time_is_named_with_the_remedy(layer):
    def over(layer, h, x):
        return h * (layer(x, x, x)[0] if isinstance(layer, nn.MultiheadAttention) else layer(x)).mean((1, 2))[:, None]

    fault = find_fault(Net(over, layer), LIKE)
    assert fault is not None
    assert fault.broken == "independence"  # in whatever order, it attends to the other examples
    assert "layer 'layer" in fault.place


def test_a_layer_that_sees_time_first_may_be_given_time_first():
    def reads(layer, h, x):
        return h + layer(x.transpose(0, 1))[0][-1]

    assert find_fault(Net(reads, nn.GRU(4, 5)), LIKE) is None


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(5), nn.BatchNorm1d(5, track_running_stats=False)])
def test_what_normalises_over_the_batch_may_where_it_is_said(norm):
    network = Net(lambda layer, h, x: layer(h), norm)
    assert find_fault(network, LIKE, batch_layers=BATCH_NORMS) is None
    fault = find_fault(network, LIKE)
    assert fault is not None
    assert fault.broken == "independence"
    # But nothing else may see the batch because that does.
    both = Net(lambda layer, h, x: layer(h) - h.mean(0), norm)
    fault = find_fault(both, LIKE, batch_layers=BATCH_NORMS)
    assert fault is not None
    assert fault.broken == "independence"


def test_a_check_leaves_no_trace():
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(24), nn.Dropout(0.0), nn.Linear(24, 3))
    network[2].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.random.get_rng_state()
    find_fault(network, LIKE, batch_layers=BATCH_NORMS)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert not network[2].training
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_what_a_network_raises_is_raised_but_with_noise_in_its_weights():
    def refuses(h):
        if len(h) == EXAMPLES:
            raise ValueError("too many")
        return h

    with pytest.raises(ValueError, match="too many"):
        find_fault(Net(refuses), LIKE)

    class Positive(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.head = nn.Parameter(torch.zeros(24)), nn.Linear(24, 3)

        def forward(self, x):
            if bool((self.scale < 0).any()):
                raise ValueError("negative")
            return self.head(x.flatten(1) * self.scale)

    assert find_fault(Positive(), LIKE) is None


SHAPES = {"recurrent-cell": (1, 16), "transformer": (1, 16), "mlp": (6,), "mlp40": (6,)}


@pytest.mark.parametrize("name", [name for name in registry.names("space") if not name.startswith("nni")])
def test_every_space_of_the_registry_treats_each_example_by_itself(name):
    space = registry.create("space", name, {})
    shape = TaskShape(SHAPES.get(name, (1, 28, 28)), 5)
    rng = random.Random(1)
    for _ in range(3):
        with torch.random.fork_rng(devices=[]):
            network = space.build(replay(space, sample(space, rng)), shape)
        assert find_fault(network, torch.zeros(1, *shape.input_shape), batch_layers=BATCH_NORMS) is None


def test_it_is_a_law_of_spaces():
    class Places:
        name = "places"

        def decide(self, choose):
            return choose("only", [0])

        def build(self, spec, task):
            return Gained()

    with pytest.raises(AssertionError, match="stands elsewhere in the batch, in the network's own forward"):
        check_space(Places(), task=TaskShape((6, 4), 3))
